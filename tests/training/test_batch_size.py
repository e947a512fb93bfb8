from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import TrainingFailedError
from bigmodel_cli.training import batch_size, planning

AUTO = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
training: {epochs: 2, batch_size: auto, tensorboard: false}
"""


def _model(units: int) -> keras.Model:
    inputs = keras.Input((10,))
    return keras.Model(inputs, keras.layers.Dense(units)(inputs))


def _devices(kind: str = "cpu", count: int = 1) -> Any:
    return SimpleNamespace(kind=kind, count=count, description="here")


@pytest.mark.parametrize(
    ("examples", "expected", "reason"),
    [
        (50_000, 1024, "the most"),
        (600, 32, "of 600 examples, for 16 steps an epoch"),
        (5, 1, "of 5 examples, for 16 steps an epoch"),
    ],
)
def test_by_the_number_of_examples(examples: int, expected: int, reason: str) -> None:
    assert batch_size.first_try(_model(3), _devices(), examples) == (expected, reason)


def test_by_the_memory_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(90)
    # Input and output, each with a gradient, in float32.
    assert batch_size.activation_bytes(model) == 2 * 4 * 100
    monkeypatch.setattr(batch_size, "available_memory", lambda: 2 * 800 * 300)
    size, reason = batch_size.first_try(model, _devices(), 50_000)
    assert (size, reason) == (256, "within 50% of the memory available")
    # An accelerator has its own, and the first step tells.
    assert batch_size.first_try(model, _devices("gpu"), 50_000)[0] == 1024


def test_every_device_has_the_same_share() -> None:
    assert batch_size.first_try(_model(3), _devices("gpu", 3), 50_000)[0] == 1023
    assert batch_size.first_try(_model(3), _devices("gpu", 8), 20)[0] == 8


@pytest.fixture
def out_of_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Steps of more examples than this run out of memory."""

    def limit(size: int) -> None:
        import tensorflow as tf

        fit = keras.Model.fit

        def limited(self: keras.Model, batches: Any, **options: Any) -> Any:
            if next(iter(batches))[1].shape[0] > size:
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            return fit(self, batches, **options)

        monkeypatch.setattr(keras.Model, "fit", limited)

    return limit


def test_halved_until_it_fits(config: Callable[..., Config], out_of_memory: Callable[[int], None]) -> None:
    out_of_memory(3)
    plan = planning.prepare(config(AUTO))
    choice = plan.choices["batch_size"]
    assert choice.value == plan.config.training.batch_size == plan.pipeline.batch_size == 2
    assert choice.reason == "auto: of 108 examples, for 16 steps an epoch; 4 ran out of memory"


def test_halved_three_times_at_most(
    config: Callable[..., Config], out_of_memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "FEWEST_STEPS", 1)
    out_of_memory(2)
    with pytest.raises(TrainingFailedError, match=r"batch_size: auto: 64, 32, 16, 8 all ran out of memory"):
        planning.prepare(config(AUTO))


def test_the_trial_leaves_no_trace(config: Callable[..., Config]) -> None:
    """What is trained after it is what is trained with the same number given."""
    import numpy as np

    tried = planning.prepare(config(AUTO))
    size = tried.choices["batch_size"].value
    given = planning.prepare(config(AUTO, f"training.batch_size={size}"))
    for plan in (tried, given):
        for one in (*plan.model.optimizer.variables, *plan.model.metrics_variables):
            assert not np.any(np.array(one)) or "learning_rate" in one.path
    for mine, theirs in zip(tried.model.variables, given.model.variables, strict=True):
        np.testing.assert_array_equal(np.array(mine), np.array(theirs))
