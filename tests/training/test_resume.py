"""An interrupted run, gone on with, is the run that was never interrupted, to the bit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.errors import InterruptedTrainingError, UsageError
from bigmodel_cli.rundir import Run

# Dropout and a learning-rate schedule have state of their own; 8 steps an epoch, 3 an execution.
DIGITS = """\
name: digits
seed: 3
dataset: {name: digits, limit: 120}
model: {name: cnn, filters: [4], dense: [8], dropout: 0.4}
optimizer: {name: adam, learning_rate: {name: cosine, peak: 0.01, warmup_epochs: 1}}
training:
  epochs: 4
  batch_size: 15
  steps_per_execution: 3
  precision: float32
  tensorboard: false
  early_stopping: {monitor: val_accuracy, patience: 2}
"""
CONSTANT = DIGITS.replace("{name: cosine, peak: 0.01, warmup_epochs: 1}", "0.01")
TIMES = ("seconds", "examples_per_second", "data_wait")


@pytest.fixture(scope="module")
def finished(trained_once: Callable[[str], Run]) -> Run:
    """DIGITS trained without interruption."""
    return trained_once(DIGITS)


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    """The same, to be changed."""
    shutil.copytree(finished.path, tmp_path / "copy")
    return Run(tmp_path / "copy")


class StopAt:
    """Sends SIGINT to this process at a step, as Ctrl-C does."""

    def __init__(self, epoch: int, step: int):
        self.at = (epoch, step)
        self.notes: list[str] = []
        self.done = False

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        self._epoch = epoch

    def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
        if not self.done and (self._epoch, step) == self.at:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)

    def validation_begins(self) -> None:
        pass

    def epoch_done(self, record: Any) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


def _history(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in epoch.items() if key not in TIMES} for epoch in run.history()]


def _newest(run: Run) -> dict[str, np.ndarray]:
    with np.load(max(run.checkpoints.glob("*.npz"))) as archive:
        return {name: archive[name] for name in archive.files}


def _position(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return json.loads(arrays["position"].tobytes())


def assert_same(run: Run, other: Run) -> None:
    assert _history(run) == _history(other)
    left, right = _newest(run), _newest(other)
    assert left.keys() == right.keys()
    # The hash covers the time that training took.
    for name in left.keys() - {"position", "config", "sha256"}:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    positions = [_position(arrays) for arrays in (left, right)]
    assert {**positions[0], "seconds": 0} == {**positions[1], "seconds": 0}
    assert run.read_summary()["best_epoch"] == other.read_summary()["best_epoch"]
    for mine, theirs in zip(_served(run), _served(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _served(run: Run) -> list[np.ndarray]:
    from bigmodel_cli import assembly

    return assembly.restore(run).model.get_weights()


def interrupt(
    train: Callable[..., Run], tmp_path: Path, text: str, epoch: int, step: int, *overrides: str
) -> Run:
    with pytest.raises(InterruptedTrainingError) as error:
        train(text, *overrides, to="interrupted", listener=StopAt(epoch, step))
    run = Run(tmp_path / "interrupted")
    assert error.value.exit_code == 130
    assert f"bigmodel train --resume {run}" in str(error.value)
    assert run.read_summary()["status"] == "interrupted"
    return run


@pytest.mark.parametrize(("epoch", "step"), [(2, 6), (3, 8)], ids=["mid-epoch", "last-step-of-an-epoch"])
def test_a_resumed_run_is_the_whole_run(
    epoch: int,
    step: int,
    finished: Run,
    train: Callable[..., Run],
    resume: Callable[..., Run],
    tmp_path: Path,
) -> None:
    run = interrupt(train, tmp_path, DIGITS, epoch, step)
    at = {"epoch": epoch - 1, "step": step} if step < 8 else {"epoch": epoch, "step": 0}
    assert {key: _position(_newest(run))[key] for key in at} == at
    resume(run)
    assert_same(run, finished)
    assert run.read_summary()["status"] == "finished"


def test_batch_norm_and_momentum_in_bfloat16(
    train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    more = (
        "model.batch_norm=true",
        "optimizer={name: sgd, learning_rate: 0.05, momentum: 0.9}",
        "training.precision=bfloat16",
        "dataset.augment=[{name: random_crop, padding: 1}]",
        "training.epochs=2",
    )
    whole = train(DIGITS, *more, to="whole")
    run = interrupt(train, tmp_path, DIGITS, 2, 3, *more)
    resume(run)
    assert_same(run, whole)


def test_the_noise_of_a_variational_autoencoder(
    train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    """Its draws, and its means of the divergence over half an epoch, go on where they were."""
    more = ("training.epochs=2", "training.early_stopping=null")
    text = DIGITS.replace(
        "{name: cnn, filters: [4], dense: [8], dropout: 0.4}",
        "{name: vae, latent: 2, filters: [], dense: [4]}",
    )
    whole = train(text, *more, to="whole")
    run = interrupt(train, tmp_path, text, 2, 3, *more)
    resume(run)
    assert_same(run, whole)
    assert {"kl", "reconstruction", "val_kl"} <= set(run.history()[-1])


def test_interrupted_twice_in_the_first_epoch(
    finished: Run, train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    run = interrupt(train, tmp_path, DIGITS, 1, 3)
    with pytest.raises(InterruptedTrainingError):
        resume(run, listener=StopAt(1, 6))
    resume(run)
    assert_same(run, finished)


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    finished: Run, train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    """What was done after the checkpoint is done again, and stands in the history once."""

    class Kill(StopAt):
        def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
            if (self._epoch, step) == self.at:
                raise SystemExit("killed")

    with pytest.raises(SystemExit):
        train(DIGITS, "training.checkpoint.every_epochs=2", to="killed", listener=Kill(4, 3))
    run = Run(tmp_path / "killed")
    assert len(run.history()) == 3
    assert _position(_newest(run))["epoch"] == 2
    resume(run)
    assert_same(run, finished)


def test_extending_a_finished_run(train: Callable[..., Run], resume: Callable[..., Run]) -> None:
    long = train(CONSTANT, "training.early_stopping=null", to="long")
    run = train(CONSTANT, "training.early_stopping=null", "training.epochs=2", to="short")
    resume(run, "training.epochs=4")
    assert_same(run, long)
    # A later resume goes on with what the command line said.
    assert "epochs: 4" in run.config.read_text()
    assert run.read_summary()["planned_epochs"] == 4


def test_more_patience_goes_on_after_early_stopping(
    train: Callable[..., Run], resume: Callable[..., Run]
) -> None:
    """With a learning rate of almost nothing no epoch is better than the first."""
    text = CONSTANT.replace("0.01", "1.0e-12")
    long = train(text, "training.early_stopping.patience=3", "training.epochs=6", to="long")
    assert (long.read_summary()["epochs"], long.read_summary()["stopped_early"]) == (4, True)
    run = train(text, "training.early_stopping.patience=1", "training.epochs=6", to="short")
    assert (run.read_summary()["epochs"], run.read_summary()["stopped_early"]) == (2, True)
    resume(run, "training.early_stopping.patience=3")
    assert _history(run) == _history(long)
    assert run.read_summary()["stopped_early"]


def test_a_finished_run_says_so_and_how_to_extend_it(copied: Run, resume: Callable[..., Run]) -> None:
    before = {path: path.read_bytes() for path in (copied.metrics, copied.model, copied.config)}
    listener = StopAt(0, 0)
    resume(copied, listener=listener)
    assert listener.notes == [
        f"all 4 epochs are done; more of them with   bigmodel train --resume {copied} --epochs 8"
    ]
    assert {path: path.read_bytes() for path in before} == before
    assert copied.read_summary()["status"] == "finished"


def test_a_longer_cosine_is_said(copied: Run, resume: Callable[..., Run]) -> None:
    listener = StopAt(0, 0)
    resume(copied, "training.epochs=5", "training.early_stopping=null", listener=listener)
    assert any("`cosine` now ends after epoch 5 instead of 4" in note for note in listener.notes)
    assert "going on in epoch 5" in listener.notes


def test_another_precision_than_at_the_beginning_is_said(copied: Run, resume: Callable[..., Run]) -> None:
    text = copied.environment.read_text()
    then = copied.read_environment()["choices"]["precision"]["value"]
    copied.environment.write_text(text.replace(f'"value": "{then}"', '"value": "float16"'))
    listener = StopAt(0, 0)
    resume(copied, "training.epochs=5", listener=listener)
    assert any(f"began in float16 and goes on in {then}" in note for note in listener.notes)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    finished: Run, copied: Run, resume: Callable[..., Run]
) -> None:
    newest, before = sorted(copied.checkpoints.glob("*.npz"), reverse=True)
    newest.write_bytes(newest.read_bytes()[:-2000])
    listener = StopAt(0, 0)
    resume(copied, listener=listener)
    assert listener.notes[0].startswith(f"{newest} is damaged (")
    assert listener.notes[0].endswith("; going on from the one before")
    assert before.exists()
    assert_same(copied, finished)


def test_nothing_to_go_on_from(copied: Run, resume: Callable[..., Run]) -> None:
    for path in copied.checkpoints.glob("*.npz"):
        path.write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"has no checkpoint to go on from; .* is damaged .*; train again"):
        resume(copied)


def test_another_model_than_the_checkpoint(copied: Run, resume: Callable[..., Run]) -> None:
    copied.config.write_text(copied.config.read_text().replace("filters: [4]", "filters: [5]"))
    with pytest.raises(
        UsageError, match=r"made with another config \(model.filters: \[4\] then, \[5\] now\); bring .* back"
    ):
        resume(copied)


def test_only_the_course_of_training_can_change(copied: Run, resume: Callable[..., Run]) -> None:
    with pytest.raises(UsageError, match=r"model.filters: cannot change when a run goes on"):
        resume(copied, "model.filters=[9]")


@pytest.mark.slow
def test_ctrl_c_in_a_process(
    bigmodel_process: Callable[..., Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    write("config.yaml", DIGITS.replace("epochs: 4", "epochs: 400").replace("patience: 2", "patience: 400"))
    process = subprocess.Popen(
        [sys.executable, "-m", "bigmodel_cli", "train", "config.yaml", "--run-dir", "run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Run(tmp_path / "run")
    try:
        deadline = time.monotonic() + 120
        while not run.metrics.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert re.search(r"interrupted by SIGINT in epoch \d+ after step \d+ of 8; the state is saved\n", stderr)
    assert stderr.endswith("go on with   bigmodel train --resume run\n")
    assert "Traceback" not in stderr
    assert stderr.strip() in run.log.read_text()
    assert run.read_summary()["status"] == "interrupted"
    done = len(run.history())
    resumed = bigmodel_process("train", "--resume", "run", f"training.epochs={done + 2}")
    assert resumed.exit_code == 0, resumed.stderr
    assert [epoch["epoch"] for epoch in run.history()] == list(range(1, done + 3))


TABLE = """\
name: rows
dataset: {name: csv, path: PATH, target: kind, prepare: {text: {dimension: 4}}}
model: {name: mlp, hidden: [8], dropout: 0.2, input_dropout: 0.1}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 3, batch_size: 16, steps_per_execution: 1, tensorboard: false}
"""


def _table(path: Path) -> str:
    lines = ["x,colour,words,kind"]
    for n in range(150):
        number = "" if n % 7 == 0 else f"{(n * 37) % 101}.5"
        colour = ("red", "green", "blue")[n * n % 3]
        lines.append(f"{number},{colour},the {colour} word number {n % 5},{'ab'[n % 2]}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return TABLE.replace("PATH", str(path))


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_tables_in_every_storage(
    cache: str, train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    text = _table(tmp_path / "rows.csv")
    more = (
        f"dataset.cache={cache}",
        f"dataset.cache_dir={tmp_path / 'cache'}",
        "dataset.class_weights=balanced",
        "dataset.resample=oversample",
    )
    whole = train(text, *more, to="whole")
    run = interrupt(train, tmp_path, text, 2, 3, *more)
    resume(run)
    assert_same(run, whole)


def test_mixed_images_and_schedules_of_augmentation(
    train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    more = (
        "dataset.augment=[{name: mix_up, probability: 0.5}, {name: random_erasing, ramp_epochs: 2}, "
        "{name: random_rotation, until_epoch: 2}]",
        "training.epochs=3",
    )
    whole = train(DIGITS, *more, to="whole")
    run = interrupt(train, tmp_path, DIGITS, 2, 3, *more)
    resume(run)
    assert_same(run, whole)
