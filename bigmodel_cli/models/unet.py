"""U-Net: a class for each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import (
    Activation,
    batch_normalization,
    describe_input,
    initializer_for,
    raw_input,
    require_kind,
    require_task,
    scaled_image,
)

if TYPE_CHECKING:
    import keras


def unet(
    data: DataSpec,
    *,
    depth: Annotated[int, Field(ge=1, le=8)] = 4,
    filters: Units = 64,
    batch_norm: bool = False,
    dropout: Rate = 0.0,
    activation: Activation = "relu",
) -> keras.Model:
    """U-Net, for segmentation: a contracting path, an expanding one, and links between equal sizes.

    Ronneberger et al. 2015 (arXiv:1505.04597, section 2 and figure 1): at each level two 3x3 convolutions;
    downwards 2x2 max pooling and twice the filters, upwards a 2x2 up-convolution to half the filters beside
    which the map of the same size from the way down is put; last a 1x1 convolution to the classes. The
    convolutions pad with zeros (`same`), where the paper cuts the borders off: the mask has the size of the
    image, which must be divisible by 2^depth. Weights start as in the paper (section 3, He et al. 2015). The
    defaults are the paper's network, 31,030,658 parameters for one channel and two classes. Pixels are scaled
    to 0 to 1 inside the model.

    Args:
        depth: Levels below the first one, that is, how often the size is halved: 1 to 8.
        filters: Filters of the first level; each level below has twice those of the one above.
        batch_norm: Normalize each 3x3 convolution over the batch, before its activation; the paper is older.
        dropout: Share of the outputs of the lowest level that training sets to 0; the paper has dropout at
            the end of the contracting path, and does not say how much.
        activation: Activation after each 3x3 convolution, a Keras name.
    """
    import keras

    require_kind(data, "unet", "image")
    require_task(data, "unet", ("segmentation",), "`cnn` or `resnet`")
    _require_size(data, depth)

    def twice(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
        for number in (1, 2):
            x = keras.layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=not batch_norm,
                kernel_initializer=initializer_for(activation),
                name=f"{name}_conv{number}",
            )(x)
            if batch_norm:
                x = batch_normalization(x, name=f"{name}_norm{number}")
            x = keras.layers.Activation(activation, name=f"{name}_act{number}")(x)
        return x

    inputs = raw_input(data)
    x, linked = scaled_image(inputs, 0, 1), []
    for level in range(depth):
        linked.append(twice(x, filters * 2**level, f"down{level}"))
        x = keras.layers.MaxPooling2D(name=f"down{level}_pool")(linked[-1])
    x = twice(x, filters * 2**depth, "bottom")
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    for level in reversed(range(depth)):
        width = filters * 2**level
        x = keras.layers.Conv2DTranspose(
            width, 2, strides=2, kernel_initializer=initializer_for(activation), name=f"up{level}"
        )(x)
        x = keras.layers.Concatenate(name=f"up{level}_link")([linked[level], x])
        x = twice(x, width, f"up{level}")
    # float32: logits in bfloat16 have two or three digits.
    logits = keras.layers.Conv2D(data.outputs, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="unet")


def _require_size(data: DataSpec, depth: int) -> None:
    """Refuse images that cannot be halved so often without a rest.

    Raises:
        ModelError: naming the sizes that fit.
    """
    height, width = data.input.shape[:2]
    step = 2**depth
    if height % step == 0 and width % step == 0:
        return
    below, above = (
        " x ".join(str(max(step, (side + rest) // step * step)) for side in (height, width))
        for rest in (0, step - 1)
    )
    fits = next(level for level in range(8, -1, -1) if height % 2**level == width % 2**level == 0)
    other = f", or `model.depth: {fits}`" if fits else ""
    raise ModelError(
        f"model.depth: {depth} halves {describe_input(data)} of dataset `{data.name}` {depth} times, so "
        f"height and width must be divisible by {step}; bring them to {below} or {above} "
        f"(dataset.image_size, where the dataset has it){other}"
    )
