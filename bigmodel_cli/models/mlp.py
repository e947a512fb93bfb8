"""Multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import DataSpec, Penalty, Rate, Units
from bigmodel_cli.models.layers import (
    Activation,
    Initializer,
    batch_normalization,
    features,
    initializer_for,
    output_head,
    regularizer,
)

if TYPE_CHECKING:
    import keras


def mlp(
    data: DataSpec,
    *,
    hidden: Sequence[Units] = (64,),
    activation: Activation = "relu",
    dropout: Rate = 0.0,
    input_dropout: Rate = 0.0,
    batch_norm: bool = False,
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
    initializer: Initializer = "auto",
    flatten: bool = False,
) -> keras.Model:
    """Fully connected layers (multi-layer perceptron).

    Each hidden layer is dense, batch normalization if asked, activation, dropout (Srivastava et al.
    2014). Features are standardized inside the model. A text without hidden layers is classified by the mean
    of its words' embeddings, as in Joulin et al. 2017 (arXiv:1607.01759). In a regression the intercepts of
    the last layer start at the mean of the targets.

    Args:
        hidden: Units of each hidden layer, first to last, each at least 1.
        activation: Activation after each hidden layer, a Keras name.
        dropout: Share of each hidden layer's outputs that training sets to 0, from 0 to below 1.
        input_dropout: Share of the features (of a text, of the numbers of its mean embedding) that training
            sets to 0, from 0 to below 1.
        batch_norm: Normalize each hidden layer over the batch, before its activation.
        l1: Factor of the sum of absolute weights in the loss, at least 0.
        l2: Factor of the sum of squared weights in the loss, at least 0.
        initializer: How hidden weights start; `auto` takes he_normal for activations of the ReLU family,
            lecun_normal for selu, else glorot_uniform.
        flatten: Take images too, each pixel (0 to 1) as a feature.
    """
    import keras

    inputs, x = features(data, "mlp", flatten=flatten)
    if input_dropout:
        x = keras.layers.Dropout(input_dropout, name="input_dropout")(x)
    x = dense_layers(x, hidden, activation, dropout, batch_norm, l1=l1, l2=l2, initializer=initializer)
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2), name="mlp")


def dense_layers(
    x: keras.KerasTensor,
    hidden: Sequence[int],
    activation: str,
    dropout: float = 0.0,
    batch_norm: bool = False,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    initializer: str = "auto",
) -> keras.KerasTensor:
    """Features (batch, n) through hidden layers: each dense, normalized if asked, activation, dropout.

    Args:
        x: the features.
        hidden: units of each layer.
        activation: after each, a Keras name.
        dropout: share of each layer's outputs that training sets to 0.
        batch_norm: normalize each over the batch, before its activation.
        l1: factor of the sum of absolute weights in the loss.
        l2: factor of the sum of squared weights.
        initializer: as of `initializer_for`.
    """
    import keras

    for units in hidden:
        x = keras.layers.Dense(
            units,
            use_bias=not batch_norm,
            kernel_initializer=initializer_for(activation, initializer),
            kernel_regularizer=regularizer(l1, l2),
        )(x)
        if batch_norm:
            x = batch_normalization(x)
        x = keras.layers.Activation(activation)(x)
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
    return x
