"""Cells that are paths of image files: found, checked, decoded."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import Resize
from bigmodel_cli.data.images.decoding import Header, decode, shown
from bigmodel_cli.data.images.heads import channels_of, common_size, heads
from bigmodel_cli.data.images.image_folder import Pixels
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ImageSize = Annotated[Sequence[Pixels], Field(min_length=2, max_length=2)]
Color = Literal["auto", "gray", "rgb", "rgba"]

DECODED_BYTES = 64 * 2**20
"""Of the images that are decoded together."""


@dataclass(frozen=True)
class ImageOptions:
    """What a config says of a table's columns of images.

    Attributes:
        root: the folder that relative paths lie in; None for that of the table's file.
        size: (height, width) that every image is brought to; None for the size that all have.
        color: channels; `auto` takes gray where every file is grey, else rgb.
        resize: how an image of another aspect ratio gets the size.
    """

    root: str | None = None
    size: tuple[int, ...] | None = None
    color: Color = "auto"
    resize: Resize = "stretch"

    def require_used(self, columns: Sequence[str]) -> None:
        """Refuse options that no column is there for.

        Raises:
            DataError: one is set, and no column is declared `image`.
        """
        if columns:
            return
        keys = {"image_root": "root", "image_size": "size", "color": "color", "resize": "resize"}
        for key, name in keys.items():
            if (given := getattr(self, name)) != getattr(ImageOptions, name):
                value = list(given) if isinstance(given, tuple) else given
                raise DataError(
                    f"dataset.{key}: is {value}, but no column is declared an image; name one with "
                    "dataset.columns: {NAME: image}, or leave it out"
                )


def options(root: str | None, size: Sequence[int] | None, color: Color, resize: Resize) -> ImageOptions:
    """From the parameters of a dataset."""
    return ImageOptions(root, None if size is None else tuple(size), color, resize)


def located(cells: pa.Array, folder: Path) -> pa.Array:
    """Paths as they can be opened.

    Args:
        cells: as `CellReader.read` gives them, (n,) string.
        folder: that relative ones lie in.
    """
    import pyarrow as pa

    return pa.array([None if cell is None else str(folder / cell) for cell in cells.to_pylist()], pa.string())


def folder_of(table: Path, root: str | None) -> Path:
    """The folder that relative paths of a table lie in."""
    return table.parent if root is None else Path(root)


class CheckedImages:
    """What the heads of a table's image files say."""

    def __init__(self, options: ImageOptions):
        self._options = options
        self._heads: dict[str, dict[str, Header]] = {}

    def add(self, name: str, paths: pa.Array, place: Callable[[int], str], may_miss: bool) -> None:
        """Look at the files of some more rows.

        Args:
            name: of the column.
            paths: (n,) string, null where a cell is missing.
            place: of each row, for messages.
            may_miss: whether rows without an image are dropped.

        Raises:
            DataError: a cell is missing, or a file cannot be read.
        """
        known = self._heads.setdefault(name, {})
        rows = {path: row for row, path in reversed([*enumerate(paths.to_pylist())])}
        missing = rows.pop(None, None)
        if missing is not None and not may_miss:
            raise DataError(
                f"{place(missing)}: column `{name}`: names no image; name one, or drop such rows with "
                f"dataset.drop_missing: [{name}]"
            )
        new = [path for path in rows if path not in known]
        for path, head in zip(new, heads(new), strict=True):
            if isinstance(head, str):
                raise DataError(
                    f"{place(rows[path])}: column `{name}`: {head}; mend the file or the cell (relative "
                    "paths are those from dataset.image_root, or from the folder of the table), or leave the "
                    "row out"
                )
            known[path] = head

    def column(self, name: str) -> tuple[Column, list[str]]:
        """The column as it is decoded, and what to say of it.

        Raises:
            DataError: the images vary in size, and none is given.
        """
        headers = [*self._heads[name].values()]
        channels, notes = channels_of(self._options.color, headers)
        size = self._options.size or common_size(headers)
        how = self._options.resize
        column = Column(name, "image", shape=(*size, channels), resize=how)
        said = f"`{name}`: {len(headers):,} image files, {size[0]}x{size[1]}x{channels}"
        return column, [", ".join([said, *notes])]

    def stamp(self) -> str:
        """Changes when a file does."""
        digest = hashlib.sha256()
        for name, known in sorted(self._heads.items()):
            digest.update(name.encode())
            for path, head in sorted(known.items()):
                digest.update(f"\n{shown(path)} {head.bytes} {head.changed}".encode())
        return digest.hexdigest()


def rows_at_once(columns: Sequence[Column]) -> int | None:
    """Rows whose images are decoded together; None where there are no images."""
    size = sum(math.prod(column.shape) for column in columns if column.kind == "image")
    return max(1, DECODED_BYTES // size) if size else None


def decoded(paths: pa.Array, column: Column) -> np.ndarray:
    """The images of a column, (n, height, width, channels) uint8.

    Args:
        paths: (n,) string, none missing.
        column: of images.

    Raises:
        DataError: a file cannot be read any more.
    """
    import numpy as np

    with ThreadPoolExecutor(cpu_cores()) as threads:
        images = [*threads.map(lambda path: _decode(path, column), paths.to_pylist())]
    return np.stack(images) if images else np.empty((0, *column.shape), np.uint8)


def readable(paths: pa.Array, column: Column) -> tuple[np.ndarray, dict[int, str]]:
    """The same for new rows: black where there is none, and why, by position.

    Args:
        paths: (n,) string, null where a cell is missing.
        column: of images.
    """
    import numpy as np

    images = np.zeros((len(paths), *column.shape), np.uint8)
    reasons: dict[int, str] = {}

    def read(item: tuple[int, str | None]) -> None:
        index, path = item
        if path is None:
            reasons[index] = "names no image"
            return
        try:
            images[index] = _decode(path, column)
        except DataError as error:
            reasons[index] = str(error)

    with ThreadPoolExecutor(cpu_cores()) as threads:
        # Gone through, so that nothing that goes wrong in a thread is lost.
        list(threads.map(read, enumerate(paths.to_pylist())))
    return images, reasons


def _decode(path: str, column: Column) -> np.ndarray:
    height, width, channels = column.shape
    return decode(os.fspath(path), channels, (height, width), column.resize)


def pieces(batch: pa.RecordBatch, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """A batch of rows in parts whose images fit into the memory together."""
    rows = rows_at_once(columns) or max(1, batch.num_rows)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)
