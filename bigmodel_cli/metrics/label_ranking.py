"""How well scores put what is relevant above what is not, whatever the threshold: areas under curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.intervals import Floats


class Ranking:
    """Items ranked by each column of scores; equal scores share a rank."""

    def __init__(self, relevant: NDArray[Any], scores: NDArray[np.floating[Any]]):
        """Sort once, so that any weights of the items are measured quickly.

        Args:
            relevant: (items, columns) of 0 and 1.
            scores: (items, columns); the highest comes first.
        """
        # A column after the other in one row: what is done for a resample runs over memory in order.
        rows = np.ascontiguousarray(scores.T)
        order = np.argsort(-rows, axis=1, kind="stable")
        ranked = np.take_along_axis(rows, order, axis=1)
        first = np.ones(rows.shape, bool)
        first[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
        self._item = order.ravel()
        self._relevant = np.take_along_axis(np.asarray(relevant.T, np.float64), order, axis=1).ravel()
        # Equal scores are a group: a threshold takes all of them or none.
        self._groups = np.flatnonzero(first)
        self._columns = np.searchsorted(self._groups, np.arange(len(rows)) * len(scores))
        self._column = np.repeat(np.arange(len(rows)), np.diff(self._columns, append=len(self._groups)))

    def areas(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """The area under the ROC curve and the average precision of each column, (columns,) each.

        The area is the chance that a relevant item stands above another one, ties counting half (Hanley and
        McNeil, Radiology 143, 1982); the average precision is the mean, over the relevant items, of the share
        of relevant ones among those that do not stand below (as scikit-learn has both). NaN where there is
        nothing relevant, and for the first of the two where there is nothing else.

        Args:
            weights: of the items, (items,), such as how often each is in a resample; None for 1.
        """
        weight = np.ones(len(self._item)) if weights is None else weights[self._item]
        positive = np.add.reduceat(weight * self._relevant, self._groups)
        others = np.add.reduceat(weight, self._groups) - positive
        relevant = np.add.reduceat(positive, self._columns)
        rest = np.add.reduceat(others, self._columns)
        reached = self._summed(positive, relevant)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = positive * reached / (reached + self._summed(others, rest))
            # A group of weight 0 is in no resample.
            share[positive == 0] = 0
            precision = np.add.reduceat(share, self._columns) / relevant
            above = np.add.reduceat(others * (reached - positive / 2), self._columns)
            area = above / (relevant * rest)
        return area, precision

    def _summed(self, values: Floats, sums: Floats) -> Floats:
        """Of each group, the sum of its column's values up to and with it."""
        start = np.cumsum(sums) - sums
        summed: Floats = np.cumsum(values) - start[self._column]
        return summed
