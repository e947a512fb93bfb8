"""A table's preparation as a function for tf.data, whatever engine Keras runs on.

The operations of a Keras graph are those of one engine, and tf.data can run TensorFlow's only. Where Keras
runs on JAX, a process of its own builds the same graph on TensorFlow and writes it as a SavedModel, which
this one loads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import RAW_DTYPES
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.models.preparation import preparation

if TYPE_CHECKING:
    import keras

Prepare = Callable[[dict[str, Any]], dict[str, Any]]


def in_tf_data(model: keras.Model, data: DataSpec) -> Prepare:
    """What gives, inside tf.data, what a preparation gives.

    Args:
        model: from `preparation`, of this data's columns.
        data: a table.

    Raises:
        RuntimeError: the other process failed; the message holds what it said.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() == "tensorflow":
        return model
    with tempfile.TemporaryDirectory(prefix="bigmodel-preparation-") as folder:
        description = Path(folder, "data.json")
        description.write_text(json.dumps(data.to_json()), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(description), folder],
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"the preparation of {data.name} could not be built on TensorFlow:\n{done.stderr}"
            )
        loaded = tf.saved_model.load(folder)
    return lambda inputs: loaded.prepare(inputs)


def _write(data: DataSpec, folder: str) -> None:
    import tensorflow as tf

    module = tf.Module()
    # What a SavedModel restores must hang on the module that is saved.
    module.model = preparation(data.input.columns)
    raw = {
        column.key: tf.TensorSpec([None, *column.shape], RAW_DTYPES[column.kind], name=column.key)
        for column in data.input.columns
    }
    module.prepare = tf.function(lambda inputs: module.model(inputs), input_signature=[raw])
    tf.saved_model.save(module, folder)


if __name__ == "__main__":
    _write(DataSpec.from_json(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), sys.argv[2])
