"""Partial dependence (Friedman 2001, "Greedy function approximation", section 8.2) with its single rows (ICE;
Goldstein et al. 2015)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.explanation.rows import columns_of, values_of

MOST_ROWS = 1_000
"""Over which the mean is taken: each value of a column costs a prediction of all of them."""
POINTS = 40
"""Values of a number at most."""
CATEGORIES = 12
"""Values of a category at most, the most frequent ones."""
_ROWS_A_CALL = 8192
_EDGE = 0.05
"""Share of the rows beyond either end of a grid: there are too few to say anything."""


@dataclass(frozen=True)
class Dependence:
    """How a model's outputs go with one column.

    Attributes:
        name: of the column.
        grid: its values, (points,): float64, or texts.
        lines: (rows, points, outputs) float32: what the model says of each row with each value.
        kind: `number`, `category` or `date` (seconds since 1970).
    """

    name: str
    grid: np.ndarray
    lines: np.ndarray
    kind: str

    @property
    def mean(self) -> np.ndarray:
        """The partial dependence, (points, outputs) float64."""
        return np.asarray(self.lines.mean(axis=0, dtype=np.float64))

    def spread(self, index: int | None) -> float:
        """How much the mean varies (Greenwell, Boehmke and McCarthy 2018, section 2.2): by it columns are
        ranked.

        The standard deviation of a number's line, a quarter of the range of a category's; the largest of the
        outputs where none is named.
        """
        mean = self.mean if index is None else self.mean[:, index : index + 1]
        if len(mean) < 2:
            return 0.0
        each = np.ptp(mean, axis=0) / 4 if self.kind == "category" else mean.std(axis=0, ddof=1)
        return float(each.max())


def dependences(predict: Callable[[Any], np.ndarray], values: Any, spec: DataSpec) -> list[Dependence]:
    """Give all rows one value of a column after the other, and take the mean of what the model says.

    Args:
        predict: what the model takes -> probabilities or values (n, outputs).
        values: rows, as the model takes them; the first `MOST_ROWS` count.
        spec: of the data: vectors or a table.

    Returns:
        One for each column that has at least one known value, texts and images aside; those that vary most
        first.
    """
    columns = {name: cells[:MOST_ROWS] for name, cells in columns_of(values, spec).items()}
    kinds = {column.name: column.kind for column in spec.input.columns}
    found = []
    for name in columns:
        kind = kinds.get(name, "numeric")
        if kind not in ("text", "image") and len(cells := grid(columns[name], kind)):
            found.append(_dependence(predict, columns, name, cells, kind, spec))
    return sorted(found, key=lambda item: -item.spread(None))


def grid(cells: np.ndarray, kind: str) -> np.ndarray:
    """The values that a column is given: evenly spaced, those of the data where they are few, or categories.

    Args:
        cells: (n,) raw ones; missing cells do not count.
        kind: of the column, see `columns.ColumnKind`.
    """
    if kind == "categorical":
        counted = Counter(cell for cell in cells.tolist() if cell not in (b"", ""))
        known = np.empty(min(len(counted), CATEGORIES), object)
        known[:] = sorted((cell for cell, _ in counted.most_common(CATEGORIES)), key=_order)
        return known
    known = cells[cells != MISSING_DATE] if kind == "date" else cells[np.isfinite(cells)]
    distinct = np.unique(known)
    if len(distinct) <= POINTS:
        return distinct
    low, high = np.quantile(known.astype(np.float64), [_EDGE, 1 - _EDGE])
    return np.linspace(low, high, POINTS).astype(cells.dtype)


def _order(category: bytes) -> tuple[float, bytes]:
    """Numbers among the categories stand in their order, then the others in that of the alphabet."""
    try:
        return float(category), category
    except ValueError:
        return math.inf, category


def _dependence(
    predict: Callable[[Any], np.ndarray],
    columns: Mapping[str, np.ndarray],
    name: str,
    cells: np.ndarray,
    kind: str,
    spec: DataSpec,
) -> Dependence:
    rows = len(columns[name])
    lines = []
    # Several values at a time: a call costs more than the rows of a small table.
    size = max(1, _ROWS_A_CALL // rows)
    for start in range(0, len(cells), size):
        some = cells[start : start + size]
        given = {other: np.concatenate([values] * len(some)) for other, values in columns.items()}
        given[name] = np.repeat(some, rows).astype(columns[name].dtype)
        lines.append(predict(values_of(given, spec)).reshape(len(some), rows, -1))
    shown = {"categorical": "category", "boolean": "category", "date": "date"}.get(kind, "number")
    if kind == "categorical":
        values = np.array([cell.decode("utf-8", "replace") for cell in cells.tolist()])
    elif kind == "boolean":
        values = np.array(["yes" if cell else "no" for cell in cells.tolist()])
    else:
        values = cells.astype(np.float64)
    return Dependence(name, values, np.concatenate(lines).transpose(1, 0, 2), shown)
