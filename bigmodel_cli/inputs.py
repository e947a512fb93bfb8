"""New inputs of any form people have them in, read one by one to what a model takes.

An input that cannot be read becomes a row with an error; it does not cost the others.
"""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.images.decoding import decode
from bigmodel_cli.data.tables import new_rows
from bigmodel_cli.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
STANDARD_INPUT = "-"
_LONGEST_PATH = 1024


@dataclass(frozen=True)
class Row:
    """One input.

    Attributes:
        id: file name, row number, or the value itself.
        value: of the shape and dtype that the model takes, of a table column key -> raw cell; None when it
            cannot be read.
        error: why it cannot be read; empty when it can.
    """

    id: str
    value: np.ndarray | Mapping[str, Any] | None
    error: str = ""


def stacked(rows: Sequence[Row]) -> Any:
    """The values of readable rows as the model takes them: (n, *shape), of a table column key -> (n,)."""
    values: list[Any] = [row.value for row in rows if row.value is not None]
    if isinstance(values[0], Mapping):
        return {key: np.array([value[key] for value in values]) for key in values[0]}
    return np.stack(values)


def read(
    inputs: Sequence[str],
    spec: InputSpec,
    standard_input: TextIO,
    *,
    parameters: Mapping[str, Any],
    note: Callable[[str], None],
) -> Iterator[Row]:
    """All inputs that the arguments name, in order.

    Args:
        inputs: image files, folders of images, .npy and .npz arrays, tables, numbers, or `-`; texts, and
            files and folders of them, for a model of one text.
        spec: what the model takes.
        standard_input: read as a table for `-`.
        parameters: of the dataset in training, by which tables are read in the same way.
        note: hears what is left unread.

    Raises:
        DataError: an argument that names nothing, or a table or array that does not fit at all.
    """
    for argument in inputs:
        if spec.kind == "table":
            yield from _columns_of(argument, spec, standard_input, parameters, note)
        elif argument == STANDARD_INPUT:
            yield from _table(standard_input, "standard input", spec)
        elif (numbers := _numbers(argument)) is not None and not Path(argument).exists():
            yield _number_row(argument, numbers, spec)
        else:
            yield from _path(Path(argument), spec)


def _columns_of(
    argument: str,
    spec: InputSpec,
    standard_input: TextIO,
    parameters: Mapping[str, Any],
    note: Callable[[str], None],
) -> Iterator[Row]:
    """Rows of a table, or texts."""
    one_text = len(spec.columns) == 1 and spec.columns[0].kind == "text"
    path = Path(argument)
    # A text may be longer than any file name.
    is_file = len(argument) < _LONGEST_PATH and path.exists()
    if one_text and argument != STANDARD_INPUT and path.suffix.lower() not in new_rows.SUFFIXES[1:]:
        yield from (
            _texts(path, spec.columns[0]) if is_file else [_text_row(argument, argument, spec.columns[0])]
        )
        return
    if not is_file and argument != STANDARD_INPUT:
        raise DataError(
            f"{argument}: there is no such file; this model takes tables ({', '.join(new_rows.SUFFIXES)}, "
            "or - for "
            f"standard input) with the columns {_names(spec)}"
        )
    table = standard_input if argument == STANDARD_INPUT else path
    reading = new_rows.reading(parameters)
    rows = new_rows.read_rows(table, spec.columns, **reading)
    extra = [name for name in rows.extra if name not in reading["target"]]
    if extra:
        note(
            f"{argument}: the model does not use the column{'s' if len(extra) > 1 else ''} {', '.join(extra)}"
        )
    for some in rows:
        readable = 0
        for name, error in zip(some.ids, some.errors, strict=True):
            if error:
                yield Row(name, None, error)
                continue
            yield Row(name, {key: cells[readable] for key, cells in some.cells.items()})
            readable += 1


def _texts(path: Path, column: Column) -> Iterator[Row]:
    """A text file, or those of a folder."""
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: holds no .txt files")
    for file in files:
        name = str(file.relative_to(path)) if path.is_dir() else file.name
        try:
            yield _text_row(name, file.read_text(encoding="utf-8-sig"), column)
        except (OSError, UnicodeDecodeError) as error:
            yield Row(name, None, f"{file}: cannot be read as UTF-8 text: {error}")


def _text_row(name: str, text: str, column: Column) -> Row:
    try:
        return Row(name, {column.key: text.encode()})
    except UnicodeEncodeError:
        return Row(name, None, f"{name!r}: holds bytes that are not UTF-8")


def _names(spec: InputSpec) -> str:
    return ", ".join(spec.names[:6]) + (", ..." if len(spec.names) > 6 else "")


def _path(path: Path, spec: InputSpec) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"{path}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        _require_images(path, spec)
        yield from (_image(file, str(file.relative_to(path)), spec) for file in files)
    elif not path.exists():
        raise DataError(
            f"{path}: there is no such file or folder, and it is no number; inputs are images, folders of "
            "images, .npy, .npz, .csv, numbers, or - for standard input"
        )
    elif suffix in (".npy", ".npz"):
        yield from _array(path, spec)
    elif suffix in (".csv", ".tsv", ".txt"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _table(file, str(path), spec)
    elif suffix in IMAGE_SUFFIXES:
        _require_images(path, spec)
        yield _image(path, path.name, spec)
    else:
        raise DataError(
            f"{path}: `{path.suffix}` files cannot be read; inputs are images "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}), folders of images, .npy, .npz, .csv, numbers, or -"
        )


def _require_images(path: Path, spec: InputSpec) -> None:
    if spec.kind != "image":
        raise DataError(
            f"{path}: is an image, but this model takes {_wanted(spec)}; give a .csv or .npy of them"
        )


def _wanted(spec: InputSpec) -> str:
    if spec.kind == "image":
        return f"images of {'x'.join(map(str, spec.shape))}"
    return f"{math.prod(spec.shape)} feature{'s' if math.prod(spec.shape) > 1 else ''} ({_names(spec)})"


def _image(path: Path, name: str, spec: InputSpec) -> Row:
    """An image as in training: upright, in the model's size and channels; uint8."""
    height, width, channels = spec.shape
    try:
        return Row(name, decode(str(path), channels, (height, width), spec.resize))
    except DataError as error:
        return Row(name, None, str(error))


def _array(path: Path, spec: InputSpec) -> Iterator[Row]:
    try:
        # numpy leaves a damaged file open when it is given a path.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            array = _member(path, loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an array: {error}") from None
    yield from _array_rows(path, array, spec)


def _member(path: Path, archive: np.lib.npyio.NpzFile) -> np.ndarray:
    name = next((key for key in ("inputs", "x", "images") if key in archive.files), None)
    if name is None and len(archive.files) != 1:
        raise DataError(
            f"{path}: holds the arrays {', '.join(archive.files) or 'none'}; "
            "name the one to use `inputs` or `x`"
        )
    return np.asarray(archive[name or archive.files[0]])


def _array_rows(path: Path, array: np.ndarray, spec: InputSpec) -> Iterator[Row]:
    shape = spec.shape
    without = shape[:-1]
    if (
        shape[-1] == 1
        and array.shape[array.ndim - len(without) :] == without
        and array.shape[-len(shape) :] != shape
    ):
        # Grey images and single features are often stored without their last axis.
        array = array[..., np.newaxis]
    if array.shape == shape:
        array = array[np.newaxis]
    if array.shape[1:] != shape:
        raise DataError(
            f"{path}: has shape {array.shape}, but this model takes (n, {', '.join(map(str, shape))})"
        )
    if spec.dtype == "uint8" and array.dtype != np.uint8:
        integers = (
            np.issubdtype(array.dtype, np.integer) and array.size and array.min() >= 0 and array.max() <= 255
        )
        if not integers:
            raise DataError(
                f"{path}: has dtype {array.dtype}; images must be whole numbers from 0 to 255 (uint8)"
            )
    if not np.issubdtype(array.dtype, np.number):
        raise DataError(f"{path}: has dtype {array.dtype}, not numbers")
    for index, value in enumerate(array):
        yield _checked(f"{path.name}[{index}]", value, spec)


def _checked(name: str, value: np.ndarray, spec: InputSpec) -> Row:
    if not np.isfinite(value).all():
        return Row(name, None, f"{name} holds a number that is not finite")
    return Row(name, value.astype(spec.dtype))


def _numbers(text: str) -> list[float] | None:
    """The numbers of `0.5` or `1,2,3`, or None when it is something else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return None


def _number_row(argument: str, numbers: Sequence[float], spec: InputSpec) -> Row:
    if spec.kind == "image" or math.prod(spec.shape) != len(numbers):
        raise DataError(
            f"{argument}: is {len(numbers)} number{'s' if len(numbers) > 1 else ''}, but this model takes "
            f"{_wanted(spec)}"
        )
    return _checked(argument, np.asarray(numbers, np.float64).reshape(spec.shape), spec)


def _table(file: TextIO, name: str, spec: InputSpec) -> Iterator[Row]:
    """Rows of a table of numbers; a header that names the model's features may order them freely."""
    if spec.kind == "image":
        raise DataError(f"{name}: is a table, but this model takes {_wanted(spec)}")
    try:
        text = file.read()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text (byte {error.start})") from None
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    lines = [
        (number, line)
        for number, line in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), 1)
        if line
    ]
    if not lines:
        raise DataError(f"{name}: is empty")
    first = [cell.strip() for cell in lines[0][1]]
    # A first line of numbers with a bad cell among them is no header.
    has_header = not any(_numbers(cell) for cell in first) or bool(set(first) & set(spec.names))
    columns = _columns(name, first, spec) if has_header else list(range(math.prod(spec.shape)))
    for number, line in lines[1:] if has_header else lines:
        yield _table_row(f"{name}:{number}", line, columns, None if has_header else len(columns), spec)


def _columns(name: str, header: Sequence[str], spec: InputSpec) -> list[int]:
    positions: Mapping[str, int] = {cell: index for index, cell in enumerate(header)}
    missing = [feature for feature in spec.names if feature not in positions]
    if missing:
        raise DataError(
            f"{name}:1: lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing[:8])}"
            f"{' and more' if len(missing) > 8 else ''}; this model takes {_wanted(spec)}"
        )
    return [positions[feature] for feature in spec.names]


def _table_row(
    place: str, line: Sequence[str], columns: Sequence[int], width: int | None, spec: InputSpec
) -> Row:
    if width is not None and len(line) != width:
        return Row(place, None, f"{place}: has {len(line)} cells, but this model takes {_wanted(spec)}")
    values: list[Any] = []
    for column in columns:
        cell = line[column].strip() if column < len(line) else ""
        try:
            values.append(float(cell))
        except ValueError:
            return Row(place, None, f"{place}: `{cell}` in column {column + 1} is not a number")
    return _checked(place, np.asarray(values, np.float64).reshape(spec.shape), spec)
