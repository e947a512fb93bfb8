"""Arrays of NumPy for a trained model, read in blocks: a file may be larger than the memory."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.array_files import INPUT_NAMES
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs.blocks import Block
from bigmodel_cli.inputs.labels import Labels

BLOCK_BYTES = 4 * 2**20
"""Of an array that are read at a time."""

_INPUTS = ("inputs", "x", "images")
_TARGETS = ("targets", "y", "labels", "target", "label")
_BROKEN = (zipfile.BadZipFile, ValueError, OSError, EOFError)


def rows(path: Path, spec: InputSpec, labels: Labels | None = None) -> Iterator[Block]:
    """The rows of a .npy or .npz file.

    Args:
        path: the file.
        spec: what the model takes.
        labels: how those in the file are read, which come along; None for none.

    Raises:
        DataError: it cannot be read, does not fit the model, or lacks labels.
    """
    try:
        pieces = _pieces(path, spec)
        name, done = path.name, 0
        targets = None if labels is None else _targets(path, labels)
        for piece in pieces:
            ids = [f"{name}[{index}]" for index in range(done, done + len(piece))]
            block = checked(ids, piece, spec)
            done += len(piece)
            if labels is not None and targets is not None:
                if done > len(targets):
                    break
                some, unlabelled = labels.values.of_array(ids, targets[done - len(piece) : done])
                block = replace(block, targets=some, unlabelled=unlabelled)
            yield block
        if targets is not None and done != len(targets):
            more = "more" if done > len(targets) else "fewer"
            raise DataError(f"{path}: has {len(targets):,} targets and {more} inputs; write them anew")
    except _BROKEN as error:
        raise DataError(f"{path}: cannot be read as an array: {error}") from None


def checked(ids: list[str], values: np.ndarray, spec: InputSpec) -> Block:
    """Rows (n, *shape) of numbers, of which those that are not finite are left out."""
    if np.issubdtype(values.dtype, np.inexact):
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            errors = [
                "" if good else f"{name} holds a number that is not finite"
                for name, good in zip(ids, finite, strict=True)
            ]
            values = values[finite]
            return Block(ids, errors, values.astype(spec.dtype) if len(values) else None)
    return Block(ids, [""] * len(ids), values.astype(spec.dtype, copy=False))


def _pieces(path: Path, spec: InputSpec) -> Iterator[np.ndarray]:
    """The array in pieces (n, *shape)."""
    with _Opened(path) as array:
        shape = _fitting(path, array.shape, spec)
        if not np.issubdtype(array.dtype, np.number):
            raise DataError(f"{path}: has dtype {array.dtype}, not numbers")
        if spec.dtype == "uint8" and array.dtype != np.uint8:
            _require_bytes(path, array)
    with _Opened(path) as array:
        for piece in array.pieces(math.prod(spec.shape)):
            yield piece.reshape(-1, *shape)


def _fitting(path: Path, shape: tuple[int, ...], spec: InputSpec) -> tuple[int, ...]:
    """The shape of a row, where an array of a shape holds rows that the model takes.

    Raises:
        DataError: it does not.
    """
    wanted = tuple(spec.shape)
    without = wanted[:-1]
    given = shape
    if wanted[-1] == 1 and shape[len(shape) - len(without) :] == without and shape[-len(wanted) :] != wanted:
        # Grey images and single features are often stored without their last axis.
        given = (*shape, 1)
    if given == wanted:
        given = (1, *given)
    if given[1:] != wanted:
        raise DataError(f"{path}: has shape {shape}, but this model takes (n, {', '.join(map(str, wanted))})")
    return wanted


def _require_bytes(path: Path, array: _Opened) -> None:
    integers = np.issubdtype(array.dtype, np.integer) and 0 not in array.shape
    if not integers or not all(piece.min() >= 0 and piece.max() <= 255 for piece in array.pieces(1)):
        raise DataError(
            f"{path}: has dtype {array.dtype}; images must be whole numbers from 0 to 255 (uint8)"
        )


def _targets(path: Path, labels: Labels) -> np.ndarray:
    """The labels in an .npz file.

    Raises:
        DataError: there are none, or others than the run has.
    """
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        raise DataError(
            f"{path}: holds one array, and so no labels; give an .npz file with `inputs` and `targets`; "
            f"{labels.remedy}"
        )
    with loaded as archive:
        names = labels.choices[0] if labels.asked else _TARGETS
        name = next((name for name in names if name in archive.files), None)
        if name is None:
            raise DataError(
                f"{path}: holds the arrays {', '.join(archive.files)}, and none is called "
                f"{names[0] if labels.asked else 'targets, y or labels'}; {labels.remedy}"
            )
        return labels.values.check_array(f"{path} ({name})", archive[name])


class _Opened:
    """An array file, whose numbers are read in order.

    Attributes:
        shape: of the array.
        dtype: of its elements.
    """

    def __init__(self, path: Path):
        self._path = path
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        self._file: IO[bytes] = self._stack.enter_context(self._path.open("rb"))
        self._whole: np.ndarray | None = None
        start = self._file.read(4)
        self._file.seek(0)
        if start.startswith(b"PK"):
            archive = self._stack.enter_context(zipfile.ZipFile(self._file))
            self._file = self._stack.enter_context(archive.open(_member(self._path, archive)))
        version = np.lib.format.read_magic(self._file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
        self.shape, columns_first, self.dtype = read(self._file)
        if self.dtype.hasobject:
            raise ValueError("it holds Python objects")
        if columns_first and len(self.shape) > 1:
            # The numbers of a row lie all over the file.
            count = math.prod(self.shape)
            flat = np.frombuffer(self._read(count * self.dtype.itemsize), self.dtype)
            self._whole = np.ascontiguousarray(flat.reshape(self.shape[::-1]).T)

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pieces(self, row: int) -> Iterator[np.ndarray]:
        """All numbers in order, (m,) at a time, m a multiple of `row`."""
        left = math.prod(self.shape)
        size = max(1, BLOCK_BYTES // (row * self.dtype.itemsize)) * row
        if self._whole is not None:
            flat = self._whole.ravel()
            yield from (flat[start : start + size] for start in range(0, left, size))
            return
        while left:
            count = min(size, left)
            yield np.frombuffer(self._read(count * self.dtype.itemsize), self.dtype)
            left -= count

    def _read(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise EOFError("it is cut off")
        return content


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    name = next((key for key in (*_INPUTS, *INPUT_NAMES) if key in names), None)
    if name is None and len(names) != 1:
        raise DataError(
            f"{path}: holds the arrays {', '.join(names) or 'none'}; name the one to use `inputs` or `x`"
        )
    return archive.namelist()[names.index(name or names[0])]


def describe(spec: InputSpec) -> str:
    """What a model takes, for messages."""
    if spec.kind == "image":
        return f"images of {'x'.join(map(str, spec.shape))}"
    count = math.prod(spec.shape)
    return f"{count} feature{'s' if count > 1 else ''} ({names(spec)})"


def names(spec: InputSpec) -> str:
    """The first names of the features or columns."""
    return ", ".join(spec.names[:6]) + (", ..." if len(spec.names) > 6 else "")
