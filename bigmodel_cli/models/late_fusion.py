"""Late fusion: tables whose columns are images, texts, categories and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ValidationError

from bigmodel_cli import components
from bigmodel_cli.columns import Column, image_name, tokens_name
from bigmodel_cli.contracts import DataSpec, InputSpec, Penalty, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import Activation, output_head, require_kind, require_task
from bigmodel_cli.models.mlp import dense_layers
from bigmodel_cli.models.table import features_beside_texts, image_columns, mean_embedding, text_columns

if TYPE_CHECKING:
    import keras


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """A model with all its parameters, as `model` itself is checked."""
    name = given.get("name")
    if not isinstance(name, str):
        raise ValueError("needs the `name` of a model, such as {name: cnn, filters: [16, 32]}")
    try:
        definition = components.find("models", name)
        checked = definition.parameters.model_validate({k: v for k, v in given.items() if k != "name"})
    except components.UnknownComponentError as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"`{name}`: {place}: {first['msg']} (`bigmodel list models {name}`)") from None
    values = {key: getattr(checked, key) for key in definition.parameters.model_fields}
    return {"name": name} | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


Encoder = Annotated[Mapping[str, Any], AfterValidator(_complete)]
"""A model, of which the layers below the last one are taken."""


def late_fusion(
    data: DataSpec,
    *,
    images: Encoder | None = None,
    texts: Encoder | None = None,
    hidden: Sequence[Units] = (64,),
    activation: Activation = "relu",
    dropout: Rate = 0.0,
    l2: Penalty = 0.0,
) -> keras.Model:
    """Late fusion, for tables with images or texts beside numbers and categories.

    Each column of images goes through a model of its own, whose last layer is left out; the texts go through
    one together; numbers and categories stand as `mlp` takes them. What all of these give is put side by
    side, and goes through dense layers (late or feature-level fusion: Baltrusaitis et al. 2019,
    "Multimodal Machine Learning: A Survey and Taxonomy", section 6; Cheng et al. 2016, "Wide & Deep
    Learning", for categories beside a network). In `optimizer.layers` the encoders are called `images_0`,
    `images_1`, ... and `texts`.

    Args:
        images: A model of images with its parameters, such as {name: resnet, depth: 20} or {name:
            application, architecture: mobilenet_v2, weights: imagenet}; null is a small `cnn`: filters [16,
            32, 64], each followed by batch normalization, and the mean over all places.
        texts: A model of texts with its parameters, such as {name: transformer, width: 64}; null takes the
            mean of the embeddings of each text's words.
        hidden: Units of each dense layer behind the fusion, first to last.
        activation: Activation after each of them, a Keras name.
        dropout: Share of each of their outputs that training sets to 0, from 0 to below 1.
        l2: Factor of the sum of their squared weights, and of the last layer's, in the loss, at least 0.
    """
    import keras
    from keras import ops

    require_kind(data, "late_fusion", "table")
    require_task(
        data, "late_fusion", ("classification", "multi_label", "regression"), "`transformer` or `gpt`"
    )
    _require_columns(data, images, texts)
    inputs, parts = features_beside_texts(data)
    for index, column in enumerate(image_columns(data)):
        name = image_name(index)
        inputs[name] = keras.Input(column.shape, dtype="uint8", name=name)
        parts.append(_encoder(_of_images(data, column), images or SMALL_CNN, f"images_{index}")(inputs[name]))
    columns = text_columns(data)
    tokens = {
        tokens_name(index): keras.Input((column.length,), dtype="int32", name=tokens_name(index))
        for index, column in enumerate(columns)
    }
    if tokens and texts:
        parts.append(_encoder(_of_texts(data, columns), texts, "texts")(tokens))
    else:
        parts += [
            mean_embedding(column, tokens[tokens_name(index)], index) for index, column in enumerate(columns)
        ]
    x = ops.concatenate([ops.cast(part, "float32") for part in parts], axis=-1)
    x = dense_layers(x, hidden, activation, dropout, l2=l2)
    return keras.Model({**inputs, **tokens}, output_head(x, data, l2=l2), name="late_fusion")


SMALL_CNN: Mapping[str, Any] = {
    "name": "cnn", "filters": [16, 32, 64], "padding": "same", "batch_norm": True, "global_pool": True,
    "dense": [],
}  # fmt: skip


def _of_images(data: DataSpec, column: Column) -> DataSpec:
    """The data as if it held a column of images alone."""
    shown = InputSpec(column.shape, "uint8", "image", resize=column.resize)
    return replace(data, input=shown)


def _of_texts(data: DataSpec, columns: Sequence[Column]) -> DataSpec:
    """The data as if it held its texts alone."""
    names = tuple(column.name for column in columns)
    return replace(data, input=InputSpec((len(columns),), "", "table", names, columns=tuple(columns)))


def _encoder(data: DataSpec, given: Mapping[str, Any], name: str) -> keras.Model:
    """A model without its last layer: its input to (batch, n).

    Raises:
        ModelError: it does not take such data, or gives no vector before its last layer.
    """
    import keras

    key, parameters = name.partition("_")[0], {k: v for k, v in given.items() if k != "name"}
    builder = components.find("models", given["name"]).builder
    assert builder is not None
    try:
        model = builder(data, **parameters)
    except ModelError as error:
        # What stands in front is the place of a model that is alone.
        reason = str(error).split(": ", 1)[-1]
        raise ModelError(f"model.{key}: {reason}") from error
    weighted = [layer for layer in model.layers if layer.weights]
    vector = weighted[-1].input if weighted else None
    if not isinstance(vector, keras.KerasTensor) or len(vector.shape) != 2:
        raise ModelError(
            f"model.{key}: `{given['name']}` gives no vector before its last layer; take another, such as "
            f"{'cnn, resnet or application' if key == 'images' else 'transformer'}"
        )
    return keras.Model(model.input, vector, name=name)


def _require_columns(
    data: DataSpec, images: Mapping[str, Any] | None, texts: Mapping[str, Any] | None
) -> None:
    """Refuse encoders without columns, and data without anything to fuse.

    Raises:
        ModelError: one of these.
    """
    found = {"images": image_columns(data), "texts": text_columns(data)}
    for key, given in (("images", images), ("texts", texts)):
        if given and not found[key]:
            raise ModelError(
                f"model.{key}: {data.name} has no column of {key}; declare one with dataset.columns: "
                f"{{NAME: {key.removesuffix('s')}}}, or leave it out"
            )
    if not any(found.values()):
        raise ModelError(
            f"model.name: `late_fusion` is for tables with images or texts, and {data.name} has neither; "
            "take `mlp`, or declare a column with dataset.columns: {NAME: image}"
        )
