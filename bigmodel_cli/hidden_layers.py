"""What the inner layers of a restored model give."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bigmodel_cli.build import Restored
from bigmodel_cli.errors import UsageError

BEFORE_HEAD = ""
"""Name of the layer whose outputs are embeddings, where none is named: the one before the head."""

MAX_EMBEDDING = 65_536
"""Numbers of one input's embedding: more would be columns of a file that nobody can read."""


def trained_layers(restored: Restored) -> keras.Model:
    """The model whose layers people name; a table's lies behind its preparation, in a model of its own."""
    model = restored.model
    return model.get_layer(model.name) if restored.spec.input.kind == "table" else model


def hidden(model: keras.Model, name: str) -> Any:
    """What a layer gives, as one row of numbers for each input: (batch, e).

    Args:
        model: a functional one.
        name: of the layer; `BEFORE_HEAD` for what the last layer with weights takes.

    Raises:
        UsageError: there is no such layer, or it does not give one array of a known size.
    """
    known = [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    try:
        if name:
            tensor = model.get_layer(name).output
        else:
            tensor = [layer for layer in model.layers if layer.weights][-1].input
    except (ValueError, AttributeError, IndexError):
        raise UsageError(
            f"--embeddings {name or 'of the layer before the head'}: the model has no such layer; it has "
            f"{', '.join(known[:30])}{', ...' if len(known) > 30 else ''}"
        ) from None
    shape = getattr(tensor, "shape", (None,))
    if len(shape) < 2 or None in shape[1:] or int(np.prod(shape[1:])) > MAX_EMBEDDING:
        raise UsageError(
            f"--embeddings {name}: gives {tuple(shape)} for an input, and an embedding has a known size of "
            f"at most {MAX_EMBEDDING:,} numbers; name a layer after the pooling"
        )
    flat = tensor if len(shape) == 2 else keras.layers.Flatten()(tensor)
    return keras.ops.cast(flat, "float32")
