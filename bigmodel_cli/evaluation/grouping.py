"""Which examples belong together: by their class, or by a column of the data, whether an input or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError, UsageError

TRUE_CLASS = "class"
FEW = 10
"""Different numbers up to which each is a group of its own; more become quartiles."""
MANY = 200
"""Different texts from which on a column is no grouping."""

Members = tuple[list[str], np.ndarray]
"""Names of groups, and the index of each example's group (n,)."""


def members(by: str, split: SplitData, spec: DataSpec, targets: np.ndarray) -> Members:
    """Divide the examples of a split into groups.

    Args:
        by: `class`, or a column.
        split: the examples.
        spec: of the data.
        targets: of the examples.

    Raises:
        UsageError: there is no such column, or it has too many values.
    """
    if by == TRUE_CLASS:
        if spec.task != "classification":
            raise UsageError(f"--by {TRUE_CLASS}: is for one class out of several; name a column")
        return [str(name) for name in spec.target.names], np.asarray(targets, np.int64)
    try:
        read = [split.source.values(part.base, by)[part.indices] for part in split.parts]
    except DataError as error:
        # The source speaks of the key of a config that asks for a column, too.
        reason = str(error).removeprefix("dataset.split_by: ").replace(" to divide by", "")
        classes = f"; `--by {TRUE_CLASS}` takes the true class" if spec.task == "classification" else ""
        raise UsageError(f"--by {by}: {reason}{classes}") from None
    values = np.concatenate(read)
    if values.ndim > 1:
        raise UsageError(f"--by {by}: has several values for each example; name a column with one")
    return of_values(by, values)


def of_values(by: str, values: np.ndarray) -> Members:
    """Groups of equal values; of many different numbers their quartiles.

    Args:
        by: the column, of which they are.
        values: numbers, texts or booleans (n,).

    Raises:
        UsageError: too many different texts.
    """
    if values.dtype.kind in "fiu":
        return _of_numbers(by, values)
    texts = np.array([_text(value) for value in values], object)
    distinct, membership = np.unique(texts, return_inverse=True)
    if len(distinct) > MANY:
        raise UsageError(
            f"--by {by}: has {len(distinct):,} different values in {len(values):,} examples; name a column "
            f"with at most {MANY}"
        )
    return [f"{by} {text}" if text else f"{by} missing" for text in distinct], membership


def _of_numbers(by: str, values: np.ndarray) -> Members:
    dates = values.dtype.kind == "i" and bool((values == MISSING_DATE).any())
    missing = values == MISSING_DATE if dates else ~np.isfinite(values.astype(np.float64))
    present = values[~missing]
    distinct = np.unique(present)
    membership = np.empty(len(values), np.int64)
    if len(distinct) <= FEW:
        names = [f"{by} {_number(value)}" for value in distinct]
        membership[~missing] = np.searchsorted(distinct, present)
    else:
        # Equal numbers stay together, so that quarters may differ in size.
        cuts = np.unique(np.quantile(present, [0.25, 0.5, 0.75], method="inverted_cdf"))
        quarter = np.searchsorted(cuts, present, side="left")
        places, quarter = np.unique(quarter, return_inverse=True)
        names = [_range(by, present[quarter == place]) for place in range(len(places))]
        membership[~missing] = quarter
    membership[missing] = len(names)
    return ([*names, f"{by} missing"] if missing.any() else names), membership


def _range(by: str, values: Sequence[Any] | np.ndarray) -> str:
    return f"{by} {_number(np.min(values))} to {_number(np.max(values))}"


def _number(value: Any) -> str:
    return f"{value:.6g}" if float(value) != int(value) or abs(value) < 1e6 else f"{int(value)}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
