"""Scores that depend on the examples only through how many of a class were taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.intervals import BLOCK, Floats, Ints, mean_of_defined


def rank(true: Ints, probabilities: NDArray[Any]) -> tuple[Ints, NDArray[np.bool_], Floats]:
    """Prediction, whether the true class is among the 5 most probable, and its probability: (n,) each."""
    n, k = probabilities.shape
    predicted, in_top_5, chosen = np.empty(n, np.int64), np.empty(n, np.bool_), np.empty(n, np.float64)
    step = max(1, BLOCK // k)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        block, index = probabilities[rows], true[rows, None]
        own = np.take_along_axis(block, index, axis=1)
        before = (block > own) | ((block == own) & (np.arange(k) < index))
        predicted[rows], in_top_5[rows], chosen[rows] = (
            block.argmax(axis=1),
            before.sum(axis=1) < 5,
            own[:, 0],
        )
    return predicted, in_top_5, chosen


def from_counts(right: Ints, predicted: Ints, support: Ints) -> dict[str, Floats]:
    """Scores from counts (resamples, classes); what cannot be computed is NaN.

    Matthews correlation of several classes: Gorodkin, Comparing two K-category assignments by a K-category
    correlation coefficient, 2004; 0 for a model that always gives the same class. Kappa: Cohen, A coefficient
    of agreement for nominal scales, 1960. Both, and the balanced accuracy, need examples of two classes.
    """
    total = support.sum(axis=1).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / support
        f1 = np.where(support > 0, 2 * right / (support + predicted), np.nan)
        by_chance = (predicted * support).sum(axis=1) / total**2
        spread = 1 - (support**2).sum(axis=1) / total**2
        of_predicted = 1 - (predicted**2).sum(axis=1) / total**2
        beyond_chance = right.sum(axis=1) / total - by_chance
        together = np.sqrt(spread * of_predicted)
        # A model that gives one class only correlates with nothing.
        correlation = np.where(of_predicted > 0, beyond_chance / together, 0)
        kappa = beyond_chance / (1 - by_chance)
    several = (support > 0).sum(axis=1) > 1
    precision = right / np.maximum(predicted, 1)
    macro_recall = mean_of_defined(recall)
    return {
        "accuracy": right.sum(axis=1) / total,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "macro_precision": mean_of_defined(np.where(support > 0, precision, np.nan)),
        "macro_recall": macro_recall,
        "macro_f1": mean_of_defined(f1),
        "balanced_accuracy": np.where(several, macro_recall, np.nan),
        "matthews_correlation": np.where(several, correlation, np.nan),
        "cohen_kappa": np.where(several, kappa, np.nan),
    }


def of_positive(scores: Mapping[str, Floats]) -> dict[str, Floats]:
    """Scores of two classes (resamples,) whose precision, recall and F1 are those of the second class.

    They are NaN where no example is of that class.
    """
    absent = np.isnan(scores["recall"][:, 1])
    own = {name: np.where(absent, np.nan, scores[name][:, 1]) for name in ("precision", "recall", "f1")}
    return {**scores, **own}


def resampled_counts(
    rng: np.random.Generator, true: Ints, predicted: Ints, in_top_5: NDArray[np.bool_], k: int, resamples: int
) -> dict[str, Floats]:
    """Scores of resamples of the examples.

    They depend on the examples only through how many fall in each (true, predicted, in top 5) cell,
    and those counts are multinomial: cheap, however many examples there are.
    """
    cells, counts = np.unique((true * k + predicted) * 2 + in_top_5, return_counts=True)
    of_true, of_predicted, top = cells // 2 // k, cells // 2 % k, (cells % 2).astype(bool)
    by_predicted = np.argsort(of_predicted, kind="stable")
    right = np.zeros((resamples, k), np.int64)
    support, times_predicted = np.zeros_like(right), np.zeros_like(right)
    top_5 = np.empty(resamples)
    step = max(1, BLOCK // len(cells))
    for start in range(0, resamples, step):
        rows = slice(start, min(start + step, resamples))
        drawn = rng.multinomial(len(true), counts / len(true), size=rows.stop - start)
        # A diagonal cell may be split in two by the top 5 (only where 5 classes tie); add both.
        for result, order, key in (
            (support, np.arange(len(cells)), of_true),
            (times_predicted, by_predicted, of_predicted),
            (right, np.flatnonzero(of_true == of_predicted), of_true),
        ):
            present, first = np.unique(key[order], return_index=True)
            if present.size:
                result[rows, present] = np.add.reduceat(drawn[:, order], first, axis=1)
        top_5[rows] = drawn[:, top].sum(axis=1) / len(true)
    return {**from_counts(right, times_predicted, support), "top_5_accuracy": top_5}
