"""Metrics of reconstructions against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics import (
    Baseline,
    reconstruction_columns,
    reconstruction_metrics,
    reconstruction_values,
)

NOTHING = Baseline("nothing", {})


def test_scores():
    rng = np.random.default_rng(0)
    true, given, mean = rng.normal(size=(50, 6)), rng.normal(size=(50, 6)), rng.normal(size=6)
    error, away = given - true, mean - true
    columns = reconstruction_columns(
        (error**2).mean(axis=1), np.abs(error).mean(axis=1), (away**2).mean(axis=1), kl=np.arange(50)
    )
    report = reconstruction_metrics(columns, NOTHING, latents=3, seed=0)
    values = {name: score.value for name, score in report.scores.items() if score}
    assert values == pytest.approx(
        {
            "rmse": np.sqrt((error**2).mean()), "mse": (error**2).mean(), "mae": np.abs(error).mean(),
            "explained_variance": 1 - (error**2).sum() / (away**2).sum(), "kl": 24.5,
        }
    )  # fmt: skip
    assert all(score.low < score.value < score.high for score in report.scores.values() if score)
    assert reconstruction_values(columns) == pytest.approx(values)
    document = report.to_json()
    assert (document["task"], document["latents"], document["examples"]) == ("reconstruction", 3, 50)


def test_constant_data_explains_nothing():
    columns = reconstruction_columns(np.ones(3), np.ones(3), np.zeros(3))
    assert reconstruction_metrics(columns, NOTHING, latents=1, seed=0).scores["explained_variance"] is None


def test_no_examples():
    with pytest.raises(DataError, match="0 examples"):
        reconstruction_metrics(reconstruction_columns(*[np.empty(0)] * 3), NOTHING, latents=1, seed=0)
