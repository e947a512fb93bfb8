"""A dataset that lies in Arrow tables, in memory or memory-mapped."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import RAW_DTYPES
from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables.scan import TableOptions
from bigmodel_cli.data.tables.source import BATCH_ROWS, TableSource

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup


@dataclass(frozen=True)
class ArrowTables:
    """A `table_files.TableFormat` in which base splits stand for files.

    Attributes:
        origin: what the tables come from, for messages.
        tables: of each base split.
        stamps: of each base split, a text that changes when its content does.
    """

    origin: str
    tables: Mapping[str, pa.Table] = field(repr=False)
    stamps: Mapping[str, str]

    def head(self, path: Path) -> Mapping[str, pa.DataType]:
        """Columns and their types."""
        schema = self.tables[path.name].schema
        return dict(zip(schema.names, schema.types, strict=True))

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows in order; nulls are what is missing."""
        yield from self.tables[path.name].select(list(names)).to_batches(max_chunksize=BATCH_ROWS)

    def place(self, path: Path, row: int) -> str:
        """The row, counted from 0."""
        return f"{self.origin}, {path.name}, row {row}"

    def stamp(self, path: Path) -> str:
        """What was given for it."""
        return self.stamps[path.name]


class ArrowSource(TableSource):
    """A `contracts.Source` over Arrow tables, with access by position.

    Attributes:
        spec: what the tables hold.
        sizes: rows kept in each base split.
        example_bytes: memory of one row, estimated for strings.
        notes: what was inferred, left out and dropped.
    """

    def __init__(
        self,
        name: str,
        origin: str,
        tables: ArrowTables,
        options: TableOptions,
        notes: Sequence[str] = (),
    ):
        """Read all tables once, to check them.

        Args:
            name: of the dataset.
            origin: where it comes from, for the user's eyes.
            tables: at least one.
            options: what the config says.
            notes: of how the tables were made.

        Raises:
            DataError: the tables, or what the config says of them, cannot be used.
        """
        super().__init__(name, origin, tables, {base: [Path(base)] for base in tables.tables}, options, notes)
        self._tables = tables.tables

    def lookup(self, base: str) -> Lookup:
        """Raw cells and targets by position."""
        import numpy as np
        import tensorflow as tf

        columns, reader = self.spec.input.columns, self._options.reader
        batches = self._tables[base].select([column.name for column in columns]).to_batches()
        ends = np.cumsum([batch.num_rows for batch in batches], dtype=np.int64)
        kept = self._scan.kept[base]
        with tf.device("CPU:0"):
            targets = tf.convert_to_tensor(self._scan.targets[base])

        def read(positions: np.ndarray) -> list[np.ndarray]:
            table = taken(batches, ends, positions if kept is None else kept[positions])
            found = []
            for column, chunks in zip(columns, table.columns, strict=True):
                values, _ = reader.read(combined(chunks), column.kind)
                found.append(cell_forms.raw(values, column.kind))
            return found

        def look_up(positions: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            dtypes = [RAW_DTYPES[column.kind] for column in columns]
            found = tf.numpy_function(read, [positions], dtypes, stateful=False)
            cells = {
                column.name: tf.ensure_shape(values, (None,))
                for column, values in zip(columns, found, strict=True)
            }
            return cells, tf.gather(targets, positions)

        return look_up


def taken(batches: Sequence[pa.RecordBatch], ends: np.ndarray, rows: np.ndarray) -> pa.Table:
    """Rows in any order, touching only the batches that hold them.

    `pyarrow.Table.take` would join all chunks of a column of strings first.

    Args:
        batches: the whole table.
        ends: rows up to the end of each batch, (batches,) int64.
        rows: positions (n,) int64, at least one.
    """
    import numpy as np
    import pyarrow as pa

    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    which = np.searchsorted(ends, ascending, side="right")
    parts = []
    for index in np.unique(which):
        batch = batches[index]
        first = ends[index] - batch.num_rows
        parts.append(batch.take(pa.array(ascending[which == index] - first)))
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    # One chunk now, so this costs no more than the rows.
    table = pa.Table.from_batches(parts, batches[0].schema).unify_dictionaries().combine_chunks()
    return table.take(pa.array(back))


def combined(chunks: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    import pyarrow as pa

    found = chunks.combine_chunks()
    return found if isinstance(found, pa.Array) else found.chunk(0)


def content(table: pa.Table) -> str:
    """A hash of a table: its columns, types and cells."""
    import pyarrow as pa

    digest = hashlib.sha256()

    class Sink(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            digest.update(data)
            return len(data)

    # Chunks of their own, so that the hash is that of the cells however they came.
    with (
        pa.output_stream(pa.PythonFile(Sink(), "w")) as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table.combine_chunks(), max_chunksize=BATCH_ROWS)
    return digest.hexdigest()
