"""What must hold of examples before they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics.intervals import BLOCK


def require_examples(count: int) -> None:
    """Raise DataError unless there is an example."""
    if count == 0:
        raise DataError("there are 0 examples to evaluate: take a split, or data, with at least one")


def require_finite(values: NDArray[Any], what: str) -> None:
    """Raise DataError unless every row (n, ...) holds finite numbers only.

    Args:
        values: (n, ...).
        what: they are, in the plural.
    """
    step = max(1, BLOCK // max(1, values[0].size))
    bad = [
        start + np.flatnonzero(~np.isfinite(values[start : start + step]).all(axis=1))
        for start in range(0, len(values), step)
    ]
    rows = np.concatenate(bad)
    if rows.size:
        cause = (
            "mend the data"
            if what == "targets"
            else "the model diverged or an input is not finite: check the "
            "inputs, or train again with a lower learning rate"
        )
        raise DataError(
            f"{rows.size} of {len(values)} rows of {what} are not finite, the first is row {rows[0]}: {cause}"
        )


def listed(names: Sequence[str], shown: int = 10) -> str:
    """Names in a sentence, the first of them where there are many."""
    left = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {left:,} more" if left > 0 else "")
