"""From which probability on an example counts as positive, where there are two classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.counts import from_counts, of_positive, resampled_counts
from bigmodel_cli.metrics.intervals import Interval, interval_or_none

HALF = 0.5
CRITERION = "largest F1 on the validation split"
SHOWN = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "matthews_correlation")


@dataclass(frozen=True)
class Threshold:
    """What a threshold chosen elsewhere does beside the usual one.

    Attributes:
        positive: the class that is taken above it.
        value: the threshold.
        criterion: how it was chosen.
        at_half: accuracy, precision, recall, F1, balanced accuracy and Matthews correlation at 0.5.
        at_chosen: the same at `value`.
    """

    positive: str
    value: float
    criterion: str
    at_half: Mapping[str, Interval | None]
    at_chosen: Mapping[str, Interval | None]


def best_threshold(positive: NDArray[np.bool_], scores: NDArray[Any]) -> float | None:
    """The threshold with the largest F1 of what lies above it; of equally good ones the nearest to 0.5.

    Between two neighbouring scores all thresholds do the same: 0.5 is taken where it lies there, else the
    middle, which is farthest from both.

    Args:
        positive: (n,).
        scores: probabilities of the positive class (n,), 0 to 1, finite.

    Returns:
        None without a positive example.
    """
    total = int(positive.sum())
    if not total:
        return None
    values, group = np.unique(scores.astype(np.float64), return_inverse=True)
    # With values[i] and all higher ones taken, for every i.
    right = np.cumsum(np.bincount(group, positive)[::-1])[::-1]
    taken = np.cumsum(np.bincount(group)[::-1])[::-1]
    f1 = 2 * right / (taken + total)
    lower = np.r_[0.0, values[:-1]]
    # Nothing lies below a score of 0.
    possible = lower < values
    best = np.flatnonzero(possible & (f1 >= f1[possible].max() * (1 - 1e-12)))
    places = np.where((lower[best] <= HALF) & (values[best] > HALF), HALF, (lower[best] + values[best]) / 2)
    return float(places[np.abs(places - HALF).argmin()])


def threshold_scores(
    true: NDArray[Any], scores: NDArray[Any], threshold: float, *, seed: int, resamples: int = 1000
) -> dict[str, Interval | None]:
    """What taking the second class above a threshold reaches.

    Args:
        true: class indices (n,), 0 or 1.
        scores: probabilities of class 1 (n,).
        threshold: above it an example counts as class 1.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
    """
    taken = (scores > threshold).astype(np.int64)
    rng, top = np.random.default_rng(seed), np.ones(len(true), bool)
    confusion = np.bincount(true * 2 + taken, minlength=4).reshape(2, 2)
    predicted, support = confusion.sum(axis=0)[None], confusion.sum(axis=1)[None]
    value = of_positive(from_counts(np.diag(confusion)[None], predicted, support))
    drawn = of_positive(resampled_counts(rng, true, taken, top, 2, resamples))
    return {name: interval_or_none(value[name][0], drawn[name]) for name in SHOWN}
