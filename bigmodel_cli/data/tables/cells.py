"""Cells of a table as stored -> raw cells, a whole Arrow array at a time.

Texts and typed columns give the same raw cells (`columns.RAW_DTYPES`), in training and for new rows alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bigmodel_cli.columns import MISSING_DATE, ColumnKind

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

DateOrder = Literal["day_first", "month_first"]

MISSING_VALUES = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""Texts that stand for a missing cell."""

TRUE = ("true", "yes", "t", "y", "on", "1")
FALSE = ("false", "no", "f", "n", "off", "0")

LARGEST = 3.4028234e38
"""A raw number is float32; beyond it there is only infinity."""

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

WHAT: dict[ColumnKind, str] = {
    "numeric": "a finite number",
    "boolean": "true or false",
    "categorical": "a category",
    "date": "a date such as 2024-01-31 or 2024-01-31 12:30:00",
    "text": "a text",
    "image": "the path of an image file",
}
"""What a cell of a kind is, for messages."""


def is_string(dtype: pa.DataType) -> bool:
    """Whether cells of this Arrow type are texts, dictionary-encoded or not."""
    import pyarrow as pa

    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return bool(
        pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype)
    )


def is_number(dtype: pa.DataType) -> bool:
    """Whether cells of this Arrow type are numbers."""
    import pyarrow as pa

    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(kind(dtype) for kind in kinds)


def is_date(dtype: pa.DataType) -> bool:
    """Whether cells of this Arrow type are dates or times of a day."""
    import pyarrow as pa

    return bool(pa.types.is_date(dtype) or pa.types.is_timestamp(dtype))


def kinds_of(dtype: pa.DataType) -> tuple[ColumnKind, ...]:
    """Kinds that a column of this Arrow type can be read as, the natural one first; none for nested ones."""
    import pyarrow as pa

    if is_string(dtype) or pa.types.is_null(dtype):
        return ("categorical", "text", "numeric", "boolean", "date", "image")
    if pa.types.is_boolean(dtype):
        return ("boolean", "numeric", "categorical", "text")
    if is_number(dtype):
        return ("numeric", "categorical", "boolean", "text")
    if is_date(dtype):
        return ("date", "categorical", "text")
    return ()


@dataclass(frozen=True)
class CellReader:
    """How cells are written.

    Attributes:
        missing_values: texts that stand for a missing cell.
        decimal: the sign before the fraction of a number.
        date_order: how 03/04/2024 is meant; None refuses it.
    """

    missing_values: tuple[str, ...] = MISSING_VALUES
    decimal: Literal[".", ","] = "."
    date_order: DateOrder | None = None

    def read(self, cells: pa.Array, kind: ColumnKind) -> tuple[pa.Array, np.ndarray | None]:
        """Cells of one kind.

        Args:
            cells: (n,), of a type for which `kinds_of` names the kind; a cell that equals one of the missing
                values may be null already.
            kind: what they are to be.

        Returns:
            (n,) float64 (numeric; boolean, 0 and 1), int64 seconds since 1970 (date) or string (of an image
            its path as it is written), null where
            a cell is missing or unreadable; and which cells, (n,) bool, cannot be read, None when all can.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(cells.type):
            values, bad = self.read(cells.dictionary, kind)
            if bad is not None:
                used = pc.fill_null(pc.cast(cells.indices, pa.int64()), 0).to_numpy(zero_copy_only=False)
                bad = bad[used] & cells.is_valid().to_numpy(zero_copy_only=False)
            return values.take(cells.indices), bad if bad is not None and bad.any() else None
        if pa.types.is_null(cells.type):
            cells = cells.cast(pa.string())
        if not is_string(cells.type):
            return _from_typed(cells, kind)
        if not pa.types.is_string(cells.type):
            cells = cells.cast(pa.string())
        if kind == "text":
            return self._without_missing(cells), None
        if kind == "image":
            return self._tidy(cells), None
        if kind == "categorical":
            # The few different texts are looked at once; a number is the same category as 1 and as 1.0.
            encoded = cells.dictionary_encode()
            texts = pc.replace_substring_regex(self._tidy(encoded.dictionary), r"^([+-]?\d+)\.0+$", r"\1")
            return texts.take(encoded.indices), None
        if kind == "boolean":
            return _booleans(self._tidy(cells))
        if kind == "date":
            return self._dates(cells)
        return self._numbers(cells)

    def _without_missing(self, cells: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        # The empty text is how a raw cell says that it is missing, so it is missing in any case.
        missing = pa.array(sorted({"", *self.missing_values}), pa.string())
        found = pc.is_in(cells, value_set=missing)
        return pc.if_else(found, pa.scalar(None, pa.string()), cells)

    def _tidy(self, cells: pa.Array) -> pa.Array:
        """Without white space around a cell, and with nulls for what is then missing."""
        import pyarrow.compute as pc

        return self._without_missing(pc.utf8_trim_whitespace(cells))

    def _numbers(self, cells: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
        import pyarrow as pa
        import pyarrow.compute as pc

        def cast(texts: pa.Array) -> pa.Array:
            return pc.cast(texts, pa.float64())

        bad = None
        try:
            if self.decimal == ",":
                raise pa.ArrowInvalid("has to be rewritten first")
            values = cast(cells)
        except pa.ArrowInvalid:
            cells = self._tidy(cells)
            if self.decimal == ",":
                # A point would be taken for a decimal one; here it can only group thousands.
                cells = pc.replace_substring(pc.replace_substring(cells, ".", "_"), ",", ".")
            values, bad = _cast_each(pc.replace_substring_regex(cells, r"^\+(\d|\.)", r"\1"), cast)
        return _finite(values, bad)

    def _dates(self, cells: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            return _seconds(pc.cast(cells, pa.timestamp("us"))), None
        except pa.ArrowInvalid:
            cells = self._iso(self._tidy(cells))
        zoned = pc.fill_null(pc.match_substring_regex(cells, r"\d:\d.*(Z|[+-]\d\d(:?\d\d)?)$"), False)
        here, bad = _cast_each(_where(zoned, None, cells), lambda texts: pc.cast(texts, pa.timestamp("us")))
        utc, unfit = _cast_each(
            _where(zoned, cells, None), lambda texts: pc.cast(texts, pa.timestamp("us", tz="UTC"))
        )
        values = pc.coalesce(_seconds(here), _seconds(utc))
        either = [mask for mask in (bad, unfit) if mask is not None]
        return values, either[0] | either[-1] if either else None

    def _iso(self, cells: pa.Array) -> pa.Array:
        """Dates in the forms that leave no doubt, as ISO 8601; others stay as they are.

        Written out with patterns rather than read with strptime, which takes the 31st of February.
        """
        import pyarrow.compute as pc

        forms = [
            (r"^(\d{4})/(\d{1,2})/(\d{1,2})\b", r"\1-\2-\3"),
            (r"^(\d{1,2})\.(\d{1,2})\.(\d{4})\b", r"\3-\2-\1"),
            (r"^(\d{1,2})[ -]([A-Za-z]{3})[a-z]*\.?,?[ -](\d{4})\b", r"\3-\2-\1"),
            (r"^([A-Za-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})\b", r"\3-\1-\2"),
            (r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3"),
            (r"^(\d{4})-(\d{1,2})$", r"\1-\2-01"),
        ]
        if self.date_order is not None:
            order = r"\3-\2-\1" if self.date_order == "day_first" else r"\3-\1-\2"
            forms.append((r"^(\d{1,2})/(\d{1,2})/(\d{4})\b", order))
        for pattern, iso in forms:
            cells = pc.replace_substring_regex(cells, pattern, iso)
        if pc.any(pc.match_substring_regex(cells, r"^\d{4}-[A-Za-z]{3}-")).as_py():
            for number, month in enumerate(MONTHS, 1):
                cells = pc.replace_substring_regex(cells, rf"^(\d{{4}})-(?i:{month})-", rf"\1-{number:02}-")
        for pattern, iso in (
            (r"^(\d{4})-(\d)-", r"\1-0\2-"),
            (r"^(\d{4}-\d{2})-(\d)(\D|$)", r"\1-0\2\3"),
            (r"^(\d{4}-\d{2}-\d{2})[T ]+(\d):", r"\1 0\2:"),
            (r"(:\d{2}\.\d{6})\d+", r"\1"),
            (r"(:\d{2}(?:\.\d+)?) ?(?:UTC|GMT)$", r"\1Z"),
        ):
            cells = pc.replace_substring_regex(cells, pattern, iso)
        return cells


def raw(values: pa.Array, kind: ColumnKind) -> np.ndarray:
    """Raw cells as `columns.RAW_DTYPES` says, (n,): float32, int64, or bytes (UTF-8) in an array of objects.

    Args:
        values: as `CellReader.read` gives them.
        kind: theirs; no image, which `image_cells` decodes.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind in ("numeric", "boolean"):
        return pc.cast(pc.fill_null(values, np.nan), pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    if kind == "date":
        return pc.fill_null(values, MISSING_DATE).to_numpy(zero_copy_only=False)
    texts = pc.fill_null(values, "").cast(pa.binary())
    if kind == "text":
        return texts.to_numpy(zero_copy_only=False)
    # Equal categories become one object, which saves most of their memory.
    encoded = texts.dictionary_encode()
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy(zero_copy_only=False)]


def hashes(values: pa.Array) -> np.ndarray:
    """A hash (n,) uint64 of each of the values that `CellReader.read` gives.

    The words of a text are mixed one by one with their place (splitmix64, Steele, Lea and Flood 2014, fig.
    15) and summed up, so that no text becomes a Python object.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(values.type):
        numbers = pc.fill_null(values, MISSING_DATE if pa.types.is_integer(values.type) else np.nan)
        # -0.0 equals 0.0, so their bits must not differ.
        return mix(
            (numbers.to_numpy(zero_copy_only=False) + values.type.to_pandas_dtype()(0)).view(np.uint64)
        )
    encoded = pc.fill_null(values, "").dictionary_encode()
    texts = encoded.dictionary.cast(pa.binary())
    _, offset_buffer, data = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset :][: len(texts) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    words = -(-lengths // 8)
    starts = np.concatenate([[0], np.cumsum(words)])
    padded = np.zeros(starts[-1] * 8, np.uint8)
    source = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data is not None else padded
    padded[np.arange(len(source)) + np.repeat(starts[:-1] * 8 - (offsets[:-1] - offsets[0]), lengths)] = (
        source
    )
    places = np.arange(starts[-1]) - np.repeat(starts[:-1], words)
    mixed = mix(padded.view(np.uint64) ^ mix(places.astype(np.uint64)))
    # Sums wrap around at 2**64, and so do their differences.
    sums = np.zeros(len(mixed) + 1, np.uint64)
    np.cumsum(mixed, out=sums[1:])
    found = mix((sums[starts[1:]] - sums[starts[:-1]]) ^ lengths.astype(np.uint64))
    return found[encoded.indices.to_numpy(zero_copy_only=False)]


def mix(numbers: np.ndarray) -> np.ndarray:
    """Scatter numbers (n,) uint64 over all of them, one to one."""
    import numpy as np

    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def number_texts(numbers: np.ndarray) -> list[str]:
    """Numbers as the names of classes or categories: whole ones without a decimal point."""
    return [str(int(number)) if float(number).is_integer() else repr(float(number)) for number in numbers]


def unfit(value: object, kind: ColumnKind, remedy: str) -> str:
    """What is wrong with a cell that is not what its column is."""
    return f"{quoted(value)} is not {WHAT[kind]}; {remedy}"


def quoted(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = str(value)
    return f"`{text[:77]}...`" if len(text) > 80 else f"`{text}`"


def _from_typed(cells: pa.Array, kind: ColumnKind) -> tuple[pa.Array, np.ndarray | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_date(cells.type):
        if kind == "date":
            return _seconds(cells), None
        return pc.cast(cells, pa.string()), None
    if kind in ("categorical", "text"):
        return _number_categories(cells), None
    if pa.types.is_boolean(cells.type):
        return pc.cast(pc.cast(cells, pa.int8()), pa.float64()), None
    if pa.types.is_float16(cells.type):
        cells = cells.cast(pa.float32())
    values, bad = _finite(pc.cast(cells, pa.float64(), safe=False), None)
    if kind == "boolean":
        other = pc.fill_null(pc.invert(pc.is_in(values, value_set=pa.array([0.0, 1.0]))), False)
        unfit = pc.and_(other, values.is_valid()).to_numpy(zero_copy_only=False)
        if unfit.any():
            bad = unfit if bad is None else bad | unfit
    return values, bad


def _number_categories(cells: pa.Array) -> pa.Array:
    """Numbers or booleans as texts, whole numbers without a decimal point."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(cells.type) or pa.types.is_integer(cells.type):
        return pc.cast(cells, pa.string())
    if pa.types.is_float16(cells.type):
        cells = cells.cast(pa.float32())
    encoded = pc.cast(cells, pa.float64(), safe=False).dictionary_encode()
    numbers = encoded.dictionary.to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    texts = np.full(len(numbers), None, object)
    texts[known] = number_texts(numbers[known])
    return pa.array(texts, pa.string()).take(encoded.indices)


def _booleans(cells: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    lower = pc.utf8_lower(cells)
    yes, no = (pc.is_in(lower, value_set=pa.array(words)) for words in (TRUE, FALSE))
    values = pc.if_else(yes, 1.0, pc.if_else(no, 0.0, pa.scalar(None, pa.float64())))
    bad = pc.and_(cells.is_valid(), values.is_null()).to_numpy(zero_copy_only=False)
    return values, bad if bad.any() else None


def _finite(values: pa.Array, bad: np.ndarray | None) -> tuple[pa.Array, np.ndarray | None]:
    """NaN is a missing number; one that float32 cannot hold is unreadable."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False)
    huge = np.abs(numbers) > LARGEST
    if huge.any():
        bad = huge if bad is None else bad | huge
    missing = np.isnan(numbers) | huge
    return pa.array(numbers, pa.float64(), mask=missing), bad


def _seconds(dates: pa.Array) -> pa.Array:
    """Seconds since 1970, rounded down, of dates or timestamps; those with a zone are UTC inside."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = dates.type.tz if pa.types.is_timestamp(dates.type) else None
    micros = pc.cast(dates, pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
    missing = micros.is_null().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(micros, 0).to_numpy(zero_copy_only=False)
    return pa.array(numbers // 1_000_000, pa.int64(), mask=missing)


def _where(condition: pa.Array, then: pa.Array | None, other: pa.Array | None) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    null = pa.scalar(None, pa.string())
    return pc.if_else(condition, null if then is None else then, null if other is None else other)


def _cast_each(cells: pa.Array, cast: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array, np.ndarray | None]:
    """Cast texts, and find those that cannot be cast by halving; Arrow gives up at the first one."""
    import numpy as np
    import pyarrow as pa

    done: list[pa.Array] = []
    bad: list[int] = []

    def part(start: int, stop: int) -> None:
        try:
            done.append(cast(cells.slice(start, stop - start)))
        except pa.ArrowInvalid:
            if stop - start == 1:
                bad.append(start)
                done.append(cast(pa.nulls(1, pa.string())))
                return
            middle = (start + stop) // 2
            part(start, middle)
            part(middle, stop)

    part(0, len(cells))
    values = done[0] if len(done) == 1 else pa.concat_arrays(done)
    if not bad:
        return values, None
    mask = np.zeros(len(cells), bool)
    mask[bad] = True
    return values, mask
