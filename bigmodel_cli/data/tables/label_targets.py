"""Targets of a table that are labels, of which a row may have any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables.targets import Found, kept_rows, require_present
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SEPARATOR = "|"
"""Between the labels of a cell, unless the config says otherwise."""

MOST_LABELS = 10_000


class FlagTargets:
    """Labels with a column each, which says whether a row has it; a `targets.Targets`."""

    def __init__(self, names: Sequence[str]):
        """Begin without rows.

        Args:
            names: of the columns, which are those of the labels.
        """
        self._names = names
        self._found: dict[str, list[np.ndarray]] = {}

    def start(self, base: str) -> None:
        """Begin a base split."""
        self._base = self._found[base] = []

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it, read as booleans: 0, 1 or null."""
        import numpy as np
        import pyarrow.compute as pc

        columns = [pc.fill_null(cells[name], np.nan).to_numpy(zero_copy_only=False) for name in self._names]
        self._base.append(np.stack(columns, axis=-1).astype(np.float32))

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """Labels (n, labels) float32, each 0 or 1, of the rows kept."""
        import numpy as np

        found = {base: kept_rows(np.concatenate(parts), kept[base]) for base, parts in self._found.items()}
        for index, name in enumerate(self._names):
            missing = sum(int(np.isnan(values[:, index]).sum()) for values in found.values())
            require_present(name, missing, found)
        return Found("multi_label", found, tuple(self._names))


class LabelSetTargets:
    """Labels that stand together in the cells of one column, such as `comedy|drama`; a `targets.Targets`.

    A row whose cell is empty has no label.
    """

    def __init__(self, name: str, separator: str):
        """Begin without rows.

        Args:
            name: of the column.
            separator: between labels; white space around them is no part of them.
        """
        self._name, self._separator = name, separator
        self._sets: dict[str | None, int] = {}
        self._found: dict[str, list[np.ndarray]] = {}

    def start(self, base: str) -> None:
        """Begin a base split."""
        self._base = self._found[base] = []

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it, read as categories."""
        import numpy as np
        import pyarrow.compute as pc

        # Rows with the same labels are looked at once.
        encoded = cells[self._name].dictionary_encode()
        codes = [self._sets.setdefault(text, len(self._sets)) for text in encoded.dictionary.to_pylist()]
        empty = self._sets.setdefault(None, len(self._sets))
        places = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        self._base.append(np.array([*codes, empty], np.int64)[places])

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """Labels (n, labels) float32, each 0 or 1, of the rows kept; in the order of the alphabet.

        Raises:
            DataError: no cell has two labels, or there are too many of them.
        """
        import numpy as np

        found = {base: kept_rows(np.concatenate(parts), kept[base]) for base, parts in self._found.items()}
        used = set(np.unique(np.concatenate([*found.values()])).tolist())
        sets = [self._labels(text) if code in used else () for text, code in self._sets.items()]
        names = tuple(sorted({label for labels in sets for label in labels}))
        if not any(len(labels) > 1 for labels in sets):
            raise DataError(
                f"dataset.label_separator: no cell of `{self._name}` holds two labels with "
                f"{cell_forms.quoted(self._separator)} between them; give the separator that is there, or "
                "use the task `classification`"
            )
        if len(names) > MOST_LABELS:
            raise DataError(
                f"dataset.target: `{self._name}` holds {len(names):,} different labels, more than "
                f"{MOST_LABELS:,}; name another column"
            )
        place = {name: index for index, name in enumerate(names)}
        flags = np.zeros((len(sets), len(names)), np.float32)
        for row, labels in enumerate(sets):
            flags[row, [place[label] for label in labels]] = 1
        values = {base: flags[codes] for base, codes in found.items()}
        remark = (
            f"target: `{self._name}` holds {len(names):,} different labels, "
            f"{cell_forms.quoted(self._separator)} between them"
        )
        if without := sum(int((~rows.any(axis=1)).sum()) for rows in values.values()):
            remark += f"; {without:,} rows have none"
        return Found("multi_label", values, names, remark)

    def _labels(self, text: str | None) -> tuple[str, ...]:
        parts = (text or "").split(self._separator)
        return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
