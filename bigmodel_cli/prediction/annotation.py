"""Images with what is predicted written below each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigmodel_cli import plots
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.images.decoding import decode
from bigmodel_cli.errors import BigmodelError, DataError
from bigmodel_cli.inputs.blocks import Block, file_stem
from bigmodel_cli.prediction.content import Result
from bigmodel_cli.prediction.masks import in_size
from bigmodel_cli.targets import joined_labels

if TYPE_CHECKING:
    from PIL import Image

SMALLEST, LARGEST = 160, 1024
"""Pixels of the longer side: below, text has no room; above, it would be hard to see."""
_PADDING = 6


def annotate(block: Block, result: Result, start: int, spec: DataSpec, folder: Path) -> None:
    """Write a PNG for each image with a prediction, named by its place in the order and its id.

    Args:
        block: the images; of files, those are shown, not what the model sees.
        result: what is predicted.
        start: place of the first one among all inputs.
        spec: of the data.
        folder: where they go.

    Raises:
        BigmodelError: they cannot be written.
    """
    row_of = {place: row for row, place in enumerate(block.readable)}
    for place in result.good:
        text = _text(result, int(place), spec)
        path = folder / f"{file_stem(start + int(place), result.ids[place])}.png"
        try:
            # A file of this name is whole in the end: it is written again when the work goes on.
            image = _image(block, int(place), row_of[place])
            if "reconstruction" in result.arrays:
                image = _beside(image, result.arrays["reconstruction"][place])
            if "masks" in result.arrays:
                image = _overlaid(image, result.arrays["masks"][place], spec)
            _labelled(image, text).save(path)
        except OSError as error:
            raise BigmodelError(f"--annotate {path}: cannot be written: {error.strerror or error}") from None


def _image(block: Block, place: int, row: int) -> Image.Image:
    from PIL import Image

    if block.paths and block.paths[place]:
        try:
            pixels = decode(block.paths[place], 3)
        except DataError as error:
            raise BigmodelError(f"--annotate: {error}") from None
    else:
        pixels = np.asarray(block.values[row])
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    longer = max(image.size)
    if SMALLEST <= longer <= LARGEST:
        return image
    factor = -(-SMALLEST // longer) if longer < SMALLEST else LARGEST / longer
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    # The pixels of small images stay to be seen.
    how = Image.Resampling.NEAREST if longer < SMALLEST else Image.Resampling.BILINEAR
    return image.resize(size, how)


def _beside(image: Image.Image, given: np.ndarray) -> Image.Image:
    """The image, and right of it what the model gives back (height, width, channels), in its size."""
    from PIL import Image

    pixels = np.clip(np.rint(given), 0, 255).astype(np.uint8)
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]
    other = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    whole = Image.new("RGB", (2 * image.width + _PADDING, image.height), "white")
    whole.paste(image, (0, 0))
    whole.paste(other.resize(image.size, Image.Resampling.NEAREST), (image.width + _PADDING, 0))
    return whole


def _overlaid(image: Image.Image, mask: np.ndarray, spec: DataSpec) -> Image.Image:
    """The image with its mask (height, width) laid over it, in the image's size."""
    from PIL import Image

    classes = in_size(mask, image.size, spec.input.resize)
    return Image.fromarray(plots.overlaid(np.asarray(image), classes, spec.outputs))


def _labelled(image: Image.Image, text: str) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    width = max(image.width, SMALLEST)
    font = ImageFont.load_default(max(12, min(32, width // 16)))
    while text and font.getlength(text) > width - 2 * _PADDING:
        text = text.removesuffix("...")[:-1] + "..." if len(text) > 4 else ""
    ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (10, 3)
    height = ascent + descent + 2 * _PADDING
    whole = Image.new("RGB", (width, image.height + height), "white")
    whole.paste(image, ((width - image.width) // 2, 0))
    ImageDraw.Draw(whole).text((_PADDING, image.height + _PADDING), text, "black", font)
    return whole


def _text(result: Result, place: int, spec: DataSpec) -> str:
    if spec.task == "classification":
        name = spec.target.names[result.arrays["best"][place]]
        return f"{name}  {result.arrays['probability'][place]:.1%}"
    if spec.task == "multi_label":
        return (
            str(joined_labels(result.arrays["labels"][place : place + 1], spec.target.names)[0]) or "no label"
        )
    if spec.task == "segmentation":
        shares = result.arrays["shares"][place]
        largest = [index for index in np.argsort(-shares, kind="stable")[:4] if shares[index]]
        return "  ".join(f"{spec.target.names[index]} {shares[index]:.0%}" for index in largest)
    if spec.task == "reconstruction":
        return f"rmse {result.arrays['rmse'][place]:.3f}"
    values = result.arrays["values"][place]
    return "  ".join(f"{name} {value:.4g}" for name, value in zip(spec.target.names, values, strict=True))
