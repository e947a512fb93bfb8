"""Vision transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bigmodel_cli.contracts import DataSpec, Penalty, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import describe_input, output_head, raw_input, require_kind, scaled_image
from bigmodel_cli.models.transformer_blocks import BlockActivation, Blocks, initializer

if TYPE_CHECKING:
    import keras


def vit(
    data: DataSpec,
    *,
    patch: Units = 4,
    layers: Units = 6,
    width: Units = 128,
    heads: Units = 4,
    feed_forward: int = 0,
    dropout: Rate = 0.1,
    activation: BlockActivation = "gelu_tanh",
    pooling: Literal["token", "mean"] = "token",
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
) -> keras.Model:
    """Vision transformer: patches of the image as the tokens of a transformer encoder.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words" (section 3.1): a linear map of each patch, a
    class token, learned positions, blocks that normalize before attention and feed-forward network, and a
    last normalization. ViT-B/16 of the paper is `patch: 16, layers: 12, width: 768, heads: 12`. Pixels are
    scaled to -1 to 1 inside the model.

    Args:
        patch: Pixels that a patch is high and wide; must divide the image.
        layers: Blocks.
        width: Numbers of a token.
        heads: Of the attention; must divide the width.
        feed_forward: Units of the inner layer of each block; 0 for four times the width.
        dropout: Of attention weights, of each part before its residual is added, and of the embedded patches.
        activation: Of the inner layer; `gelu_tanh` is the approximation of GELU.
        pooling: What the last layer sees: the class token, or the mean of the patches (then there is no class
            token).
        l1: Factor of the sum of absolute weights of the last layer in the loss, at least 0.
        l2: Factor of the sum of squared weights of the last layer in the loss, at least 0.
    """
    import keras
    from keras import ops

    require_kind(data, "vit", "image")
    height, columns, _ = data.input.shape
    if height % patch or columns % patch:
        fits = [size for size in range(1, min(height, columns) + 1) if not (height % size or columns % size)]
        raise ModelError(
            f"model.patch: {patch} does not divide {describe_input(data)} of dataset `{data.name}`; use one "
            f"of {', '.join(map(str, fits))}, or another `dataset.image_size`"
        )
    blocks = Blocks(width, heads, feed_forward, dropout, activation, "pre")
    inputs = raw_input(data)
    x = keras.layers.Conv2D(width, patch, strides=patch, kernel_initializer="glorot_uniform", name="patches")(
        scaled_image(inputs, -1, 1)
    )
    x = keras.layers.Reshape((-1, width), name="tokens")(x)
    if pooling == "token":
        # An embedding of one row is a vector that is learned, in a layer that Keras ships.
        nothing = ops.cast(ops.zeros_like(x[:, :1, 0]), "int32")
        token = keras.layers.Embedding(1, width, embeddings_initializer="zeros", name="class_token")(nothing)
        x = ops.concatenate([ops.cast(token, x.dtype), x], axis=1)
    places = ops.cumsum(ops.cast(ops.ones_like(x[:, :, 0]), "int32"), axis=1) - 1
    x = x + keras.layers.Embedding(x.shape[1], width, embeddings_initializer=initializer(), name="positions")(
        places
    )
    x = blocks.dropped(x, "embedding_dropout")
    for number in range(1, layers + 1):
        x = blocks.block(x, None, f"layer_{number}")
    x = blocks.normalized(x, "final_norm")
    x = x[:, 0] if pooling == "token" else keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2), name="vit")
