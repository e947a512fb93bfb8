"""The inputs of a model of tables, and the vector of features that they make together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import CATEGORIES, NUMBERS, Column, tokens_name
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import ModelError

if TYPE_CHECKING:
    import keras


def table_features(data: DataSpec) -> tuple[dict[str, Any], keras.KerasTensor]:
    """Prepared tensors as inputs, and what they make: (batch, features) float32; images are refused.

    Numbers stand as they are. A category is one-hot over the vocabulary (and `missing` where training saw a
    missing cell), or the row of an embedding. A text is the mean of the embeddings of its known tokens
    (Joulin et al. 2017, arXiv:1607.01759). What training never saw gives zeros, not the random start of its
    weights.

    Raises:
        ModelError: a column of images.
    """
    import keras
    from keras import ops

    require_no_images(data)
    inputs, parts = features_beside_texts(data)
    for index, column in enumerate(text_columns(data)):
        name = tokens_name(index)
        inputs[name] = keras.Input((column.length,), dtype="int32", name=name)
        parts.append(ops.cast(mean_embedding(column, inputs[name], index), "float32"))
    return inputs, ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def text_columns(data: DataSpec) -> list[Column]:
    """The columns of text, in the order of the prepared tensors `tokens_0`, `tokens_1`, ..."""
    return [column for column in data.input.columns if column.kind == "text"]


def image_columns(data: DataSpec) -> list[Column]:
    """The columns of images, in the order of the prepared tensors `image_0`, `image_1`, ..."""
    return [column for column in data.input.columns if column.kind == "image"]


def require_no_images(data: DataSpec) -> None:
    """Refuse images for a model that cannot see them.

    Raises:
        ModelError: a column holds images.
    """
    for column in image_columns(data):
        raise ModelError(
            f"model.name: this model takes no images, but the column `{column.name}` of {data.name} holds "
            f"some; take `late_fusion`, or leave it out with dataset.columns: {{{column.name}: ignore}}"
        )


def features_beside_texts(data: DataSpec) -> tuple[dict[str, Any], list[Any]]:
    """What `table_features` makes of the columns that are neither texts nor images.

    Returns:
        Inputs, and parts (batch, n) float32.
    """
    import keras
    from keras import ops

    columns = data.input.columns
    inputs: dict[str, Any] = {}
    parts = []
    if count := numbers_of(data):
        inputs[NUMBERS] = keras.Input((count,), dtype="float32", name=NUMBERS)
        parts.append(inputs[NUMBERS])
    categorical = [column for column in columns if column.kind == "categorical"]
    if categorical:
        ids = keras.Input((len(categorical),), dtype="int32", name=CATEGORIES)
        inputs[CATEGORIES] = ids
        parts += [_category(column, ids[:, index], index) for index, column in enumerate(categorical)]
    # float32: standardized numbers of a table lose their differences in bfloat16.
    return inputs, [ops.cast(part, "float32") for part in parts]


def numbers_of(data: DataSpec) -> int:
    """Length of the prepared tensor `numbers`."""
    total = 0
    for column in data.input.columns:
        if column.kind in ("numeric", "boolean"):
            total += 1 + column.indicator
        elif column.kind == "date":
            cycles = sum(part not in ("elapsed", "year") for part in column.parts)
            total += len(column.parts) + cycles + column.indicator
    return total


def feature_names(data: DataSpec) -> list[str] | None:
    """Names of the features that `table_features` gives, in order; None where some stand for no one thing.

    That is so for embeddings of categories, for texts and for images.
    """
    columns = data.input.columns
    names: list[str] = []
    for column in columns:
        if column.kind in ("numeric", "boolean"):
            names += [column.name, *([f"{column.name} missing"] * column.indicator)]
        elif column.kind == "date":
            for part in column.parts:
                cyclic = part not in ("elapsed", "year")
                name = f"{column.name} {part}"
                names += [f"{name} sine", f"{name} cosine"] if cyclic else [name]
            names += [f"{column.name} missing"] * column.indicator
    for column in columns:
        if column.kind in ("text", "image") or (
            column.kind == "categorical" and column.encoding != "one_hot"
        ):
            return None
        if column.kind == "categorical":
            names += [f"{column.name}: missing"] * _missing_seen(column)
            names += [f"{column.name}: {value}" for value in column.vocabulary]
    return names


def _missing_seen(column: Column) -> bool:
    """Whether missing cells of a category are a category of their own."""
    return bool(column.missing) and not column.fill_category


def _category(column: Column, ids: keras.KerasTensor, index: int) -> keras.KerasTensor:
    from keras import ops

    if column.encoding == "one_hot":
        hot = ops.one_hot(ids, column.ids)
        return ops.concatenate([hot[:, :1], hot[:, 2:]], axis=-1) if _missing_seen(column) else hot[:, 2:]
    return category_embedding(column, ids, column.dimension, f"category_{index}")


def category_embedding(
    column: Column, ids: keras.KerasTensor, dimension: int, name: str, **options: Any
) -> keras.KerasTensor:
    """Rows of an embedding (batch, dimension), zeros for what training never saw.

    With hashing nothing tells what training saw.

    Args:
        column: of categories.
        ids: theirs (batch,) int32.
        dimension: numbers of a category.
        name: of the layer.
        options: more of Keras' Embedding, such as its initializer.
    """
    import keras
    from keras import ops

    embedded = keras.layers.Embedding(column.ids, dimension, name=name, **options)(ids)
    if column.encoding == "hash":
        return embedded
    known = ops.not_equal(ids, 1) if _missing_seen(column) else ops.greater(ids, 1)
    return embedded * ops.cast(ops.expand_dims(known, -1), embedded.dtype)


def mean_embedding(column: Column, tokens: keras.KerasTensor, index: int) -> keras.KerasTensor:
    """Mean (batch, dimension) of the embeddings of a text's known tokens (batch, length)."""
    import keras
    from keras import ops

    embedded = keras.layers.Embedding(column.ids, column.dimension, name=f"text_{index}")(tokens)
    known = ops.cast(ops.expand_dims(ops.greater(tokens, 1), -1), embedded.dtype)
    return ops.sum(embedded * known, axis=1) / ops.maximum(ops.sum(known, axis=1), 1)
