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


@pytest.mark.parametrize(("size", "count", "near"), [(18, 4, "16 or 20"), (3, 8, "8")])
def test_a_batch_that_the_devices_cannot_share(size: int, count: int, near: str) -> None:
    from dataclasses import replace

    from bigmodel_cli import devices
    from bigmodel_cli.training import planning

    several = replace(devices._cpu("asked for"), count=count, description=f"{count} x GPU")
    with pytest.raises(UsageError) as caught:
        planning._check_divisible(size, several)
    assert str(caught.value) == (
        f"training.batch_size: {size} cannot be shared equally by {count} devices ({count} x GPU); use {near}"
    )
    planning._check_divisible(2 * count, several)


def test_on_jax_the_limits_of_mirrored_devices_do_not_hold(config: Callable[..., Config]) -> None:
    from dataclasses import replace

    from bigmodel_cli import devices
    from bigmodel_cli.training import compiling, planning

    two = replace(devices._cpu("asked for"), count=2, description="2 x GPU", backend="jax")
    assert compiling._jit(config(IRIS, "training.jit=true"), two) is True
    with pytest.raises(
        UsageError, match=r"training\.jit: JAX shares a step between devices \(2 x GPU\) only"
    ):
        compiling._jit(config(IRIS, "training.jit=false"), two)
    choice = planning._steps_per_execution(config(IRIS, "training.steps_per_execution=3"), two, 10)
    assert choice.value == 3
