"""Areas under the ROC and the precision-recall curve: how a probability orders the examples.

Up to `EXACT` probabilities the resamples are measured one by one. Of more, the score's first-order expansion
in the weights of the examples is resampled instead, which is a mean (the infinitesimal jackknife: Efron, The
Jackknife, the Bootstrap and Other Resampling Plans, 1982, ch. 6; for the area it is that of DeLong et al.,
Comparing the Areas under Two or More Correlated Receiver Operating Characteristic Curves, 1988): with so many
examples the two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.intervals import BLOCK, Floats, mean_of_defined, resampled_means

EXACT = 200_000
"""Examples times classes up to which every resample is measured."""

Mask = NDArray[np.bool_]
Weighing = Callable[[NDArray[np.float32]], Floats]
"""Weights of the examples (n, resamples) -> a score (resamples,), NaN where a kind has no weight."""


def roc_auc(positive: Mask, scores: NDArray[Any]) -> float:
    """Probability that a positive example has a higher score than a negative one; ties count half.

    Args:
        positive: (n,).
        scores: (n,), finite.

    Returns:
        0 to 1; NaN without a positive or without a negative example.
    """
    inside, outside = np.sort(scores[positive]), np.sort(scores[~positive])
    if not inside.size or not outside.size:
        return float("nan")
    return float(_share_below(outside, inside).mean())


def average_precision(positive: Mask, scores: NDArray[Any]) -> float:
    """Mean of the precision at every positive example's score, as scikit-learn has it.

    Args:
        positive: (n,).
        scores: (n,), finite.

    Returns:
        0 to 1; NaN without a positive example.
    """
    if not positive.any():
        return float("nan")
    right, taken = _above(positive, scores)
    return float((right / taken).mean())


def macro_roc_auc(true: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Unweighted mean of `roc_auc` of each class against all others.

    Args:
        true: class indices (n,).
        probabilities: (n, classes).

    Returns:
        0 to 1; NaN where no class has both. Classes without examples are left out.
    """
    areas = [roc_auc(true == index, probabilities[:, index]) for index in range(probabilities.shape[1])]
    return float(mean_of_defined(np.asarray([areas]))[0])


def resampled_areas(
    rng: np.random.Generator, positive: Mask, scores: NDArray[Any], resamples: int
) -> dict[str, Floats]:
    """`roc_auc` and `average_precision` (resamples,) of resamples of the examples; NaN where undefined.

    Args:
        rng: of the draw.
        positive: (n,), of both kinds.
        scores: (n,).
        resamples: how many.
    """
    if len(positive) > EXACT:
        columns = np.stack(
            [_area_influence(positive, scores), _precision_influence(positive, scores)], axis=1
        )
        values = np.array([roc_auc(positive, scores), average_precision(positive, scores)])
        drawn = np.clip(values + resampled_means(rng, columns, resamples), 0, 1)
        return {"roc_auc": drawn[:, 0], "average_precision": drawn[:, 1]}
    area, precision = weighed_area(positive, scores), weighed_precision(positive, scores)
    found = [(area(times), precision(times)) for times in _times(rng, len(positive), resamples)]
    areas, precisions = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return {"roc_auc": areas, "average_precision": precisions}


def resampled_macro_areas(
    rng: np.random.Generator, true: NDArray[Any], probabilities: NDArray[Any], resamples: int
) -> Floats:
    """`macro_roc_auc` (resamples,) of resamples of the examples; NaN where undefined."""
    n, k = probabilities.shape
    present = [index for index in np.unique(true) if (true != index).any()]
    if n * k > EXACT:
        influence = sum(_area_influence(true == index, probabilities[:, index]) for index in present)
        drawn = resampled_means(rng, np.asarray(influence)[:, None] / len(present), resamples)[:, 0]
        return np.asarray(np.clip(macro_roc_auc(true, probabilities) + drawn, 0, 1))
    areas = [weighed_area(true == index, probabilities[:, index]) for index in present]
    return np.concatenate(
        [
            mean_of_defined(np.stack([area(times) for area in areas], axis=1))
            for times in _times(rng, n, resamples)
        ]
    )


def weighed_area(positive: Mask, scores: NDArray[Any]) -> Weighing:
    """What gives the area under the ROC curve of weighed examples.

    Neighbours in the order that are all positive, or all negative, are weighed together: which of them is
    first makes no difference.
    """
    order = np.argsort(scores, kind="stable")
    group = np.cumsum(np.diff(scores[order], prepend=scores[order[:1]]) != 0)
    ups = np.bincount(group, positive[order])
    downs = np.bincount(group) - ups
    kind = np.where(ups == 0, 0, np.where(downs == 0, 1, 2))
    begins = np.r_[True, (kind[1:] != kind[:-1]) | (kind[1:] == 2)]
    block = (np.cumsum(begins) - 1)[group]
    above = _sums(block, positive[order], order, len(scores))
    below = _sums(block, ~positive[order], order, len(scores))

    def area(times: NDArray[np.float32]) -> Floats:
        inside, outside = above @ times, below @ times
        total = inside.sum(axis=0, dtype=np.float64) * outside.sum(axis=0, dtype=np.float64)
        lower = np.cumsum(outside, axis=0)
        lower -= outside / 2
        with np.errstate(invalid="ignore"):
            return np.asarray(np.einsum("br,br->r", inside, lower).astype(np.float64) / total)

    return area


def weighed_precision(positive: Mask, scores: NDArray[Any]) -> Weighing:
    """What gives the average precision of weighed examples."""
    order = np.argsort(-scores, kind="stable")
    group = np.cumsum(np.diff(scores[order], prepend=scores[order[:1]]) != 0)
    # A group of equal scores counts with the first at or after it that has a positive; after the last of
    # these nothing counts.
    with_positive = np.bincount(group, positive[order]) > 0
    block: NDArray[np.int64] = np.asarray(np.cumsum(with_positive) - with_positive)[group]
    kept = block < with_positive.sum()
    order, block = order[kept], block[kept]
    ups = _sums(block, positive[order], order, len(scores))
    everything = _sums(block, np.ones(len(order), bool), order, len(scores))

    def precision(times: NDArray[np.float32]) -> Floats:
        right = ups @ times
        taken = np.cumsum(everything @ times, axis=0)
        share = np.cumsum(right, axis=0) / np.maximum(taken, 1)
        total = right.sum(axis=0, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.einsum("br,br->r", right, share).astype(np.float64) / total)

    return precision


def _times(rng: np.random.Generator, n: int, resamples: int) -> Iterator[NDArray[np.float32]]:
    """How often each of n examples is in each resample, (n, resamples), block by block."""
    step = max(1, BLOCK // n)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        rows = [np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float32) for _ in range(count)]
        yield np.ascontiguousarray(np.stack(rows).T)


def _sums(block: NDArray[Any], chosen: Mask, order: NDArray[Any], n: int) -> Any:
    """A sparse matrix (blocks, n) that adds up the weights of the chosen examples of each block."""
    from scipy import sparse

    rows, columns = block[chosen], order[chosen]
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (int(block[-1]) + 1, n))


def _share_below(others: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Share of the sorted others below each score, equal ones by half: (n,)."""
    below = np.searchsorted(others, scores, side="left")
    return np.asarray((below + np.searchsorted(others, scores, side="right")) / (2 * len(others)))


def _above(positive: Mask, scores: NDArray[Any]) -> tuple[Floats, Floats]:
    """At each positive's score: positives, and examples, with at least that score; (positives,) each."""
    own = scores[positive]
    inside, everything = np.sort(own), np.sort(scores)
    right = len(inside) - np.searchsorted(inside, own, side="left")
    return right.astype(np.float64), (len(scores) - np.searchsorted(everything, own)).astype(np.float64)


def _area_influence(positive: Mask, scores: NDArray[Any]) -> Floats:
    """Derivative of the area in each example's weight, times n: (n,), of mean 0."""
    n, found = len(scores), np.empty(len(scores))
    inside, outside = scores[positive], scores[~positive]
    above = _share_below(np.sort(outside), inside)
    below = 1 - _share_below(np.sort(inside), outside)
    found[positive] = (above - above.mean()) * n / len(inside)
    found[~positive] = (below - below.mean()) * n / len(outside)
    return found


def _precision_influence(positive: Mask, scores: NDArray[Any]) -> Floats:
    """Derivative of the average precision in each example's weight, times n: (n,), of mean 0.

    With T positives among the N examples at or above a positive's score, the precision there is T / N; one
    more positive above it adds (N - T) / N², one more negative takes T / N².
    """
    own = scores[positive]
    right, taken = _above(positive, scores)
    precision = right / taken
    order = np.argsort(own)
    upto = np.searchsorted(own[order], scores, side="right")

    def summed(values: Floats) -> Floats:
        return np.asarray(np.r_[0.0, np.cumsum(values[order])][upto])

    found = np.where(positive, summed((taken - right) / taken**2), -summed(right / taken**2))
    found[positive] += precision - precision.mean()
    return np.asarray(found * len(scores) / len(own))
