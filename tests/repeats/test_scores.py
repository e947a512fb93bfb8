"""Mean, deviation and range of each metric."""

from __future__ import annotations

import math

import pytest

from bigmodel_cli.repeats.scores import Result, spreads, to_json


def result(label, reason=None, **scores):
    return Result(label, "diverged" if reason else "finished", reason, 3, 40, scores)


def test_mean_and_deviation():
    found = spreads(
        [result("fold-1", accuracy=0.8), result("fold-2", accuracy=0.9), result("fold-3", accuracy=0.7)]
    )
    spread = found["accuracy"]
    assert spread.mean == pytest.approx(0.8)
    assert spread.deviation == pytest.approx(0.1)
    assert (spread.low, spread.high, spread.count) == (0.7, 0.9, 3)


def test_what_is_undefined_or_left_out_does_not_count():
    results = [
        result("fold-1", auc=None, loss=1.0),
        result("fold-2", "diverged", auc=0.1, loss=9.0),
        result("fold-3", auc=0.5, loss=2.0),
        result("fold-4", auc=math.nan, never=None, loss=3.0),
    ]
    found = spreads(results)
    assert list(found) == ["auc", "loss"]
    assert found["auc"].values == (None, None, 0.5, None)
    assert (found["auc"].mean, found["auc"].deviation, found["auc"].count) == (0.5, None, 1)
    assert found["loss"].mean == 2.0
    document = to_json(results)
    assert document["left_out"] == ["fold-2"]
    assert document["scores"]["loss"]["deviation"] == 1.0
    assert document["runs"][1]["reason"] == "diverged"
