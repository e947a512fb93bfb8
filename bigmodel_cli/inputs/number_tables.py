"""Numbers for a model of one vector: typed on the command line, or in a table of text."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs.arrays import checked, describe
from bigmodel_cli.inputs.blocks import Block, block_of

BLOCK_ROWS = 512


def numbers(text: str) -> list[float] | None:
    """The numbers of `0.5` or `1,2,3`, or None when it is something else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return None


def number_row(argument: str, given: Sequence[float], spec: InputSpec) -> Block:
    """One input that was typed.

    Raises:
        DataError: it has more or fewer numbers than the model takes.
    """
    if spec.kind == "image" or math.prod(spec.shape) != len(given):
        raise DataError(
            f"{argument}: is {len(given)} number{'s' if len(given) > 1 else ''}, but this model takes "
            f"{describe(spec)}"
        )
    return checked([argument], np.asarray(given, np.float64).reshape(1, *spec.shape), spec)


def file_rows(path: Path, spec: InputSpec) -> Iterator[Block]:
    """Rows of a table in a file; see `rows`."""
    # Bytes of another encoding become surrogates, by which the row that holds them is found.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from rows(file, str(path), spec)


def rows(file: TextIO, name: str, spec: InputSpec) -> Iterator[Block]:
    """Rows of a table of numbers; a header that names the model's features may order them freely.

    Raises:
        DataError: the table is empty, is no text, or lacks a column.
    """
    try:
        for some in _some(_cells(file, name), name, spec):
            yield block_of(some)
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text (byte {error.start})") from None
    except csv.Error as error:
        raise DataError(f"{name}: cannot be read as a table: {error}") from None


def _cells(file: TextIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, with their numbers from 1."""
    first = file.readline()
    delimiter = "\t" if "\t" in first else ","
    for number, line in enumerate(csv.reader(chain([first], file), delimiter=delimiter), 1):
        if line:
            yield number, line


def _some(
    lines: Iterator[tuple[int, list[str]]], name: str, spec: InputSpec
) -> Iterator[list[tuple[str, Any]]]:
    head = next(lines, None)
    if head is None:
        raise DataError(f"{name}: is empty")
    first = [cell.strip() for cell in head[1]]
    # A first line of numbers with a bad cell among them is no header.
    has_header = not any(numbers(cell) for cell in first) or bool(set(first) & set(spec.names))
    if has_header and not all(_is_text(cell) for cell in first):
        raise DataError(f"{name}: is not UTF-8 text: its first line holds other bytes")
    columns = _columns(name, first, spec) if has_header else list(range(math.prod(spec.shape)))
    width = None if has_header else len(columns)
    kept: list[tuple[str, Any]] = []
    for number, line in lines if has_header else chain([head], lines):
        kept.append(_row(f"{name}:{number}", line, columns, width, spec))
        if len(kept) == BLOCK_ROWS:
            yield kept
            kept = []
    if kept:
        yield kept


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _columns(name: str, header: Sequence[str], spec: InputSpec) -> list[int]:
    positions: Mapping[str, int] = {cell: index for index, cell in enumerate(header)}
    missing = [feature for feature in spec.names if feature not in positions]
    if missing:
        raise DataError(
            f"{name}:1: lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing[:8])}"
            f"{' and more' if len(missing) > 8 else ''}; this model takes {describe(spec)}"
        )
    return [positions[feature] for feature in spec.names]


def _row(
    place: str, line: Sequence[str], columns: Sequence[int], width: int | None, spec: InputSpec
) -> tuple[str, Any]:
    """Its place, and its numbers or what is wrong with it."""
    if width is not None and len(line) != width:
        return place, f"{place}: has {len(line)} cells, but this model takes {describe(spec)}"
    values: list[float] = []
    for column in columns:
        cell = line[column].strip() if column < len(line) else ""
        try:
            values.append(float(cell))
        except ValueError:
            shown = cell.encode("utf-8", "backslashreplace").decode()
            return place, f"{place}: `{shown}` in column {column + 1} is not a number"
    if not all(map(math.isfinite, values)):
        return place, f"{place} holds a number that is not finite"
    return place, np.asarray(values, np.float64).reshape(spec.shape).astype(spec.dtype)
