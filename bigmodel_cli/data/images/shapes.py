"""Images of coloured shapes with masks, made by the seed: to segment without any data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bigmodel_cli.data.arrays import ArraySource

CLASSES = ("background", "circle", "square", "triangle")

Side = Annotated[int, Field(ge=16, le=1024)]


def shapes(
    seed: int,
    *,
    examples: Annotated[int, Field(ge=1, le=1_000_000)] = 600,
    image_size: Annotated[Sequence[Side], Field(min_length=2, max_length=2)] = (32, 32),
    most_shapes: Annotated[int, Field(ge=1, le=100)] = 2,
    turned: bool = False,
    noise: Annotated[float, Field(ge=0, le=255)] = 10.0,
) -> ArraySource:
    """Circles, squares and triangles of random colours on a noisy ground, with a class for each pixel.

    Each image has 1 to `most_shapes` of them, any size and place; later ones hide earlier ones. Colours say
    nothing of the class.

    Args:
        examples: number of images.
        image_size: [height, width] in pixels, each at least 16.
        most_shapes: of an image.
        turned: whether squares and triangles are turned at random, which makes them much harder to tell.
        noise: standard deviation of what is added to every value, of levels from 0 to 255.
    """
    import numpy as np

    from bigmodel_cli.data.arrays import ArraySource
    from bigmodel_cli.devices import available_memory

    height, width = image_size
    needed = examples * height * width * 4
    if needed > available_memory():
        raise DataError(
            f"dataset: shapes with {examples:,} images of {height} x {width} takes {needed / 2**30:.1f} GiB, "
            f"more than the {available_memory() / 2**30:.1f} GiB of memory available; ask for fewer examples "
            "or a smaller image_size"
        )
    images = np.empty((examples, height, width, 3), np.uint8)
    masks = np.zeros((examples, height, width), np.uint8)
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        # An image depends on its number alone, so that more examples leave the first ones as they are.
        generator = np.random.default_rng([seed, number])
        colors = generator.uniform(0, 255, (most_shapes + 1, 3))
        pixels = np.broadcast_to(colors[0], image.shape).copy()
        for color in colors[1 : 1 + generator.integers(1, most_shapes + 1)]:
            kind, inside = _shape(generator, height, width, turned)
            pixels[inside] = _apart(color, colors[0])
            mask[inside] = kind
        pixels += generator.normal(0, noise, pixels.shape)
        image[:] = pixels.round().clip(0, 255)
    spec = DataSpec(
        name="shapes",
        origin=f"synthetic, seed {seed}",
        task="segmentation",
        input=InputSpec((height, width, 3), "uint8", "image"),
        target=TargetSpec((height, width), "uint8", CLASSES),
    )
    return ArraySource(spec, {"all": (images, masks)})


def _shape(
    generator: np.random.Generator, height: int, width: int, turned: bool
) -> tuple[int, NDArray[np.bool_]]:
    """Class, and which pixels (height, width) lie inside."""
    import numpy as np

    kind = int(generator.integers(1, len(CLASSES)))
    radius = generator.uniform(0.2, 0.4) * min(height, width)
    row, column = generator.uniform(0.15, 0.85, 2) * (height, width)
    # Else a square stands on a side of its own, and so does a triangle.
    upright = math.pi / 2 if kind == CLASSES.index("triangle") else 0.0
    angle = generator.uniform(0, 2 * math.pi) if turned else upright
    y, x = np.mgrid[:height, :width] + 0.5
    y, x = y - row, x - column
    if kind == CLASSES.index("circle"):
        return kind, y**2 + x**2 <= radius**2
    # A regular polygon is what lies below all of its sides, whose distance from the centre is the inner
    # radius.
    sides = 4 if kind == CLASSES.index("square") else 3
    inner = radius * math.cos(math.pi / sides)
    directions = [angle + 2 * math.pi * side / sides for side in range(sides)]
    return kind, np.all([x * math.cos(d) + y * math.sin(d) <= inner for d in directions], axis=0)


def _apart(color: NDArray[np.float64], ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """A colour that can be told from the ground: on the other side where it is too close."""
    import numpy as np

    if np.abs(color - ground).max() >= 80:
        return color
    return np.where(ground < 128, ground + 100, ground - 100)
