"""Which way a metric is better."""

from __future__ import annotations

import pytest

from bigmodel_cli import catalogue
from bigmodel_cli.comparison.scores import higher_is_better


@pytest.mark.parametrize(
    "metric", ["val_accuracy", "top_5_accuracy", "macro_f1", "r2", "val_r2_score", "mean_iou"]
)
def test_higher(metric):
    assert higher_is_better(metric) is True


@pytest.mark.parametrize("metric", ["loss", "val_loss", "rmse", "mean_absolute_error", "ece", "perplexity"])
def test_lower(metric):
    assert higher_is_better(metric) is False


def test_unknown():
    assert higher_is_better("val_mystery") is None


def test_it_agrees_with_training_on_the_metrics_of_keras():
    from bigmodel_cli.training import objective

    known = [name for name in catalogue.entries("metrics") if higher_is_better(name) is not None]
    assert len(known) > 30
    assert [name for name in known if higher_is_better(name) != objective.higher_is_better(name)] == []
