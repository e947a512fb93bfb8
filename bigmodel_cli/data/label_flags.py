"""Arrays that say of each example which labels it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import TargetSpec
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np


def label_flags(
    targets: Mapping[str, np.ndarray], names: Sequence[str] | None, places: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], TargetSpec]:
    """Labels (n, labels) float32, each 0 or 1.

    Args:
        targets: base split -> (n, labels); rows without any label are fine.
        names: of the labels, in the order of the columns; None takes their numbers.
        places: base split -> where they come from, for messages.

    Raises:
        DataError: another shape, other values than 0 and 1, or names for other labels.
    """
    import numpy as np

    found = {}
    for base, array in targets.items():
        if array.ndim != 2 or array.dtype.kind not in "buif":
            raise DataError(
                f"dataset.task: {places[base]}: the targets are {array.dtype} {array.shape}, but "
                "`multi_label` needs (examples, labels) of 0 and 1, of at least two labels; for one class an "
                "example use `classification`"
            )
        wrong = (array != 0) & (array != 1)
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            label = names[column] if names is not None and column < len(names) else column
            raise DataError(
                f"dataset.task: {places[base]}: the target of example {row} is {array[row, column]} for the "
                f"label `{label}` (column {column}), but `multi_label` needs 0 or 1; mend it, or use "
                "`regression`"
            )
        found[base] = array.astype(np.float32)
    count = next(iter(found.values())).shape[1]
    chosen = tuple(names) if names is not None else tuple(map(str, range(count)))
    if len(chosen) != count:
        raise DataError(f"dataset.class_names: {len(chosen)} names for the {count} labels of the targets")
    if (double := next((name for name in chosen if chosen.count(name) > 1), None)) is not None:
        raise DataError(f"dataset.class_names: `{double}` is there twice")
    return found, TargetSpec((count,), "float32", chosen)
