"""What kind a column is, judged by a sample of its cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bigmodel_cli.columns import ColumnKind
from bigmodel_cli.data.tables import cells as cell_forms
from bigmodel_cli.data.tables.cells import CellReader

if TYPE_CHECKING:
    import pyarrow as pa

DeclaredKind = Literal["numeric", "boolean", "categorical", "date", "text", "ignore"]
FileColumnKind = Literal["numeric", "boolean", "categorical", "date", "text", "image", "ignore"]
"""Of a table in files, whose cells may be paths of images."""

FIRST_LOOK = 1000
"""Cells that rule out most kinds, before the whole sample is read."""

TEXT_DISTINCT, TEXT_WORDS, TEXT_LENGTH = 0.5, 2.0, 30
"""A text column: more distinct than this share, and so many words or characters a cell in the mean."""

IMAGE_FILE = r"(?i)\.(jpe?g|png|gif|bmp|webp)$"

IDENTIFIER_DISTINCT, IDENTIFIER_ROWS = 0.95, 20
"""Strings that are hardly ever equal, and are no texts, say which row it is and nothing more."""


@dataclass(frozen=True)
class Inferred:
    """What a column seems to be.

    Attributes:
        kind: how its cells are read.
        whole: numbers that are all written as whole ones.
        ignored: why the column is of no use as a feature; empty when it is.
        remark: what the user may want to change; empty for nothing.
    """

    kind: ColumnKind
    whole: bool = False
    ignored: str = ""
    remark: str = ""


def infer(name: str, sample: pa.Array, reader: CellReader) -> Inferred:
    """The kind of a column.

    Numbers are numeric, also when there are few different ones; numbers with leading zeros (postal codes) are
    categorical. Strings are a text when most are distinct and have several words or are long, of no use when
    nearly all are distinct otherwise, else categorical.

    Args:
        name: of the column.
        sample: cells (n,), of a type that `cells.kinds_of` knows, missing ones null.
        reader: how cells are written.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sample = sample.drop_null()
    if not cell_forms.is_string(sample.type) and not pa.types.is_null(sample.type):
        kind = cell_forms.kinds_of(sample.type)[0]
        whole = pa.types.is_integer(sample.type)
        return Inferred(kind, whole, remark=_row_number(name, sample) if whole else "")
    if pa.types.is_dictionary(sample.type):
        return Inferred("categorical")
    strings = pc.utf8_trim_whitespace(sample.cast(pa.string()))
    strings = reader.read(strings, "text")[0].drop_null()
    if len(strings) == 0:
        return Inferred("categorical")
    if _fits(strings, "numeric", reader):
        if pc.any(pc.match_substring_regex(strings, r"^[+-]?0\d+$")).as_py():
            return Inferred("categorical")
        whole = bool(pc.all(pc.match_substring_regex(strings, r"^[+-]?\d+$")).as_py())
        numbers, _ = reader.read(strings, "numeric")
        return Inferred("numeric", whole, remark=_row_number(name, numbers) if whole else "")
    if pc.all(pc.is_in(pc.utf8_lower(strings), value_set=pa.array(["true", "false", "yes", "no"]))).as_py():
        return Inferred("boolean")
    if _fits(strings, "date", reader):
        return Inferred("date")
    return _of_strings(strings)


def _fits(strings: pa.Array, kind: ColumnKind, reader: CellReader) -> bool:
    return all(
        reader.read(part, kind)[1] is None
        for part in (strings.slice(0, FIRST_LOOK), strings.slice(FIRST_LOOK))
        if len(part)
    )


def _row_number(name: str, numbers: pa.Array) -> str:
    """A remark on a column that counts the rows, or is called an identifier and is one."""
    import numpy as np
    import pyarrow.compute as pc

    values = numbers.to_numpy(zero_copy_only=False)
    counts = len(values) > 2 and values[0] in (0, 1) and bool(np.all(np.diff(values) == 1))
    called = re.search(r"(^|[_\s])(id|idx|index)$|[a-z](Id|ID)$", name, re.I if "_" in name else 0)
    named = called is not None or name.lower() in ("id", "idx", "index")
    if counts or (named and pc.count_distinct(numbers).as_py() > IDENTIFIER_DISTINCT * len(values)):
        return f"`{name}` looks like a row number; to leave it out: dataset.columns: {{{name}: ignore}}"
    return ""


def _of_strings(strings: pa.Array) -> Inferred:
    import pyarrow.compute as pc

    count = len(strings)
    distinct = pc.count_distinct(strings).as_py() / count
    pictures = pc.all(pc.match_substring_regex(strings, IMAGE_FILE)).as_py()
    if distinct > TEXT_DISTINCT and pictures:
        return Inferred("categorical", ignored="holds names of image files; to use them, declare it `image`")
    characters = pc.mean(pc.utf8_length(strings)).as_py()
    size = pc.mean(pc.binary_length(strings)).as_py()
    words = 1 + pc.mean(pc.count_substring_regex(strings, r"\s+\S")).as_py()
    if size > 2.5 * characters:
        # Three bytes a character: a script mostly written without spaces, about two characters a word.
        words = max(words, characters / 2)
    codes = pc.all(pc.match_substring_regex(strings, r"^[0-9a-fA-F-]+$")).as_py()
    if distinct > TEXT_DISTINCT and (words >= TEXT_WORDS or (characters >= TEXT_LENGTH and not codes)):
        return Inferred("text")
    if distinct > IDENTIFIER_DISTINCT and count >= IDENTIFIER_ROWS:
        return Inferred("categorical", ignored="nearly every row has a value of its own")
    slashes = pc.all(pc.match_substring_regex(strings, r"^\d{1,2}/\d{1,2}/\d{4}\b")).as_py()
    example = strings[0].as_py()
    return Inferred(
        "categorical",
        remark=f"holds what may be dates, such as {example}; to read them: dataset.date_order"
        if slashes
        else "",
    )
