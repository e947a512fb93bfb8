from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_cli.metrics import curve_areas


@pytest.fixture
def examples() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    positive = rng.random(1500) < 0.3
    return positive, np.round(rng.random(1500) + 0.4 * positive, 2)


@pytest.mark.parametrize(
    ("weighed", "expected"),
    [
        (curve_areas.weighed_area, sk.roc_auc_score),
        (curve_areas.weighed_precision, sk.average_precision_score),
    ],
)
def test_weights_count_as_in_scikit_learn(weighed: Any, expected: Any, examples: Any) -> None:
    positive, scores = examples
    times = np.random.default_rng(1).integers(0, 3, size=(1500, 3)).astype(np.float32)
    reference = [expected(positive, scores, sample_weight=column) for column in times.T]
    assert weighed(positive, scores)(times) == pytest.approx(reference, abs=1e-6)


def test_without_one_of_the_kinds_there_is_no_area() -> None:
    scores = np.linspace(0, 1, 5)
    for positive in (np.zeros(5, bool), np.ones(5, bool)):
        assert np.isnan(curve_areas.roc_auc(positive, scores))
    assert np.isnan(curve_areas.average_precision(np.zeros(5, bool), scores))
    assert curve_areas.average_precision(np.ones(5, bool), scores) == 1


def test_the_expansion_for_many_examples_spreads_as_the_resamples_do(
    examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    positive, scores = examples
    rng = np.random.default_rng(0)
    exact = curve_areas.resampled_areas(rng, positive, scores, 2000)
    classes = np.where(positive, 1, np.arange(1500) % 2 * 2)
    probabilities = np.stack([1 - scores, scores, rng.random(1500)], axis=1)
    exact["macro"] = curve_areas.resampled_macro_areas(rng, classes, probabilities, 2000)
    monkeypatch.setattr(curve_areas, "EXACT", 10)
    expanded = curve_areas.resampled_areas(rng, positive, scores, 2000)
    expanded["macro"] = curve_areas.resampled_macro_areas(rng, classes, probabilities, 2000)
    for name, drawn in exact.items():
        assert expanded[name].std() == pytest.approx(drawn.std(), rel=0.08), name
        assert expanded[name].mean() == pytest.approx(drawn.mean(), abs=0.1 * drawn.std()), name


def test_classes_without_examples_are_left_out_of_the_mean() -> None:
    true = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7]])
    both = [sk.roc_auc_score(true == index, probabilities[:, index]) for index in (0, 1)]
    assert curve_areas.macro_roc_auc(true, probabilities) == pytest.approx(np.mean(both))
