"""A dataset that lies in tables on disk, read in batches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import MISSING_DATE, RAW_DTYPES, Column, ColumnKind
from bigmodel_cli.contracts import LANGUAGE_TASKS, DataSpec, InputSpec, TargetSpec
from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables.files import Paths, TableFormat, suggest, unreadable
from bigmodel_cli.data.tables.image_cells import decoded, folder_of, located, pieces
from bigmodel_cli.data.tables.scan import TableOptions, scan
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup, Part

BATCH_ROWS, BATCH_BYTES = 16_384, 16 * 2**20
"""Rows are gathered until there are so many, or so large ones."""

MOST_ROWS = 65_536

NUMBER_BYTES, DATE_BYTES, STRING_BYTES = 4, 8, 16
"""Memory of a raw cell; of a string, beside its characters."""


class TableSource:
    """A `contracts.Source` over files of one table.

    Only targets and the positions of dropped rows are held in memory.

    Attributes:
        spec: what the table holds; an input is a dict of raw cells, column key -> (n,).
        sizes: rows kept in each base split.
        example_bytes: memory of one row, estimated for strings.
        notes: what was inferred, left out and dropped.
    """

    def __init__(
        self,
        name: str,
        origin: str,
        table: TableFormat,
        files: Paths,
        options: TableOptions,
        notes: Sequence[str] = (),
    ):
        """Read all files once, to check them.

        Args:
            name: of the dataset.
            origin: where it comes from, for the user's eyes.
            table: how the files are read.
            files: at least one for each base split.
            options: what the config says.
            notes: of how the files were found.

        Raises:
            DataError: the files, or what the config says of them, cannot be used.
        """
        self._table, self._files, self._options = table, files, options
        try:
            self._scan = scan(table, files, options)
        except OSError as error:
            raise unreadable(error.filename or name, error) from error
        columns = self._scan.features
        classes = self._scan.task in ("classification", *LANGUAGE_TASKS)
        target = TargetSpec(
            () if classes else (len(self._scan.target_names),),
            "int32" if classes else "float32",
            self._scan.target_names,
            tasks=self._scan.tasks,
        )
        self.spec = DataSpec(
            name=name,
            origin=origin,
            task=self._scan.task,
            input=InputSpec(
                (len(columns),), "", "table", tuple(column.name for column in columns), columns=columns
            ),
            target=target,
        )
        self.sizes: Mapping[str, int] = {base: len(values) for base, values in self._scan.targets.items()}
        self.notes: Sequence[str] = (*self._scan.notes, *notes)
        each = {"numeric": NUMBER_BYTES, "boolean": NUMBER_BYTES, "date": DATE_BYTES}
        self.example_bytes = (
            sum(
                math.prod(column.shape) if column.shape else each.get(column.kind, STRING_BYTES)
                for column in columns
            )
            + round(self._scan.text_bytes)
            + 4 * math.prod(target.shape)
        )

    def fingerprint(self) -> str:
        """Names, sizes and times of the files, and how they are read.

        Raises:
            DataError: a file is gone.
        """
        digest = hashlib.sha256(repr((self._table, self._options)).encode())
        for base, paths in self._files.items():
            digest.update(f"\n{base}".encode())
            for path in paths:
                digest.update(f"\n{self._table.stamp(path)}".encode())
        digest.update(self._scan.image_stamp.encode())
        return digest.hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part."""
        return self._scan.targets[part.base][part.indices]

    def arrays(self, part: Part) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Raw cells and targets of a part.

        Raises:
            DataError: a file cannot be read any more, or has changed.
        """
        import numpy as np

        columns = self.spec.input.columns
        found = {
            column.key: np.empty((part.size, *column.shape), _numpy_dtype(column.kind)) for column in columns
        }
        done = 0
        for batch in self._raw_batches(part):
            stop = done + len(batch[columns[0].key])
            for name, values in batch.items():
                found[name][done:stop] = values
            done = stop
        return found, self.targets(part)

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Raw cells and targets of a part, in the order of the files; `key` has nothing to order.

        A file that cannot be read any more is a `tf.errors.OpError` that carries the message.
        """
        import tensorflow as tf

        def read() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
            targets = self.targets(part)
            done = 0
            for batch in self._raw_batches(part):
                stop = done + len(next(iter(batch.values())))
                yield batch, targets[done:stop]
                done = stop

        inputs = {
            column.key: tf.TensorSpec((None, *column.shape), RAW_DTYPES[column.kind])
            for column in self.spec.input.columns
        }
        targets = tf.TensorSpec((None, *self.spec.target.shape), self.spec.target.dtype)
        return tf.data.Dataset.from_generator(read, output_signature=(inputs, targets))

    def lookup(self, base: str) -> Lookup | None:
        """None: the rows of a file can only be read in order."""
        return None

    def values(self, base: str, name: str) -> np.ndarray:
        """A column of the files, feature or not, (n,): float64 (NaN is missing), int64, or `str` objects.

        Raises:
            DataError: there is no such column.
        """
        kinds = self._scan.kinds
        if name not in kinds:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no column `{name}` to divide by; "
                f"{suggest(name, [*kinds])}"
            )
        found = self._column(base, name, kinds[name])
        # A column that is no feature was not checked; texts it can always be.
        found = self._column(base, name, "categorical") if found is None else found
        if found is None:
            raise _changed(self.spec.name)
        return found

    def _column(self, base: str, name: str, kind: ColumnKind) -> np.ndarray | None:
        """All cells of a column read as one kind; None when they are not of that kind."""
        import numpy as np
        import pyarrow.compute as pc

        parts = []
        for batch in self._rows(base, [name], self._kept_rows(base)):
            values, bad = self._options.reader.read(batch.column(0), kind)
            if bad is not None:
                return None
            if kind in ("categorical", "text", "image"):
                # Equal texts become one object.
                encoded = pc.fill_null(values, "").dictionary_encode()
                texts = encoded.dictionary.to_numpy(zero_copy_only=False)
                parts.append(texts[encoded.indices.to_numpy(zero_copy_only=False)])
            else:
                missing = MISSING_DATE if kind == "date" else np.nan
                parts.append(pc.fill_null(values, missing).to_numpy(zero_copy_only=False))
        return np.concatenate(parts)

    def _raw_batches(self, part: Part) -> Iterator[dict[str, np.ndarray]]:
        """Raw cells of a part, from one thousand rows to some ten thousand at a time."""
        columns = self.spec.input.columns
        names = [column.name for column in columns]
        for rows in self._rows(part.base, names, self._kept_rows(part.base, part.indices)):
            for batch in pieces(rows, columns):
                yield {
                    column.key: self._raw(cells, column)
                    for column, cells in zip(columns, batch.columns, strict=True)
                }

    def _raw(self, cells: pa.Array, column: Column) -> np.ndarray:
        values, bad = self._options.reader.read(cells, column.kind)
        if bad is not None or (column.kind == "image" and values.null_count):
            raise _changed(self.spec.name)
        return decoded(values, column) if column.kind == "image" else cell_forms.raw(values, column.kind)

    def _kept_rows(self, base: str, indices: np.ndarray | None = None) -> np.ndarray | None:
        """Which rows of the files (n,) bool are those at these positions; None for every row."""
        import numpy as np

        kept, rows = self._scan.kept[base], sum(self._scan.rows[base])
        if indices is not None:
            if len(indices) == self.sizes[base]:
                indices = None
            else:
                kept = indices if kept is None else kept[indices]
        if kept is None:
            return None
        wanted = np.zeros(rows, bool)
        wanted[kept] = True
        return wanted

    def _rows(self, base: str, names: Sequence[str], wanted: np.ndarray | None) -> Iterator[pa.RecordBatch]:
        """The wanted rows, in batches of a useful size.

        Raises:
            DataError: a file cannot be read any more, or has changed since it was checked.
        """
        gathered: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in self._filtered(base, names, wanted):
            # Files may differ in how they store a column, such as in integers of 32 or 64 bits.
            if gathered and batch.schema != gathered[0].schema:
                yield from _joined(gathered)
                gathered, rows, size = [], 0, 0
            gathered.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                yield from _joined(gathered)
                gathered, rows, size = [], 0, 0
        yield from _joined(gathered)

    def _filtered(
        self, base: str, names: Sequence[str], wanted: np.ndarray | None
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        first = 0
        for path, count in zip(self._files[base], self._scan.rows[base], strict=True):
            mine = None if wanted is None else wanted[first : first + count]
            first += count
            if mine is not None and not mine.any():
                continue
            # Behind the last wanted row nothing is read.
            last = count if mine is None else int(mine.nonzero()[0][-1]) + 1
            done = 0
            try:
                for stored in self._table.batches(path, names):
                    batch = self._located(stored, path)
                    if mine is not None and done < last:
                        mask = mine[done : done + batch.num_rows]
                        if len(mask) == batch.num_rows and mask.any():
                            yield batch if mask.all() else batch.filter(pa.array(mask))
                    elif mine is None:
                        yield batch
                    done += batch.num_rows
                    if mine is not None and done >= last:
                        break
            except OSError as error:
                raise unreadable(path, error) from error
            if done < last or (mine is None and done != count):
                raise _changed(str(path))

    def _located(self, batch: pa.RecordBatch, path: Path) -> pa.RecordBatch:
        """Rows of a file, their images by paths that can be opened wherever the rows come from."""
        folder = folder_of(path, self._options.images.root)
        for place, name in enumerate(batch.schema.names):
            if self._scan.kinds.get(name) == "image":
                cells, _ = self._options.reader.read(batch.column(place), "image")
                batch = batch.set_column(place, name, located(cells, folder))
        return batch


def _joined(batches: Sequence[Any]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if batches:
        yield from pa.Table.from_batches(batches).combine_chunks().to_batches(max_chunksize=MOST_ROWS)


def _numpy_dtype(kind: ColumnKind) -> str:
    return "object" if RAW_DTYPES[kind] == "string" else RAW_DTYPES[kind]


def _changed(place: str) -> DataError:
    return DataError(
        f"{place}: has changed since it was read at the start of this command; run it again when "
        "nothing writes to it"
    )
