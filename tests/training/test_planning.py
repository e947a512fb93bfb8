"""What `auto` becomes, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

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


@pytest.mark.parametrize(("setting", "bfloat16", "expected"), [
    ("auto", "AMX-BF16", ("bfloat16", "auto: AMX-BF16")),
    ("auto", "", ("float32", "auto: no fast bfloat16 here")),
    ("float32", "AMX-BF16", ("float32", "asked for")),
])  # fmt: skip
def test_precision_of_convolutions(
    setting: str,
    bfloat16: str,
    expected: tuple[str, str],
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bigmodel_cli import devices
    from bigmodel_cli.training import planning

    monkeypatch.setattr(devices, "cpu_bfloat16", lambda: bfloat16)
    choice = planning.prepare(config(DIGITS, f"training.precision={setting}")).choices["precision"]
    assert (choice.value, choice.reason) == expected


@pytest.mark.parametrize(("asked", "expected"), [
    ("auto", (4, "auto")),
    ("3", (3, "asked for")),
    ("1000", (4, "an epoch has no more, asked for 1000")),
])  # fmt: skip
def test_steps_an_execution(asked: str, expected: tuple[int, str], config: Callable[..., Config]) -> None:
    """108 training examples of iris in batches of 32 are 4 steps."""
    from bigmodel_cli.training import planning

    plan = planning.prepare(config(IRIS, f"training.steps_per_execution={asked}"))
    choice = plan.choices["steps_per_execution"]
    assert (choice.value, choice.reason) == expected
    assert plan.model.steps_per_execution == expected[0]


def test_float16_on_a_cpu_is_refused(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli import devices
    from bigmodel_cli.training import planning

    monkeypatch.setattr(planning, "choose", lambda setting: devices._cpu("asked for"))
    with pytest.raises(UsageError, match=r"training\.precision: float16 is many times slower"):
        planning.prepare(config(IRIS, "training.precision=float16"))
