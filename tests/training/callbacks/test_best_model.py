from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bigmodel_cli.rundir import Run
from bigmodel_cli.training.callbacks.best_model import BestModel


@pytest.fixture
def best(tmp_path: Path, model: keras.Model) -> Callable[..., tuple[BestModel, float, list[bool]]]:
    """The callback after epochs with these values; the weight is the number of the epoch."""

    def run(
        monitor: str, values: Sequence[float], keep_last: bool = False
    ) -> tuple[BestModel, float, list[bool]]:
        serving = keras.models.clone_model(model)
        callback = BestModel(Run(tmp_path), serving, monitor, keep_last)
        callback.set_model(model)
        improved = []
        for epoch, value in enumerate(values):
            model.set_weights([np.full((1, 1), epoch + 1.0)])
            callback.on_epoch_end(epoch, {monitor: value})
            improved.append(callback.improved)
        stored = keras.saving.load_model(tmp_path / "model.keras")
        return callback, float(stored.get_weights()[0][0, 0]), improved

    return run


def test_the_smallest_loss_is_best(best: Callable[..., Any]) -> None:
    callback, kept, improved = best("val_loss", [0.5, 0.3, 0.4, 0.3])
    assert (callback.best_epoch, callback.best, kept) == (2, 0.3, 2.0)
    assert improved == [True, True, False, False]


def test_the_largest_accuracy_is_best(best: Callable[..., Any]) -> None:
    callback, kept, _ = best("val_accuracy", [0.5, 0.9, 0.7])
    assert (callback.best_epoch, callback.best, kept) == (2, 0.9, 2.0)


def test_the_last_epoch_on_request(best: Callable[..., Any]) -> None:
    callback, kept, _ = best("val_loss", [0.5, 0.3, 0.4], keep_last=True)
    assert (callback.best_epoch, kept) == (2, 3.0)


def test_an_undefined_metric_is_no_obstacle(best: Callable[..., Any]) -> None:
    callback, kept, improved = best("val_auc", [math.nan, 0.4, math.nan])
    assert (callback.best_epoch, kept) == (2, 2.0)
    assert improved == [True, True, False]


def test_no_half_written_model(tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = BestModel(Run(tmp_path), keras.models.clone_model(model), "val_loss", keep_last=False)
    callback.set_model(model)
    callback.on_epoch_end(0, {"val_loss": 1.0})
    before = (tmp_path / "model.keras").read_bytes()

    def save(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(callback._serving, "save", save)
    with pytest.raises(OSError, match="No space left"):
        callback.on_epoch_end(1, {"val_loss": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (tmp_path / "model.keras").read_bytes() == before
