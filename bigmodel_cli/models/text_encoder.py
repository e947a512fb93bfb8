"""From the tokens of a row's texts to one vector for each token: the encoder of `transformer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import Column, tokens_name
from bigmodel_cli.models.transformer_blocks import Blocks, initializer

if TYPE_CHECKING:
    import keras

SEGMENTS = 2
"""Texts that there is always an embedding for, as in BERT."""


def mask_token(column: Column) -> int:
    """The id that stands for a hidden token: the one after all that the preparation gives."""
    return column.ids


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives.

    Attributes:
        inputs: `tokens_0`, ... (batch, length) int32.
        vectors: of [CLS], then of each text and its [SEP] (batch, places, width).
        known: which of them are tokens, not padding (batch, places) bool.
        embeddings: the layer of each text's tokens.
    """

    inputs: dict[str, Any]
    vectors: keras.KerasTensor
    known: keras.KerasTensor
    embeddings: tuple[keras.layers.ReversibleEmbedding, ...]


def encoded(columns: Sequence[Column], blocks: Blocks, layers: int, token_dropout: float = 0.0) -> Encoded:
    """The texts of a row as one sequence, through all blocks (Devlin et al. 2019, section 3).

    The sequence is [CLS], the tokens of the first text, [SEP], those of the next one, [SEP], and so on. A
    token's vector starts as the sum of the embeddings of the token, of its position and of its text. Padding
    is never looked at and has no position of its own, so that it changes nothing.

    Args:
        columns: of text, each with its own vocabulary.
        blocks: the layers.
        layers: how many blocks.
        token_dropout: share of the tokens whose embedding training sets to 0.
    """
    import keras
    from keras import ops

    names = [tokens_name(index) for index in range(len(columns))]
    inputs = {
        name: keras.Input((column.length,), dtype="int32", name=name)
        for name, column in zip(names, columns, strict=True)
    }
    layers_of = [
        # One more than the preparation gives: [MASK].
        keras.layers.ReversibleEmbedding(
            mask_token(column) + 1,
            blocks.width,
            embeddings_initializer=initializer(),
            name=f"{name}_embedding",
        )
        for name, column in zip(names, columns, strict=True)
    ]
    embeddings = [layer(inputs[name]) for layer, name in zip(layers_of, names, strict=True)]
    if token_dropout:
        embeddings = [
            keras.layers.Dropout(token_dropout, noise_shape=(None, None, 1), name=f"{name}_dropout")(
                embedding
            )
            for name, embedding in zip(names, embeddings, strict=True)
        ]
    first = ops.zeros_like(inputs[names[0]][:, :1])
    one = ops.ones_like(first)
    special = _embedding(2, blocks, "special_tokens")(ops.concatenate([first, one], axis=1))
    vectors, known, texts = [special[:, :1]], [one], [first]
    for number, (name, embedding) in enumerate(zip(names, embeddings, strict=True)):
        vectors += [embedding, special[:, 1:]]
        known += [ops.cast(ops.not_equal(inputs[name], 0), "int32"), one]
        texts += [ops.zeros_like(inputs[name]) + number, first + number]
    tokens = ops.concatenate(known, axis=1)
    positions = ops.cumsum(tokens, axis=1) - 1
    x = (
        ops.concatenate(vectors, axis=1)
        + _embedding(tokens.shape[1], blocks, "positions")(positions)
        + _embedding(max(SEGMENTS, len(columns)), blocks, "texts")(ops.concatenate(texts, axis=1))
    )
    if blocks.norm == "post":
        x = blocks.normalized(x, "embedding_norm")
    x = blocks.dropped(x, "embedding_dropout")
    seen = ops.cast(tokens, "bool")
    for number in range(1, layers + 1):
        x = blocks.block(x, seen, f"layer_{number}")
    if blocks.norm == "pre":
        x = blocks.normalized(x, "final_norm")
    return Encoded(inputs, x, seen, tuple(layers_of))


def _embedding(rows: int, blocks: Blocks, name: str) -> keras.layers.Embedding:
    import keras

    return keras.layers.Embedding(rows, blocks.width, embeddings_initializer=initializer(), name=name)
