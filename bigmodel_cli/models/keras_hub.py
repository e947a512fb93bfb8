"""Encoders of texts that KerasHub keeps, with the weights they were trained to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bigmodel_cli import presets
from bigmodel_cli.columns import tokens_name
from bigmodel_cli.contracts import DataSpec, PathText, Rate
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models import pretrained
from bigmodel_cli.models.layers import output_head
from bigmodel_cli.models.table import features_beside_texts, text_columns

if TYPE_CHECKING:
    import keras


def keras_hub(
    data: DataSpec,
    *,
    preset: PathText,
    load_weights: bool = True,
    pooling: Literal["cls", "mean"] = "cls",
    dropout: Rate = 0.1,
) -> keras.Model:
    """An encoder of KerasHub (BERT, RoBERTa, ALBERT, DistilBERT, DeBERTa, ...) for one column of text.

    The preset brings its own tokens, so of `dataset.prepare.text` only `length` counts. Other columns of the
    table stand beside what the encoder gives. Needs KerasHub: pip install 'bigmodel-cli[text]'. What is not
    weights of the preset is kept with the run, which then needs neither the preset nor a network. The
    layers of the preset lie in a layer called `backbone`.

    Args:
        preset: A folder that `save_to_preset` wrote; a name that KerasHub knows, such as
            `bert_base_en_uncased`; or a handle, such as hf://USER/MODEL or
            kaggle://USER/MODEL/keras/VARIANT, which is downloaded once.
        load_weights: Begin with the weights of the preset; with false they are random, and a preset without
            weights will do.
        pooling: What the last layer takes: the vector of the first token, [CLS], after a dense layer (the
            preset's own where it has one), or the mean over all tokens.
        dropout: Share of the pooled vector that training sets to 0 before the last layer, from 0 to below 1.
    """
    import keras
    from keras import ops

    from bigmodel_cli.preset_tokens import PresetTokens, swapped

    (column,) = text_columns(data)
    others, parts = features_beside_texts(data)
    # An estimate without data has a column without tokens.
    content = column.preset or presets.read(preset)
    layers = presets.backbone(content, preset if load_weights and pretrained.wanted() else None)
    name = tokens_name(0)
    tokens = keras.Input((column.length,), dtype="int32", name=name)
    padding = PresetTokens(content, column.length).padding
    given = {
        "token_ids": swapped(tokens, padding),
        "padding_mask": ops.not_equal(tokens, 0),
        "segment_ids": ops.zeros_like(tokens),
    }
    if unknown := set(layers.input) - set(given):
        raise ModelError(
            f"model.preset: {preset} takes {', '.join(sorted(unknown))} beside a text; use an encoder of "
            "texts"
        )
    backbone = _of_length(layers, column.length, pooling)
    x = backbone({key: given[key] for key in backbone.input})
    if pooling == "mean":
        # float32: bfloat16 cannot count beyond 256 tokens one by one.
        x = keras.layers.GlobalAveragePooling1D(dtype="float32", name="pool")(x, mask=given["padding_mask"])
    elif len(x.shape) == 3:
        x = keras.layers.Dense(x.shape[-1], "tanh", name="pooler")(x[:, 0])
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    if parts:
        x = ops.concatenate([ops.cast(x, "float32"), *parts], axis=-1)
    return keras.Model({**others, name: tokens}, output_head(x, data), name="keras_hub")


def _of_length(layers: keras.Model, length: int, pooling: str) -> keras.Model:
    """A preset's layers for texts of one length, so that what they compute can be counted.

    Returns:
        A model called `backbone` of the same layers, that gives the vector of the text (batch, width) where
        it is asked for and there is one, else that of each token (batch, length, width).
    """
    import keras

    inputs = {
        key: keras.Input((length,), dtype=tensor.dtype, name=key) for key, tensor in layers.input.items()
    }
    found = layers.call(inputs)
    whole = found if isinstance(found, dict) else {"sequence_output": found}
    pooled = "pooled_output" if pooling == "cls" and "pooled_output" in whole else "sequence_output"
    return keras.Model(inputs, whole[pooled], name="backbone")
