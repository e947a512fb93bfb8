"""Tables as text: CSV, TSV and their relatives, read with pyarrow in blocks."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.data.tables import files as table_files
from bigmodel_cli.data.tables.cells import MISSING_VALUES
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Delimiter = Literal["auto", "tab", "\t", ",", ";", "|", ":", " "]
Quote = Literal["auto", "none", '"', "'"]

SUFFIXES, PLAIN_SUFFIXES = (".csv", ".tsv", ".tab"), (".txt",)

BLOCK_BYTES, LARGE_BLOCK_BYTES = 2 * 2**20, 128 * 2**20
"""What is parsed at once; a row must fit in. The second is tried where the first is too small for one."""

LOOK_BYTES = 256 * 2**10
"""Start of a file from which its delimiter, quoting and head are seen."""

LARGEST_CELL = 2**27
"""Characters of a cell that Python's csv module accepts here; its own limit is 131,072."""


@dataclass(frozen=True)
class Dialect:
    """How the rows of one file are written.

    Attributes:
        names: of the columns.
        delimiter: between two cells.
        quote: around a cell; empty when quotes are plain characters.
        blank_lines: before the first row.
        header: whether the first row holds the names.
    """

    names: tuple[str, ...]
    delimiter: str
    quote: str
    blank_lines: int
    header: bool

    def rows(self, lines: Any) -> Any:
        """Python's reader of the same rows, over lines of text."""
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST_CELL))
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, quotechar=None)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote)


@dataclass(frozen=True)
class Delimited:
    """A `table_files.TableFormat`: every column is a string.

    Attributes:
        delimiter: `auto` looks at the start of each file.
        quote: likewise.
        header: whether the first row holds the names of the columns.
        names: of the columns, for files without a header.
        encoding: of the text.
        missing_values: texts that stand for a missing cell.
    """

    delimiter: Delimiter = "auto"
    quote: Quote = "auto"
    header: bool = True
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    missing_values: tuple[str, ...] = MISSING_VALUES
    _dialects: dict[Path, Dialect] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.header and self.names:
            raise DataError(
                "dataset.names: is for files without a header; with it, set dataset.header: false (and if "
                "the first line does hold names, leave dataset.names out)"
            )
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise DataError(
                f"dataset.encoding: there is no `{self.encoding}`; usual ones are utf-8, latin-1, "
                "cp1252, utf-16"
            ) from None

    def head(self, path: Path) -> Mapping[str, pa.DataType]:
        """Columns, all of them strings."""
        import pyarrow as pa

        return dict.fromkeys(self.dialect(path).names, pa.string())

    def place(self, path: Path, row: int) -> str:
        """File and line; the file is read again up to there."""
        try:
            dialect = self.dialect(path)
            with self._text(path) as lines:
                rows = dialect.rows(lines)
                left = row + dialect.header
                start = 1
                for cells in rows:
                    if cells:
                        if left == 0:
                            return f"{path}:{start}"
                        left -= 1
                    start = rows.line_num + 1
        except (OSError, ValueError, csv.Error, DataError):
            pass
        return f"{path}, row {row + 1}"

    def stamp(self, path: Path) -> str:
        """Name, size and time of change."""
        return table_files.stamp(path)

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows as strings."""
        import pyarrow as pa

        dialect = self.dialect(path)
        done = 0
        for block in (BLOCK_BYTES, LARGE_BLOCK_BYTES):
            skip = done
            try:
                for batch in self._read(path, dialect, names, block):
                    if skip >= batch.num_rows:
                        skip -= batch.num_rows
                        continue
                    batch, skip = batch.slice(skip), 0
                    done += batch.num_rows
                    yield pa.RecordBatch.from_arrays(batch.columns, names=list(names))
                return
            except (pa.ArrowInvalid, UnicodeError) as error:
                if "straddling" not in str(error) or block == LARGE_BLOCK_BYTES:
                    raise self._explain(path, dialect, error) from error
            except OSError as error:
                raise table_files.unreadable(path, error) from error

    def _read(
        self, path: Path, dialect: Dialect, names: Sequence[str], block: int
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        # By number: the head was read before, and its names may need repair.
        numbers = [str(index) for index in range(len(dialect.names))]
        columns = [str(dialect.names.index(name)) for name in names]
        utf8 = codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")
        with pa.input_stream(str(path), compression="detect") as stream:
            try:
                reader = arrow_csv.open_csv(
                    stream,
                    read_options=arrow_csv.ReadOptions(
                        column_names=numbers,
                        skip_rows=dialect.blank_lines,
                        skip_rows_after_names=int(dialect.header),
                        block_size=block,
                        encoding="utf8" if utf8 else self.encoding,
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=dialect.delimiter,
                        quote_char=dialect.quote or False,
                        newlines_in_values=bool(dialect.quote),
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=dict.fromkeys(numbers, pa.string()),
                        include_columns=columns,
                        null_values=list(self.missing_values),
                        strings_can_be_null=True,
                    ),
                )
            except pa.ArrowInvalid as error:
                if "Empty CSV" in str(error):
                    return
                raise
            yield from reader

    def dialect(self, path: Path) -> Dialect:
        """How a file is written, seen from its start.

        Raises:
            DataError: an empty or unreadable file, or a head that repeats a name.
        """
        if path not in self._dialects:
            try:
                with open_bytes(path) as stream:
                    start = stream.read(LOOK_BYTES)
            except (OSError, ValueError) as error:
                raise DataError(
                    f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
                ) from error
            try:
                text = codecs.getincrementaldecoder(self.encoding)().decode(start).removeprefix("\ufeff")
            except UnicodeError as error:
                raise self._undecodable(path) from error
            self._dialects[path] = self.see(
                text, str(path), table_files.suffix(path), len(start) < LOOK_BYTES
            )
        return self._dialects[path]

    def see(self, text: str, place: str, suffix: str, complete: bool, absent: Sequence[str] = ()) -> Dialect:
        """How rows are written.

        Args:
            text: the start of the file.
            place: what to call it in messages.
            suffix: of the file, lower case; empty where there is none.
            complete: whether the text is the whole file.
            absent: which of the names given for files without a header this file may lack.

        Raises:
            DataError: there is no row, or names that cannot be told apart.
        """
        lines = re.split(r"\r\n|\n|\r", text)
        if not complete and len(lines) > 1:
            lines.pop()
        blank = next((number for number, line in enumerate(lines) if line), len(lines))
        lines = [line for line in lines if line]
        if not lines:
            raise DataError(
                f"{place}: is empty; it needs {'a line of column names and ' if self.header else ''}rows"
            )
        if complete and self.header and len(lines) == 1:
            raise DataError(
                f"{place}: has one line and no rows below it; if that line is a row, set "
                "dataset.header: false"
            )
        usual = "\t" if suffix in (".tsv", ".tab") else ","
        delimiter = _find_delimiter(lines, usual, self.quote) if self.delimiter == "auto" else self.delimiter
        delimiter = "\t" if delimiter == "tab" else delimiter
        quote = _find_quote(lines, delimiter, complete) if self.quote == "auto" else self.quote
        plain = Dialect((), delimiter, "" if quote == "none" else quote, blank, self.header)
        try:
            first = next(plain.rows(f"{line}\n" for line in lines))
        except csv.Error as error:
            raise DataError(f"{place}: the first row cannot be read: {error}") from error
        return Dialect(self._names(first, place, absent), plain.delimiter, plain.quote, blank, self.header)

    def _names(self, first: Sequence[str], place: str, absent: Sequence[str]) -> tuple[str, ...]:
        if not self.header:
            names = self.names or tuple(f"column_{number}" for number in range(1, len(first) + 1))
            fewer = tuple(name for name in names if name not in absent)
            if len(first) == len(fewer):
                names = fewer
            if len(names) != len(first):
                raise DataError(
                    f"{place}: its first row has {len(first)} cells, and dataset.names gives "
                    f"{len(names)} names"
                )
        else:
            names = tuple(name.strip() or f"unnamed_{number}" for number, name in enumerate(first, 1))
        table_files.require_distinct(names, place)
        return names

    def _text(self, path: Path) -> io.TextIOWrapper:
        encoding = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        return io.TextIOWrapper(open_bytes(path), encoding, newline="")

    def _explain(self, path: Path, dialect: Dialect, error: Exception) -> DataError:
        """What pyarrow found, with the line, for which the file is read again."""
        text = str(error).strip().splitlines()[0]
        if isinstance(error, UnicodeError) or "UTF8" in text:
            return self._undecodable(path)
        if "straddling" in text:
            return DataError(
                f"{path}: a row takes more than {LARGE_BLOCK_BYTES // 2**20} MiB, which an opening "
                "quote without "
                "a closing one makes; if quotes are plain characters in this file, set dataset.quote: none"
            )
        if "Expected" in text and (found := self._ragged(path, dialect)) is not None:
            line, count = found
            return DataError(
                f"{path}:{line}: {count} cells, where the first row has {len(dialect.names)}; quote "
                "cells that hold "
                f"the delimiter ({_shown(dialect.delimiter)}) or a line break, or name another "
                "dataset.delimiter "
                "or dataset.quote"
            )
        return DataError(f"{path}: cannot be read: {text}")

    def _ragged(self, path: Path, dialect: Dialect) -> tuple[int, int] | None:
        """Line of the first row with another number of cells, and that number."""
        try:
            with self._text(path) as lines:
                rows = dialect.rows(lines)
                start = 1
                for cells in rows:
                    if cells and len(cells) != len(dialect.names):
                        return start, len(cells)
                    start = rows.line_num + 1
        except (OSError, ValueError, csv.Error):
            pass
        return None

    def _undecodable(self, path: Path) -> DataError:
        place, value = str(path), b""
        with open_bytes(path) as stream:
            wide = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        if not wide:
            with open_bytes(path) as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        line.decode(self.encoding)
                    except UnicodeDecodeError as error:
                        place, value = f"{path}:{number}", line[error.start : error.start + 1]
                        break
        shown = f"the byte 0x{value.hex()} is" if value else "its bytes are"
        others = "utf-16" if wide else "latin-1 or cp1252"
        return DataError(
            f"{place}: {shown} not {self.encoding}; name the file's own, such as dataset.encoding: {others}"
        )


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of a file, unpacked.

    Raises:
        OSError: it is not there or cannot be read.
    """
    import pyarrow as pa

    if path.suffix.lower() in table_files.PACKED:
        return io.BufferedReader(pa.input_stream(str(path), compression="detect"))
    return path.open("rb")


def _shown(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else "a space" if delimiter == " " else f"`{delimiter}`"


def _widths(lines: Sequence[str], dialect: Dialect) -> list[int]:
    """Cells in each of the first rows, without the last one, which may be cut off."""
    try:
        widths = [len(cells) for cells in dialect.rows(f"{line}\n" for line in lines)]
    except csv.Error:
        return []
    return widths[:-1] if len(widths) > 2 else widths


def _find_delimiter(lines: Sequence[str], usual: str, quote: Quote) -> str:
    """The delimiter that cuts the first rows into equally many cells, two or more; else the usual one."""
    lines = lines[:100]
    mark = {"auto": '"', "none": ""}.get(quote, quote)
    widths = {
        candidate: _widths(lines, Dialect((), candidate, mark, 0, True))
        for candidate in dict.fromkeys((usual, ",", "\t", ";", "|"))
    }
    even = [candidate for candidate, found in widths.items() if len(set(found)) == 1 and found[0] > 1]
    if even:
        return usual if usual in even else max(even, key=lambda candidate: widths[candidate][0])
    # No delimiter fits all rows; the one of the first row leads to the best message.
    first = {candidate: found[0] if found else 0 for candidate, found in widths.items()}
    return max(first, key=lambda candidate: first[candidate])


def _find_quote(lines: Sequence[str], delimiter: str, complete: bool) -> str:
    """Whether double quotes surround cells, or are characters as others (`none`).

    Tab-separated text often has plain quotes, so there they must be seen to surround cells.
    """
    lines = [*lines]
    opening = re.compile(rf'(?:^|{re.escape(delimiter)})"')
    if not any(opening.search(line) for line in lines):
        return "none" if delimiter == "\t" else '"'
    plain = {len(cells) for cells in Dialect((), delimiter, "", 0, True).rows(f"{line}\n" for line in lines)}
    quoted: list[int] = []
    sound = True
    try:
        for cells in csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True):
            quoted.append(len(cells))
    except csv.Error as error:
        # The last cell may go on behind the part that was looked at.
        sound = not complete and "unexpected end" in str(error)
    fits = sound and len(set(quoted)) == 1
    if len(plain) == 1 and (not fits or len(quoted) < len(lines)):
        return "none"
    return '"'
