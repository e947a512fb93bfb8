"""Bins of histograms."""

from __future__ import annotations

import math

import numpy as np

from bigmodel_cli.plots.style import Array


def whole(values: Array, bins: int) -> Array:
    """Edges of about so many bins that hold as many whole numbers each: others draw a comb."""
    low, high = float(values.min()), float(values.max())
    step = max(1, round((high - low + 1) / bins))
    return low - 0.5 + step * np.arange(math.ceil((high - low + 1) / step) + 1)


def count(values: Array) -> int:
    """Not "auto": one outlier would ask for millions of bins, and rounding alone has no width for any."""
    if not len(values) or np.ptp(values) <= 1e-6 * np.abs(values).max():
        return 1
    return int(np.clip(math.sqrt(len(values)), 8, 40))
