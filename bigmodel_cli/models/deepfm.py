"""DeepFM: a factorization machine and a deep network over shared embeddings, for tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bigmodel_cli.columns import CATEGORIES, NUMBERS
from bigmodel_cli.contracts import DataSpec, Penalty, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import Activation, output_head, regularizer, require_kind
from bigmodel_cli.models.mlp import dense_layers
from bigmodel_cli.models.table import category_embedding, numbers_of

if TYPE_CHECKING:
    import keras

Dimension = Annotated[int, Field(ge=1, le=4096)]


def deepfm(
    data: DataSpec,
    *,
    dimension: Dimension = 10,
    hidden: Sequence[Units] = (400, 400, 400),
    activation: Activation = "relu",
    dropout: Rate = 0.5,
    l2: Penalty = 0.0,
) -> keras.Model:
    """DeepFM, for tables of categories and numbers: first order, pairs of fields, and a deep network, summed.

    Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction"
    (arXiv:1703.04247, section 2.1). Each category is a field with an embedding v; each prepared number x is
    a field with the embedding x * v, as in the factorization machines of Rendle 2010. The score is a bias,
    plus a weight of each category and number (first order), plus the inner product of each two fields'
    embeddings (second order, computed as in Rendle 2010, lemma 3.1), plus what a deep network makes of all
    embeddings. Two classes have one score, whose sigmoid is the probability of the second one, as in the
    paper; several classes, labels or targets have one each, with embeddings of their own. What training
    never saw gives zeros. The defaults are those of the paper's experiments (section 3.1).

    Args:
        dimension: Numbers of a field's embedding, k of the paper.
        hidden: Units of each hidden layer of the deep network, first to last.
        activation: Activation after each hidden layer, a Keras name.
        dropout: Share of each hidden layer's outputs that training sets to 0, from 0 to below 1.
        l2: Factor of the sum of squared embeddings, first-order and hidden weights in the loss, at least 0.
    """
    import keras
    from keras import ops

    require_kind(data, "deepfm", "table")
    _require_fields(data)
    scores = 1 if _two_classes(data) else data.outputs
    inputs, first, fields = _fields(data, dimension, scores, l2)
    # The square of the sum holds each pair twice, and each field with itself.
    total = ops.sum(fields, axis=1)
    pairs = 0.5 * ops.sum(ops.square(total) - ops.sum(ops.square(fields), axis=1), axis=-1)
    x = dense_layers(keras.layers.Flatten(name="embeddings")(fields), hidden, activation, dropout, l2=l2)
    deep = output_head(x, data, l2=l2, units=scores)
    if data.target.tasks:
        # Side by side, as first and second order are; `build` cuts the sum into the tasks.
        deep = ops.concatenate([*deep.values()], axis=-1)
    outputs = first + pairs + deep
    if scores < data.outputs:
        # softmax([0, s]) is the sigmoid of s.
        outputs = ops.concatenate([ops.zeros_like(outputs), outputs], axis=-1)
    return keras.Model(inputs, outputs, name="deepfm")


def _two_classes(data: DataSpec) -> bool:
    return data.task == "classification" and data.outputs == 2


def _fields(
    data: DataSpec, dimension: int, scores: int, l2: float
) -> tuple[dict[str, Any], keras.KerasTensor, keras.KerasTensor]:
    """Inputs; first-order terms (batch, scores); embeddings (batch, fields, scores, dimension); float32."""
    import keras
    from keras import ops

    columns = [column for column in data.input.columns if column.kind == "categorical"]
    penalty = {"embeddings_regularizer": regularizer(0.0, l2)}
    inputs: dict[str, Any] = {}
    first, fields = [], []
    if columns:
        inputs[CATEGORIES] = keras.Input((len(columns),), dtype="int32", name=CATEGORIES)
    for index, column in enumerate(columns):
        ids = inputs[CATEGORIES][:, index]
        zeros = {"embeddings_initializer": "zeros", **penalty}
        first.append(category_embedding(column, ids, scores, f"first_order_{index}", **zeros))
        embedded = category_embedding(column, ids, scores * dimension, f"field_{index}", **penalty)
        fields.append(ops.expand_dims(embedded, 1))
    if count := numbers_of(data):
        inputs[NUMBERS] = keras.Input((count,), dtype="float32", name=NUMBERS)
        weigh = keras.layers.Dense(
            scores,
            use_bias=False,
            kernel_initializer="zeros",
            kernel_regularizer=regularizer(0.0, l2),
            dtype="float32",
            name="first_order_numbers",
        )
        first.append(weigh(inputs[NUMBERS]))
        embed = keras.layers.EinsumDense(
            "bn,nk->bnk",
            (count, scores * dimension),
            # As Embedding starts its rows.
            kernel_initializer="uniform",
            kernel_regularizer=regularizer(0.0, l2),
            dtype="float32",
            name="number_fields",
        )
        fields.append(embed(inputs[NUMBERS]))
    # float32: the squares of a sum lose their differences in bfloat16.
    joined = ops.concatenate([ops.cast(field, "float32") for field in fields], axis=1)
    split = keras.layers.Reshape((joined.shape[1], scores, dimension), dtype="float32", name="fields")(joined)
    return inputs, ops.sum(ops.stack([ops.cast(term, "float32") for term in first]), axis=0), split


def _require_fields(data: DataSpec) -> None:
    """Refuse columns that are no fields.

    Raises:
        ModelError: one is.
    """
    for column in data.input.columns:
        if column.kind in ("text", "image"):
            raise ModelError(
                f"model.name: `deepfm` takes categories and numbers, but the column `{column.name}` of "
                f"{data.name} is {column.kind}; leave it out with dataset.columns: "
                f"{{{column.name}: ignore}}, or take `late_fusion`"
            )
