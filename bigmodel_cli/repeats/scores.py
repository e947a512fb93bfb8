"""What several runs say together: mean, deviation and range of each metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Result:
    """How one run of a series came out.

    Attributes:
        label: its folder's name.
        status: of its training; a `reason` says why it does not count.
        reason: why it is left out; None for one that counts.
        best_epoch: from 1; None when no epoch was finished.
        examples: that its metrics were measured on; None where there are none.
        scores: metric -> value; None where it is undefined.
    """

    label: str
    status: str
    reason: str | None
    best_epoch: int | None
    examples: int | None
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class Spread:
    """A metric over the runs that count.

    Attributes:
        mean: of the values that are defined.
        deviation: standard deviation of a single run (n - 1 in the denominator), in units of the metric; None
            for fewer than two values.
        low: the smallest.
        high: the largest.
        count: how many values are defined.
        values: of each run in order; None where it is undefined or the run is left out.
    """

    mean: float
    deviation: float | None
    low: float
    high: float
    count: int
    values: tuple[float | None, ...]


def spreads(results: Sequence[Result]) -> dict[str, Spread]:
    """Each metric of the runs that count; one that is undefined everywhere is missing."""
    names = dict.fromkeys(name for item in results if item.reason is None for name in item.scores)
    found = {}
    for name in names:
        values = tuple(_value(item, name) for item in results)
        known = [value for value in values if value is not None]
        if known:
            found[name] = Spread(
                fmean(known),
                stdev(known) if len(known) > 1 else None,
                min(known),
                max(known),
                len(known),
                values,
            )
    return found


def _value(item: Result, name: str) -> float | None:
    value = item.scores.get(name) if item.reason is None else None
    return None if value is None or not math.isfinite(value) else float(value)


def to_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results as the document of a series holds them."""
    return {
        "scores": {name: asdict(spread) for name, spread in spreads(results).items()},
        "runs": [asdict(item) for item in results],
        "left_out": [item.label for item in results if item.reason is not None],
    }
