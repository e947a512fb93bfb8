"""`training.precision`: what a run computes in."""

from __future__ import annotations

import keras

from bigmodel_cli.config.schema import Config
from bigmodel_cli.devices import Choice, Devices
from bigmodel_cli.errors import UsageError


def choose_precision(config: Config, devices: Devices, model: keras.Model) -> Choice:
    """The precision of training, and why.

    Args:
        config: complete.
        devices: that train.
        model: in any precision.

    Raises:
        UsageError: what was asked for is no use here.
    """
    asked = config.training.precision
    if asked == "float16" and devices.kind == "cpu":
        raise UsageError("training.precision: float16 is many times slower than float32 on a CPU; use `auto`")
    if asked != "auto":
        return Choice(asked, "asked for")
    heavy = any(
        "Conv" in type(layer).__name__ or "Attention" in type(layer).__name__
        for layer in model._flatten_layers()
    )
    if not heavy:
        return Choice("float32", "auto: no convolutions or attention")
    if not devices.bfloat16:
        return Choice("float32", "auto: no fast bfloat16 here")
    return Choice("bfloat16", f"auto: {devices.bfloat16}")
