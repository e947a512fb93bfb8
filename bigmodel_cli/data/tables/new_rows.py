"""New rows for a trained model: tables of any form, read into raw cells.

A row that cannot be read is reported and does not cost the others, so this reads more patiently, and
slower, than the sources do.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bigmodel_cli.columns import Column
from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables import delimited, parquet_reading
from bigmodel_cli.data.tables import files as table_files
from bigmodel_cli.data.tables.cells import CellReader, unfit
from bigmodel_cli.data.tables.delimited import Delimited, open_bytes
from bigmodel_cli.data.tables.image_cells import folder_of, located, readable, rows_at_once
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

JSON_SUFFIXES = (".jsonl", ".ndjson")

SUFFIXES = (*delimited.SUFFIXES, *delimited.PLAIN_SUFFIXES, *parquet_reading.SUFFIXES, *JSON_SUFFIXES)
"""Of files that can be read; the text forms also with a compression's suffix behind."""

BATCH_ROWS = 4096

STANDARD_INPUT = "standard input"


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, in its order.

    Attributes:
        ids: `file:line`, or `file:row` for Parquet; of every row.
        errors: why a row cannot be read, one for each id; empty for one that can.
        cells: column key -> raw cells (n,) of the rows that can be read, as `columns.RAW_DTYPES` says.
        beside: the same of the columns beside.
        unfit: what is wrong with a cell beside, one for each id; empty where nothing is.
    """

    ids: list[str]
    errors: list[str]
    cells: dict[str, np.ndarray]
    beside: dict[str, np.ndarray]
    unfit: list[str]


Beside = Callable[[Sequence[str]], Sequence[Column]]
"""The columns of a table -> those to read beside what the model takes: a cell of theirs costs no row."""


@dataclass(frozen=True)
class _Batch:
    """Rows as they stand in the file.

    Attributes:
        numbers: lines or rows, counted from 1.
        errors: one for each number; empty for a row that was taken apart.
        cells: of the rows without an error, (n,) for each column.
    """

    numbers: list[int]
    errors: list[str]
    cells: list[pa.Array]


class NewRows:
    """An iterable of `Rows`, to be gone through once.

    Attributes:
        extra: columns that the table has beyond those asked for; of JSON lines, those of the first.
    """

    def __init__(
        self,
        place: str,
        columns: Sequence[Column],
        beside: Sequence[Column],
        reader: CellReader,
        head: Sequence[str],
        batches: Iterator[_Batch],
        folder: Path,
    ):
        known = {column.name for column in (*columns, *beside)}
        self.extra = tuple(name for name in head if name not in known)
        self._place, self._columns, self._beside = place, columns, beside
        self._all = (*columns, *beside)
        self._reader, self._batches, self._folder = reader, batches, folder

    def __iter__(self) -> Iterator[Rows]:
        """Some thousand rows at a time; fewer where there are images.

        Raises:
            DataError: the file cannot be read any further.
        """
        rows = rows_at_once(self._columns) or BATCH_ROWS
        for batch in self._batches:
            for piece in _pieces(batch, rows):
                yield self._rows(piece)

    def _rows(self, batch: _Batch) -> Rows:
        import numpy as np

        ids = [f"{self._place}:{number}" for number in batch.numbers]
        errors = [
            f"{place}: {error}" if error else "" for place, error in zip(ids, batch.errors, strict=True)
        ]
        whole = np.flatnonzero([not error for error in errors])
        sound = np.ones(len(whole), bool)
        asides = [""] * len(ids)
        read = []
        for place, (column, cells) in enumerate(zip(self._all, batch.cells, strict=True)):
            values, reasons = self._read(column, cells)
            read.append(values)
            messages = errors if place < len(self._columns) else asides
            for index, reason in sorted(reasons.items()):
                if messages is errors:
                    sound[index] = False
                row = whole[index]
                messages[row] = messages[row] or f"{ids[row]}: column `{column.name}`: {reason}"
        raw = [values if sound.all() else values[sound] for values in read]
        inputs = len(self._columns)
        return Rows(
            ids,
            errors,
            {column.key: cells for column, cells in zip(self._columns, raw[:inputs], strict=True)},
            {column.name: cells for column, cells in zip(self._beside, raw[inputs:], strict=True)},
            asides,
        )

    def _read(self, column: Column, cells: pa.Array) -> tuple[np.ndarray, dict[int, str]]:
        """Raw cells (n, ...), and what is wrong with some, by position."""
        import numpy as np

        values, bad = self._reader.read(cells, column.kind)
        if column.kind == "image":
            return readable(located(values, self._folder), column)
        unread = [] if bad is None else np.flatnonzero(bad).tolist()
        reasons = {index: unfit(cells[index].as_py(), column.kind, "correct it") for index in unread}
        return cell_forms.raw(values, column.kind), reasons


def _pieces(batch: _Batch, rows: int) -> Iterator[_Batch]:
    """The rows of a batch, some at a time."""
    done = 0
    for start in range(0, len(batch.numbers), rows):
        errors = batch.errors[start : start + rows]
        count = sum(not error for error in errors)
        cells = [column.slice(done, count) for column in batch.cells]
        yield _Batch(batch.numbers[start : start + rows], errors, cells)
        done += count


def read_rows(
    table: str | Path | TextIO,
    columns: Sequence[Column],
    *,
    reader: CellReader | None = None,
    text: Delimited | None = None,
    target: Sequence[str] = (),
    name: str = STANDARD_INPUT,
    beside: Beside = lambda _: (),
    image_root: str | None = None,
) -> NewRows:
    """New rows of a CSV, TSV, Parquet or JSON lines file, or of an open text of CSV, as raw cells.

    The columns may stand in any order, others beside them. A row with a cell that is not what its column
    is, or with too many or too few cells, becomes an error.

    Args:
        table: a file, told by its suffix (JSON lines: .jsonl, .ndjson; without a known one it is text), or
            a stream opened with newline="".
        columns: those the model takes.
        reader: how cells were written in training; None for the defaults.
        text: how text files are written; None for the defaults. With names but no header, a file that lacks
            just the target is understood.
        target: names of the target's columns, which may be there or not.
        name: what to call a stream in messages and ids.
        beside: further columns to read, such as labels.
        image_root: folder that relative paths of images lie in; None for that of the file, of a stream for
            the working folder.

    Raises:
        DataError: a file that is not there, cannot be read as a table, or lacks a column.
    """
    reader = reader or CellReader()
    text = text or Delimited(missing_values=reader.missing_values)
    if not isinstance(table, (str, Path)):
        head, others, batches = _text_rows(table, name, "", text, columns, beside, target)
        return NewRows(name, columns, others, reader, head, batches, Path(image_root or "."))
    path = Path(table)
    if not path.is_file():
        what = "is a folder, not a table" if path.is_dir() else "there is no such file"
        raise DataError(f"{path}: {what}")
    suffix = table_files.suffix(path)
    if suffix in parquet_reading.SUFFIXES:
        head, others, batches = _parquet_rows(path, columns, beside, reader)
    elif suffix in JSON_SUFFIXES:
        # JSON writes numbers in one way.
        reader = replace(reader, decimal=".")
        head, others, batches = _json_rows(path, columns, beside)
    else:
        head, others, batches = _text_rows(path, str(path), suffix, text, columns, beside, target)
    return NewRows(str(path), columns, others, reader, head, batches, folder_of(path, image_root))


def reading(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `read_rows`, so that it reads as the dataset of these parameters was read."""
    known = {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}

    def of(kind: type[Any]) -> Any:
        fields = {item.name for item in dataclasses.fields(kind) if item.init} & known.keys()
        return kind(**{name: known[name] for name in fields if known[name] is not None})

    target = known.get("target", ())
    return {
        "reader": of(CellReader),
        "text": of(Delimited),
        "target": (target,) if isinstance(target, str) else target,
        "image_root": known.get("image_root"),
    }


_Found = tuple[Sequence[str], Sequence[Column], Iterator[_Batch]]
"""The head of a table, the columns beside, and the rows."""


def _require(columns: Sequence[Column], head: Sequence[str], place: str, hint: str = "") -> None:
    lacking = [column.name for column in columns if column.name not in head]
    if lacking:
        shown = ", ".join(f"`{name}`" for name in lacking[:8])
        raise DataError(
            f"{place}: has no column{'s' if len(lacking) > 1 else ''} {shown}, which the model needs; "
            f"{table_files.suggest(lacking[0], head)}{hint}"
        )


def _arrays(rows: Sequence[Sequence[str | None]], width: int) -> list[pa.Array]:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ((),) * width
    return [pa.array(column, pa.string()) for column in columns]


# Text


def _text_rows(
    table: Path | TextIO,
    place: str,
    suffix: str,
    text: Delimited,
    columns: Sequence[Column],
    beside: Beside,
    target: Sequence[str],
) -> _Found:
    """The rows are texts."""
    stack = ExitStack()
    try:
        lines: Any = table
        if isinstance(table, Path):
            encoding = "utf-8-sig" if codecs.lookup(text.encoding).name == "utf-8" else text.encoding
            # Bytes of another encoding become surrogates, by which the rows that hold them are found.
            stream = io.TextIOWrapper(open_bytes(table), encoding, errors="surrogateescape", newline="")
            lines = stack.enter_context(stream)
        start = lines.read(delimited.LOOK_BYTES)
    except (OSError, UnicodeError) as error:
        stack.close()
        raise DataError(f"{place}: cannot be read: {error}") from error
    try:
        complete = len(start) < delimited.LOOK_BYTES
        dialect = text.see(start.removeprefix("\ufeff"), place, suffix, complete, target)
        _require(columns, dialect.names, place, "" if text.header else "; names come from dataset.names")
        others = beside(dialect.names)
    except DataError:
        stack.close()
        raise
    where = [dialect.names.index(column.name) for column in (*columns, *others)]
    rows = dialect.rows(_lines(start.removeprefix("\ufeff"), lines))

    def batches() -> Iterator[_Batch]:
        with stack:
            yield from _text_batches(rows, len(dialect.names), where, dialect.header, place, text.encoding)

    return dialect.names, others, batches()


def _lines(start: str, rest: TextIO) -> Iterator[str]:
    """Lines of a text of which a part was read already, each with its end, whichever it is."""
    pending = start
    while True:
        more = rest.read(delimited.LOOK_BYTES)
        lines = io.StringIO(pending + more, newline="").readlines()
        # The last line may go on, and a `\r` at its end may be half of `\r\n`.
        pending = lines.pop() if lines and more else ""
        yield from lines
        if not more:
            return


def _text_batches(
    rows: Any, width: int, where: Sequence[int], header: bool, place: str, encoding: str
) -> Iterator[_Batch]:
    numbers: list[int] = []
    errors: list[str] = []
    found: list[list[str]] = []
    line = 1
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            break
        except (csv.Error, OSError) as error:
            raise DataError(f"{place}:{line}: cannot be read: {error}") from error
        number, line = line, rows.line_num + 1
        if not cells:
            continue
        if header:
            header = False
            continue
        numbers.append(number)
        kept = [cells[index] for index in where] if len(cells) == width else []
        if not kept:
            errors.append(f"{len(cells)} cells, where the first row has {width}")
        elif not all(map(_sound, kept)):
            errors.append(f"holds bytes that are not {encoding}; save the file in that encoding")
        else:
            errors.append("")
            found.append(kept)
        if len(numbers) >= BATCH_ROWS:
            yield _Batch(numbers, errors, _arrays(found, len(where)))
            numbers, errors, found = [], [], []
    if numbers:
        yield _Batch(numbers, errors, _arrays(found, len(where)))


def _sound(text: str) -> bool:
    """Whether a text was decoded; a surrogate stands for a byte that was not."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Parquet


def _parquet_rows(path: Path, columns: Sequence[Column], beside: Beside, reader: CellReader) -> _Found:
    table = parquet_reading.Parquet(reader.missing_values)
    head = table.head(path)
    _require(columns, [*head], str(path))
    others = beside([*head])
    names = [column.name for column in (*columns, *others)]
    for column in (*columns, *others):
        if column.kind not in cell_forms.kinds_of(head[column.name]):
            raise DataError(
                f"{path}: column `{column.name}` is {head[column.name]}, and the model takes "
                f"{column.kind} cells"
            )

    def batches() -> Iterator[_Batch]:
        row = 1
        for batch in table.batches(path, names):
            numbers = list(range(row, row + batch.num_rows))
            row += batch.num_rows
            yield _Batch(numbers, [""] * batch.num_rows, batch.columns)

    return [*head], others, batches()


# JSON lines


def _json_rows(path: Path, columns: Sequence[Column], beside: Beside) -> _Found:
    try:
        with open_bytes(path) as lines:
            first = next(filter(None, map(bytes.strip, lines)), None)
    except OSError as error:
        raise table_files.unreadable(path, error) from error
    if first is None:
        raise DataError(f"{path}: is empty; it needs a JSON object on each line")
    try:
        head = list(_object(first))
    except ValueError:
        # That line is reported with the others.
        head = []
    if head:
        _require(columns, head, str(path))
    others = beside(head)
    names = [column.name for column in columns]
    return head, others, _json_batches(path, names, [column.name for column in others])


def _json_batches(path: Path, names: Sequence[str], others: Sequence[str]) -> Iterator[_Batch]:
    numbers: list[int] = []
    errors: list[str] = []
    found: list[list[str | None]] = []
    width = len(names) + len(others)
    try:
        with open_bytes(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                numbers.append(number)
                try:
                    row = _object(line)
                    cells = [_json_cell(row, name) for name in names]
                    found.append(
                        [*cells, *(_json_cell(row, name) if name in row else None for name in others)]
                    )
                    errors.append("")
                except ValueError as error:
                    errors.append(str(error))
                if len(numbers) >= BATCH_ROWS:
                    yield _Batch(numbers, errors, _arrays(found, width))
                    numbers, errors, found = [], [], []
    except OSError as error:
        raise table_files.unreadable(path, error) from error
    if numbers:
        yield _Batch(numbers, errors, _arrays(found, width))


def _object(line: bytes) -> dict[str, Any]:
    """The object on a line.

    Raises:
        ValueError: there is none; the message says why.
    """
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("is not utf-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f'holds {type(row).__name__}, not an object such as {{"column": 1}}')
    return row


def _json_cell(row: dict[str, Any], name: str) -> str | None:
    """A cell as text.

    Raises:
        ValueError: there is none, or a list or object.
    """
    if name not in row:
        raise ValueError(f"has no `{name}`; a missing cell is null")
    value = row[name]
    if value is None:
        return None
    if isinstance(value, (list, dict)):
        raise ValueError(
            f"column `{name}`: holds a {'list' if isinstance(value, list) else 'object'}, not one value"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    text = str(value)
    if not _sound(text):
        raise ValueError(f"column `{name}`: holds half a character (a lone surrogate)")
    return text
