from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bigmodel_cli import components
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

TEXT = "name: c\ndataset: iris\nmodel: {name: mlp, hidden: [8]}\ntraining: {epochs: 3, batch_size: 32}\n"
SCHEDULES = {
    "cosine": "peak: 0.01, warmup_epochs: 1",
    "cosine_decay": "initial_learning_rate: 0.01, decay_steps: 9",
    "cosine_decay_restarts": "initial_learning_rate: 0.01, first_decay_steps: 3",
    "exponential_decay": "initial_learning_rate: 0.01, decay_steps: 3, decay_rate: 0.5",
    "inverse_time_decay": "initial_learning_rate: 0.01, decay_steps: 3, decay_rate: 0.5",
    "piecewise_constant_decay": "boundaries: [2, 4], values: [0.01, 0.001, 0.0001]",
    "polynomial_decay": "initial_learning_rate: 0.01, decay_steps: 9",
}


@pytest.mark.parametrize("name", components.names("optimizers"))
def test_every_optimizer_trains(name: str, losses_of: Callable[..., tuple[list[float], Any]]) -> None:
    # FTRL starts from weights of 0, where the hidden layers of a network have no gradient.
    model = "logistic_regression" if name == "ftrl" else "{name: mlp, hidden: [8]}"
    losses, _ = losses_of(TEXT, f"optimizer={name}", f"model={model}")
    assert losses[1] < losses[0]


@pytest.mark.parametrize("name", components.names("schedules"))
def test_every_schedule_trains(name: str, losses_of: Callable[..., tuple[list[float], Any]]) -> None:
    """All of these begin at 0.01 and fall, `cosine` after its warm-up."""
    from bigmodel_cli.training.optimizer import current_learning_rate

    rate = f"optimizer.learning_rate={{name: {name}, {SCHEDULES[name]}}}"
    losses, model = losses_of(TEXT, "optimizer=sgd", rate)
    assert losses[1] < losses[0]
    assert 0 <= current_learning_rate(model.optimizer) < 0.01


def test_cosine_ends_with_training(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.optimizer import build_optimizer

    rate = "{name: cosine, peak: 0.4, final: 0.1, warmup_epochs: 1, start: 0.2}"
    optimizer = build_optimizer(
        config(TEXT, "optimizer=sgd", f"optimizer.learning_rate={rate}"), steps_per_epoch=10
    )
    schedule = optimizer._learning_rate
    assert [float(schedule(step)) for step in (0, 5, 10, 20, 30)] == pytest.approx(
        [0.2, 0.3, 0.4, 0.25, 0.1], rel=1e-5
    )


def test_parameters_reach_the_optimizer(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.optimizer import build_optimizer

    optimizer = build_optimizer(
        config(
            TEXT,
            "optimizer={name: sgd, momentum: 0.9, nesterov: true, global_clipnorm: 2.0, learning_rate: 0.3}",
        ),
        1,
    )
    assert (optimizer.momentum, optimizer.nesterov, optimizer.global_clipnorm) == (0.9, True, 2.0)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.3)


def test_what_keras_refuses_is_a_message(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.optimizer import build_optimizer

    with pytest.raises(UsageError, match=r"optimizer: Keras refuses these parameters of `lion`: .*beta_1"):
        build_optimizer(config(TEXT, "optimizer={name: lion, beta_1: 0.0}"), 1)
