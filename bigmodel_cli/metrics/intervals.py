"""A metric's bootstrap interval, and the resampling behind it.

Intervals are percentile intervals over resamples of the examples with replacement (Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, ch. 13): they say how far a metric would move with another
sample of this size, not with another training seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE = 0.95
BLOCK = 4_000_000
"""Numbers worked on at a time, which bounds the memory."""
_ROWS = 20_000  # rows that are resampled one by one; more are grouped


@dataclass(frozen=True)
class Interval:
    """A metric with its 95% bootstrap interval.

    Attributes:
        value: on the examples themselves.
        low: 2.5th percentile of the resamples.
        high: 97.5th percentile of the resamples.
    """

    value: float
    low: float
    high: float


def resampled_means(rng: np.random.Generator, values: Floats, resamples: int) -> Floats:
    """Means (resamples, columns) of resamples of the rows of (n, columns)."""
    sizes = np.ones(len(values))
    if len(values) > _ROWS:
        # Random groups of rows stand for rows: the variance of the mean stays the same in expectation, and
        # its error of 1 / sqrt(2 * _ROWS), half a percent, is below that of 1,000 resamples.
        first = np.linspace(0, len(values), _ROWS, endpoint=False, dtype=np.int64)
        values = np.add.reduceat(values[rng.permutation(len(values))], first, axis=0)
        sizes = np.diff(first, append=len(sizes))
    n = len(values)
    columns = np.column_stack([values, sizes]).T.copy()
    sums = np.empty((resamples, len(columns)))
    for row in sums:
        times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        # Not `@`: the threads that BLAS starts for it cost far more than the product where cores are busy.
        np.einsum("cn,n->c", columns, times, out=row)
    return sums[:, :-1] / sums[:, -1:]


def mean_of_defined(values: Floats) -> Floats:
    """Mean over the columns that are not NaN (rows, columns) -> (rows,); NaN where none is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return mean


def bounds(drawn: Floats) -> Floats:
    """2.5th and 97.5th percentile over the first axis, of the resamples that have a value."""
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    undefined = np.isnan(drawn)
    if not undefined.any():
        return np.percentile(drawn, tails, axis=0)
    if drawn.ndim == 1:
        defined = drawn[~undefined]
        return np.percentile(defined, tails) if defined.size else np.full(2, np.nan)
    return np.stack([bounds(column) for column in drawn.T], axis=1)


def interval_of(value: float, drawn: Floats) -> Interval:
    """A value with the interval that its resamples (resamples,) give; those that are NaN do not count."""
    low, high = bounds(drawn)
    return Interval(float(value), float(low), float(high))


def interval_or_none(value: float, drawn: Floats) -> Interval | None:
    """The same; None for a value that is NaN: undefined."""
    return None if np.isnan(value) else interval_of(value, drawn)


def or_none(value: float) -> float | None:
    """None for NaN: undefined."""
    return None if np.isnan(value) else float(value)
