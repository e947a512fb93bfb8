"""Labels of new inputs: where they stand in tables and folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli.columns import Column, ColumnKind
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.tables.files import suggest
from bigmodel_cli.data.tables.label_targets import SEPARATOR
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.inputs.label_values import Found, LabelValues

_NAMED_CLASSES_ONLY = ("csv", "parquet", "text_folder")
"""Sources whose classes have names of their own: a 1 in their tables is no place among the classes."""


@dataclass(frozen=True)
class Labels:
    """How labels are read.

    Attributes:
        spec: of the data that the run was trained on.
        choices: columns that may hold them, the likelier ones first.
        remedy: what to do about inputs without labels, for messages.
        separator: between several labels in a cell.
        by: further columns that are wanted where they are there.
        asked: whether the user named the columns.
    """

    spec: DataSpec
    choices: tuple[tuple[str, ...], ...]
    remedy: str
    separator: str = SEPARATOR
    by: tuple[str, ...] = ()
    asked: bool = False

    @cached_property
    def values(self) -> LabelValues:
        """What single labels are."""
        return LabelValues(self.spec, self.separator)

    @classmethod
    def of(
        cls,
        spec: DataSpec,
        parameters: Mapping[str, Any],
        remedy: str,
        asked: Sequence[str] = (),
        by: Sequence[str] = (),
    ) -> Labels:
        """As the dataset in training had them.

        Args:
            spec: of the data.
            parameters: of the dataset.
            remedy: see above.
            asked: columns that the user names; empty for those of training.
            by: see above.

        Raises:
            UsageError: the task has no such labels, or needs another number of columns.
        """
        if spec.task not in ("classification", "multi_label", "regression"):
            raise UsageError(
                f"{spec.name}: labels of new inputs are read for classification, multi_label and regression, "
                f"not for {spec.task}"
            )
        if asked:
            if len(asked) not in ((1,) if spec.task == "classification" else (1, spec.outputs)):
                raise UsageError(
                    f"--target {' '.join(asked)}: {len(asked)} columns for {spec.outputs} "
                    f"{'classes: name one' if spec.task == 'classification' else f'{spec.task} targets'}"
                )
            asked = _in_order(spec, asked)
        choices = _choices(spec, parameters, asked)
        separator = parameters.get("label_separator") or SEPARATOR
        return cls(spec, choices, remedy, separator, tuple(by), bool(asked))

    def columns(self, head: Sequence[str], place: str) -> list[Column]:
        """The columns to read beside the inputs.

        Args:
            head: all columns of a table; empty where they are not known.
            place: of the table, for messages.

        Raises:
            DataError: a table without labels.
        """
        target = self.in_head(head, place)
        if self.spec.task == "regression" and len(target) < self.spec.outputs:
            raise DataError(
                f"{place}: the labels are {self.spec.outputs} numbers, and `{target[0]}` is one column; name "
                f"all by --target: those of {', '.join(self.spec.target.names)}"
            )
        kind: ColumnKind = "categorical"
        if self.spec.task == "regression":
            kind = "numeric"
        elif self.spec.task == "multi_label" and len(target) > 1:
            kind = "boolean"
        inputs = set(self.spec.input.names)
        by = [name for name in self.by if name in head and name not in inputs and name not in target]
        return [*(Column(name, kind) for name in target), *(Column(name, "categorical") for name in by)]

    def in_head(self, head: Sequence[str], place: str) -> tuple[str, ...]:
        """The label's columns among those of a table.

        Raises:
            DataError: there are none.
        """
        # Of JSON lines nothing is known where the first line cannot be read.
        fitting = (names for names in self.choices if not head or set(names) <= set(head))
        found = next(fitting, None)
        if found is None:
            first = self.choices[0]
            missing = [name for name in first if name not in head]
            many = len(missing) > 1
            raise DataError(
                f"{place}: there {'are' if many else 'is'} no column{'s' if many else ''} "
                f"{', '.join(f'`{name}`' for name in missing[:8])} with the labels; "
                f"{suggest(missing[0], head)}; {self.remedy}"
            )
        return found

    def of_cells(
        self, ids: Sequence[str], read: np.ndarray, cells: Mapping[str, np.ndarray], unfit: Sequence[str]
    ) -> tuple[np.ndarray, list[str], dict[str, np.ndarray]]:
        """Targets, why they are not known, and the columns beside, of all rows.

        Args:
            ids: of all rows.
            read: positions of the readable rows (m,).
            cells: of these: raw cells (m,) of the columns of `columns`.
            unfit: what is wrong with a cell, one for each id.
        """
        # What is there are the columns of the labels, and those that are wanted besides.
        names = self.in_head([*cells], "")
        errors = list(unfit)
        known = np.array([not errors[place] for place in read], bool)
        targets, found = self._of_columns([ids[place] for place in read], [cells[name] for name in names])
        whole = np.zeros((len(ids), *targets.shape[1:]), targets.dtype)
        whole[read[known]] = targets[known]
        for place, error in zip(read, found, strict=True):
            errors[place] = errors[place] or error
        beside = {}
        for name in self.by:
            if name in cells:
                values = cells[name]
                texts = values.dtype.kind == "O"
                beside[name] = np.full(len(ids), "" if texts else np.nan, object if texts else values.dtype)
                beside[name][read] = [cell.decode() for cell in values] if texts else values
        return whole, errors, beside

    def of_folders(self, ids: Sequence[str], folders: Sequence[str]) -> Found:
        """Targets of files, by the folders of the classes that they lie in; empty for none."""
        return self.values.classes(ids, folders, indices=False)

    def require_folders(self, folder: Path) -> None:
        """Make sure that a folder holds folders of classes.

        Raises:
            DataError: none of them is named as a class of the run, or the task has no classes.
        """
        if self.spec.task != "classification":
            instead = "an .npz file with `inputs` and `targets`"
            raise DataError(
                f"{folder}: folders of classes are for classification, and this run is for {self.spec.task}; "
                f"give {instead if self.spec.input.kind == 'image' else 'a table'}"
            )
        inside = sorted(item.name for item in folder.iterdir() if item.is_dir())
        if not any(self.values.index(name, indices=False) is not None for name in inside):
            raise DataError(
                f"{folder}: holds no folder that is named as a class of this run "
                f"({', '.join(self.spec.target.names[:8])}{', ...' if self.spec.outputs > 8 else ''}); "
                f"it holds {', '.join(inside[:8]) or 'no folders'}{', ...' if len(inside) > 8 else ''}; "
                f"{self.remedy}"
            )

    def _of_columns(self, ids: Sequence[str], cells: Sequence[np.ndarray]) -> Found:
        if self.spec.task == "regression":
            return self.values.numbers(ids, np.stack(cells, axis=-1))
        if self.spec.task == "multi_label" and len(cells) > 1:
            return self.values.flags(ids, np.stack(cells, axis=-1))
        texts = [cell.decode() for cell in cells[0]]
        if self.spec.task == "multi_label":
            return self.values.sets(ids, texts)
        return self.values.classes(ids, texts, indices=self.spec.name not in _NAMED_CLASSES_ONLY)


def _in_order(spec: DataSpec, asked: Sequence[str]) -> Sequence[str]:
    """Columns in the order of the run's labels or targets: by their names where they have these names.

    Raises:
        UsageError: some of them are named so, others are not.
    """
    names = spec.target.names
    if spec.task == "classification" or len(asked) == 1 or not set(asked) & set(names):
        return asked
    if set(asked) != set(names):
        raise UsageError(
            f"--target {' '.join(asked)}: the run's own are {', '.join(names)}; name these, or other columns "
            "in this order"
        )
    return names


def _choices(
    spec: DataSpec, parameters: Mapping[str, Any], asked: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    given: Any = asked or parameters.get("target")
    if given:
        return ((given,) if isinstance(given, str) else tuple(str(name) for name in given),)
    several = spec.task == "regression" and spec.outputs > 1
    single = [] if several else [("target",), ("label",), ("class",)]
    # The classes of a classification are no columns.
    own = [] if spec.task == "classification" else [spec.target.names]
    return (*single, *own)
