from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import keras

from bigmodel_cli.config import schema
from bigmodel_cli.training.callbacks.patience import EarlyStopping, ReduceOnPlateau


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_early_stopping_goes_on_where_it_was(model: keras.Model) -> None:
    def stopping(values: Sequence[float], state: dict[str, Any] | None = None) -> EarlyStopping:
        callback = EarlyStopping(schema.EarlyStopping(monitor="val_accuracy", patience=3))
        callback.set_model(model)
        if state:
            callback.restore(state)
        # `fit` calls it, and Keras' own forgets everything there.
        callback.on_train_begin()
        for epoch, value in enumerate(values, start=int(state["epochs"]) if state else 0):
            callback.on_epoch_end(epoch, {"val_accuracy": value})
        return callback

    values = [0.5, 0.6, 0.55, 0.6, 0.4]
    whole = stopping(values)
    state = json.loads(json.dumps({**stopping(values[:3]).state(), "epochs": 3}))
    resumed = stopping(values[3:], state)
    assert resumed.state() == whole.state()
    assert whole.stopped_epoch == 4


def test_epochs_of_warm_up_are_not_counted(model: keras.Model) -> None:
    callback = EarlyStopping(schema.EarlyStopping(monitor="val_loss", patience=1, start_from_epoch=3))
    callback.set_model(model)
    # The best of all comes before it begins to count, and is not waited for afterwards.
    for epoch, value in enumerate([0.1, 0.9, 0.9, 0.8, 0.7]):
        callback.on_epoch_end(epoch, {"val_loss": value})
    assert (callback.stopped_epoch, callback.best, callback.wait) == (0, 0.7, 0)
    callback.on_epoch_end(5, {"val_loss": 0.7})
    assert callback.stopped_epoch == 5


def test_a_plateau_goes_on_where_it_was(model: keras.Model) -> None:
    settings = schema.ReduceOnPlateau(patience=2, factor=0.5, cooldown=1, min_learning_rate=0.003)

    def plateau(
        values: Sequence[float], state: dict[str, Any] | None = None
    ) -> tuple[ReduceOnPlateau, Notes]:
        notes = Notes()
        callback = ReduceOnPlateau(settings, notes)
        callback.set_model(model)
        if state:
            callback.restore(state)
        callback.on_train_begin()
        logs = {}
        for epoch, value in enumerate(values):
            logs = {"val_loss": value}
            callback.on_epoch_end(epoch, logs)
        assert list(logs) == ["val_loss"]
        return callback, notes

    values = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    whole, notes = plateau(values)
    # Two epochs of patience, one of cooldown; the third time it would fall below the smallest rate.
    assert [text.rpartition("goes ")[2] for text in notes.notes] == [
        "from 0.01 to 0.005",
        "from 0.005 to 0.003",
    ]
    model.optimizer.learning_rate = 0.01
    first, before = plateau(values[:2])
    resumed, after = plateau(values[2:], json.loads(json.dumps(first.state())))
    assert resumed.state() == whole.state()
    assert before.notes + after.notes == notes.notes
