"""Masks in files: which class each pixel has."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import IGNORED, Resize
from bigmodel_cli.data.images.decoding import resized, shown
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SUFFIXES = frozenset({".png", ".gif", ".bmp"})
"""Of files that are taken for masks, in lower case: kinds that keep every value."""
MOST_CLASSES = 255
"""A mask has 8 bits a pixel, and one value is that of ignored pixels."""


@dataclass(frozen=True)
class Coding:
    """What the values of masks stand for.

    Attributes:
        classes: how many; None where that is to be found.
        colors: class or `IGNORED` of each colour (red, green, blue); empty where the values are indices.
        ignored: the index of ignored pixels; None for none.
    """

    classes: int | None
    colors: Mapping[tuple[int, int, int], int]
    ignored: int | None

    def decoded(self, values: np.ndarray, path: str) -> np.ndarray:
        """Classes (height, width) uint8, 255 for `IGNORED`.

        Args:
            values: indices (height, width), or colours (height, width, 3) uint8.
            path: for messages.

        Raises:
            DataError: a value that stands for nothing; the message names path and value.
        """
        return self._of_colors(values, path) if self.colors else self._of_indices(values, path)

    def _of_indices(self, values: np.ndarray, path: str) -> np.ndarray:
        import numpy as np

        ignored = np.zeros(values.shape, bool) if self.ignored is None else values == self.ignored
        # 255 is what our own masks have for ignored pixels, so it is no class in any case.
        limit = MOST_CLASSES if self.classes is None else self.classes
        wrong = (values >= limit) & ~ignored
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            known = "" if self.ignored is None else f", and {self.ignored} for what is ignored"
            raise DataError(
                f"{shown(path)} has the value {values[row, column]} at row {row}, column {column}, but the "
                f"classes are 0 to {limit - 1}{known}; mend the mask, or set `class_names` or "
                "`ignore`"
            )
        return np.where(ignored, IGNORED, values).astype(np.uint8)

    def _of_colors(self, values: np.ndarray, path: str) -> np.ndarray:
        import numpy as np

        packed = (values.astype(np.int32) << np.array([16, 8, 0])).sum(axis=-1)
        keys = np.array([(r << 16) + (g << 8) + b for r, g, b in self.colors])
        order = np.argsort(keys)
        places = np.minimum(np.searchsorted(keys[order], packed), len(keys) - 1)
        wrong = keys[order][places] != packed
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            raise DataError(
                f"{shown(path)} has the colour {values[row, column].tolist()} at row {row}, column {column}, "
                "which is none of `colors`; add it, as `ignore` where it is to be ignored"
            )
        return np.array(list(self.colors.values()), np.uint8)[order][places]


def read_mask(
    path: str, coding: Coding, size: Sequence[int] | None = None, resize: Resize = "stretch"
) -> np.ndarray:
    """The classes of a mask file.

    Args:
        path: of the file.
        coding: what its values stand for.
        size: (height, width) to bring it to, as `resize` says and to the nearest pixel; None keeps its own.
        resize: how; what `pad` adds is ignored.

    Returns:
        (height, width) uint8, 255 for `IGNORED`.

    Raises:
        DataError: the file cannot be read, or has a value that stands for nothing; the message begins with
            the path.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "GIF", "BMP")) as image:
            image.load()
            values = _values(image, path, bool(coding.colors))
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{shown(path)} cannot be read as a mask: {told}") from None
    classes = coding.decoded(values, path)
    if size is None:
        return classes
    return np.asarray(resized(Image.fromarray(classes), size, resize, IGNORED))


def _values(image: Image.Image, path: str, colors: bool) -> np.ndarray:
    """Indices (height, width), of a palette those into it; or colours (height, width, 3).

    Raises:
        DataError: there are none of the kind that is asked for.
    """
    import numpy as np

    if colors:
        return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))[..., :3]
    if image.mode in ("1", "L", "P") or image.mode.startswith("I"):
        return np.asarray(image).astype(np.int32)
    if image.mode in ("LA", "PA"):
        return np.asarray(image.getchannel(0)).astype(np.int32)
    raise DataError(
        f"{shown(path)} has colours ({image.mode}), not indices of classes; say which colour is which class "
        "with `colors: {road: [128, 64, 128], ...}`"
    )
