from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import assembly, validation
from bigmodel_cli.columns import CATEGORIES, NUMBERS, Column
from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec
from bigmodel_cli.data import prepared
from bigmodel_cli.errors import ConfigError, DataError, InterruptedTrainingError, ModelError
from bigmodel_cli.evaluation.linear_baseline import linear_baseline
from bigmodel_cli.explanation.permutation_importance import importance
from bigmodel_cli.models.deepfm import deepfm
from bigmodel_cli.models.late_fusion import late_fusion
from bigmodel_cli.models.mlp import mlp
from bigmodel_cli.models.transformer import transformer
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import planning, starting, trainer

IMAGE = Column("photo", "image", shape=(8, 8, 3))
SECOND = Column("second", "image", shape=(6, 6, 1))
NUMBER = Column("n", "numeric")
CATEGORY = Column("c", "categorical", vocabulary=("x", "y"))
TEXT = Column("t", "text", vocabulary=("p", "q", "r"), length=4, dimension=5)
TINY = {"name": "cnn", "filters": [3], "dense": [], "global_pool": True}


def spec(*columns, task="classification"):
    names = tuple(column.name for column in columns)
    return DataSpec(
        "t", "test", task, InputSpec((len(columns),), "", "table", names, columns=columns),
        TargetSpec((), "int32", ("no", "yes"), counts=(1, 1)),
    )  # fmt: skip


def test_what_each_column_becomes_stands_side_by_side():
    model = late_fusion(spec(IMAGE, NUMBER, SECOND, TEXT, CATEGORY), images=TINY, hidden=[7])
    assert set(model.input) == {"image_0", "image_1", NUMBERS, CATEGORIES, "tokens_0"}
    # A number, two categories, 3 feature maps of each image, the mean of a text.
    dense = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    assert dense.kernel.shape == (1 + 2 + 3 + 3 + 5, 7)
    shapes = [model.get_layer(f"images_{place}").weights[0].shape for place in (0, 1)]
    assert shapes == [(3, 3, 3, 3), (3, 3, 1, 3)]
    rng = np.random.default_rng(0)
    rows = {
        "image_0": rng.integers(0, 256, (2, 8, 8, 3), np.uint8),
        "image_1": rng.integers(0, 256, (2, 6, 6, 1), np.uint8),
        NUMBERS: np.ones((2, 1), np.float32),
        CATEGORIES: np.array([[2], [3]], np.int32),
        "tokens_0": np.array([[2, 3, 0, 0], [4, 0, 0, 0]], np.int32),
    }
    whole = np.asarray(model(rows))
    for name, cells in rows.items():
        assert abs(np.asarray(model(rows | {name: cells[::-1]})) - whole).max() > 1e-6 or name == NUMBERS


def test_texts_go_through_a_transformer():
    texts = {"name": "transformer", "layers": 1, "width": 8, "heads": 2}
    columns = (Column("t", "text", vocabulary=("p", "q"), length=3, dimension=64), NUMBER)
    model = late_fusion(spec(*columns), texts=texts, hidden=[])
    assert model.get_layer("logits").kernel.shape == (8 + 1, 2)
    assert [layer.name for layer in model.layers if isinstance(layer, keras.Model)] == ["texts"]
    order = [
        np.asarray(model({NUMBERS: np.ones((1, 1)), "tokens_0": np.array([t])}))
        for t in ([2, 3, 0], [3, 2, 0])
    ]
    assert abs(order[0] - order[1]).max() > 1e-6


@pytest.mark.parametrize(
    ("columns", "parameters", "message"),
    [
        ((NUMBER, CATEGORY), {}, r"is for tables with images or texts, and t has neither"),
        ((TEXT,), {"images": TINY}, r"model\.images: t has no column of images; .*\{NAME: image\}"),
        ((IMAGE,), {"texts": {"name": "transformer"}}, r"model\.texts: t has no column of texts"),
        ((IMAGE,), {"images": {"name": "unet"}}, r"model\.images: `unet` is for segmentation"),
        ((IMAGE,), {"images": {"name": "mlp"}}, r"model\.images: `mlp` takes a vector"),
    ],
)
def test_what_does_not_fit_is_refused(columns, parameters, message):
    with pytest.raises(ModelError, match=message):
        late_fusion(spec(*columns), **parameters)


def test_language_models_are_refused():
    with pytest.raises(ModelError, match="late_fusion` is for classification"):
        late_fusion(spec(TEXT, task="masked_language_model"))


@pytest.mark.parametrize("model", [mlp, transformer, deepfm])
def test_other_models_refuse_images(model):
    with pytest.raises(ModelError, match=r"`photo`.*late_fusion|`photo`.*\{photo: ignore\}"):
        model(spec(IMAGE, TEXT, NUMBER))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("{name: cnnn}", "there is no model `cnnn`; did you mean `cnn`?"),
        ("{name: cnn, filter: [1]}", "`cnn`: filter: "),
        ("{filters: [1]}", "needs the `name` of a model"),
    ],
)
def test_mistakes_of_an_encoder_are_found_without_building(images, message, write):
    path = write("c.yaml", f"dataset: digits\nmodel: {{name: late_fusion, images: {images}}}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:2:\d+: model\.images: ") as error:
        validation.load(path)
    assert message in str(error.value)


# The label is whether the image is bright and the number is large, or neither: neither alone tells it.
CONFIG = """\
name: both
seed: 1
dataset:
  name: csv
  path: {folder}/t.csv
  target: label
  columns: {{photo: image}}
  splits: {{train: "all[:160]", validation: "all[160:200]", test: "all[200:]"}}
model:
  name: late_fusion
  images: {{name: cnn, filters: [4], dense: [], global_pool: true}}
  hidden: [16]
optimizer: {{name: adam, learning_rate: 0.05}}
training: {{epochs: 8, batch_size: 20, precision: float32, steps_per_execution: 4, tensorboard: false}}
"""


class StopAt:
    """Interrupts training at a step, as Ctrl-C does."""

    def __init__(self, epoch: int = 0, step: int = 0):
        self._at = (epoch, step)

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        self._epoch = epoch

    def step_done(self, step: int, examples_per_second: float, metrics: Any) -> None:
        if (self._epoch, step) == self._at:
            self._at = (0, 0)
            os.kill(os.getpid(), signal.SIGINT)

    def validation_begins(self) -> None:
        pass

    def epoch_done(self, record: Any) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def trained(folder: Path, name: str, *overrides: str, listener: StopAt | None = None) -> Run:
    plan = planning.prepare(validation.load(folder / "c.yaml", overrides).config)
    run = starting.start(plan, folder / name)
    trainer.train(plan, run, listener or StopAt())
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, its images, and a config."""
    folder = tmp_path_factory.mktemp("both")
    rng = np.random.default_rng(0)
    lines = ["photo,x,label"]
    for place in range(260):
        bright, x = rng.integers(2), rng.normal()
        pixels = rng.integers(0, 60, (5, 5, 3)) + 150 * bright
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{place}.png")
        lines.append(f"{place}.png,{x:.4f},{'same' if bright == (x > 0) else 'other'}")
    (folder / "t.csv").write_text("\n".join(lines))
    (folder / "c.yaml").write_text(CONFIG.format(folder=folder))
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Trained; not to be changed."""
    return trained(folder, "run")


def accuracy(run: Run) -> float:
    restored = assembly.restore(run)
    inputs, targets = assembly.restored_data(restored).splits["test"].arrays()
    return float((restored.predict(inputs).argmax(axis=1) == targets).mean())


def test_image_and_number_together_tell_what_neither_tells_alone(run):
    inputs, targets = assembly.restored_data(assembly.restore(run)).splits["test"].arrays()
    bright, large = inputs["photo"].mean(axis=(1, 2, 3)) > 100, inputs["x"] > 0

    def best(*known):
        """Accuracy of the best guess from what is known."""
        _, groups = np.unique(np.stack(known), axis=1, return_inverse=True)
        return sum(np.bincount(targets[groups == group]).max() for group in set(groups)) / len(targets)

    assert best(bright, large) == 1
    assert max(best(bright), best(large)) < 0.7
    assert accuracy(run) > 0.85


def test_resumed_it_is_the_same_to_the_bit(folder, run):
    with pytest.raises(InterruptedTrainingError):
        trained(folder, "stopped", listener=StopAt(7, 4))
    stopped = Run(folder / "stopped")
    trainer.train(
        planning.prepare(validation.load_resumed(stopped.config, ()).config, stopped),
        stopped,
        StopAt(),
        resume=True,
    )
    for mine, other in zip(
        *(assembly.restore(each).model.get_weights() for each in (run, stopped)), strict=True
    ):
        np.testing.assert_array_equal(mine, other)


def test_the_saved_model_takes_pixels(run):
    restored = assembly.restore(run)
    inputs, _ = assembly.restored_data(restored).splits["test"].arrays()
    assert inputs["photo"].dtype == np.uint8
    saved = keras.saving.load_model(run.model)
    found = np.asarray(saved({key: keras.ops.convert_to_tensor(cells) for key, cells in inputs.items()}))
    np.testing.assert_allclose(found, restored.predict(inputs), atol=1e-6)


def test_new_rows_are_predicted(folder, run, bigmodel, write):
    write("new.csv", f"x,photo\n1,{folder}/1.png\n2,gone.png\n")
    result = bigmodel("predict", run.path, "new.csv", "--json")
    good, bad = json.loads(result.stdout)["predictions"]
    assert good["prediction"] in ("same", "other")
    assert bad["error"].endswith("gone.png is not there")


def test_linear_model_and_importance_see_the_images(run):
    restored = assembly.restore(run)
    data = assembly.restored_data(restored)
    split = data.splits["test"]
    baseline, reason = linear_baseline(data, split, np.arange(split.size), seed=0)
    assert reason is None
    assert "1 standardized number and 75 standardized pixels of small" in baseline.description
    found = importance(restored.predict, *split.arrays(), restored.spec)
    assert found.names == ("photo", "x")
    assert (found.losses.mean(axis=1) > 0.2).all()


def test_prepared_shards_hold_the_images(run, tmp_path):
    data = assembly.restored_data(assembly.restore(run))
    split = data.splits["test"]
    batches, folder = {"test": split.batches().as_numpy_iterator()}, str(tmp_path / "shards")
    prepared.write(batches, data.spec, {"test": split.size}, folder, report=lambda *_: None)
    source = prepared.prepared(0, path=folder)
    assert source.spec.input.columns[0].shape == (5, 5, 3)
    after, _ = source.arrays(Part.range("test", 0, split.size))
    np.testing.assert_array_equal(after["photo"], split.arrays()[0]["photo"])


def test_augmentation_is_refused(folder):
    with pytest.raises(DataError, match="gives table inputs, of which images are a part only; leave it out"):
        planning.prepare(validation.load(folder / "c.yaml", ["dataset.augment=[random_flip]"]).config)
