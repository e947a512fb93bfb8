"""What the models of sequences share: numbers over time or tokens as vectors over time, and the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.columns import tokens_name
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import describe_input, numbers, output_head, raw_input
from bigmodel_cli.models.table import features_beside_texts, text_columns
from bigmodel_cli.models.transformer import check_texts

if TYPE_CHECKING:
    import keras

Pooling = Literal["last", "mean"]


@dataclass(frozen=True)
class Sequence:
    """A model's input over time.

    Attributes:
        inputs: what the model takes.
        vectors: (batch, time, features) float32.
        known: (batch, time) bool, false where a text has ended; None where all of it counts.
        beside: of a table's columns that are no texts, (batch, n) float32 each.
    """

    inputs: Any
    vectors: keras.KerasTensor
    known: keras.KerasTensor | None
    beside: list[Any]


def sequence(data: DataSpec, model_name: str, width: int) -> Sequence:
    """Numbers, standardized by feature, or one column of text as the embeddings of its tokens.

    In a language model each place has the embedding of the token before it; 0, which ends a text, stands
    before the first one.

    Args:
        data: what it is built for.
        model_name: for messages.
        width: of an embedding.

    Raises:
        ModelError: the data has no time, or several texts; or hidden tokens are to be found, for which a
            model must see what comes after them.
    """
    import keras
    from keras import ops

    if data.input.kind == "tabular" and len(data.input.shape) == 2:
        inputs = raw_input(data)
        return Sequence(inputs, numbers(inputs, data, standardize=True), None, [])
    if data.input.kind != "table":
        raise ModelError(
            f"model.name: `{model_name}` takes sequences, arrays (time, features) of numbers or a column of "
            f"text, but dataset `{data.name}` gives {describe_input(data)}; use another model or dataset"
        )
    check_texts(data, model_name, width)
    if data.task == "masked_language_model":
        raise ModelError(
            f"model.name: `{model_name}` is not for the task masked_language_model; use `transformer`"
        )
    columns = text_columns(data)
    if len(columns) > 1:
        raise ModelError(
            f"model.name: `{model_name}` takes one column of text, but dataset `{data.name}` has "
            f"{', '.join(column.name for column in columns)}; leave others out with dataset.columns: "
            "{NAME: ignore}, or use `transformer`"
        )
    others, beside = features_beside_texts(data)
    name = tokens_name(0)
    tokens = keras.Input((columns[0].length,), dtype="int32", name=name)
    given, known = tokens, ops.not_equal(tokens, 0)
    if data.task == "language_model":
        given, known = ops.concatenate([ops.zeros_like(tokens[:, :1]), tokens[:, :-1]], axis=1), None
    vectors = keras.layers.Embedding(columns[0].ids, width, name=f"{name}_embedding")(given)
    return Sequence({**others, name: tokens}, vectors, known, beside)


def ended(taken: Sequence, x: keras.KerasTensor, data: DataSpec) -> keras.KerasTensor:
    """The last layer: logits of each token of a language model (batch, time, tokens), else as `output_head`.

    Args:
        taken: the input.
        x: (batch, time, n) of a language model, else (batch, n).
        data: what it is built for.
    """
    import keras
    from keras import ops

    if data.task == "language_model":
        # Predictions in bfloat16 would have two or three digits.
        return keras.layers.Dense(data.outputs, dtype="float32", name="logits")(x)
    if taken.beside:
        x = ops.concatenate([ops.cast(x, "float32"), *taken.beside], axis=-1)
    return output_head(x, data)


def mean_over_time(x: keras.KerasTensor, known: keras.KerasTensor | None) -> keras.KerasTensor:
    """(batch, n) float32 of (batch, time, n): the mean over the times that are known."""
    import keras

    # float32: bfloat16 cannot count beyond 256 steps one by one.
    return keras.layers.GlobalAveragePooling1D(dtype="float32", name="pool")(x, mask=known)
