from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_cli.metrics import best_threshold, threshold_scores


def test_no_other_threshold_has_a_larger_f1() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(400) < 0.2
    scores = np.clip(rng.normal(0.2 + 0.2 * positive, 0.1), 0, 1)
    found = best_threshold(positive, scores)
    assert found is not None
    best = max(sk.f1_score(positive, scores > value) for value in np.linspace(0, 0.99, 500))
    assert sk.f1_score(positive, scores > found) >= best


@pytest.mark.parametrize(
    ("positive", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.9], 0.5),  # where 0.5 is among the best
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.25),  # the middle
        ([0, 0, 1, 1], [0.5, 0.6, 0.7, 0.9], 0.65),
        ([1, 1], [0.0, 0.8], 0.5),  # nothing lies below 0
        ([0, 0], [0.2, 0.8], None),
    ],
)
def test_ties_go_to_the_nearest_to_a_half(positive: list[int], scores: list[float], expected: float) -> None:
    found = best_threshold(np.array(positive, bool), np.array(scores))
    assert found == (expected if expected is None else pytest.approx(expected))


def test_scores_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    true = (rng.random(500) < 0.4).astype(int)
    scores = np.clip(rng.normal(0.3 + 0.2 * true, 0.2), 0, 1)
    found = threshold_scores(true, scores, 0.37, seed=0)
    taken = scores > 0.37
    expected = {
        "accuracy": sk.accuracy_score(true, taken),
        "precision": sk.precision_score(true, taken),
        "recall": sk.recall_score(true, taken),
        "f1": sk.f1_score(true, taken),
        "balanced_accuracy": sk.balanced_accuracy_score(true, taken),
        "matthews_correlation": sk.matthews_corrcoef(true, taken),
    }
    assert {name: score.value for name, score in found.items() if score} == pytest.approx(expected)
