"""Convolutional network of plain blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Penalty, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import (
    Activation,
    batch_normalization,
    describe_input,
    initializer_for,
    output_head,
    raw_input,
    regularizer,
    require_kind,
    scaled_image,
)

if TYPE_CHECKING:
    import keras


def cnn(
    data: DataSpec,
    *,
    filters: Sequence[Units] = (32, 64),
    kernel_size: Annotated[int, Field(ge=1)] = 3,
    padding: Literal["valid", "same"] = "valid",
    pool_size: Annotated[int, Field(ge=1)] = 2,
    pooling: Literal["max", "average"] = "max",
    dense: Sequence[Units] = (128,),
    activation: Activation = "relu",
    dropout: Rate = 0.0,
    conv_dropout: Rate = 0.0,
    batch_norm: bool = False,
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
    global_pool: bool = False,
) -> keras.Model:
    """Convolution and pooling blocks, then dense layers.

    One block is convolution, batch normalization if asked, activation, pooling: LeCun et al. 1998
    (section II) with today's activation. Pixels are scaled to 0 to 1 inside the model. The defaults are
    the textbook network for MNIST, 225,034 parameters on 28x28x1 images of 10 classes.

    Args:
        filters: Filters of each block's convolution, first to last.
        kernel_size: Height and width of the convolutions, in pixels of their input, at least 1.
        padding: `valid` lets each convolution cut kernel_size - 1 pixels off, `same` pads with zeros.
        pool_size: Height and width of the pooling window and its step; 1 leaves pooling out.
        pooling: What is kept of each pooling window, its `max` or its `average`.
        dense: Units of each dense layer between the blocks and the output, first to last; may be empty.
        activation: Activation after each convolution and dense layer, a Keras name.
        dropout: Share of the inputs of each dense layer, the output included, that training sets to 0.
        conv_dropout: Share of each block's outputs that training sets to 0.
        batch_norm: Normalize each convolution and dense layer over the batch, before its activation.
        l1: Factor of the sum of absolute weights in the loss, at least 0.
        l2: Factor of the sum of squared weights in the loss, at least 0.
        global_pool: Average each feature map to one number before the dense layers, instead of
            flattening it: far fewer parameters.
    """
    import keras

    require_kind(data, "cnn", "image")
    pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
    inputs = raw_input(data)
    x = scaled_image(inputs, 0, 1)
    for number, width in enumerate(filters, 1):
        _require_room(x, kernel_size if padding == "valid" else 1, f"conv{number}", data)
        x = keras.layers.Conv2D(
            width,
            kernel_size,
            padding=padding,
            use_bias=not batch_norm,
            activation=None if batch_norm else activation,
            kernel_initializer=initializer_for(activation),
            kernel_regularizer=regularizer(l1, l2),
            name=f"conv{number}",
        )(x)
        if batch_norm:
            x = keras.layers.Activation(activation)(batch_normalization(x))
        if pool_size > 1:
            _require_room(x, pool_size, f"pool{number}", data)
            x = pool(pool_size, name=f"pool{number}")(x)
        if conv_dropout:
            x = keras.layers.Dropout(conv_dropout)(x)
    x = keras.layers.GlobalAveragePooling2D()(x) if global_pool else keras.layers.Flatten()(x)
    for number, units in enumerate(dense, 1):
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
        x = keras.layers.Dense(
            units,
            use_bias=not batch_norm,
            activation=None if batch_norm else activation,
            kernel_initializer=initializer_for(activation),
            kernel_regularizer=regularizer(l1, l2),
            name=f"dense{number}",
        )(x)
        if batch_norm:
            x = keras.layers.Activation(activation)(batch_normalization(x))
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2), name="cnn")


def _require_room(x: keras.KerasTensor, window: int, layer: str, data: DataSpec) -> None:
    """Refuse a window larger than the feature map that reaches it.

    Raises:
        ModelError: nothing would be left.
    """
    height, width = x.shape[1:3]
    if min(height, width) < window:
        raise ModelError(
            f"model.filters: {describe_input(data)} of dataset `{data.name}` are too small: a"
            f" {height}x{width} feature map reaches layer `{layer}`, whose window is {window}x{window};"
            " use fewer blocks, `padding: same`, or a smaller `kernel_size` or `pool_size`"
        )
