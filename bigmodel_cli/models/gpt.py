"""Transformer decoder: a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bigmodel_cli.columns import tokens_name
from bigmodel_cli.contracts import DataSpec, Rate, Units
from bigmodel_cli.models.layers import require_task
from bigmodel_cli.models.transformer import Heads, Layers, check_texts
from bigmodel_cli.models.transformer_blocks import BlockActivation, Blocks, initializer

if TYPE_CHECKING:
    import keras


def gpt(
    data: DataSpec,
    *,
    layers: Layers = 4,
    width: Units = 128,
    heads: Heads = 4,
    feed_forward: Literal["auto"] | Units = "auto",
    dropout: Rate = 0.1,
    activation: BlockActivation = "gelu_tanh",
) -> keras.Model:
    """Transformer decoder that gives the probability of each token from those before it, as GPT-2.

    Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3, after Radford et
    al. 2018: blocks of causal attention that are normalized before each part, learned positions, and the
    embedding of the tokens as the last layer. The token 0, which ends a text, stands before each one, too.
    With 12 layers, a width of 768, 12 heads, 50,257 tokens and a length of 1,024 it has the 124,439,808
    parameters of GPT-2's smallest form.

    Args:
        layers: Blocks of attention and feed-forward network, at least 1.
        width: Numbers of a token, a multiple of `heads`.
        heads: Of the attention, each of width / heads numbers.
        feed_forward: Units of the inner layer of the feed-forward network; `auto` is 4 * width.
        dropout: Share of attention weights, of embeddings and of each part's outputs that training sets to
            0, from 0 to below 1.
        activation: Of the inner layer: `gelu_tanh`, as in GPT-2's code, or a Keras name; the exact `gelu`
            cannot be exported to onnx.
    """
    import keras
    from keras import ops

    require_task(data, "gpt", ("language_model",), "`transformer`")
    check_texts(data, "gpt", width)
    (column,) = data.input.columns
    units = 0 if feed_forward == "auto" else feed_forward
    blocks = Blocks(width, heads, units, dropout, activation, "pre", causal=True)
    name = tokens_name(0)
    tokens = keras.Input((column.length,), dtype="int32", name=name)
    # Each place sees the tokens before it.
    before = ops.concatenate([ops.zeros_like(tokens[:, :1]), tokens[:, :-1]], axis=1)
    embedding = keras.layers.ReversibleEmbedding(
        column.ids, width, embeddings_initializer=initializer(), name=f"{name}_embedding"
    )
    positions = keras.layers.Embedding(
        column.length, width, embeddings_initializer=initializer(), name="positions"
    )
    x = embedding(before) + positions(ops.cumsum(ops.ones_like(tokens), axis=1) - 1)
    x = blocks.dropped(x, "embedding_dropout")
    for number in range(1, layers + 1):
        x = blocks.block(x, None, f"layer_{number}")
    x = embedding(blocks.normalized(x, "final_norm"), reverse=True)
    # Predictions in bfloat16 would have two or three digits.
    outputs = keras.layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model({name: tokens}, outputs, name="gpt")
