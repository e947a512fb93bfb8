from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import validation
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.rundir import Run

DIGITS = """\
name: digits
dataset: {name: digits, limit: 64}
model: {name: cnn, filters: [4], dense: []}
training: {epochs: 1, batch_size: 16, precision: float32, tensorboard: false}
"""
LINEAR = """\
name: line
dataset: {name: linear, examples: 60}
model: linear_regression
optimizer: {name: sgd, learning_rate: 0.1}
training: {epochs: 1, batch_size: 8, tensorboard: false}
"""

TABLE = """\
name: table
dataset: {{name: csv, path: {path}, target: y, task: classification}}
model: {{name: mlp, hidden: [5]}}
training: {{epochs: 1, batch_size: 8, tensorboard: false}}
"""


def _train(folder: Path, text: str) -> Run:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    (folder / "config.yaml").write_text(text, encoding="utf-8")
    plan = planning.prepare(validation.load(folder / "config.yaml").config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return run


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _train(tmp_path_factory.mktemp("digits"), DIGITS)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _train(tmp_path_factory.mktemp("line"), LINEAR)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of digits too, trained with flips from another seed."""
    augmented = DIGITS.replace("limit: 64", "limit: 64, augment: [{name: random_flip}]")
    return _train(tmp_path_factory.mktemp("other"), f"seed: 5\n{augmented}")


@pytest.fixture
def test_images(digits: Run, tmp_path: Path) -> tuple[list[Path], np.ndarray]:
    """The first five test images as files, and what the model says of them."""
    from bigmodel_cli import assembly

    restored = assembly.restore(digits)
    inputs, _ = assembly.load_data(restored.config).splits["test"].arrays()
    paths = []
    for index, image in enumerate(inputs[:5]):
        paths.append(tmp_path / "images" / f"{index}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(paths[-1])
    return paths, restored.predict(inputs[:5])


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return list(parquet.read_table(path).to_pylist())
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    texts = {"id", "prediction", "target", "error"}
    return [{key: value if key in texts else float(value) for key, value in row.items()} for row in found]


_FOUND: list[Any] = []


@pytest.fixture(autouse=True)
def _discarded() -> Iterator[None]:
    """Let go of what was not written."""
    yield
    while _FOUND:
        _FOUND.pop().discard()


def _predict(
    run: Run, *arguments: object, output: Path | None = None, resume: bool = False, **asked: Any
) -> Any:
    """Predictions, in this process."""
    from bigmodel_cli import prediction

    request = prediction.Request(run, [str(argument) for argument in arguments], **asked)
    _FOUND.append(prediction.predict(request, output, resume=resume))
    return _FOUND[-1]


def _probabilities(found: Any, names: Sequence[str] = tuple(map(str, range(10)))) -> np.ndarray:
    return np.array([[row[f"probability_{name}"] for name in names] for row in found.rows()])


def test_the_formats_hold_the_same(digits: Run, tmp_path: Path) -> None:
    found = _predict(digits, limit=7)
    suffixes = (".csv", ".jsonl", ".parquet")
    for suffix in suffixes:
        found.write(tmp_path / f"out{suffix}")
    tables = [_read(tmp_path / f"out{suffix}") for suffix in suffixes]
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 7
    assert list(tables[0][0]) == [
        "id", "prediction", "probability", *(f"probability_{digit}" for digit in range(10)), "target",
    ]  # fmt: skip
    found.write(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["classes"].tolist() == [str(digit) for digit in range(10)]
        for name in ("id", "prediction", "target"):
            assert arrays[name].tolist() == [row[name] for row in tables[0]]
        np.testing.assert_array_equal(arrays["probabilities"], _probabilities(found).astype(np.float32))


def test_rows_agree_with_the_probabilities(digits: Run) -> None:
    from bigmodel_cli import assembly

    restored = assembly.restore(digits)
    inputs, targets = assembly.load_data(restored.config).splits["test"].arrays()
    rows = list(_predict(digits).rows())
    assert [row["id"] for row in rows] == [str(index) for index in range(len(inputs))]
    probabilities = restored.predict(inputs)
    for row, output, target in zip(rows, probabilities, targets, strict=True):
        assert (row["prediction"], row["target"]) == (str(output.argmax()), str(target))
        assert row["probability"] == pytest.approx(float(output.max()), abs=1e-6)
        assert row[f"probability_{target}"] == pytest.approx(float(output[target]), abs=1e-6)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_another_split(split: Any, digits: Run) -> None:
    from bigmodel_cli import assembly

    data = assembly.load_data(assembly.restore(digits).config)
    found = _predict(digits, split=split, limit=3)
    assert [int(row["target"]) for row in found.rows()] == data.splits[split].targets()[:3].tolist()


def test_files_give_what_the_split_gives(digits: Run, test_images: tuple[list[Path], np.ndarray]) -> None:
    paths, expected = test_images
    found = _predict(digits, *reversed(paths))
    assert [row["id"] for row in found.rows()] == [path.name for path in reversed(paths)]
    np.testing.assert_allclose(_probabilities(found), expected[::-1], atol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 256])
def test_a_broken_file_does_not_cost_the_others(
    batch_size: int, digits: Run, test_images: tuple[list[Path], np.ndarray], tmp_path: Path
) -> None:
    paths, expected = test_images
    for path in paths[2:4]:
        path.write_bytes(b"no image")
    found = _predict(digits, paths[0].parent, batch_size=batch_size)
    rows = list(found.rows())
    assert [row["id"] for row in rows] == [f"{index}.png" for index in range(5)]
    reasons = [f"{path} is not an image" for path in paths[2:4]]
    assert [row["error"] for row in rows] == [None, None, *reasons, None]
    assert rows[2]["prediction"] is rows[2]["probability_0"] is None
    np.testing.assert_allclose(rows[4]["probability_3"], expected[4, 3], atol=1e-6)
    assert (found.size, found.good, found.parts.state.unread) == (5, 3, 2)
    found.write(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert np.isnan(arrays["probabilities"]).all(axis=1).tolist() == [False, False, True, True, False]
        assert arrays["error"].tolist() == ["", "", *reasons, ""]
        assert arrays["prediction"][2] == ""


def test_nothing_but_broken_files(digits: Run, test_images: tuple[list[Path], np.ndarray]) -> None:
    paths, _ = test_images
    for path in paths:
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png is not an image\n(.|\n)*no input could be read"):
        _predict(digits, *paths)


def test_numbers_for_a_line(line: Run) -> None:
    from bigmodel_cli import assembly
    from bigmodel_cli.models.linear_regression import coefficients

    slopes, intercepts = coefficients(assembly.restore(line).model)
    rows = list(_predict(line, "0.5", "-3").rows())
    assert [list(row) for row in rows] == [["id", "prediction"]] * 2
    expected = [slopes[0, 0] * x + intercepts[0] for x in (0.5, -3)]
    assert [row["prediction"] for row in rows] == pytest.approx(expected, rel=1e-5)


def test_predictions_that_are_not_finite_are_named(line: Run) -> None:
    found = _predict(line, "1", "3e38", "1e38", "2")
    rows = list(found.rows())
    bad = [index for index, row in enumerate(rows) if row["error"]]
    assert bad
    assert all(rows[index]["prediction"] is None for index in bad)
    assert rows[bad[0]]["error"] == f"{rows[bad[0]]['id']}: the model's output is not finite"
    assert (found.parts.state.unread, found.parts.state.not_finite) == (0, len(bad))
    assert 0 not in bad
    assert 3 not in bad


def test_data_that_changed_are_not_predicted_for(digits: Run, tmp_path: Path) -> None:
    shutil.copytree(digits.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.config.write_text(run.config.read_text().replace("limit: 64", "limit: 63"))
    with pytest.raises(DataError, match="is not what"):
        _predict(run)


def test_pictures(digits: Run, line: Run, tmp_path: Path) -> None:
    drawn = {}
    for run in (digits, line):
        folder = tmp_path / run.path.parent.name
        folder.mkdir()
        paths = _predict(run, limit=25).draw(folder)
        drawn[run] = [path.name for path in paths]
        for path in paths:
            with Image.open(path) as image:
                assert min(image.size) > 400
    assert drawn[digits] == ["predictions.png"]
    assert drawn[line] == ["predicted_against_true.png", "residuals.png", "fitted_line.png"]
    single = _predict(line, "1").draw(tmp_path)
    assert [path.name for path in single] == ["fitted_line.png"]


class TestContent:
    @pytest.fixture
    def images(self, test_images: tuple[list[Path], np.ndarray]) -> Path:
        return test_images[0][0].parent

    def test_top_k(self, digits: Run, images: Path, test_images: tuple[list[Path], np.ndarray]) -> None:
        from bigmodel_cli.prediction import Content

        rows = list(_predict(digits, images, content=Content(probabilities=False, top_k=3)).rows())
        tops = ["top_1", "top_1_probability", "top_2", "top_2_probability", "top_3", "top_3_probability"]
        assert list(rows[0]) == ["id", "prediction", "probability", *tops]
        for row, probabilities in zip(rows, test_images[1], strict=True):
            order = np.argsort(-probabilities)[:3]
            assert [row[f"top_{place}"] for place in (1, 2, 3)] == [str(index) for index in order]
            found = [row[f"top_{place}_probability"] for place in (1, 2, 3)]
            np.testing.assert_allclose(found, probabilities[order], atol=1e-6)
            assert row["prediction"] == row["top_1"]

    def test_logits(self, digits: Run, images: Path) -> None:
        from bigmodel_cli.prediction import Content

        found = _predict(digits, images, content=Content(logits=True))
        logits = np.array([[row[f"logit_{digit}"] for digit in range(10)] for row in found.rows()])
        softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(softmax, _probabilities(found), atol=1e-6)

    def test_embeddings_are_what_the_head_takes(self, digits: Run, images: Path) -> None:
        from bigmodel_cli import assembly
        from bigmodel_cli.hidden_layers import BEFORE_HEAD
        from bigmodel_cli.prediction import Content

        content = Content(probabilities=False, logits=True, embeddings=BEFORE_HEAD)
        rows = list(_predict(digits, images, content=content).rows())
        head = [layer for layer in assembly.restore(digits).model.layers if layer.weights][-1]
        kernel, bias = head.get_weights()
        embeddings = np.array([[row[f"embedding_{i}"] for i in range(len(kernel))] for row in rows])
        logits = [[row[f"logit_{digit}"] for digit in range(10)] for row in rows]
        np.testing.assert_allclose(embeddings @ kernel + bias, logits, atol=1e-5)

    def test_another_layer(self, digits: Run, images: Path, tmp_path: Path) -> None:
        from bigmodel_cli import assembly
        from bigmodel_cli.prediction import Content

        found = _predict(digits, images, content=Content(probabilities=False, embeddings="conv1"))
        found.write(tmp_path / "out.npz")
        layer = assembly.restore(digits).model.get_layer("conv1")
        with np.load(tmp_path / "out.npz") as arrays:
            assert arrays["embedding"].shape == (5, int(np.prod(layer.output.shape[1:])))

    @pytest.mark.parametrize(
        ("name", "asked", "message"),
        [
            ("line", {"top_k": 1}, "--top-k: is for classification"),
            ("line", {"logits": True}, "--logits: is for classification"),
            ("digits", {"top_k": 11}, "--top-k 11: there are 10 classes"),
            ("digits", {"embeddings": "nothing"}, "no such layer; it has .*conv1"),
        ],
    )
    def test_what_there_is_not(
        self, name: str, asked: dict[str, Any], message: str, request: pytest.FixtureRequest
    ) -> None:
        from bigmodel_cli.prediction import Content

        with pytest.raises(UsageError, match=message):
            _predict(request.getfixturevalue(name), content=Content(**asked))


def test_embeddings_of_a_table(tmp_path: Path) -> None:
    from bigmodel_cli.hidden_layers import BEFORE_HEAD
    from bigmodel_cli.prediction import Content

    rows = "".join(f"{index % 7},{'ab'[index % 2]},{index % 3}\n" for index in range(40))
    (tmp_path / "t.csv").write_text("n,c,y\n" + rows)
    run = _train(tmp_path, TABLE.format(path=tmp_path / "t.csv"))
    content = Content(embeddings=BEFORE_HEAD)
    found = list(_predict(run, tmp_path / "t.csv", content=content, batch_size=16, ensemble=[]).rows())
    assert [name for name in found[0] if name.startswith("embedding_")] == [
        f"embedding_{i}" for i in range(5)
    ]
    plain = list(_predict(run, tmp_path / "t.csv").rows())
    assert [row["prediction"] for row in found] == [row["prediction"] for row in plain]
    assert len(found) == 40
    # These two rows differ in `c` alone.
    assert [found[0][f"embedding_{i}"] for i in range(5)] != [found[21][f"embedding_{i}"] for i in range(5)]


class TestMeans:
    def test_an_ensemble(self, digits: Run, other: Run, test_images: tuple[list[Path], np.ndarray]) -> None:
        paths, first = test_images
        second = _probabilities(_predict(other, *paths))
        both = _probabilities(_predict(digits, *paths, ensemble=[other]))
        assert np.abs(first - second).max() > 1e-3
        np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)

    def test_an_ensemble_of_different_things(self, digits: Run, line: Run) -> None:
        with pytest.raises(UsageError, match="has other tasks than"):
            _predict(digits, ensemble=[line])

    def test_the_mean_over_flips(self, other: Run, test_images: tuple[list[Path], np.ndarray]) -> None:
        from bigmodel_cli import assembly

        paths, _ = test_images
        restored = assembly.restore(other)
        images = np.stack([np.asarray(Image.open(path))[..., None] for path in paths])
        straight, mirrored = restored.predict(images), restored.predict(images[:, :, ::-1])
        found = _probabilities(_predict(other, *paths, views=4))
        np.testing.assert_array_equal(found, _probabilities(_predict(other, *paths, views=4)))
        shares = []
        for row, one, two in zip(found, straight, mirrored, strict=True):
            # Of four views one is the image itself.
            candidates = [one + (two - one) * flips / 4 for flips in range(4)]
            errors = [np.abs(row - candidate).max() for candidate in candidates]
            assert min(errors) < 1e-5
            shares.append(int(np.argmin(errors)))
        assert max(shares) > 0

    def test_a_run_without_augmentations(self, digits: Run) -> None:
        with pytest.raises(UsageError, match="was trained without augmentations"):
            _predict(digits, views=2)


class TestResume:
    @pytest.fixture
    def small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from bigmodel_cli.prediction import parts

        monkeypatch.setattr(parts, "PART_ROWS", 4)

    @pytest.fixture
    def inputs(self, digits: Run, tmp_path: Path) -> Path:
        """Nineteen images, of which one is broken."""
        folder = tmp_path / "many"
        folder.mkdir()
        generator = np.random.default_rng(0)
        for index in range(19):
            Image.fromarray(generator.integers(0, 255, (8, 8), np.uint8)).save(folder / f"{index:02d}.png")
        (folder / "05.png").write_bytes(b"no image")
        return folder

    def cut_off(self, run: Run, inputs: Path, output: Path, after: int, **asked: Any) -> None:
        """Predict, and be interrupted."""
        from bigmodel_cli import prediction

        def progress(done: int) -> None:
            if done >= after:
                raise KeyboardInterrupt

        request = prediction.Request(run, [str(inputs)], batch_size=2, **asked)
        with pytest.raises(prediction.InterruptedPredictionError, match=f"after {after} inputs"):
            prediction.predict(request, output, progress=progress)

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".npz"])
    def test_the_file_is_that_of_uninterrupted_work(
        self, suffix: str, digits: Run, inputs: Path, small_parts: None, tmp_path: Path
    ) -> None:
        whole = _predict(digits, inputs, batch_size=2)
        whole.write(tmp_path / f"whole{suffix}")
        whole.discard()
        output = tmp_path / f"out{suffix}"
        self.cut_off(digits, inputs, output, 10)
        assert not output.exists()
        found = _predict(digits, inputs, batch_size=2, output=output, resume=True)
        found.write(output)
        picture = found.draw(tmp_path)
        found.discard()
        assert output.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
        assert [path.name for path in picture] == ["predictions.png"]
        assert not list(tmp_path.glob(".*"))

    def test_only_the_rest_is_computed(
        self, digits: Run, inputs: Path, small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bigmodel_cli.prediction import stream

        self.cut_off(digits, inputs, tmp_path / "out.csv", 10)
        seen = []
        result_of = stream.result_of
        monkeypatch.setattr(
            stream, "result_of", lambda block, *rest: seen.extend(block.ids) or result_of(block, *rest)
        )
        found = _predict(digits, inputs, batch_size=2, output=tmp_path / "out.csv", resume=True)
        found.discard()
        assert seen == [f"{index:02d}.png" for index in range(10, 19)]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("size", "was begun with other options"),
            ("limit", "was begun with other inputs"),
            ("model", "was begun with other models"),
            ("renamed", "the first 10 inputs are others than then"),
            ("rewritten", r"03\.png was changed or removed since"),
        ],
    )
    def test_other_work(
        self, change: str, message: str, digits: Run, inputs: Path, small_parts: None, tmp_path: Path
    ) -> None:
        shutil.copytree(digits.path, tmp_path / "run")
        run, output = Run(tmp_path / "run"), tmp_path / "out.csv"
        self.cut_off(run, inputs, output, 10)
        if change == "model":
            run.config.write_text(run.config.read_text() + "\n")
        elif change == "renamed":
            (inputs / "03.png").unlink()
        elif change == "rewritten":
            Image.new("L", (8, 8)).save(inputs / "03.png")
        asked: dict[str, Any] = {"batch_size": 3 if change == "size" else 2}
        asked |= {"limit": 12} if change == "limit" else {}
        with pytest.raises(UsageError, match=message):
            _predict(run, inputs, output=output, resume=True, **asked)
        # Without it all begins anew.
        found = _predict(run, inputs, output=output, **asked)
        assert found.size == {"limit": 12, "renamed": 18}.get(change, 19)

    def test_a_split(self, digits: Run, small_parts: None, tmp_path: Path) -> None:
        from bigmodel_cli import prediction

        whole = list(_predict(digits, batch_size=2).rows())

        def progress(done: int) -> None:
            if done >= 6:
                raise KeyboardInterrupt

        request = prediction.Request(digits, batch_size=2)
        with pytest.raises(prediction.InterruptedPredictionError):
            prediction.predict(request, tmp_path / "out.csv", progress=progress)
        found = _predict(digits, batch_size=2, output=tmp_path / "out.csv", resume=True)
        assert list(found.rows()) == whole

    def test_nothing_to_go_on_with(self, digits: Run, inputs: Path, tmp_path: Path) -> None:
        assert _predict(digits, inputs, output=tmp_path / "out.csv", resume=True).size == 19

    def test_damaged(self, digits: Run, inputs: Path, small_parts: None, tmp_path: Path) -> None:
        self.cut_off(digits, inputs, tmp_path / "out.csv", 10)
        (tmp_path / ".out.csv.parts" / "position.json").write_text("{")
        with pytest.raises(UsageError, match=r"position\.json is damaged .* leave --resume out"):
            _predict(digits, inputs, batch_size=2, output=tmp_path / "out.csv", resume=True)

    def test_two_at_a_time(self, digits: Run, inputs: Path, small_parts: None, tmp_path: Path) -> None:
        first = _predict(digits, inputs, batch_size=2, output=tmp_path / "out.csv")
        with pytest.raises(UsageError, match="another process is writing these predictions"):
            _predict(digits, inputs, batch_size=2, output=tmp_path / "out.csv")
        first.discard()


def test_annotated_images(digits: Run, test_images: tuple[list[Path], np.ndarray], tmp_path: Path) -> None:
    paths, _ = test_images
    paths[1].write_bytes(b"no image")
    folder = tmp_path / "annotated"
    _predict(digits, paths[0].parent, annotate=folder, batch_size=2)
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == [f"{index:06d}_{index}.png.png" for index in (0, 2, 3, 4)]
    with Image.open(folder / names[0]) as image, Image.open(paths[0]) as original:
        assert image.width >= 160
        assert image.height > image.width
        shown = image.convert("L").resize((8, 8), Image.Resampling.NEAREST, (0, 0, 160, 160))
        np.testing.assert_allclose(np.asarray(shown, int), np.asarray(original, int), atol=2)
        below = np.asarray(image.convert("L").crop((0, 160, image.width, image.height)))
        assert below.min() < 100


def test_annotating_numbers(line: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--annotate: is for images"):
        _predict(line, "1", annotate=tmp_path / "annotated")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.txt", r"--output .*out\.txt: the extension must be one of"),
        ("no/out.csv", r"there is no folder .*no$"),
    ],
)
def test_where_nothing_can_be_written(name: str, message: str, tmp_path: Path) -> None:
    from bigmodel_cli import prediction

    with pytest.raises(UsageError, match=message):
        prediction.check_output(tmp_path / name)


def test_standard_input(line: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n0.25\n0.75\n"))
    found = _predict(line, "-")
    assert [row["id"] for row in found.rows()] == ["standard input:2", "standard input:3"]


class TestCommand:
    @pytest.fixture
    def here(
        self, digits: Run, line: Run, bigmodel: Callable[..., Any], tmp_path: Path
    ) -> Callable[..., Any]:
        """The command line in a folder with copies of the runs."""
        for run, name in ((digits, "digits"), (line, "line")):
            shutil.copytree(run.path, tmp_path / name)
        return bigmodel

    def test_the_test_split(self, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "digits", "--limit", 3)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["id", "prediction", "probability", "target"]
        assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"]
        assert "3 predictions in digits/predictions/predictions.csv" in lines
        assert "picture in digits/predictions/predictions.png" in lines
        assert len(_read(tmp_path / "digits" / "predictions" / "predictions.csv")) == 3

    def test_numbers_with_a_sign(self, here: Callable[..., Any]) -> None:
        result = here("predict", "line", "-1.5", "2")
        assert result.exit_code == 0, result.stderr
        assert [line.split()[0] for line in result.stdout.splitlines()[1:3]] == ["-1.5", "2"]

    def test_to_standard_output(self, here: Callable[..., Any]) -> None:
        result = here("predict", "line", "1", "2", "--output", "-")
        table = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["id"] for row in table] == ["1", "2"]

    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
    def test_to_a_file(self, suffix: str, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "line", "1", "--output", f"out.{suffix}")
        assert f"1 prediction in out.{suffix}" in result.stdout
        assert (tmp_path / f"out.{suffix}").is_file()

    def test_as_json(self, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "line", "1", "--json", "--output", "out.csv")
        document = json.loads(result.stdout)
        assert [row["id"] for row in document["predictions"]] == ["1"]
        assert (tmp_path / "out.csv").is_file()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("line", "1", "-o", "out.txt"),
                "--output out.txt: the extension must be one of .csv, .jsonl, .parquet, .npz",
            ),
            (("line", "1", "-o", "no/out.csv"), "--output no/out.csv: there is no folder no"),
            (("line", "1", "--split", "test"), "--split is for the run's own examples"),
            (("line", "1", "--layer", "x"), "--layer names the layer of --embeddings"),
            (
                ("line", "1", "--resume", "--output", "-"),
                "--resume: nothing is kept of what goes to standard",
            ),
            (("line", "-", "--resume"), "--resume: standard input cannot be read a second time"),
            (("line", "1", "--ensemble", "digits"), "--ensemble digits: has other tasks than line"),
            (("line", "1,2"), "1,2: is 2 numbers, but this model takes 1 feature"),
            (("digits", "nowhere.png"), "nowhere.png: there is no such file or folder"),
            (("line", "--oops"), "there is no option --oops"),
            (("line", "nan"), "no input could be read"),
            ((), "there is no run under runs/ yet"),
        ],
    )
    def test_wrong_use(
        self, arguments: Sequence[str], message: str, here: Callable[..., Any], tmp_path: Path
    ) -> None:
        before = sorted(tmp_path.rglob("*"))
        result = here("predict", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        assert sorted(tmp_path.rglob("*")) == before

    def test_broken_inputs_are_reported(self, here: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("x\n1\nno\n3\n")
        result = here("predict", "line", "t.csv")
        assert result.exit_code == 0
        assert (
            result.stderr
            == "not read: t.csv:3: `no` in column 1 is not a number\n1 of 3 inputs could not be read\n"
        )
        text = (tmp_path / "line" / "predictions" / "predictions.csv").read_text()
        assert [bool(row["error"]) for row in csv.DictReader(io.StringIO(text))] == [False, True, False]

    def test_limit_of_inputs(self, here: Callable[..., Any]) -> None:
        result = here("predict", "line", "1", "2", "3", "--limit", "2", "--output", "-")
        assert [row["id"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["1", "2"]

    def test_the_likeliest_classes(self, here: Callable[..., Any]) -> None:
        result = here("predict", "digits", "--limit", "2", "--top-k", "2")
        assert result.exit_code == 0, result.stderr
        head = result.stdout.splitlines()[0].split()
        assert head[:5] == ["id", "prediction", "probability", "top", "1"]

    def test_nothing_but_numbers_that_are_not_finite(self, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "line", "3e38", "-3e38")
        assert result.exit_code == 1
        assert "not finite: 3e38: the model's output is not finite" in result.stderr
        assert "2 of 2 predictions are not finite" in result.stderr
        assert "gives no finite number" in result.stderr
        assert (tmp_path / "line" / "predictions" / "predictions.csv").is_file()

    def test_the_json_document_is_as_json_text_writes_it(self, here: Callable[..., Any]) -> None:
        from bigmodel_cli.rundir import json_text

        result = here("predict", "digits", "--limit", "2", "--json")
        assert result.stdout == json_text(json.loads(result.stdout)) + "\n"

    @pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
    def test_killed_and_resumed(self, sign: signal.Signals, here: Callable[..., Any], tmp_path: Path) -> None:
        from bigmodel_cli import assembly

        # Enough for the kill to come before the end, however busy the machine is.
        count = 250_000
        np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 255, (count, 8, 8), np.uint8))
        command = [sys.executable, "-m", "bigmodel_cli", "predict", "digits", "x.npy", "--batch-size", "128"]
        parts = tmp_path / ".out.npz.parts" / "position.json"
        with subprocess.Popen(
            [*command, "-o", "out.npz"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as process:
            while not parts.exists() and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(sign)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == (130 if sign == signal.SIGINT else -9), stderr
        done = json.loads(parts.read_text())["state"]["rows"]
        assert 0 < done < count
        if sign == signal.SIGINT:
            assert f"interrupted after {done:,} inputs" in stderr
        resumed = here("predict", "digits", "x.npy", "--batch-size", 128, "-o", "out.npz", "--resume")
        assert resumed.exit_code == 0, resumed.stderr
        with np.load(tmp_path / "out.npz") as arrays:
            assert arrays["id"].tolist() == [f"x.npy[{index}]" for index in range(count)]
            some = np.random.default_rng(1).choice(count, 500, replace=False)
            images = np.load(tmp_path / "x.npy")[some][..., None]
            expected = assembly.restore(Run(tmp_path / "digits")).predict(images)
            np.testing.assert_allclose(arrays["probabilities"][some], expected, atol=1e-6)
