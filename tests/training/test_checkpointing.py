from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bigmodel_cli.config.schema import Checkpoint, Config
from bigmodel_cli.errors import TrainingFailedError, UsageError
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import checkpoint, checkpointing
from bigmodel_cli.training.callbacks.best_model import BestModel
from bigmodel_cli.training.callbacks.clock import Clock
from bigmodel_cli.training.checkpoint import Position
from bigmodel_cli.training.checkpointing import Checkpoints

STEPS = 10


def config(**training: Any) -> Config:
    return Config.model_validate(
        {"name": "c", "dataset": "iris", "model": {"name": "mlp", "hidden": [8]}, "training": training}
    )


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

        def save(run: Run, model: keras.Model, config: Config, position: Position, keep: int) -> Path:
            written.append((position.epoch, position.step))
            return real(run, model, config, position, keep)

        monkeypatch.setattr(checkpoint, "save", save)
        clock = Clock(0, 0, 0)
        best = BestModel(Run(tmp_path), model, "val_loss", keep_last=False)
        made = config(checkpoint=Checkpoint(**settings).model_dump())
        callback = Checkpoints(Run(tmp_path), made, clock, best, Position, STEPS)
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
    checkpoint.save(run, model, config(), position, keep=1)
    model.fit(np.zeros((8, 2)), np.ones((8, 1)), verbose=0)
    assert checkpoint.load(run, model, config()) == (position, [])
    for variable, value in zip((*model.variables, *model.optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_a_damaged_one_ahead_does_not_push_out_what_is_written_now(
    tmp_path: Path, model: keras.Model
) -> None:
    run = Run(tmp_path)
    checkpoint.save(run, model, config(), Position(1, 0), keep=2)
    (run.checkpoints / "epoch-00002-step-000000000.npz").write_bytes(b"cut sho")
    checkpoint.save(run, model, config(), Position(1, 5), keep=1)
    assert [path.name for path in run.checkpoints.iterdir()] == ["epoch-00001-step-000000005.npz"]


def test_a_failing_write_leaves_the_old_ones_alone(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    path = checkpoint.save(run, model, config(), Position(1, 0), keep=1)

    def fail(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(run, model, config(), Position(2, 0), keep=1)
    assert list(run.checkpoints.iterdir()) == [path]


def test_what_zip_does_not_notice_the_hash_does(tmp_path: Path, model: keras.Model) -> None:
    run = Run(tmp_path)
    checkpoint.save(run, model, config(), Position(1, 0), keep=2)
    path = checkpoint.save(run, model, config(), Position(2, 0), keep=2)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["model/00000"] = arrays["model/00000"] + 1e-6
    np.savez(path, **arrays)
    position, warnings = checkpoint.load(run, model, config())
    assert position == Position(1, 0)
    assert warnings == [f"{path} is damaged (its SHA-256 is another one); going on from the one before"]


def test_another_config_is_refused_and_told(tmp_path: Path, model: keras.Model) -> None:
    run = Run(tmp_path)
    checkpoint.save(run, model, config(epochs=3), Position(1, 0), keep=2)
    assert checkpoint.load(run, model, config(epochs=9, max_minutes=3.0))[0] == Position(1, 0)
    other = config(batch_size=16).model_copy(update={"seed": 5})
    with pytest.raises(
        UsageError,
        match=r"made with another config \(seed: 0 then, 5 now; training.batch_size: 32 then, 16 now\)",
    ):
        checkpoint.load(run, model, other)


def test_only_finite_weights_on_request(tmp_path: Path, model: keras.Model) -> None:
    run = Run(tmp_path)
    checkpoint.save(run, model, config(), Position(1, 0), keep=2)
    weights = model.get_weights()
    model.set_weights([weights[0] * np.nan, weights[1]])
    path = checkpoint.save(run, model, config(), Position(2, 0), keep=2)
    assert checkpoint.load(run, model, config())[0] == Position(2, 0)
    position, warnings = checkpoint.load(run, model, config(), finite=True)
    assert position == Position(1, 0)
    assert warnings == [f"{path} holds weights that are not finite; going on from the one before"]


@pytest.mark.parametrize(("free", "saved"), [(2**20, False), (40 * 2**20, True)])
def test_a_disk_that_is_nearly_full(
    free: int, saved: bool, tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    # Of which a checkpoint and model.keras take 20 bytes and more.
    monkeypatch.setattr(checkpointing, "RESERVE", 64 * 2**20)
    monkeypatch.setattr(checkpointing.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free}))
    best = BestModel(run, model, "val_loss", keep_last=False)
    callback = Checkpoints(run, config(), Clock(0, 4, 0), best, Position, STEPS)
    callback.set_model(model)
    with pytest.raises(TrainingFailedError, match=r"the disk is nearly full: \d+ MiB were left") as error:
        callback.save_now()
    assert error.value.exit_code == 1
    assert ("saved state: epoch 1, step 4" in str(error.value)) == saved
    assert any(run.path.glob("checkpoints/*.npz")) == saved


def test_checkpoints_of_before_there_was_a_hash(tmp_path: Path, model: keras.Model) -> None:
    run = Run(tmp_path)
    path = checkpoint.save(run, model, config(), Position(1, 0), keep=2)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name not in ("sha256", "config")}
    np.savez(path, **arrays)
    assert checkpoint.load(run, model, config(batch_size=8)) == (Position(1, 0), [])
