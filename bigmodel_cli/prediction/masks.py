"""Predicted masks: a PNG for each image, and how many images fit in a batch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bigmodel_cli import plots
from bigmodel_cli.contracts import IGNORED, DataSpec, Resize
from bigmodel_cli.data.images.decoding import probe
from bigmodel_cli.errors import BigmodelError
from bigmodel_cli.inputs.blocks import Block, file_stem
from bigmodel_cli.prediction.content import Result

PROBABILITY_BYTES = 256 * 2**20
"""Of a batch's probabilities on the device, at most, unless one image has more."""


def fitting(batch_size: int, spec: DataSpec) -> int:
    """A batch size whose probabilities fit."""
    return max(1, min(batch_size, PROBABILITY_BYTES // (4 * int(np.prod(spec.output_shape)))))


def folder_of(output: Path) -> Path:
    """Where the masks go that belong to a file of predictions: `p.csv` has `p_masks`."""
    return output.with_name(f"{output.stem}_masks")


def clear(folder: Path) -> None:
    """Remove the masks of earlier predictions, which would be taken for the new ones'."""
    for path in folder.glob("*.png"):
        if re.match(r"\d{6}_", path.name):
            path.unlink()


def write_masks(block: Block, result: Result, start: int, spec: DataSpec, folder: Path) -> None:
    """Write a PNG for each image with a prediction, named by its place in the order and its id.

    Its pixels are class indices, as many as the image's file has; its palette has a colour for each class.
    What a cut-out middle (`resize: crop`) leaves out is `IGNORED`.

    Args:
        block: the images.
        result: what is predicted.
        start: place of the first one among all inputs.
        spec: of the data.
        folder: where they go; made where it is not there.

    Raises:
        BigmodelError: they cannot be written.
    """
    from PIL import Image

    palette = plots.mask_colors(spec.outputs).tobytes()
    for place in result.good:
        path = folder / f"{file_stem(start + int(place), result.ids[place])}.png"
        mask = result.arrays["masks"][place]
        if block.paths and block.paths[place]:
            header = probe(block.paths[place])
            mask = in_size(mask, (header.width, header.height), spec.input.resize)
        image = Image.fromarray(mask)
        image.putpalette(palette)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # A file of this name is whole in the end: it is written again when the work goes on.
            image.save(path)
        except OSError as error:
            raise BigmodelError(f"{path}: cannot be written: {error.strerror or error}") from None


def in_size(mask: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """A mask as it lies on the image that the model saw resized, to the nearest pixel.

    Args:
        mask: (height, width) uint8, as the model gives it.
        size: (width, height) of the image.
        resize: how the image was brought to the mask's size.

    Returns:
        (size[1], size[0]) uint8; `IGNORED` where the model saw nothing.
    """
    from PIL import Image

    (height, width), (wide, tall) = mask.shape, size
    if (width, height) == size:
        return mask
    how, image = Image.Resampling.NEAREST, Image.fromarray(mask)
    ratios = (width / wide, height / tall)
    if resize == "stretch":
        return np.asarray(image.resize(size, how))
    if resize == "pad":
        inner = [max(1, round(side * min(ratios))) for side in size]
        left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
        return np.asarray(image.crop((left, top, left + inner[0], top + inner[1])).resize(size, how))
    seen = [min(whole, round(side / max(ratios))) for whole, side in zip(size, (width, height), strict=True)]
    left, top = (wide - seen[0]) // 2, (tall - seen[1]) // 2
    whole = np.full((tall, wide), IGNORED, np.uint8)
    whole[top : top + seen[1], left : left + seen[0]] = np.asarray(image.resize((seen[0], seen[1]), how))
    return whole
