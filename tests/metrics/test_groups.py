from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_cli.metrics import class_columns, group_scores, value_columns


def test_groups_of_two_classes() -> None:
    rng = np.random.default_rng(0)
    targets, membership = rng.integers(2, size=400), np.repeat([0, 1, 2], [200, 195, 5])
    first = np.clip(rng.normal(0.35 + 0.3 * targets, np.where(membership == 1, 0.5, 0.1)), 0.01, 0.99)
    probabilities = np.stack([1 - first, first], axis=1)
    found = group_scores(
        "side", ["left", "right", "few"], membership, class_columns(targets, probabilities), seed=0
    )
    for index, group in enumerate(found.groups):
        own = membership == index
        taken = first[own] > 0.5
        expected = {
            "accuracy": sk.accuracy_score(targets[own], taken),
            "loss": sk.log_loss(targets[own], probabilities[own], labels=[0, 1]),
            "precision": sk.precision_score(targets[own], taken),
            "recall": sk.recall_score(targets[own], taken),
            "f1": sk.f1_score(targets[own], taken),
        }
        values = {name: score.value for name, score in group.scores.items() if score}
        assert values == pytest.approx(expected), group.name
        assert group.examples == own.sum()
    # The group of five is listed, but not ranked.
    assert (found.metric, found.worst, len(found.groups)) == ("accuracy", "right", 3)
    left, right = (group.scores["accuracy"] for group in found.groups[:2])
    assert left and right and found.gap
    assert found.gap.value == pytest.approx(left.value - right.value)
    assert 0 < found.gap.low < found.gap.value < found.gap.high


def test_what_a_group_cannot_have_is_null() -> None:
    probabilities = np.tile([0.8, 0.2], (30, 1))
    found = group_scores(
        "class", ["no", "yes"], np.zeros(30, int), class_columns(np.zeros(30, int), probabilities), seed=0
    )
    (only,) = found.groups
    assert only.scores["precision"] is only.scores["recall"] is only.scores["f1"] is None
    assert found.worst is found.gap is None
    json.dumps(asdict(found), allow_nan=False)


def test_groups_of_a_regression_are_ranked_by_their_error() -> None:
    rng = np.random.default_rng(0)
    targets, membership = rng.normal(size=(100, 1)), np.arange(100) % 2
    predictions = targets + rng.normal(size=(100, 1)) * (1 + 3 * membership[:, None])
    found = group_scores("parity", ["even", "odd"], membership, value_columns(targets, predictions), seed=0)
    assert (found.metric, found.worst) == ("rmse", "odd")
    odd = found.groups[1].scores
    assert odd["rmse"] and odd["r2"]
    assert odd["rmse"].value == pytest.approx(sk.root_mean_squared_error(targets[1::2], predictions[1::2]))
    assert odd["r2"].value == pytest.approx(sk.r2_score(targets[1::2], predictions[1::2]))
