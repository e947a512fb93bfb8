from __future__ import annotations

import csv
import errno
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import DataError, ModelError, TrainingFailedError, UsageError
from bigmodel_cli.rundir import Run

pytestmark = pytest.mark.curves

IRIS = """\
name: iris
seed: 1
dataset: iris
model: {name: mlp, hidden: [8], dropout: 0.1}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 3, batch_size: 32}
"""
DIGITS = """\
name: digits
dataset: {name: digits, limit: 64}
model: {name: cnn, filters: [4], dense: []}
training: {epochs: 1, batch_size: 32, tensorboard: false}
"""


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """IRIS trained; not to be changed."""
    folder = tmp_path_factory.mktemp("iris")
    (folder / "config.yaml").write_text(IRIS, encoding="utf-8")
    return _trained(validation.load(folder / "config.yaml").config, folder / "run")


class Silent:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        pass

    def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
        pass

    def validation_begins(self) -> None:
        pass

    def epoch_done(self, record: Any) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


def _trained(config: Config, path: Path) -> Run:
    from bigmodel_cli.training import planning, starting, trainer

    plan = planning.prepare(config)
    run = starting.start(plan, path)
    trainer.train(plan, run, Silent())
    return run


def test_what_a_run_holds(iris: Run) -> None:
    assert {path.name for path in iris.path.iterdir()} == {
        "config.yaml", "data.json", "environment.json", "metrics.jsonl", "metrics.csv", "model.keras",
        "checkpoints", "tensorboard", "summary.json", "learning_curves.png", "splits.json",
            ".lock",
    }  # fmt: skip


def test_metrics_have_a_line_an_epoch(iris: Run) -> None:
    history = iris.history()
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert list(history[0]) == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
        "examples_per_second", "data_wait", "best",
    ]  # fmt: skip
    with iris.metrics_csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [[float(row[key]) for key in ("epoch", "loss", "val_accuracy")] for row in rows] == [
        [epoch[key] for key in ("epoch", "loss", "val_accuracy")] for epoch in history
    ]


def test_the_summary_tells_of_the_best_epoch(iris: Run) -> None:
    summary, history = iris.read_summary(), iris.history()
    best = min(history, key=lambda epoch: epoch["val_loss"])
    assert (summary["status"], summary["epochs"], summary["planned_epochs"]) == ("finished", 3, 3)
    assert summary["best_epoch"] == best["epoch"]
    assert summary["metrics"] == {key: best[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
    assert summary["parameters"] == 4 * 8 + 8 + 8 * 3 + 3


def test_the_config_of_a_run_repeats_it(iris: Run, tmp_path: Path) -> None:
    again = _trained(validation.load(iris.config).config, tmp_path / "again")
    assert again.config.read_text() == iris.config.read_text()
    for left, right in zip(iris.history(), again.history(), strict=True):
        assert {**left, "seconds": 0, "examples_per_second": 0, "data_wait": 0} == {
            **right,
            "seconds": 0,
            "examples_per_second": 0,
            "data_wait": 0,
        }


def test_tensorboard_reads_the_events(iris: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for split, prefix in (("train", ""), ("validation", "val_")):
        events = EventAccumulator(str(iris.tensorboard / split)).Reload()
        found = [
            (event.step, float(np.squeeze(_number(event.tensor_proto))))
            for event in events.Tensors("epoch_loss")
        ]
        assert found == [
            (epoch["epoch"] - 1, pytest.approx(epoch[f"{prefix}loss"])) for epoch in iris.history()
        ]


def _number(proto: Any) -> Any:
    from tensorboard.util import tensor_util

    return tensor_util.make_ndarray(proto)


def test_the_best_model_is_stored(iris: Run) -> None:
    """The stored weights give the validation loss of the best epoch."""
    from bigmodel_cli import assembly

    restored = assembly.restore(iris)
    inputs, targets = assembly.load_data(restored.config).splits["validation"].arrays()
    probabilities = restored.predict(inputs)
    loss = -np.log(probabilities[np.arange(len(targets)), targets]).mean()
    assert loss == pytest.approx(iris.read_summary()["metrics"]["val_loss"], rel=1e-4)


@pytest.mark.parametrize("restore_best", [True, False])
def test_restore_best(restore_best: bool, train: Callable[..., Run]) -> None:
    """At this learning rate the third epoch is worse than the best before it."""
    from bigmodel_cli import assembly

    run = train(
        IRIS,
        "optimizer={name: sgd, learning_rate: 30.0}",
        "training.tensorboard=false",
        f"training.early_stopping={{patience: 9, restore_best: {str(restore_best).lower()}}}",
        to="run",
    )
    history = run.history()
    best = min(history, key=lambda epoch: epoch["val_loss"])
    assert best is not history[-1]
    kept = best if restore_best else history[-1]
    restored = assembly.restore(run)
    inputs, targets = assembly.load_data(restored.config).splits["validation"].arrays()
    accuracy = float((restored.predict(inputs).argmax(axis=1) == targets).mean())
    assert accuracy == pytest.approx(kept["val_accuracy"])
    summary = run.read_summary()
    assert (summary["best_epoch"], summary["stored_epoch"]) == (best["epoch"], kept["epoch"])


def test_divergence(train: Callable[..., Run], tmp_path: Path) -> None:
    text = (
        "name: l\ndataset: linear\nmodel: linear_regression\noptimizer: {name: sgd, learning_rate: 1.0e+20}\n"
    )
    with pytest.raises(
        TrainingFailedError, match=r"diverged: the loss became (nan|inf) .*of epoch 1; .*1e\+20.*tenth"
    ) as error:
        train(text, "training.tensorboard=false", to="run")
    assert error.value.exit_code == 1
    assert Run(tmp_path / "run").read_summary()["status"] == "diverged"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't write data (errno = 28, No space left on device)"),
    ],
    ids=["python", "h5py"],
)
def test_a_full_disk(
    error: OSError, train: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigmodel_cli.training import checkpoint

    def save(*args: Any) -> None:
        raise error

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(
        TrainingFailedError, match=r"the disk is full; free some space, then `bigmodel train --resume"
    ):
        train(IRIS, "training.tensorboard=false", to="run")
    assert Run(tmp_path / "run").read_summary()["status"] == "failed"


def test_another_error_of_the_system_is_not_taken_for_a_full_disk(
    train: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigmodel_cli.training import checkpoint

    def save(*args: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(PermissionError):
        train(IRIS, "training.tensorboard=false", to="run")


def test_out_of_memory(train: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from bigmodel_cli.training import checkpoint

    def save(*args: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nmore")

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(
        TrainingFailedError,
        match=r"^out of memory: OOM when allocating tensor; try a smaller training.batch_size, or `auto`$",
    ):
        train(IRIS, "training.tensorboard=false", to="run")
    assert Run(tmp_path / "run").read_summary()["status"] == "failed"


def test_bfloat16_stores_a_float32_model(train: Callable[..., Run]) -> None:
    from bigmodel_cli import assembly

    run = train(DIGITS, "training.precision=bfloat16", to="run")
    restored = assembly.restore(run)
    assert {variable.dtype for variable in restored.model.weights} == {"float32"}
    assert {layer.compute_dtype for layer in restored.model.layers} <= {"float32", "uint8"}
    inputs, _ = assembly.load_data(restored.config).splits["train"].arrays()
    probabilities = restored.predict(inputs)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    # bfloat16 has 8 bits: sums of its numbers show in the third digit.
    assert len(np.unique(probabilities)) > 500


def test_results_do_not_depend_on_the_steps_of_an_execution(train: Callable[..., Run]) -> None:
    runs = [
        train(IRIS, "training.tensorboard=false", f"training.steps_per_execution={steps}", to=f"by-{steps}")
        for steps in (1, 3)
    ]
    losses = [[epoch["val_loss"] for epoch in run.history()] for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (
            ["training.batch_size=1000"],
            DataError,
            r"batch_size: 1000 is larger than the training split of iris, which has 108",
        ),
        (["model={name: cnn}"], ModelError, r"cnn"),
        (["model=linear_regression"], ModelError, r"linear_regression"),
        (["loss=huber"], UsageError, r"loss: `huber` is not for classification"),
        (["metrics=[r2_score]"], UsageError, r"metrics: `r2_score` is not for classification"),
        (
            ["optimizer={name: adam, gradient_accumulation_steps: 1}"],
            UsageError,
            r"gradient_accumulation_steps: must be at least 2, got 1",
        ),
        (["dataset.splits={test: 'test[:1%]'}"], DataError, r"test"),
    ],
)
def test_what_fails_does_so_before_there_is_a_run(
    overrides: list[str], error: type[Exception], message: str, train: Callable[..., Run], tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train(IRIS, *overrides, to="run")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_training_never_reads_the_test_split(
    cache: str, train: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the test split the data description needs the size alone."""
    from bigmodel_cli.data.splits import SplitData

    read: set[tuple[str, str]] = set()
    for method in ("arrays", "batches", "targets"):
        real = getattr(SplitData, method)

        def spy(self: SplitData, *args: Any, real: Any = real, method: str = method) -> Any:
            read.add((self.name, method))
            return real(self, *args)

        monkeypatch.setattr(SplitData, method, spy)
    caching = (f"dataset.cache={cache}", f"dataset.cache_dir={tmp_path / 'cache'}")
    train(IRIS, *caching, "training.tensorboard=false", "training.epochs=1", to="run")
    assert {name for name, _ in read} == {"train", "validation"}


def test_deterministic_operations(
    bigmodel_process: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    """In a process of its own: what switches them on cannot be switched off again."""
    write("iris.yaml", IRIS)
    options = ("training.deterministic=true", "training.epochs=1", "--run-dir", "run")
    result = bigmodel_process("train", "iris.yaml", *options)
    assert result.exit_code == 0, result.stderr
    # TensorFlow has no clock then, so nobody is seen waiting.
    assert "data wait" not in result.stdout


ROLL_BACK = (
    "name: l\ndataset: linear\nmodel: linear_regression\n"
    "optimizer: {name: sgd, learning_rate: RATE}\n"
    "training:\n  epochs: 4\n  tensorboard: false\n"
    "  divergence: {action: roll_back, attempts: 9, learning_rate_factor: 1.0e-3}\n"
)


@pytest.mark.parametrize("rate", ["1.0e+6", "{name: cosine, peak: 1.0e+6}"], ids=["constant", "schedule"])
def test_rolled_back_with_a_smaller_rate(rate: str, train: Callable[..., Run]) -> None:
    listener = Silent()
    run = train(ROLL_BACK.replace("RATE", rate), to="run", listener=listener)
    assert run.read_summary()["status"] == "finished"
    history = run.history()
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]
    assert all(math.isfinite(epoch["loss"]) for epoch in history)
    backs = [note for note in listener.notes if "; back to epoch" in note]
    assert len(backs) >= 2
    assert "(attempt 2 of 9)" in backs[1]
    assert history[-1]["learning_rate"] <= 1.1e6 * 1e-3 ** len(backs)


def test_the_attempts_have_an_end(train: Callable[..., Run], tmp_path: Path) -> None:
    text = ROLL_BACK.replace("RATE", "1.0e+20").replace("1.0e-3", "0.5")
    listener = Silent()
    with pytest.raises(TrainingFailedError, match="diverged"):
        train(text, "training.divergence.attempts=2", to="run", listener=listener)
    assert sum("back to epoch 1 with" in note for note in listener.notes) == 2
    assert Run(tmp_path / "run").read_summary()["status"] == "diverged"


def test_a_rolled_back_run_is_resumed_with_its_smaller_rate(
    train: Callable[..., Run], resume: Callable[..., Run]
) -> None:
    text = ROLL_BACK.replace("RATE", "{name: step, peak: 1.0e+6, factor: 0.5, every_epochs: 1}")
    whole = train(text, to="whole")
    run = train(text, "training.epochs=2", to="run")
    resume(run, "training.epochs=4")
    losses = [[epoch["loss"] for epoch in item.history()] for item in (whole, run)]
    assert losses[0] == losses[1]
