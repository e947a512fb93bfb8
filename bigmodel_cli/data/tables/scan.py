"""The one pass over a table in which its columns are understood and every cell is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.columns import Column, ColumnKind
from bigmodel_cli.contracts import LANGUAGE_TASKS, OneOfSeveral, Task
from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.data.tables.column_kinds import FileColumnKind, Inferred, infer
from bigmodel_cli.data.tables.files import Paths, TableFormat, suggest
from bigmodel_cli.data.tables.image_cells import CheckedImages, ImageOptions, folder_of, located
from bigmodel_cli.data.tables.label_targets import SEPARATOR, FlagTargets, LabelSetTargets
from bigmodel_cli.data.tables.several_targets import SeveralTargets, Target
from bigmodel_cli.data.tables.targets import LabelTargets, NumberTargets, Targets, TextTargets
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

AskedTask = Literal[
    "auto", "classification", "multi_label", "regression", "language_model", "masked_language_model"
]  # fmt: skip

LabelSeparator = Annotated[str, Field(min_length=1)]

SAMPLE_ROWS, SAMPLE_BYTES = 100_000, 64 * 2**20
"""What the kinds of columns are inferred from, whichever is reached first."""

SHOWN = 8
"""Names of a list in a note or message."""


@dataclass(frozen=True)
class TableOptions:
    """What a config says of a table, whatever its format.

    Attributes:
        target: its columns.
        columns: declared kinds.
        task: what the target is for.
        drop_missing: `none`, `any` feature or target, `target`, or the columns whose missing cells drop a
            row.
        drop_duplicates: whether rows equal to an earlier one of their base split are dropped.
        reader: how cells are written.
        label_separator: between the labels of a cell, where the one target holds several; None for `|`.
        images: of columns of images.
        several: what is said of each target, where each has a task of its own; else empty.
    """

    target: tuple[str, ...]
    columns: Mapping[str, FileColumnKind] = field(default_factory=dict)
    task: AskedTask = "auto"
    drop_missing: str | tuple[str, ...] = "none"
    drop_duplicates: bool = False
    reader: CellReader = field(default_factory=CellReader)
    label_separator: str | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    several: Mapping[str, Target] = field(default_factory=dict)

    def of(self, name: str) -> TableOptions:
        """Those of one target: of several with a task each, as if it were the only one."""
        if not self.several:
            return self
        return replace(self, target=(name,), task=self.several[name].task, several={})


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
        task: of the target.
        kinds: how each column of the files can be read.
        features: of the columns, in the order of the files; with the shape of images.
        targets: of each base split, for the rows kept: class indices (n,) int32, labels (n, labels) float32
            of 0 and 1, or values (n, targets) float32, of several tasks class indices among them.
        target_names: of classes, labels or targets.
        tasks: of several tasks each one; else empty.
        rows: of each base split, for each of its files.
        kept: of each base split, the positions of the rows that were not dropped, (n,) int64 ascending; None
            where all were kept.
        text_bytes: mean size of the strings of one row, all features together.
        notes: for the user.
        image_stamp: changes when a file of an image does.
    """

    task: Task
    kinds: Mapping[str, ColumnKind]
    features: tuple[Column, ...]
    targets: Mapping[str, np.ndarray]
    target_names: tuple[str, ...]
    tasks: tuple[OneOfSeveral, ...]
    rows: Mapping[str, Sequence[int]]
    kept: Mapping[str, np.ndarray | None]
    text_bytes: float
    notes: tuple[str, ...]
    image_stamp: str


def scan(table: TableFormat, files: Paths, options: TableOptions) -> Scan:
    """Understand and check a table.

    Args:
        table: how its files are read.
        files: at least one for each base split.
        options: what the config says.

    Raises:
        DataError: files that do not belong together, columns that are not there, cells that do not fit.
    """
    return _Scanner(table, files, options).run()


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"


class _Scanner:
    def __init__(self, table: TableFormat, files: Paths, options: TableOptions):
        self._table, self._files, self._options = table, files, options
        self._language = options.task in LANGUAGE_TASKS
        self._notes: list[str] = []
        self._images = CheckedImages(options.images)
        self._types = self._heads()
        self._names = list(self._types)
        self._check_names()
        self._whole: set[str] = set()
        self._kinds: dict[str, ColumnKind] = {}
        self._features: list[str] = []
        self._left_out: list[str] = []
        self._understand()

    def run(self) -> Scan:
        checked = _Features(self._features)
        targets = self._new_targets()
        rows: dict[str, list[int]] = {}
        missing: dict[str, list[np.ndarray]] = {}
        hashes: dict[str, list[np.ndarray]] = {}
        for base, paths in self._files.items():
            rows[base], missing[base], hashes[base] = [], [], []
            targets.start(base)
            for path in paths:
                rows[base].append(0)
                for batch in self._table.batches(path, self._needed):
                    cells = self._read(path, rows[base][-1], batch)
                    rows[base][-1] += batch.num_rows
                    checked.add(cells)
                    targets.add(cells)
                    if self._droppers:
                        missing[base].append(_any_missing(cells, self._droppers))
                    if self._options.drop_duplicates:
                        hashes[base].append(_row_hashes(cells, [*self._features, *self._options.target]))
            if sum(rows[base]) == 0:
                raise DataError(f"{self._files[base][0]}: has no rows")
        kept = {base: self._keep(base, sum(rows[base]), missing[base], hashes[base]) for base in self._files}
        self._note_drops(rows, kept)
        found = targets.finish(kept)
        features = self._varying(checked)
        total = sum(map(sum, rows.values()))
        columns = tuple(self._column(name) for name in features)
        return Scan(
            task=found.task,
            kinds=self._kinds,
            features=columns,
            targets=found.values,
            target_names=found.names,
            tasks=found.tasks,
            rows=rows,
            kept=kept,
            text_bytes=sum(checked.text_bytes[column.name] for column in columns if not column.shape) / total,
            notes=(self._columns_note(features), *filter(None, (found.remark,)), *self._notes),
            image_stamp=self._images.stamp(),
        )

    def _column(self, name: str) -> Column:
        if self._kinds[name] != "image":
            return Column(name, self._kinds[name])
        column, notes = self._images.column(name)
        self._notes += notes
        return column

    # Columns

    def _heads(self) -> dict[str, pa.DataType]:
        """Columns of the first file, after comparing all files with it."""
        import pyarrow as pa

        paths = [path for paths in self._files.values() for path in paths]
        first, types = paths[0], dict(self._table.head(paths[0]))
        self._heads_of = {first: types}
        for path in paths[1:]:
            head = self._heads_of[path] = dict(self._table.head(path))
            lacking = [name for name in types if name not in head]
            more = [name for name in head if name not in types]
            if lacking or more:
                message = (
                    f"{path}: has no column `{lacking[0]}`, which {first} has"
                    if lacking
                    else f"{path}: has a column `{more[0]}`, which {first} has not"
                )
                hint = (
                    "a split without targets cannot be used here; "
                    if set(lacking) & set(self._options.target)
                    else ""
                )
                raise DataError(
                    f"{message}; {hint}all files need the same columns: name those that have them in "
                    "dataset.path"
                )
            for name, dtype in head.items():
                if _family(dtype) != _family(types[name]) and not pa.types.is_null(dtype):
                    if pa.types.is_null(types[name]):
                        types[name] = dtype
                        continue
                    raise DataError(
                        f"{path}: column `{name}` is {dtype}, in {first} it is {types[name]}; write "
                        "the files with "
                        "the same types"
                    )
        return types

    def _check_names(self) -> None:
        options, names = self._options, self._names
        if not options.target:
            raise DataError("dataset.target: names no column")
        if len(set(options.target)) < len(options.target):
            raise DataError(f"dataset.target: names a column twice: {', '.join(options.target)}")
        dropping = options.drop_missing if isinstance(options.drop_missing, tuple) else ()
        for key, given in (
            ("target", options.target),
            ("columns", options.columns),
            ("drop_missing", dropping),
        ):
            for name in given:
                if name not in names:
                    header = (
                        "; if the file has no header line, set dataset.header: false"
                        if key == "target"
                        else ""
                    )
                    raise DataError(
                        f"dataset.{key}: {next(iter(self._heads_of))} has no column `{name}`; "
                        f"{suggest(name, names)}{header}"
                    )
        if self._language:
            self._check_text()
            return
        if options.several and (options.task != "auto" or options.label_separator is not None):
            key = "label_separator" if options.task == "auto" else "task"
            raise DataError(
                f"dataset.{key}: is for one target, and dataset.target names several with a task each; leave "
                "it out"
            )
        for one in {options.of(name).target: options.of(name) for name in options.target}.values():
            self._check_target(one)

    def _check_target(self, options: TableOptions) -> None:
        several = len(options.target) > 1
        if several and options.task == "classification":
            raise DataError(
                "dataset.target: several columns make a regression, or labels with dataset.task: "
                "multi_label, and dataset.task is classification; name one"
            )
        if options.label_separator is not None and (several or options.task != "multi_label"):
            raise DataError(
                "dataset.label_separator: is for one column with several labels in its cells, with "
                "dataset.task: multi_label; leave it out"
            )
        for name in options.target:
            if (declared := options.columns.get(name)) in ("date", "text", "image", "ignore"):
                raise DataError(
                    f"dataset.columns: the target `{name}` cannot be {declared}; numeric or categorical"
                )
            if declared == "numeric" and options.task == "classification":
                raise DataError(
                    f"dataset.columns: the target `{name}` is declared numeric, and dataset.task is "
                    "classification; "
                    "leave one of them out"
                )
            if options.task == "multi_label":
                wanted = "boolean" if several else "categorical"
                if declared not in (None, wanted):
                    raise DataError(
                        f"dataset.columns: the target `{name}` is declared {declared}, and dataset.task is "
                        f"multi_label, for which it is {wanted}; leave one of them out"
                    )
            elif declared in ("categorical", "boolean") and (options.task == "regression" or several):
                raise DataError(
                    f"dataset.columns: the target `{name}` is declared {declared}, which no regression "
                    "can predict; "
                    "leave it out or declare it numeric"
                )

    def _check_text(self) -> None:
        """The target of a language model is its input."""
        name, *others = self._options.target
        if others:
            raise DataError(
                f"dataset.target: a language model learns one column of text, got {len(others) + 1}; name one"
            )
        if (declared := self._options.columns.get(name)) not in (None, "text"):
            raise DataError(
                f"dataset.columns: `{name}`, which the language model learns, is declared {declared}; make "
                "it text, or leave it out"
            )
        if self._options.label_separator is not None:
            raise DataError("dataset.label_separator: is for dataset.task: multi_label; leave it out")

    def _understand(self) -> None:
        """Kinds of all columns, features among them."""
        sample = self._sample()
        options = self._options
        for name, dtype in self._types.items():
            possible = cell_forms.kinds_of(dtype)
            declared = options.columns.get(name)
            if declared not in (None, "ignore") and declared not in possible:
                raise DataError(
                    f"dataset.columns: `{name}` is declared {declared}, and the file holds {dtype}; "
                    f"it can be {' or '.join((*possible, 'ignore'))}"
                )
            if not possible:
                if name in options.target:
                    raise DataError(f"dataset.target: `{name}` holds {dtype}, which cannot be predicted")
                if declared is None:
                    self._left_out.append(f"`{name}`: holds {dtype}, which no kind fits")
                continue
            inferred = infer(name, sample[name], options.reader)
            if name in options.target:
                self._kinds[name] = self._target_kind(name, inferred)
                if self._language:
                    self._features.append(name)
                if inferred.whole:
                    self._whole.add(name)
                continue
            self._kinds[name] = inferred.kind if declared is None or declared == "ignore" else declared
            if self._language:
                # It learns the one column.
                continue
            if declared is None:
                self._judge(name, inferred)
            elif declared != "ignore":
                self._features.append(name)
        self._declared_ignored = [name for name, kind in options.columns.items() if kind == "ignore"]
        dropping = options.drop_missing
        if dropping == "any":
            self._droppers = [*self._features, *options.target]
        else:
            self._droppers = [*options.target] if dropping == "target" else []
            if isinstance(dropping, tuple):
                self._droppers = list(dropping)
        self._needed = list(dict.fromkeys([*self._features, *options.target, *self._droppers]))
        options.images.require_used([name for name in self._features if self._kinds[name] == "image"])

    def _judge(self, name: str, inferred: Inferred) -> None:
        nameless = name.startswith(("unnamed_", "__index_level_"))
        ignored = inferred.ignored or ("a row number without a name" if nameless and inferred.remark else "")
        if ignored:
            self._left_out.append(f"`{name}`: {ignored}")
            return
        self._features.append(name)
        if inferred.remark:
            self._notes.append(inferred.remark if inferred.whole else f"`{name}` {inferred.remark}")

    def _target_kind(self, name: str, inferred: Inferred) -> ColumnKind:
        options = self._options.of(name)
        kind: ColumnKind
        if self._language:
            kind = "text"
        elif options.task == "multi_label":
            kind = "boolean" if len(options.target) > 1 else "categorical"
        elif options.task == "regression" or len(options.target) > 1:
            kind = "numeric"
        elif options.task == "classification" or options.columns.get(name) in ("categorical", "boolean"):
            kind = "categorical"
        elif inferred.kind == "date":
            raise DataError(
                f"dataset.target: `{name}` holds dates; to predict them as classes, set dataset.task: "
                "classification"
            )
        else:
            kind = (
                "numeric"
                if options.columns.get(name) == "numeric" or inferred.kind == "numeric"
                else "categorical"
            )
        if kind not in cell_forms.kinds_of(self._types[name]):
            raise DataError(f"dataset.target: `{name}` holds {self._types[name]}, which is not {kind}")
        return kind

    def _sample(self) -> dict[str, pa.Array]:
        """First cells of every column."""
        import pyarrow as pa

        names = [name for name, dtype in self._types.items() if cell_forms.kinds_of(dtype)]
        found: dict[str, list[pa.Array]] = {name: [] for name in names}
        for batch in self._first_batches(names):
            for name, column in zip(names, batch.columns, strict=True):
                if column.type == self._types[name] or cell_forms.is_string(column.type):
                    found[name].append(column)
        return {
            name: pa.chunked_array(parts, parts[0].type).combine_chunks() if parts else pa.nulls(0)
            for name, parts in found.items()
        }

    def _first_batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = size = 0
        for paths in self._files.values():
            for path in paths:
                for batch in self._table.batches(path, names):
                    yield batch.slice(0, SAMPLE_ROWS - rows)
                    rows, size = rows + batch.num_rows, size + batch.nbytes
                    if rows >= SAMPLE_ROWS or size >= SAMPLE_BYTES:
                        return

    def _new_targets(self) -> Targets:
        options = self._options
        if not options.several:
            return self._targets_of(options)
        parts = {name: self._targets_of(options.of(name)) for name in options.target}
        return SeveralTargets(parts, options.several)

    def _targets_of(self, options: TableOptions) -> Targets:
        names = options.target
        if options.task in LANGUAGE_TASKS:
            return TextTargets(names[0], options.task)
        if options.task == "multi_label":
            if len(names) > 1:
                return FlagTargets(names)
            return LabelSetTargets(names[0], options.label_separator or SEPARATOR)
        if self._kinds[names[0]] == "categorical":
            return LabelTargets(names[0], options.reader)
        # Only what is left to judge can turn out to be classes.
        auto = options.task == "auto" and options.columns.get(names[0]) is None and len(names) == 1
        return NumberTargets(names, auto and names[0] in self._whole)

    # Cells

    def _read(self, path: Path, row: int, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Cells of the columns needed, all checked.

        Args:
            path: of the batch.
            row: the number of its first row in the file, from 0.
            batch: with the columns of `_needed`.
        """
        found = {}
        for name, column in zip(self._needed, batch.columns, strict=True):
            values, bad = self._options.reader.read(column, self._kinds[name])
            if bad is not None:
                index = int(bad.argmax())
                raise DataError(
                    self._unfit(self._table.place(path, row + index), name, column[index].as_py())
                )
            if self._kinds[name] == "image":
                values = located(values, folder_of(path, self._options.images.root))
                may_miss = name in self._droppers
                self._images.add(name, values, lambda index: self._table.place(path, row + index), may_miss)
            found[name] = values
        return found

    def _unfit(self, place: str, name: str, value: object) -> str:
        kind = self._kinds[name]
        if self._options.task == "multi_label" and name in self._options.target:
            remedy = "mend it (0 or 1: whether the row has the label), or leave it out of dataset.target"
            return f"{place}: column `{name}`: {cell_forms.unfit(value, kind, remedy)}"
        other = "categorical" if name in self._options.target else "categorical (or ignore)"
        mending = [f"declare the column with dataset.columns: {{{name}: {other}}}"]
        if isinstance(value, str):
            mending.append(f"or add {cell_forms.quoted(value)} to dataset.missing_values")
            text = value.strip()
            if (
                kind == "numeric"
                and "," in text
                and text.replace(",", "").replace(".", "").lstrip("+-").isdigit()
            ):
                mending.insert(0, 'set dataset.decimal: "," if that is a decimal comma, or')
            if kind == "date" and text.count("/") == 2:
                mending.insert(0, "set dataset.date_order, or")
        return f"{place}: column `{name}`: {cell_forms.unfit(value, kind, ' '.join(mending))}"

    # Rows

    def _keep(
        self, base: str, rows: int, missing: Sequence[np.ndarray], hashes: Sequence[np.ndarray]
    ) -> np.ndarray | None:
        """Positions of the rows that stay; None for all."""
        import numpy as np

        kept = np.arange(rows, dtype=np.int64)
        if missing:
            kept = kept[~np.concatenate(missing)]
        if hashes:
            _, first = np.unique(np.concatenate(hashes)[kept], return_index=True)
            kept = kept[np.sort(first)]
        if len(kept) == 0:
            raise DataError(
                f"dataset.drop_missing: every row of the base split `{base}` misses a cell of "
                f"{_listed(self._droppers)}; nothing is left"
            )
        return None if len(kept) == rows else kept

    def _note_drops(self, rows: Mapping[str, Sequence[int]], kept: Mapping[str, np.ndarray | None]) -> None:
        total = sum(map(sum, rows.values()))
        left = sum(sum(rows[base]) if part is None else len(part) for base, part in kept.items())
        if left < total:
            why = ["missing cells"] * bool(self._droppers) + [
                "an equal row before"
            ] * self._options.drop_duplicates
            self._notes.append(f"dropped {total - left:,} of {total:,} rows: {' or '.join(why)}")

    def _varying(self, checked: _Features) -> list[str]:
        """Features without those that say nothing."""
        constant = [name for name in self._features if not checked.varies[name]]
        self._left_out += [f"`{name}`: the same in every row" for name in constant]
        features = [name for name in self._features if name not in constant]
        if not features:
            why = self._left_out + [f"`{name}`: declared ignore" for name in self._declared_ignored]
            raise DataError(
                "dataset: no column is left as a feature beside the target; "
                + (
                    f"left out: {'; '.join(why[:SHOWN])}; declare what is to be used with dataset.columns"
                    if why
                    else "the table holds none"
                )
            )
        return features

    def _columns_note(self, features: Sequence[str]) -> str:
        if self._left_out:
            shown = "; ".join(self._left_out[:SHOWN])
            self._notes.append(f"left out: {shown}{'; ...' if len(self._left_out) > SHOWN else ''}")
        by_kind: dict[ColumnKind, list[str]] = {}
        for name in features:
            by_kind.setdefault(self._kinds[name], []).append(name)
        parts = [f"{len(names)} {kind} ({_listed(names)})" for kind, names in by_kind.items()]
        return f"columns: {', '.join(parts)}; to change one: dataset.columns"


def _family(dtype: pa.DataType) -> str:
    """Types of one family may stand in the same column of different files."""
    families = {"strings": cell_forms.is_string, "numbers": cell_forms.is_number, "dates": cell_forms.is_date}
    return next((family for family, belongs in families.items() if belongs(dtype)), str(dtype))


def _any_missing(cells: Mapping[str, pa.Array], names: Sequence[str]) -> np.ndarray:
    """Rows (n,) bool in which one of the columns has no value."""
    import numpy as np

    masks = [cells[name].is_null().to_numpy(zero_copy_only=False) for name in names]
    return np.logical_or.reduce(masks)


def _row_hashes(cells: Mapping[str, pa.Array], names: Sequence[str]) -> np.ndarray:
    """A hash (n,) uint64 of each row."""
    import numpy as np

    found = np.zeros(len(cells[names[0]]), np.uint64)
    for name in names:
        found = cell_forms.mix(found + cell_forms.hashes(cells[name]))
    return found


class _Features:
    """What is counted of the features.

    Attributes:
        varies: whether a column has two different values, or one and a missing cell.
        text_bytes: of all cells of a column; 0 for one without texts.
    """

    def __init__(self, names: Sequence[str]):
        self.varies = dict.fromkeys(names, False)
        self.text_bytes = dict.fromkeys(names, 0)
        self._only: dict[str, pa.Scalar] = {}

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        for name in self.varies:
            values = cells[name]
            if pa.types.is_string(values.type):
                self.text_bytes[name] += pc.sum(pc.binary_length(values)).as_py() or 0
            if self.varies[name] or len(values) == 0:
                continue
            only = self._only.setdefault(name, values[0].as_py())
            self.varies[name] = values[0].as_py() != only or pc.count_distinct(values, mode="all").as_py() > 1
