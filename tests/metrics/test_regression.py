from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_cli.metrics import Interval, regression_metrics


def test_grouping_of_many_rows_keeps_the_width_of_the_interval() -> None:
    rng = np.random.default_rng(0)
    targets, n = rng.normal(size=(100_000, 1)), 100_000
    # Sorted, so that groups of neighbours would be far too alike.
    predictions = targets - np.sort(rng.exponential(size=(n, 1)), axis=0)
    mae = regression_metrics(targets, predictions, ["y"], train_mean=[0], seed=0).scores["mae"]
    assert mae is not None
    assert mae.high - mae.low == pytest.approx(2 * 1.96 / np.sqrt(n), rel=0.12)


def test_regression_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(500, 3)) * [1, 10, 100] + 1e4
    predictions = targets + rng.normal(size=(500, 3))
    train_mean = [1e4, 1e4 + 1, 1e4 - 1]
    report = regression_metrics(targets, predictions, ["a", "b", "c"], train_mean=train_mean, seed=0)

    def scores(predicted: Any) -> dict[str, float]:
        mse = sk.mean_squared_error(targets, predicted)
        mae, r2 = sk.mean_absolute_error(targets, predicted), sk.r2_score(targets, predicted)
        return {"loss": mse, "mse": mse, "rmse": mse**0.5, "mae": mae, "r2": r2}

    values = {name: score.value for name, score in report.scores.items() if score}
    assert values == pytest.approx(scores(predictions), abs=1e-9)
    assert report.baseline.scores == pytest.approx(scores(np.tile(train_mean, (500, 1))), rel=1e-9, abs=1e-9)
    for name, function in (
        ("mse", sk.mean_squared_error),
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
    ):
        each = [target.scores[name] for target in report.targets]
        expected = function(targets, predictions, multioutput="raw_values")
        assert [score.value for score in each if score] == pytest.approx(expected, abs=1e-9)
        assert all(score and score.low < score.value < score.high for score in each)


def test_regression_interval_agrees_with_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(80, 1))
    predictions = targets + 0.5 * rng.normal(size=(80, 1))
    report = regression_metrics(targets, predictions, ["y"], train_mean=[0], seed=0, resamples=4000)
    drawn = [
        1 - np.mean((targets[rows] - predictions[rows]) ** 2) / np.var(targets[rows])
        for rows in rng.integers(80, size=(2000, 80))
    ]
    r2, (low, high) = report.scores["r2"], np.percentile(drawn, [2.5, 97.5])
    assert isinstance(r2, Interval)
    assert [r2.low, r2.high] == pytest.approx([low, high], abs=0.12 * (high - low))


def test_r2_of_a_constant_target_is_null_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    targets = np.column_stack([rng.normal(size=50), np.full(50, 0.1)])
    predictions = targets + 0.1 * rng.normal(size=(50, 2))
    report = regression_metrics(targets, predictions, ["a", "b"], train_mean=[0, 0], seed=0)
    assert report.targets[1].scores["r2"] is None
    overall, first = report.scores["r2"], report.targets[0].scores["r2"]
    assert overall == first
    assert report.notes[0] == "r2 of b is undefined: all its values are the same"
    assert "leaves out b" in report.notes[1]
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["targets"][1]["scores"]["r2"] is None
