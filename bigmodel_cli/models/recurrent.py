"""Recurrent networks: LSTM and GRU."""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.sequences import Pooling, ended, mean_over_time, sequence

if TYPE_CHECKING:
    import keras

Stack = Annotated[collections.abc.Sequence[Units], Field(min_length=1)]


def lstm(
    data: DataSpec,
    *,
    units: Stack = (64,),
    bidirectional: bool = False,
    embedding: Units = 64,
    pooling: Pooling = "last",
    dropout: Rate = 0.0,
) -> keras.Model:
    """Long short-term memory, for sequences of numbers, for texts and as a language model.

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000, whose bias
    starts at 1 (Jozefowicz, Zaremba and Sutskever 2015). A layer has 4 * ((inputs + units) * units + units)
    parameters. Numbers are standardized by feature inside the model; what stands behind the end of a text
    changes nothing.

    Args:
        units: Of each layer, first to last, each at least 1.
        bidirectional: Read each sequence backwards, too, by layers of their own (Schuster and Paliwal 1997);
            not in a language model.
        embedding: Numbers of a token, of texts alone.
        pooling: What the last layer takes: the outputs at the last step (of a layer that reads backwards, at
            the first), or their mean over all steps.
        dropout: Share of each layer's outputs that training sets to 0, from 0 to below 1.
    """
    return _recurrent(data, "lstm", "LSTM", units, bidirectional, embedding, pooling, dropout)


def gru(
    data: DataSpec,
    *,
    units: Stack = (64,),
    bidirectional: bool = False,
    embedding: Units = 64,
    pooling: Pooling = "last",
    dropout: Rate = 0.0,
) -> keras.Model:
    """Gated recurrent units, for sequences of numbers, for texts and as a language model.

    Cho et al. 2014 (arXiv:1406.1078), in the form that resets after the product (version 1 of the paper, and
    cuDNN's), with 3 * ((inputs + units) * units + 2 * units) parameters a layer. Numbers are standardized by
    feature inside the model; what stands behind the end of a text changes nothing.

    Args:
        units: Of each layer, first to last, each at least 1.
        bidirectional: Read each sequence backwards, too, by layers of their own (Schuster and Paliwal 1997);
            not in a language model.
        embedding: Numbers of a token, of texts alone.
        pooling: What the last layer takes: the outputs at the last step (of a layer that reads backwards, at
            the first), or their mean over all steps.
        dropout: Share of each layer's outputs that training sets to 0, from 0 to below 1.
    """
    return _recurrent(data, "gru", "GRU", units, bidirectional, embedding, pooling, dropout)


def _recurrent(
    data: DataSpec,
    name: str,
    kind: str,
    units: Stack,
    bidirectional: bool,
    embedding: int,
    pooling: Pooling,
    dropout: float,
) -> keras.Model:
    import keras

    language = data.task == "language_model"
    if language and bidirectional:
        raise ModelError(
            "model.bidirectional: a language model would see the tokens that it is to foresee; leave it false"
        )
    taken = sequence(data, name, embedding)
    x: Any = taken.vectors
    for number, size in enumerate(units, 1):
        whole = language or pooling == "mean" or number < len(units)
        layer = getattr(keras.layers, kind)(size, return_sequences=whole, name=f"{name}_{number}")
        if bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{number}")
        x = layer(x, mask=taken.known)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{number}")(x)
    if pooling == "mean" and not language:
        x = mean_over_time(x, taken.known)
    return keras.Model(taken.inputs, ended(taken, x, data), name=name)
