from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots
from bigmodel_cli.plots.calibration import binned


def test_bins_by_hand() -> None:
    # On the right edge of a bin, as in Guo et al. 2017: 0.5 is in the first of two.
    found = binned(np.array([True, False, True, True]), np.array([0.5, 0.4, 0.8, 1.0]), 2)
    assert found.counts.tolist() == [2, 2]
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])
    np.testing.assert_allclose(found.confidence, [0.45, 0.9])
    assert found.error == pytest.approx((0.05 + 0.1) / 2)


def test_empty_bins_have_no_accuracy() -> None:
    found = binned(np.array([True]), np.array([1.0]))
    assert np.isnan(found.accuracy[:-1]).all()
    assert found.error == 0
    assert np.isnan(binned(np.zeros(0, bool), np.zeros(0)).error)


def test_true_probabilities_have_no_error() -> None:
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.5, 1, 200_000)
    assert binned(rng.random(200_000) < confidences, confidences).error < 0.01


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([0, 0, 0, 1], "expected calibration error 5.00%; on average 5.00% too confident"),
        ([0, 0, 0, 0], "expected calibration error 20.00%; on average 20.00% too modest"),
    ],
)
def test_the_error_is_said(targets: list[int], said: str, tmp_path: Path, figures: list[Any]) -> None:
    shares = np.tile([0.8, 0.2], (4, 1))
    plots.reliability(np.array(targets), shares, tmp_path / "a.png", title="finding")
    above, below = figures[0].axes
    assert above.get_title(loc="left") == said
    bars, gaps = (item for item in above.containers if hasattr(item, "patches"))
    assert [bar.get_height() for bar in bars] == [np.mean(np.array(targets) == 0)]
    assert gaps[0].get_y() + gaps[0].get_height() == pytest.approx(0.8)
    assert sum(bar.get_height() for bar in below.containers[0]) == pytest.approx(100)


def test_what_cannot_be_drawn_is_said(tmp_path: Path, figures: list[Any]) -> None:
    shares = np.array([[0.9, 0.1], [np.nan, 0.5]])
    plots.reliability(np.array([0, 0]), shares, tmp_path / "a.png", title="")
    assert figures[0].get_supxlabel() == "1 of 2 examples left out: not finite"
    plots.reliability(np.array([0]), shares[1:], tmp_path / "b.png", title="")
    assert figures[1].axes[0].texts[0].get_text() == "no examples with probabilities"
