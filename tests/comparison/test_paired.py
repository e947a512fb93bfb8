"""Paired tests: against scikit-learn, SciPy and what must come out."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.comparison import paired
from bigmodel_cli.comparison.outputs import Outputs
from bigmodel_cli.comparison.paired import holm, mcnemar, paired_tests


def classifier(
    rng: np.random.Generator, true: np.ndarray, k: int, skill: float
) -> tuple[Outputs, np.ndarray]:
    logits = rng.normal(size=(len(true), k))
    logits[np.arange(len(true)), true] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rank = (probabilities > probabilities[np.arange(len(true)), true][:, None]).sum(axis=1)
    own = probabilities[np.arange(len(true)), true]
    predicted = probabilities.argmax(axis=1)
    found = Outputs(
        "classification", k, np.arange(len(true)), true, predicted, own, (rank < 5).astype(np.int64)
    )
    return found, probabilities


def regressor(true: np.ndarray, predicted: np.ndarray) -> Outputs:
    empty = np.empty(0)
    return Outputs("regression", 0, np.arange(len(true)), true, predicted, empty, empty.astype(np.int64))


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (1, 0), (3, 9), (9, 3), (12, 12), (10, 15), (40, 20), (0, 90)]
)
def test_mcnemar_agrees_with_scipy(first, second):
    from scipy import stats

    p, method = mcnemar(first, second)
    if first + second < 25:
        wanted = stats.binomtest(first, first + second).pvalue if first + second else 1.0
        assert method == "McNemar, exact"
    else:
        wanted = stats.chi2.sf(max(0, abs(first - second) - 1) ** 2 / (first + second), 1)
        assert method == "McNemar, chi-square"
    assert p == pytest.approx(wanted)


def test_holm():
    # Worked by hand: 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 not below 0.06, then 0.04 * 1 held up to 0.06.
    assert holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]


def test_classification_values_agree_with_scikit_learn():
    from sklearn.metrics import f1_score, log_loss, precision_score, recall_score

    rng = np.random.default_rng(0)
    true = rng.integers(0, 7, 300)
    found = [classifier(rng, true, 8, skill) for skill in (1.0, 2.0)]
    values, (tests,) = paired_tests([item for item, _ in found], seed=0)
    for index, (outputs, probabilities) in enumerate(found):
        options = {"labels": range(7), "average": "macro", "zero_division": 0}
        wanted = {
            "accuracy": np.mean(outputs.predicted == true),
            "macro_precision": precision_score(true, outputs.predicted, **options),
            "macro_recall": recall_score(true, outputs.predicted, **options),
            "macro_f1": f1_score(true, outputs.predicted, **options),
            "top_5_accuracy": outputs.in_top_5.mean(),
            "loss": log_loss(true, probabilities, labels=range(8)),
        }
        assert {name: value[index] for name, value in values.items()} == pytest.approx(wanted)
    better = {test.metric: test for test in tests}
    assert better["accuracy"].method == "McNemar, chi-square"
    assert better["accuracy"].p < 1e-4
    assert better["accuracy"].low < better["accuracy"].difference < better["accuracy"].high
    assert better["loss"].high < 0 < better["macro_f1"].low
    assert better["macro_f1"].p == pytest.approx(2 / (paired.RESAMPLES + 1))
    assert better["accuracy"].only_run - better["accuracy"].only_reference == pytest.approx(
        300 * better["accuracy"].difference
    )


def test_regression_values_agree_with_scikit_learn():
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    rng = np.random.default_rng(1)
    true = rng.normal(1000, [1, 5], (200, 2))
    guesses = [true + rng.normal(0, scale, true.shape) for scale in (1.0, 0.5)]
    values, (tests,) = paired_tests([regressor(true, guess) for guess in guesses], seed=0)
    for index, guess in enumerate(guesses):
        mse = mean_squared_error(true, guess)
        assert {name: value[index] for name, value in values.items()} == pytest.approx(
            {
                "loss": mse, "mse": mse, "rmse": mse**0.5, "mae": mean_absolute_error(true, guess),
                "r2": r2_score(true, guess),
            }
        )  # fmt: skip
    assert all(test.method == "paired bootstrap" for test in tests)
    assert {test.metric: test.difference < 0 for test in tests} == {
        "loss": True, "mse": True, "rmse": True, "mae": True, "r2": False,
    }  # fmt: skip


def test_the_interval_is_that_of_pairs():
    """Errors that two models share cancel out; unpaired, the interval would be many times as wide."""
    rng = np.random.default_rng(2)
    true = rng.normal(size=(400, 1))
    shared = rng.normal(0, 3, true.shape)
    guesses = [true + shared, true + 0.99 * shared]
    _, (tests,) = paired_tests([regressor(true, guess) for guess in guesses], seed=0)
    mae = next(test for test in tests if test.metric == "mae")
    per_example = 0.01 * np.abs(shared)
    half = 1.96 * per_example.std() / 20
    assert mae.difference == pytest.approx(-per_example.mean())
    assert (mae.low, mae.high) == pytest.approx((mae.difference - half, mae.difference + half), rel=0.05)


def test_the_same_predictions_differ_in_nothing():
    rng = np.random.default_rng(3)
    outputs, _ = classifier(rng, rng.integers(0, 3, 50), 3, 1.0)
    _, (tests,) = paired_tests([outputs, outputs], seed=0)
    assert {(test.difference, test.low, test.high, test.p) for test in tests} == {(0.0, 0.0, 0.0, 1.0)}


def test_several_runs_and_the_seed():
    rng = np.random.default_rng(4)
    true = rng.integers(0, 3, 120)
    runs = [classifier(rng, true, 3, skill)[0] for skill in (1.0, 1.3, 3.0)]
    _, first = paired_tests(runs, seed=7)
    assert first == paired_tests(runs, seed=7)[1]
    assert first != paired_tests(runs, seed=8)[1]
    for one, other in zip(*first, strict=True):
        assert [one.p_holm, other.p_holm] == holm([one.p, other.p])
    assert any(test.p_holm > test.p for tests in first for test in tests)


def test_an_undefined_metric_has_no_test():
    true = np.full((20, 1), 3.0)
    guesses = [true + 0.1, true + 0.2]
    values, (tests,) = paired_tests([regressor(true, guess) for guess in guesses], seed=0)
    assert np.isnan(values["r2"]).all()
    assert [test.metric for test in tests] == ["loss", "mse", "rmse", "mae"]


def test_many_examples_are_grouped(monkeypatch):
    """Groups of rows give the spread that single rows give."""
    rng = np.random.default_rng(5)
    losses = rng.exponential(size=(4000, 1))
    alone = paired._resampled_means(np.random.default_rng(0), losses).std()
    monkeypatch.setattr(paired, "_ROWS", 1000)
    assert paired._resampled_means(np.random.default_rng(0), losses).std() == pytest.approx(alone, rel=0.08)
