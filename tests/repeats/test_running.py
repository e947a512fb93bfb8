"""Several runs in one process: each as it would be alone, whatever interrupts them."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bigmodel_cli import assembly, rundir, validation
from bigmodel_cli.devices import Choice
from bigmodel_cli.errors import InterruptedTrainingError, UsageError
from bigmodel_cli.repeats import running, series
from bigmodel_cli.repeats.series import CROSS_VALIDATION, SEEDS, Series
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import planning, starting, trainer
from bigmodel_cli.training.reporter import Silent

CONFIG = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8], dropout: 0.2}
training: {epochs: 3, batch_size: 8, tensorboard: false}
"""
BACKEND = Choice("tensorflow", "a test")


class Stopping(Silent):
    """Asks training to stop after a step, as Ctrl-C does."""

    def step_done(self, step: int, examples_per_second: float, metrics: Any) -> None:
        signal.raise_signal(signal.SIGINT)


class Watching:
    """Remembers what it heard; stops one run."""

    def __init__(self, stop: str = ""):
        self.stop, self.trained, self.skipped = stop, [], []

    def begins(self, series: Series, member: Any, number: int) -> None:
        pass

    def skips(self, run: Run, status: str) -> None:
        self.skipped.append(run.path.name)

    def trains(self, plan: Any, run: Run, train: Callable[..., Any]) -> Any:
        self.trained.append(run.path.name)
        return train(Stopping() if run.path.name == self.stop else Silent())

    def fails(self, member: Any, error: Exception) -> None:
        raise AssertionError(error)


def begin(folder: Path, kind: series.Kind = CROSS_VALIDATION) -> Series:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "iris.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    base = series.base_config(validation.load(path).config)
    settings = (
        series.fold_settings(2, "stratified", None, "asked for")
        if kind is CROSS_VALIDATION
        else series.seed_settings((0, 3), base)
    )
    return series.create(kind, base, settings, folder / "series")


def weights(run: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(run / "model.keras") as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    found: dict[str, np.ndarray] = {}
    file.visititems(
        lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
    )
    return found


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all((left[key] == right[key]).all() for key in left)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """A whole cross-validation."""
    made = begin(tmp_path_factory.mktemp("folds"))
    watching = Watching()
    results = running.run_series(made, BACKEND, watching)
    assert watching.trained == ["fold-1", "fold-2"]
    assert [item.reason for item in results] == [None, None]
    return made


def test_what_is_written(folds: Series) -> None:
    document = json.loads(folds.document.read_text())
    assert (document["status"], document["folds"], document["scheme"]) == ("finished", 2, "stratified")
    measured = [
        json.loads((folds.path / name / "evaluation/test/metrics.json").read_text())
        for name in ("fold-1", "fold-2")
    ]
    values = [item["scores"]["accuracy"]["value"] for item in measured]
    accuracy = document["scores"]["accuracy"]
    assert accuracy["values"] == values
    assert accuracy["mean"] == pytest.approx(np.mean(values))
    assert accuracy["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert [item["examples"] for item in document["runs"]] == [60, 60]
    assert document["left_out"] == []
    assert (folds.path / document["picture"]).read_bytes().startswith(b"\x89PNG")


def test_predictions_of_all_folds(folds: Series) -> None:
    from pyarrow import parquet

    table = parquet.read_table(folds.path / "predictions.parquet").to_pydict()
    data = assembly.load_data(folds.config)
    whole = np.sort(np.concatenate([data.splits[name].parts[0].indices for name in ("train", "validation")]))
    assert table["id"] == whole.tolist()
    assert set(table["base"]) == {"all"}
    source = assembly.open_source(folds.config)
    part = data.splits["train"].parts[0].__class__("all", whole)
    assert table["target"] == [data.spec.target.names[index] for index in source.targets(part)]
    for number, member in enumerate(folds.members, 1):
        restored = assembly.restore(folds.run(member))
        held_out = assembly.restored_data(restored).splits["test"]
        rows = [index for index, fold in enumerate(table["fold"]) if fold == number]
        assert [table["id"][row] for row in rows] == held_out.parts[0].indices.tolist()
        expected = restored.predict(held_out.arrays()[0])[:, 0]
        assert [table["probability_setosa"][row] for row in rows] == pytest.approx(
            expected.tolist(), abs=1e-6
        )


def test_a_fold_is_a_normal_run(folds: Series, tmp_path: Path) -> None:
    run = folds.run(folds.members[1])
    assert rundir.is_run(run.path)
    again = tmp_path / "again"
    plan = planning.prepare(validation.load(run.config).config)
    trainer.train(plan, starting.start(plan, again), Silent())
    assert same(run.path, again)
    assert (again / "splits.json").read_text() == run.splits.read_text()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """Two seeds, the first of which had ended before its first checkpoint."""
    made = begin(tmp_path_factory.mktemp("seeds"), SEEDS)
    first = made.run(made.members[0])
    starting.start(planning.prepare(made.members[0].config), first.path)
    first.checkpoints.mkdir()
    # What a process that is killed while it writes leaves behind.
    (first.checkpoints / ".epoch-00001-step-000000000.1.npz").write_bytes(b"PK")
    watching = Watching()
    running.run_series(made, BACKEND, watching)
    assert watching.trained == ["seed-0", "seed-3"]
    return made


def test_the_splits_stay_while_the_seeds_change(seeds: Series, tmp_path: Path) -> None:
    first, second = (seeds.run(member) for member in seeds.members)
    assert first.splits.read_text() == second.splits.read_text()
    assert not same(first.path, second.path)
    # What `bigmodel train CONFIG seed=3 dataset.split_seed=0` gives.
    path = tmp_path / "iris.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    config = validation.load(path, ("seed=3", "dataset.split_seed=0")).config
    alone = starting.start(plan := planning.prepare(config), tmp_path / "alone")
    trainer.train(plan, alone, Silent())
    assert same(second.path, alone.path)


def test_an_interrupted_series_ends_as_an_uninterrupted_one(seeds: Series, tmp_path: Path) -> None:
    made = begin(tmp_path, SEEDS)
    with pytest.raises(InterruptedTrainingError):
        running.run_series(made, BACKEND, Watching("seed-3"))
    document = json.loads(made.document.read_text())
    assert (document["status"], len(document["runs"])) == ("running", 1)
    watching = Watching()
    running.run_series(made, BACKEND, watching)
    assert (watching.skipped, watching.trained) == (["seed-0"], ["seed-3"])
    for member in made.members:
        assert same(made.run(member).path, seeds.run(member).path)
    assert json.loads(made.document.read_text()) == json.loads(seeds.document.read_text())


def test_seeds_are_measured_on_validation_alone(seeds: Series) -> None:
    results = json.loads(seeds.document.read_text())["runs"]
    for member, item in zip(seeds.members, results, strict=True):
        run = seeds.run(member)
        best = run.read_summary()["metrics"]
        assert item["scores"] == {"loss": best["val_loss"], "accuracy": best["val_accuracy"]}
        assert item["examples"] == 12
        assert not (run.path / "evaluation").exists()


def test_data_that_has_changed_is_not_joined(folds: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli.errors import DataError
    from bigmodel_cli.repeats.predictions import join_predictions

    other = {**assembly.divide(folds.members[1].config, assembly.open_source(folds.config))}
    monkeypatch.setattr(assembly, "divide", lambda config, source: other)
    with pytest.raises(DataError, match=r"is not what .*fold-1 was trained on"):
        join_predictions(folds, ["fold-1"], "other.parquet")


def test_another_process_works_on_it(folds: Series) -> None:
    with (
        rundir.locked(Run(folds.path)),
        pytest.raises(UsageError, match=r"is training there"),
    ):
        running.run_series(folds, BACKEND, Watching())


@pytest.mark.parametrize(
    ("overrides", "by", "expected"),
    [
        ((), None, ("stratified", None, "auto: classification")),
        (("dataset.stratify=false",), None, ("plain", None, "auto: dataset.stratify is false")),
        (("dataset=diabetes",), None, ("plain", None, "auto: regression")),
        ((), "x", ("grouped", "x", "auto: a column is given")),
        (("dataset.split_by={group: g}",), None, ("grouped", "g", "auto: dataset.split_by.group")),
        (("dataset.split_by={time: t}",), None, ("time", "t", "auto: dataset.split_by.time")),
    ],
)
def test_the_scheme_follows_the_data(tmp_path: Path, overrides: Any, by: Any, expected: Any) -> None:
    path = tmp_path / "iris.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    assert running.choose_scheme(validation.load(path, overrides).config, by) == expected


def test_only_the_false_alarm_is_silenced(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tensorflow")
    with running._without_retracing_warnings():
        logger.warning("5 out of the last 5 calls triggered tf.function retracing.")
        logger.warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]


@pytest.mark.slow
def test_a_killed_process_leaves_no_trace(seeds: Series, tmp_path: Path) -> None:
    (tmp_path / "iris.yaml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "bigmodel_cli", "train", "iris.yaml", "--seeds", "0,3", "-q"]
    command += ["--run-dir", "all", "--resume", "auto"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=tmp_path, stdout=quiet, stderr=quiet)
    end = time.monotonic() + 120
    while not list((tmp_path / "all").glob("seed-3/checkpoints/*.npz")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    for member in seeds.members:
        assert same(tmp_path / "all" / member.label, seeds.run(member).path)
    then, now = (json.loads((place / "seeds.json").read_text()) for place in (seeds.path, tmp_path / "all"))
    assert now == then
