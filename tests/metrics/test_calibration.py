from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigmodel_cli.metrics import (
    at_temperature,
    calibration_error,
    fitted_temperature,
    mean_loss,
    threshold_at_temperature,
)


def drawn(n: int, k: int) -> tuple[Any, Any]:
    """Logits, and classes drawn from their softmax."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, k))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (shares.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), shares


@pytest.mark.parametrize("k", [2, 10])
def test_the_temperature_is_found_again(k: int) -> None:
    true, shares = drawn(20_000, k)
    too_sure = at_temperature(shares, 1 / 2.5).astype(np.float32)
    temperature = fitted_temperature(true, too_sure)
    assert temperature == pytest.approx(2.5, rel=0.05)
    again = at_temperature(too_sure, temperature)
    assert calibration_error(true, too_sure) > 0.08
    assert calibration_error(true, again) < 0.02
    # No other temperature has a smaller loss.
    best = mean_loss(true, again)
    for other in (0.97, 1.03):
        assert mean_loss(true, at_temperature(too_sure, other * temperature)) > best
    assert (again.argmax(axis=1) == too_sure.argmax(axis=1)).all()


def test_no_temperature_is_best_where_all_is_right_or_nothing_is_said() -> None:
    assert fitted_temperature(np.arange(3), np.eye(3) * 0.4 + 0.2) is None
    assert fitted_temperature(np.arange(3), np.full((3, 3), 1 / 3)) is None


def test_a_threshold_moves_with_the_probabilities() -> None:
    first = np.array([0.03, 0.3, 0.5, 0.8])
    moved = at_temperature(np.stack([1 - first, first], axis=1), 3.0)[:, 1]
    assert [threshold_at_temperature(value, 3.0) for value in first] == pytest.approx(moved)
    assert [threshold_at_temperature(value, 3.0) for value in (0.0, 1.0)] == [0, 1]


def test_probabilities_of_zero_stay_finite() -> None:
    found = at_temperature(np.array([[1, 0], [0.5, 0.5]], np.float32), 2.0)
    assert np.isfinite(found).all()
    assert found[0, 0] == pytest.approx(1)
