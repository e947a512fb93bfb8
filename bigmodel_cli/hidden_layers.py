"""What the inner layers of a restored model give."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bigmodel_cli.assembly import BATCH_SIZE, Restored
from bigmodel_cli.contracts import Inputs
from bigmodel_cli.errors import UsageError
from bigmodel_cli.models.preparation import preparation

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


def embeddings(restored: Restored, inputs: Inputs, name: str = BEFORE_HEAD) -> np.ndarray:
    """What a layer gives for a few raw inputs.

    Args:
        restored: the run.
        inputs: (n, *input.shape); for a table a dict of column key -> (n,).
        name: as of `hidden`.

    Returns:
        (n, e) float32.

    Raises:
        UsageError: as `hidden`.
    """
    core = trained_layers(restored)
    inner = keras.Model(core.input, hidden(core, name))
    prepare = preparation(restored.spec.input.columns) if restored.spec.input.kind == "table" else None
    count = len(next(iter(inputs.values())) if isinstance(inputs, dict) else inputs)
    blocks = []
    for start in range(0, count, BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        block: Any = {key: cells[rows] for key, cells in inputs.items()} if prepare else inputs[rows]
        if prepare:
            block = prepare({key: keras.ops.convert_to_tensor(cells) for key, cells in block.items()})
        blocks.append(np.asarray(inner(block, training=False), np.float32))
    return np.concatenate(blocks)
