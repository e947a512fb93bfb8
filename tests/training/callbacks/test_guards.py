from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from bigmodel_cli.training.callbacks.clock import Clock
from bigmodel_cli.training.callbacks.guards import DivergedError, DivergenceGuard, StallGuard


def test_divergence_names_the_steps_of_an_execution(model: keras.Model) -> None:
    clock = Clock(epoch=2, step=0, first_step=0)
    guard = DivergenceGuard(clock)
    guard.set_model(model)
    guard.on_epoch_begin(2)
    clock.step = 32
    guard.on_train_batch_end(31, {"loss": 0.5})
    clock.step = 64
    with pytest.raises(
        DivergedError,
        match=r"the loss became inf at one of the steps 33 to 64 of epoch 3; the learning rate was 0.01",
    ):
        guard.on_train_batch_end(63, {"loss": math.inf})
    clock.step = 33
    with pytest.raises(DivergedError, match=r"the loss became nan at step 33 of epoch 3"):
        guard.on_train_batch_end(32, {"loss": math.nan})


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def watched(model: keras.Model) -> Callable[..., list[str]]:
    """What is said of these losses, one a step, ten steps an epoch; `move` is added to the weight."""

    def watch(
        losses: list[float], *, move: float = 0.0, chance: float | None = None, epoch: int = 0
    ) -> list[str]:
        model.set_weights([np.ones((1, 1))])
        clock, notes = Clock(epoch, 0, 0), Notes()
        guard = StallGuard(clock, notes, chance)
        guard.set_model(model)
        guard.on_train_begin()
        for start in range(0, len(losses), 10):
            of_epoch = losses[start : start + 10]
            clock.set(epoch + start // 10, 0)
            guard.on_epoch_begin(clock.epoch)
            for step in range(10):
                clock.step = step + 1
                if step == 5:
                    model.set_weights([model.get_weights()[0] + move])
                guard.on_train_batch_end(step, {"loss": float(np.mean(of_epoch[: step + 1]))})
            guard.on_epoch_end(clock.epoch, {"loss": float(np.mean(of_epoch))})
        return notes.notes

    return watch


def test_a_loss_that_falls_is_no_matter(watched: Callable[..., Any]) -> None:
    assert watched([1 / step for step in range(1, 101)]) == []


def test_weights_that_hardly_move(watched: Callable[..., Any]) -> None:
    (note,) = watched([2.3] * 100, move=1e-5)
    assert "the loss does not move: 2.3 in the first steps, 2.3 after 50" in note
    assert "the weights hardly change" in note
    assert "the learning rate of 0.01 is too small" in note


def test_guessing(watched: Callable[..., Any]) -> None:
    (note,) = watched([2.3] * 100, move=0.5, chance=math.log(10))
    assert "guessing by the shares of the classes" in note
    assert "too large and the units are dead" in note


def test_weights_that_move_in_vain(watched: Callable[..., Any]) -> None:
    (note,) = watched([2.3] * 100, move=0.5, chance=1.0)
    assert "the weights change, so either the learning rate of 0.01 is too large" in note


def test_only_the_beginning_of_a_run_is_watched(watched: Callable[..., Any]) -> None:
    assert watched([2.3] * 100, epoch=1) == []
    assert watched([2.3] * 30) == []


def test_a_warm_up_is_waited_for(watched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli.training.callbacks import guards

    rates = iter([1e-9, 1e-8, *[1e-8] * 10])
    monkeypatch.setattr(guards, "current_learning_rate", lambda optimizer: next(rates))
    monkeypatch.setattr(StallGuard, "FEWEST_STEPS", 10)
    (note,) = watched([2.3] * 100)
    assert "after 20" in note
