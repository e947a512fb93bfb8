"""LSTM whose products are convolutions, for sequences of pictures."""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import describe_input, numbers, output_head, raw_input

if TYPE_CHECKING:
    import keras


def conv_lstm(
    data: DataSpec,
    *,
    filters: Annotated[collections.abc.Sequence[Units], Field(min_length=1)] = (32,),
    kernel_size: Annotated[int, Field(ge=1, le=1000)] = 3,
    dropout: Rate = 0.0,
) -> keras.Model:
    """Convolutional LSTM for sequences of pictures: arrays (time, height, width, channels).

    Shi et al. 2015, "Convolutional LSTM Network", section 3.1, without its peepholes, as in Keras.
    Channels are standardized inside the model. The mean over all places of the last state goes to the last
    layer. A layer has 4 * (kernel_size^2 * (channels + filters) * filters + filters) parameters.

    Args:
        filters: Of each layer, first to last, each at least 1.
        kernel_size: Height and width of its windows, at least 1.
        dropout: Share of the pooled features that training sets to 0, from 0 to below 1.
    """
    import keras

    if data.input.kind != "tabular" or len(data.input.shape) != 4:
        raise ModelError(
            "model.name: `conv_lstm` takes sequences of pictures, arrays (time, height, width, channels), "
            f"but dataset `{data.name}` gives {describe_input(data)}; use another model or dataset"
        )
    inputs = raw_input(data)
    x: Any = numbers(inputs, data, standardize=True)
    for number, size in enumerate(filters, 1):
        x = keras.layers.ConvLSTM2D(
            size,
            kernel_size,
            padding="same",
            return_sequences=number < len(filters),
            name=f"conv_lstm_{number}",
        )(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, output_head(x, data), name="conv_lstm")
