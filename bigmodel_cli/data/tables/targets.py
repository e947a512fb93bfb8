"""Targets of a table, gathered while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bigmodel_cli.contracts import OneOfSeveral, Task
from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

INTEGER_CLASSES = 20
"""Whole numbers as a target are classes up to so many different ones."""

MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Found:
    """Targets of a table.

    Attributes:
        task: what they are for.
        values: of each base split: class indices (n,) int32, labels (n, labels) float32 of 0 and 1, or values
            (n, targets) float32, of several tasks class indices among them.
        names: of classes or labels, or of the targets.
        remark: why they were taken for classes or not, where that was judged; else empty.
        tasks: of several tasks each one; else empty.
    """

    task: Task
    values: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    remark: str = ""
    tasks: tuple[OneOfSeveral, ...] = ()


class Targets(Protocol):
    """Gathers the targets, base split after base split."""

    def start(self, base: str) -> None:
        """Begin a base split."""
        ...

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it: column name -> (n,), as `CellReader.read` gives them.

        Raises:
            DataError: too many classes.
        """
        ...

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """All targets of the rows kept.

        Args:
            kept: of each base split, the positions of the rows that stay; None for all.

        Raises:
            DataError: missing targets, or nothing to learn from them.
        """
        ...


class NumberTargets:
    """Targets that are read as numbers."""

    def __init__(self, names: Sequence[str], classes: bool):
        """Begin without rows.

        Args:
            names: of the columns.
            classes: whether they become classes if there are few different ones, all whole.
        """
        self._names, self._classes = names, classes
        self._found: dict[str, list[np.ndarray]] = {}

    def start(self, base: str) -> None:
        """Begin a base split."""
        self._base = self._found[base] = []

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it."""
        import numpy as np
        import pyarrow.compute as pc

        columns = [pc.fill_null(cells[name], np.nan).to_numpy(zero_copy_only=False) for name in self._names]
        self._base.append(np.stack(columns, axis=-1))

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """All targets of the rows kept."""
        import numpy as np

        found = {base: kept_rows(np.concatenate(parts), kept[base]) for base, parts in self._found.items()}
        for index, name in enumerate(self._names):
            require_present(
                name, sum(int(np.isnan(values[:, index]).sum()) for values in found.values()), found
            )
        every = np.concatenate([*found.values()])
        for index, name in enumerate(self._names):
            if (every[:, index] == every[0, index]).all():
                raise _constant(name, f"{every[0, index]:g}")
        remark = ""
        if self._classes:
            numbers = np.unique(every)
            if len(numbers) <= INTEGER_CLASSES and (numbers == np.floor(numbers)).all():
                classes = {
                    base: np.searchsorted(numbers, values[:, 0]).astype(np.int32)
                    for base, values in found.items()
                }
                remark = (
                    f"target: `{self._names[0]}` has {len(numbers)} different whole numbers, so it is a "
                    "classification; to predict the number: dataset.task: regression"
                )
                return Found("classification", classes, tuple(cell_forms.number_texts(numbers)), remark)
            remark = (
                f"target: `{self._names[0]}` has {len(numbers):,} different whole numbers, so it is a "
                "regression; to predict classes: dataset.task: classification"
            )
        values = {base: numbers.astype(np.float32) for base, numbers in found.items()}
        return Found("regression", values, tuple(self._names), remark)


class LabelTargets:
    """A target whose values are classes."""

    def __init__(self, name: str, reader: CellReader):
        self._name, self._reader = name, reader
        self._codes: dict[str, int] = {}
        self._found: dict[str, list[np.ndarray]] = {}

    def start(self, base: str) -> None:
        """Begin a base split."""
        self._base = self._found[base] = []

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it."""
        import numpy as np
        import pyarrow.compute as pc

        encoded = cells[self._name].dictionary_encode()
        codes = [self._codes.setdefault(text, len(self._codes)) for text in encoded.dictionary.to_pylist()]
        if len(self._codes) > MOST_CLASSES:
            raise DataError(
                f"dataset.target: `{self._name}` has more than {MOST_CLASSES:,} different values, too "
                "many for "
                "classes; name another column"
            )
        # A missing target is -1, which the last place of the array stands for.
        places = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        self._base.append(np.array([*codes, -1], np.int32)[places])

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """All targets of the rows kept."""
        import numpy as np

        found = {base: kept_rows(np.concatenate(parts), kept[base]) for base, parts in self._found.items()}
        require_present(self._name, sum(int((codes < 0).sum()) for codes in found.values()), found)
        used = np.unique(np.concatenate([*found.values()]))
        texts = list(self._codes)
        names, order = self._sorted([texts[code] for code in used])
        count = sum(map(len, found.values()))
        if len(names) == 1:
            raise _constant(self._name, names[0])
        if len(names) == count and count > 2:
            raise DataError(
                f"dataset.target: all {count:,} values of `{self._name}` are different, so they cannot "
                "be classes; "
                "name another column"
            )
        recode = np.full(len(texts), -1, np.int32)
        recode[used] = order
        classes = {base: recode[codes] for base, codes in found.items()}
        return Found("classification", classes, names)

    def _sorted(self, texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the classes in order, and the place of each text in them; 1 and 1.0 are the same class."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        strings = pa.array(texts, pa.string())
        values, bad = self._reader.read(strings, "numeric")
        codes = pc.any(pc.match_substring_regex(strings, r"^[+-]?0\d")).as_py()
        if bad is None and values.null_count == 0 and not codes:
            numbers, order = np.unique(values.to_numpy(zero_copy_only=False), return_inverse=True)
            return tuple(cell_forms.number_texts(numbers)), order
        names = tuple(sorted(texts))
        places = {name: place for place, name in enumerate(names)}
        return names, np.array([places[text] for text in texts])


class TextTargets:
    """A column of text that a language model learns: its targets are known behind the preparation."""

    def __init__(self, name: str, task: Task):
        self._name, self._task = name, task
        self._missing: dict[str, list[np.ndarray]] = {}

    def start(self, base: str) -> None:
        """Begin a base split."""
        self._base = self._missing[base] = []

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it."""
        self._base.append(cells[self._name].is_null().to_numpy(zero_copy_only=False))

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """A zero (n,) int32 for each of the rows kept."""
        import numpy as np

        found = {base: kept_rows(np.concatenate(parts), kept[base]) for base, parts in self._missing.items()}
        require_present(self._name, sum(int(gone.sum()) for gone in found.values()), found)
        return Found(self._task, {base: np.zeros(len(gone), np.int32) for base, gone in found.items()}, ())


def kept_rows(values: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Those at the positions kept, (m,); all where that is None."""
    return values if kept is None else values[kept]


def require_present(name: str, missing: int, found: Mapping[str, np.ndarray]) -> None:
    """Raise DataError unless no target of the column is missing in the base splits' rows."""
    if missing:
        total = sum(map(len, found.values()))
        raise DataError(
            f"dataset.target: `{name}` is missing in {missing:,} of {total:,} rows; to drop these rows: "
            "dataset.drop_missing: target"
        )


def _constant(name: str, value: str) -> DataError:
    return DataError(
        f"dataset.target: `{name}` is {cell_forms.quoted(value)} in every row; there is nothing to "
        "learn, name another column"
    )
