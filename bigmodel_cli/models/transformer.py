"""Transformer encoder for texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import describe_input, output_head
from bigmodel_cli.models.table import features_beside_texts, require_no_images, text_columns
from bigmodel_cli.models.text_encoder import Encoded, encoded
from bigmodel_cli.models.transformer_blocks import BlockActivation, Blocks, Norm, initializer

if TYPE_CHECKING:
    import keras

Layers = Annotated[int, Field(ge=1, le=1000)]
Heads = Annotated[int, Field(ge=1, le=1000)]


def transformer(
    data: DataSpec,
    *,
    layers: Layers = 2,
    width: Units = 128,
    heads: Heads = 4,
    feed_forward: Literal["auto"] | Units = "auto",
    dropout: Rate = 0.1,
    token_dropout: Rate = 0.0,
    activation: BlockActivation = "gelu_tanh",
    norm: Norm = "post",
    pooling: Literal["mean", "cls"] = "mean",
) -> keras.Model:
    """Transformer encoder for the texts of a table, as BERT.

    Vaswani et al. 2017, "Attention Is All You Need", section 3.1, in the form of Devlin et al. 2019, "BERT",
    with learned positions. Several columns of text become one sequence, each with an embedding of its
    own that is added to its tokens; the other columns of the table stand beside what the encoder
    gives, as `mlp` takes them. `dataset.prepare.text` says what a token is and how many of them are kept.
    With 12 layers, a width of 768, 12 heads, `cls`, 30,522 tokens (of them 3 special ones) and 512 positions
    it has the 109,482,240 parameters of BERT-base below the last layer. With the task
    `masked_language_model` it learns to find hidden tokens (section 3.1 of BERT's paper); a config whose
    `initialize.weights` is such a run begins with its encoder and its vocabulary.

    Args:
        layers: Blocks of attention and feed-forward network, at least 1.
        width: Numbers of a token, a multiple of `heads`.
        heads: Of the attention, each of width / heads numbers.
        feed_forward: Units of the inner layer of the feed-forward network; `auto` is 4 * width.
        dropout: Share of attention weights, of embeddings and of each part's outputs that training sets to
            0, from 0 to below 1.
        token_dropout: Share of the tokens that training hides, the whole embedding at once (word dropout,
            Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods", section 3.1), against
            learning small training sets by heart.
        activation: Of the inner layer: `gelu_tanh`, as in BERT's code, or a Keras name; the exact `gelu`
            cannot be exported to onnx.
        norm: Layer normalization after each residual (`post`, as in BERT) or before each part (`pre`, which
            trains deep networks without a warm-up).
        pooling: What the last layer takes: the mean over all tokens, or a dense layer over the first token,
            [CLS], as in BERT.
    """
    import keras
    from keras import ops

    columns = text_columns(data)
    require_no_images(data)
    check_texts(data, "transformer", width)
    units = 0 if feed_forward == "auto" else feed_forward
    blocks = Blocks(width, heads, units, dropout, activation, norm)
    others, parts = features_beside_texts(data)
    text = encoded(columns, blocks, layers, token_dropout)
    if data.task == "masked_language_model":
        return keras.Model(text.inputs, _hidden_tokens(text, blocks, columns[0]), name="transformer")
    x = text.vectors
    if pooling == "cls":
        x = keras.layers.Dense(width, "tanh", kernel_initializer=initializer(), name="pooler")(x[:, 0])
        x = blocks.dropped(x, "pooler_dropout")
    else:
        # float32: bfloat16 cannot count beyond 256 tokens one by one.
        x = keras.layers.GlobalAveragePooling1D(dtype="float32", name="pool")(x, mask=text.known)
    if parts:
        x = ops.concatenate([ops.cast(x, "float32"), *parts], axis=-1)
    return keras.Model({**others, **text.inputs}, output_head(x, data), name="transformer")


def _hidden_tokens(text: Encoded, blocks: Blocks, column: Column) -> keras.KerasTensor:
    """Logits (batch, length, tokens) of each place of the one text, from its vector.

    A dense layer, normalization and the embedding of the tokens, as in BERT's code; without the bias of
    each token that it has there.
    """
    import keras

    x = text.vectors[:, 1 : 1 + column.length]
    x = keras.layers.Dense(blocks.width, kernel_initializer=initializer(), name="hidden_tokens")(x)
    x = blocks.normalized(blocks.activated(x, "hidden_tokens"), "hidden_tokens_norm")
    x = text.embeddings[0](x, reverse=True)
    # [MASK] is no answer.
    return keras.layers.Activation("linear", dtype="float32", name="logits")(x[..., : column.ids])


def check_texts(data: DataSpec, model_name: str, width: int) -> None:
    """Refuse data without texts, and a size of embeddings that would go unused.

    Raises:
        ModelError: one of these.
    """
    from bigmodel_cli.config.schema import PrepareText

    columns = text_columns(data)
    if not columns:
        raise ModelError(
            f"model.name: `{model_name}` takes texts, but dataset `{data.name}` gives {describe_input(data)}"
            f"{' without one of text' if data.input.kind == 'table' else ''}; use another model, or name the "
            "column of text with dataset.columns: {NAME: text}"
        )
    unset = PrepareText.model_fields["dimension"].default
    for column in columns:
        if column.dimension not in (unset, width):
            raise ModelError(
                f"dataset.prepare.text.dimension: {column.dimension} is for models of averaged embeddings; "
                f"the tokens of `{model_name}` have model.width: {width} numbers; leave `dimension` out"
            )
