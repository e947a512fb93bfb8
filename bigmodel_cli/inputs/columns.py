"""Rows of named columns, and texts: for a model of a table, and with labels for one of vectors."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.tables import new_rows
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs.blocks import Block, block_of
from bigmodel_cli.inputs.labels import Labels

BLOCK_TEXTS = 256


def rows(
    table: Path | TextIO,
    argument: str,
    spec: InputSpec,
    parameters: Mapping[str, Any],
    note: Callable[[str], None],
    labels: Labels | None = None,
) -> Iterator[Block]:
    """Rows of a table.

    Args:
        table: a file, or an open text.
        argument: what to call it.
        spec: what the model takes; with labels also vectors, whose features have names.
        parameters: of the dataset in training.
        note: hears of columns that are not used.
        labels: how the labels are read that come along; None for none.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    reading = new_rows.reading(parameters)
    columns = spec.columns or tuple(Column(name, "numeric") for name in spec.names)
    if labels is None:
        found = new_rows.read_rows(table, columns, **reading)
    else:
        wanted = labels
        found = new_rows.read_rows(
            table, columns, **reading, beside=lambda head: wanted.columns(head, argument)
        )
    extra = [name for name in found.extra if name not in reading["target"]]
    if extra:
        note(
            f"{argument}: the model does not use the column{'s' if len(extra) > 1 else ''} {', '.join(extra)}"
        )
    for some in found:
        block = Block(some.ids, some.errors, None if all(some.errors) else some.cells)
        if not spec.columns:
            block = _vectors(block, spec)
        yield block if labels is None else _labelled(block, some, labels)


def _vectors(block: Block, spec: InputSpec) -> Block:
    """Vectors instead of cells; those with a missing number become errors."""
    if block.values is None:
        return block
    errors = list(block.errors)
    values = np.stack([block.values[Column(name, "numeric").key] for name in spec.names], axis=1)
    finite = np.isfinite(values)
    for place, row in zip(block.readable, finite, strict=True):
        if not row.all():
            errors[place] = f"{block.ids[place]}: column `{spec.names[int(row.argmin())]}`: is missing"
    values = values[finite.all(axis=1)].reshape(-1, *spec.shape).astype(spec.dtype)
    return replace(block, errors=errors, values=values if len(values) else None)


def _labelled(block: Block, some: new_rows.Rows, labels: Labels) -> Block:
    read = np.flatnonzero([not error for error in some.errors])
    targets, unlabelled, beside = labels.of_cells(some.ids, read, some.beside, some.unfit)
    return replace(block, targets=targets, unlabelled=unlabelled, beside=beside)


def texts(
    path: Path, column: Column, encoding: str = "utf-8", labels: Labels | None = None
) -> Iterator[Block]:
    """A text file, or those of a folder.

    Args:
        path: the file or folder.
        column: of the model.
        encoding: of the texts.
        labels: of the folders in the folder, each of which is a class; None for none.

    Raises:
        DataError: a folder that holds none.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: holds no .txt files")
    for start in range(0, len(files), BLOCK_TEXTS):
        some = files[start : start + BLOCK_TEXTS]
        names = [str(file.relative_to(path)) if path.is_dir() else file.name for file in some]
        block = block_of(
            [_file_row(file, name, column, encoding) for file, name in zip(some, names, strict=True)]
        )
        if labels is not None:
            folders = [file.relative_to(path).parts[:-1] for file in some]
            found = labels.of_folders(block.ids, [parts[0] if parts else "" for parts in folders])
            block = replace(block, targets=found[0], unlabelled=found[1])
        yield block


def _file_row(file: Path, name: str, column: Column, encoding: str) -> tuple[str, Any]:
    # A mark of the byte order is no part of the text.
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    try:
        return text_row(name, file.read_text(encoding=encoding), column)
    except (OSError, UnicodeDecodeError) as error:
        told = "UTF-8" if encoding == "utf-8-sig" else encoding
        return name, f"{file}: cannot be read as {told} text: {error}"


def text_row(name: str, text: str, column: Column) -> tuple[str, Any]:
    """An id, and the value of a text or what is wrong with it."""
    try:
        return name, {column.key: text.encode()}
    except UnicodeEncodeError:
        return name, f"{name!r}: holds bytes that are not UTF-8"
