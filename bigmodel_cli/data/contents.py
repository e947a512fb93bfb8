"""What a sample of examples holds: numbers, categories, texts, in figures for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import MISSING_DATE, Column, ColumnKind
from bigmodel_cli.contracts import Part
from bigmodel_cli.data.splits import SplitData

if TYPE_CHECKING:
    import numpy as np

FREQUENT = 8
"""Values of a column that are named."""


@dataclass(frozen=True)
class Numbers:
    """Numbers in short; those that are not finite do not count.

    Attributes:
        mean: NaN where there are none, as the others.
        deviation: standard deviation of the population.
        low: the smallest.
        high: the largest.
    """

    mean: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Numbers:
        """Of numbers of any shape."""
        import numpy as np

        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if not values.size:
            return cls(*[float("nan")] * 4)
        mean, deviation = (float(find(values, dtype=np.float64)) for find in (np.mean, np.std))
        return cls(mean, deviation, float(values.min()), float(values.max()))


@dataclass(frozen=True)
class ColumnContents:
    """A column in short.

    Attributes:
        name: as in the table's head.
        kind: what its cells are.
        missing: cells without a value.
        distinct: different values.
        numbers: of numeric and boolean columns; of a text, its words; of an image, its pixels; else None.
        earliest: of dates, ISO 8601; else empty.
        latest: likewise.
        frequent: the most frequent categories and how often they occur; booleans likewise; else empty.
    """

    name: str
    kind: ColumnKind
    missing: int
    distinct: int
    numbers: Numbers | None = None
    earliest: str = ""
    latest: str = ""
    frequent: tuple[tuple[str, int], ...] = ()


def picked(split: SplitData, positions: np.ndarray) -> SplitData:
    """Some examples of a split.

    Args:
        split: what to pick from.
        positions: in the split, (n,) int64, ascending and distinct.
    """
    import numpy as np

    parts, start = [], 0
    for part in split.parts:
        inside = positions[(positions >= start) & (positions < start + part.size)] - start
        parts.append(Part(part.base, np.asarray(part.indices[inside])))
        start += part.size
    return replace(split, parts=tuple(part for part in parts if part.size))


def sample(split: SplitData, count: int) -> SplitData:
    """At most `count` examples, evenly spread over a split: sources may be sorted."""
    import numpy as np

    if count >= split.size:
        return split
    return picked(split, np.arange(count, dtype=np.int64) * split.size // count)


def place(split: SplitData, position: int) -> str:
    """Where an example is stored: `train[17]` is number 17, from 0, of the base split `train`."""
    for part in split.parts:
        if position < part.size:
            return f"{part.base}[{part.indices[position]}]"
        position -= part.size
    raise IndexError(f"the {split.name} split has {split.size} examples")


def words(cells: np.ndarray) -> np.ndarray:
    """Words, (n,) int64, of texts (n,) as `bytes`."""
    import numpy as np

    return np.fromiter((len(cell.split()) for cell in cells), np.int64, len(cells))


def present(column: Column, cells: np.ndarray) -> np.ndarray:
    """The cells that are not missing."""
    import numpy as np

    if column.kind == "image":
        return cells
    if column.kind == "date":
        return cells[cells != MISSING_DATE]
    if column.kind in ("categorical", "text"):
        return cells[cells != b""]
    return cells[~np.isnan(cells)]


def column_contents(column: Column, cells: np.ndarray) -> ColumnContents:
    """A column in short.

    Args:
        column: its name and kind.
        cells: raw, (n, *column.shape), as `columns.RAW_DTYPES` says.
    """
    import numpy as np

    values = present(column, cells)
    missing = len(cells) - len(values)
    if column.kind == "categorical":
        counts = Counter(values.tolist())
        # Equally frequent ones in the order of the alphabet.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
        frequent = tuple((value.decode("utf-8", "replace"), count) for value, count in ranked)
        return ColumnContents(column.name, column.kind, missing, len(counts), frequent=frequent)
    if column.kind == "text":
        distinct = len(set(values.tolist()))
        return ColumnContents(column.name, column.kind, missing, distinct, Numbers.of(words(values)))
    if column.kind == "image":
        distinct = len({image.tobytes() for image in values})
        return ColumnContents(column.name, column.kind, missing, distinct, Numbers.of(values))
    distinct = len(np.unique(values))
    if column.kind == "date":
        ends = [iso_date(value) for value in (values.min(), values.max())] if len(values) else ["", ""]
        return ColumnContents(column.name, column.kind, missing, distinct, earliest=ends[0], latest=ends[1])
    frequent = ()
    if column.kind == "boolean":
        yes = int(np.count_nonzero(values))
        both = [("true", yes), ("false", len(values) - yes)]
        frequent = tuple(sorted(((name, count) for name, count in both if count), key=lambda item: -item[1]))
    return ColumnContents(column.name, column.kind, missing, distinct, Numbers.of(values), frequent=frequent)


def iso_date(seconds: Any) -> str:
    """`2024-04-03`, with the time where it is not midnight, of seconds since 1970 (UTC)."""
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        # Python's calendar has the years 1 to 9999.
        return f"{int(seconds):,} s since 1970"
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return text.removesuffix(" 00:00:00")
