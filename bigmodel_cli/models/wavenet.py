"""Causal dilated convolutions over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Rate, Units
from bigmodel_cli.models.sequences import ended, mean_over_time, sequence

if TYPE_CHECKING:
    import keras


def wavenet(
    data: DataSpec,
    *,
    filters: Units = 32,
    skip_filters: Units = 64,
    layers: Annotated[int, Field(ge=1, le=20)] = 6,
    stacks: Annotated[int, Field(ge=1, le=100)] = 1,
    kernel_size: Annotated[int, Field(ge=2, le=100)] = 2,
    dropout: Rate = 0.0,
) -> keras.Model:
    """Stacks of causal dilated convolutions, for sequences of numbers, for texts and as a language model.

    Van den Oord et al. 2016, "WaveNet" (arXiv:1609.03499), section 2: a causal convolution; then layers of
    dilation 1, 2, 4, ... in each stack (2.1), of gated units tanh * sigmoid (2.3) with a 1x1 convolution onto
    the residual path and one onto the skip path (2.4); ReLU, 1x1 and ReLU over the sum of the skips, then the
    last layer. A step sees itself and the receptive_field - 1 before it, where receptive_field is
    1 + (kernel_size - 1) * (1 + stacks * (2^layers - 1)). For classes and values the mean over all steps goes
    to the last layer, as the paper does for speech recognition (section 3.4).

    Args:
        filters: Channels of the residual path and of each gate; numbers of a token of a text.
        skip_filters: Channels of the skip path.
        layers: Of a stack, whose dilations double: 1, 2, 4, ..., 2^(layers - 1).
        stacks: How often the dilations start anew.
        kernel_size: Steps that a convolution takes, at least 2, as in the paper.
        dropout: Share of the pooled features (of the language model, of each step's) that training sets to 0.
    """
    import keras
    from keras import ops

    def convolution(x: Any, channels: int, name: str, size: int = 1, dilation: int = 1) -> Any:
        # With one step there is nothing to pad.
        padding = "causal" if size > 1 else "valid"
        layer = keras.layers.Conv1D(channels, size, padding=padding, dilation_rate=dilation, name=name)
        return layer(x)

    taken = sequence(data, "wavenet", filters)
    x = convolution(taken.vectors, filters, "causal", kernel_size)
    skips = []
    for number in range(stacks * layers):
        name, dilation = f"layer_{number + 1}", 2 ** (number % layers)
        gate = ops.sigmoid(convolution(x, filters, f"{name}_gate", kernel_size, dilation))
        gated = ops.tanh(convolution(x, filters, f"{name}_filter", kernel_size, dilation)) * gate
        skips.append(convolution(gated, skip_filters, f"{name}_skip"))
        # What follows the last layer is the sum of the skips alone.
        if number + 1 < stacks * layers:
            x = x + convolution(gated, filters, f"{name}_residual")
    whole = keras.layers.add(skips) if len(skips) > 1 else skips[0]
    x = ops.relu(convolution(ops.relu(whole), skip_filters, "skips"))
    if data.task != "language_model":
        x = mean_over_time(x, taken.known)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(taken.inputs, ended(taken, x, data), name="wavenet")
