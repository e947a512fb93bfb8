"""Arrays that hold a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import IGNORED, TargetSpec
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np

MOST_CLASSES = 255


def mask_arrays(
    targets: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    names: Sequence[str] | None,
    places: Mapping[str, str],
) -> tuple[dict[str, np.ndarray], TargetSpec]:
    """Masks (n, height, width) uint8 of class indices, in which 255 is ignored.

    Args:
        targets: base split -> whole numbers or booleans (n, height, width) or (n, height, width, 1).
        shape: of an input.
        names: of the classes by index; None takes the values up to the largest.
        places: base split -> where they come from, for messages.

    Raises:
        DataError: inputs that are no images, masks of another size, or values that are no classes.
    """
    import numpy as np

    if len(shape) != 3:
        raise DataError(
            f"dataset.task: the inputs have the shape {shape}, but `segmentation` needs images: uint8 of "
            "shape (examples, height, width) or (examples, height, width, channels)"
        )
    found, largest = {}, -1
    for base, array in targets.items():
        masks = array[..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
        if masks.dtype.kind not in "bui" or masks.shape[1:] != shape[:2]:
            raise DataError(
                f"dataset.task: {places[base]}: the targets are {array.dtype} {array.shape}, but "
                f"`segmentation` needs whole numbers (examples, {shape[0]}, {shape[1]}), as the images are"
            )
        # A class more than there are, or one below 0, would otherwise wrap around in 8 bits.
        limit = len(names) if names is not None else MOST_CLASSES
        wrong = ((masks < 0) | (masks >= limit)) & (masks != IGNORED)
        if wrong.any():
            example, row, column = (int(place) for place in np.argwhere(wrong)[0])
            raise DataError(
                f"dataset: {places[base]}: the mask of example {example} has the value "
                f"{masks[example, row, column]} at row {row}, column {column}, but the classes are 0 to "
                f"{limit - 1}, and {IGNORED} for what is ignored; mend it, or name more in "
                "dataset.class_names"
            )
        found[base] = masks.astype(np.uint8)
        largest = max(largest, int(np.max(found[base], where=found[base] != IGNORED, initial=0)))
    chosen = tuple(names) if names is not None else tuple(map(str, range(largest + 1)))
    if len(chosen) < 2:
        raise DataError(
            "dataset: all masks are empty: every pixel is 0 or ignored; at least two classes are needed"
        )
    if (double := next((name for name in chosen if chosen.count(name) > 1), None)) is not None:
        raise DataError(f"dataset.class_names: `{double}` is there twice")
    return found, TargetSpec(shape[:2], "uint8", chosen)
