"""What TensorBoard shows of a run besides its curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bigmodel_cli.rundir import Run
from bigmodel_cli.training.trackers.flattening import flattened, text


def write_description(run: Run, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Config and environment as tables of TensorBoard's texts, beside the curves of Keras' callback."""
    writer = tf.summary.create_file_writer(str(run.tensorboard / "description"))
    with writer.as_default():
        for name, document in (("config", config), ("environment", environment)):
            rows = [f"| {key} | `{text(value)}` |" for key, value in flattened(document).items()]
            tf.summary.text(name, "\n".join(["| key | value |", "|---|---|", *rows]), step=0)
    writer.close()
