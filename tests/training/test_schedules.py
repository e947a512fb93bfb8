"""Every schedule at exact steps, by its formula."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bigmodel_cli import components

# 10 epochs of 4 steps; the warm-up takes 8.
TOTAL, EPOCH = 40, 4
WARMED = {"peak": 0.4, "start": 0.1, "warmup_steps": 8}


def rates(name: str, steps: tuple[int, ...], **parameters: Any) -> list[float]:
    builder = components.find("schedules", name).builder
    assert builder is not None
    schedule = builder(TOTAL, EPOCH, **parameters)
    return [float(schedule(step)) for step in steps]


def falling(name: str, t: float, peak: float, final: float) -> float:
    """Where a schedule stands after a share t of what follows the warm-up."""
    return {
        "constant": peak,
        "linear": peak + (final - peak) * t,
        "polynomial": final + (peak - final) * (1 - t) ** 2,
        "exponential": peak * (final / peak) ** t,
        "cosine": final + (peak - final) * (1 + math.cos(math.pi * t)) / 2,
    }[name]


@pytest.mark.parametrize("name", ["constant", "linear", "polynomial", "exponential", "cosine"])
def test_with_and_without_a_warm_up(name: str) -> None:
    final = {} if name == "constant" else {"final": 0.04}
    plain = rates(name, (0, 1, 10, 39, 40), peak=0.4, **final)
    assert plain == pytest.approx(
        [falling(name, step / 40, 0.4, 0.04) for step in (0, 1, 10, 39, 40)], rel=1e-5
    )
    warmed = rates(name, (0, 1, 7, 8, 9, 16, 39, 40), **WARMED, **final)
    rising = [0.1 + 0.3 * step / 8 for step in (0, 1, 7)]
    assert warmed == pytest.approx(
        rising + [falling(name, (step - 8) / 32, 0.4, 0.04) for step in (8, 9, 16, 39, 40)], rel=1e-5
    )


@pytest.mark.parametrize("name", ["constant", "linear", "polynomial", "exponential", "cosine", "step"])
def test_a_warm_up_in_epochs_is_the_same_in_steps(name: str) -> None:
    own: dict[str, Any] = {"exponential": {"final": 0.1}, "step": {"every_epochs": 3}}.get(name, {})
    steps = (0, 3, 6, 7, 20, 39)
    assert rates(name, steps, peak=0.4, warmup_epochs=1.5, **own) == rates(
        name, steps, peak=0.4, warmup_steps=6, **own
    )


def test_polynomial_takes_any_power() -> None:
    (rate,) = rates("polynomial", (10,), peak=0.4, final=0.0, power=0.5)
    assert rate == pytest.approx(0.4 * 0.75**0.5, rel=1e-5)


def test_step_falls_after_whole_epochs() -> None:
    """The first step of epoch 4 (from 1), step 12, is the first after three epochs."""
    steps = (0, 11, 12, 23, 24, 35, 36, 39)
    expected = [0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05]
    assert rates("step", steps, peak=0.4, factor=0.5, every_epochs=3) == pytest.approx(expected)
    assert rates("step", steps, peak=0.4, factor=0.5, at_epochs=[3, 6, 9]) == pytest.approx(expected)
    assert rates("step", (0, 39), peak=0.4, every_epochs=10) == pytest.approx([0.4, 0.4])


def test_step_counts_the_epochs_of_the_warm_up() -> None:
    found = rates("step", (0, 4, 8, 11, 12, 39), **WARMED, at_epochs=[3])
    assert found == pytest.approx([0.1, 0.25, 0.4, 0.4, 0.04, 0.04])


def test_one_cycle_has_the_numbers_of_pytorch() -> None:
    def half_cosine(first: float, last: float, t: float) -> float:
        return last + (first - last) * (1 + math.cos(math.pi * t)) / 2

    start, final = 0.5 / 25, 0.5 / 25 / 1e4
    expected = [start, half_cosine(start, 0.5, 0.25), 0.5, half_cosine(0.5, final, 1 / 4), final]
    assert rates("one_cycle", (0, 3, 12, 19, 40), peak=0.5) == pytest.approx(expected, rel=1e-4)
    own = rates("one_cycle", (0, 4, 8, 40), peak=0.5, start=0.1, final=0.2, warmup_epochs=2)
    assert own == pytest.approx([0.1, 0.3, 0.5, 0.2], rel=1e-5)
    assert own == rates("one_cycle", (0, 4, 8, 40), peak=0.5, start=0.1, final=0.2, warmup_steps=8)


def test_a_single_step_has_the_peak() -> None:
    from bigmodel_cli.training.schedules import cosine, one_cycle

    assert float(cosine(1, 1, peak=0.5)(0)) == float(one_cycle(1, 1, peak=0.5)(0)) == 0.5


def test_a_training_shorter_than_its_warm_up() -> None:
    """The shipped configs can be tried with `training.epochs=1`."""
    assert rates("cosine", (0, 39), peak=0.39, warmup_epochs=10.0) == pytest.approx([0, 0.39])
    assert rates("constant", (39,), peak=0.39, warmup_steps=99) == pytest.approx([0.39])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("step", {"peak": 0.1, "every_epochs": 2, "warmup_epochs": 2}, "would fall after epoch 2, but the"),
    ],
)
def test_a_step_within_the_warm_up(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rates(name, (0,), **parameters)
