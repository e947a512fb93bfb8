"""Tables as Parquet, read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli.data.tables import files as table_files
from bigmodel_cli.data.tables.cells import MISSING_VALUES, is_string
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq", ".parq")

BATCH_ROWS = 32_768


@dataclass(frozen=True)
class Parquet:
    """A `table_files.TableFormat`.

    Attributes:
        missing_values: texts that stand for a missing cell, beside Parquet's own nulls.
    """

    missing_values: tuple[str, ...] = MISSING_VALUES

    def head(self, path: Path) -> Mapping[str, pa.DataType]:
        """Columns and their types."""
        with self._open(path) as file:
            schema = file.schema_arrow
        if not schema.names:
            raise DataError(f"{path}: has no columns")
        table_files.require_distinct(schema.names, str(path))
        return dict(zip(schema.names, schema.types, strict=True))

    def place(self, path: Path, row: int) -> str:
        """File and row, counted from 1."""
        return f"{path}, row {row + 1}"

    def stamp(self, path: Path) -> str:
        """Name, size and time of change."""
        return table_files.stamp(path)

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows with the types of the file."""
        import pyarrow as pa

        with self._open(path) as file:
            try:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(names)):
                    columns = [self._without_missing(batch.column(name)) for name in names]
                    yield pa.RecordBatch.from_arrays(columns, names=list(names))
            except (pa.ArrowException, OSError) as error:
                raise _unreadable(path, error) from error

    def _open(self, path: Path) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from error

    def _without_missing(self, cells: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not is_string(cells.type) or not self.missing_values:
            return cells
        if pa.types.is_dictionary(cells.type):
            values = self._without_missing(cells.dictionary.cast(pa.string()))
            return values.take(cells.indices).dictionary_encode()
        cells = cells.cast(pa.string())
        found = pc.is_in(cells, value_set=pa.array(self.missing_values, pa.string()))
        return pc.if_else(found, pa.scalar(None, pa.string()), cells)


def _unreadable(path: Path, error: Exception) -> DataError:
    text = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(f"{path}: cannot be read as Parquet: {text}")
