"""Rows of named columns, and texts, for a model of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.tables import new_rows
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs.blocks import Block, block_of

BLOCK_TEXTS = 256


def rows(
    table: Path | TextIO,
    argument: str,
    spec: InputSpec,
    parameters: Mapping[str, Any],
    note: Callable[[str], None],
) -> Iterator[Block]:
    """Rows of a table.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    reading = new_rows.reading(parameters)
    found = new_rows.read_rows(table, spec.columns, **reading)
    extra = [name for name in found.extra if name not in reading["target"]]
    if extra:
        note(
            f"{argument}: the model does not use the column{'s' if len(extra) > 1 else ''} {', '.join(extra)}"
        )
    for some in found:
        yield Block(some.ids, some.errors, None if all(some.errors) else some.cells)


def texts(path: Path, column: Column) -> Iterator[Block]:
    """A text file, or those of a folder.

    Raises:
        DataError: a folder that holds none.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: holds no .txt files")
    for start in range(0, len(files), BLOCK_TEXTS):
        yield block_of(
            [
                _file_row(file, str(file.relative_to(path)) if path.is_dir() else file.name, column)
                for file in files[start : start + BLOCK_TEXTS]
            ]
        )


def _file_row(file: Path, name: str, column: Column) -> tuple[str, Any]:
    try:
        return text_row(name, file.read_text(encoding="utf-8-sig"), column)
    except (OSError, UnicodeDecodeError) as error:
        return name, f"{file}: cannot be read as UTF-8 text: {error}"


def text_row(name: str, text: str, column: Column) -> tuple[str, Any]:
    """An id, and the value of a text or what is wrong with it."""
    try:
        return name, {column.key: text.encode()}
    except UnicodeEncodeError:
        return name, f"{name!r}: holds bytes that are not UTF-8"
