from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bigmodel_cli.config.schema import Checkpoint
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import checkpoint, checkpointing
from bigmodel_cli.training.callbacks import Clock
from bigmodel_cli.training.checkpoint import Position
from bigmodel_cli.training.checkpointing import Checkpoints

STEPS = 10


@pytest.fixture
def model() -> keras.Model:
    inputs = keras.Input((2,))
    made = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    made.compile("adam", "mse")
    made.optimizer.build(made.trainable_variables)
    return made


@pytest.fixture
def epochs(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[int, int]]]:
    """Where checkpoints were written in two epochs of ten steps of 20 s each."""

    def run(per_execution: int = 1, **settings: Any) -> list[tuple[int, int]]:
        written: list[tuple[int, int]] = []
        seconds = [0.0]
        monkeypatch.setattr(checkpointing.time, "monotonic", lambda: seconds[0])
        real = checkpoint.save

        def save(run: Run, model: keras.Model, position: Position, keep: int) -> Path:
            written.append((position.epoch, position.step))
            return real(run, model, position, keep)

        monkeypatch.setattr(checkpoint, "save", save)
        clock = Clock(0, 0, 0)
        callback = Checkpoints(Run(tmp_path), Checkpoint(**settings), clock, Position, STEPS)
        callback.set_model(model)
        for epoch in range(2):
            clock.epoch, clock.step = epoch, 0
            callback.on_epoch_begin(epoch)
            while clock.step < STEPS:
                done = min(per_execution, STEPS - clock.step)
                clock.step += done
                seconds[0] += 20 * done
                callback.on_train_batch_end(clock.step - 1)
            callback.on_epoch_end(epoch)
        return written

    return run


def test_after_every_epoch(epochs: Callable[..., list[tuple[int, int]]]) -> None:
    assert epochs() == [(1, 0), (2, 0)]


def test_every_other_epoch(epochs: Callable[..., list[tuple[int, int]]]) -> None:
    assert epochs(every_epochs=2) == [(2, 0)]


def test_every_four_steps(epochs: Callable[..., list[tuple[int, int]]]) -> None:
    assert epochs(every_epochs=None, every_steps=4) == [(0, 4), (0, 8), (1, 4), (1, 8)]


def test_every_four_steps_at_three_an_execution(epochs: Callable[..., list[tuple[int, int]]]) -> None:
    """At the first execution that reaches them; the epoch's last step has its own checkpoint."""
    assert epochs(3, every_epochs=1, every_steps=4) == [(0, 6), (0, 9), (1, 0), (1, 6), (1, 9), (2, 0)]


def test_every_minute(epochs: Callable[..., list[tuple[int, int]]]) -> None:
    assert epochs(every_epochs=None, every_minutes=1.0) == [(0, 3), (0, 6), (0, 9), (1, 2), (1, 5), (1, 8)]


def test_never(epochs: Callable[..., list[tuple[int, int]]], tmp_path: Path) -> None:
    assert epochs(every_epochs=None, every_minutes=None) == []
    assert not (tmp_path / "checkpoints").exists()


def test_the_newest_are_kept(epochs: Callable[..., list[tuple[int, int]]], tmp_path: Path) -> None:
    epochs(every_epochs=1, every_steps=4, keep=3)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "epoch-00001-step-000000004.npz",
        "epoch-00001-step-000000008.npz",
        "epoch-00002-step-000000000.npz",
    ]


def test_a_checkpoint_brings_everything_back(tmp_path: Path, model: keras.Model) -> None:
    run = Run(tmp_path)
    model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
    before = [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)]
    position = Position(3, 4, 5.5, {"best": {"best": 0.25, "best_epoch": 2}})
    checkpoint.save(run, model, position, keep=1)
    model.fit(np.zeros((8, 2)), np.ones((8, 1)), verbose=0)
    assert checkpoint.load(run, model) == (position, [])
    for variable, value in zip((*model.variables, *model.optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_a_damaged_one_ahead_does_not_push_out_what_is_written_now(
    tmp_path: Path, model: keras.Model
) -> None:
    run = Run(tmp_path)
    checkpoint.save(run, model, Position(1, 0), keep=2)
    (run.checkpoints / "epoch-00002-step-000000000.npz").write_bytes(b"cut sho")
    checkpoint.save(run, model, Position(1, 5), keep=1)
    assert [path.name for path in run.checkpoints.iterdir()] == ["epoch-00001-step-000000005.npz"]


def test_a_failing_write_leaves_the_old_ones_alone(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    path = checkpoint.save(run, model, Position(1, 0), keep=1)

    def fail(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(run, model, Position(2, 0), keep=1)
    assert list(run.checkpoints.iterdir()) == [path]
