"""What this machine offers and what `auto` would choose on it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bigmodel_cli
from bigmodel_cli import catalogue, cluster, devices, engine
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import RUNS, all_runs

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "matplotlib")


def examine() -> dict[str, Any]:
    """Versions, devices, memory, data, runs, and the choices of `auto`; TensorFlow must have been started."""
    import tensorflow as tf

    chosen = devices.choose("auto")
    installed = {name: version(name) for name in _PACKAGES}
    gpus = tf.config.list_physical_devices("GPU")
    fast = chosen.bfloat16
    return {
        "bigmodel": bigmodel_cli.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": installed,
        "engines": _engines(),
        "catalogue_is_current": catalogue.versions()["keras"] == installed["keras"],
        "cpu": {"cores": devices.cpu_cores(), "fast_bfloat16": devices.cpu_bfloat16() or None},
        "gpus": [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus],
        "memory": devices.available_memory(),
        "auto": {
            "backend": _backend(),
            "devices": f"{chosen.description} ({chosen.reason})",
            "precision": (
                f"bfloat16 for convolutions and attention ({fast}), else float32"
                if fast
                else "float32 (no fast bfloat16)"
            ),
            "steps_per_execution": "1 (several devices)"
            if chosen.count > 1
            else "32, or the steps of an epoch",
        },
        "data": _data(),
        "runs": {"folder": str(RUNS.resolve()), "count": sum(1 for _ in all_runs())},
    }


def _engines() -> dict[str, str | None]:
    """Versions of what Keras can train on here; None for what is not installed."""
    found: dict[str, str | None] = {}
    for name in ("tensorflow", "jax", "libtpu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _backend() -> str:
    try:
        choice = engine.choose_backend("auto", "auto", cluster.find())
    except UsageError as error:
        return f"none: {error}"
    return f"{choice.value} ({choice.reason.removeprefix('auto: ')})"


def _data() -> dict[str, Any]:
    """Where TensorFlow Datasets looks, and what is prepared there."""
    folder = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    prepared = sorted(
        {str(path.parent.parent.relative_to(folder)) for path in folder.glob("*/**/dataset_info.json")}
    )
    return {
        "folder": str(folder),
        "from": "TFDS_DATA_DIR" if "TFDS_DATA_DIR" in os.environ else "default",
        "prepared": prepared,
    }
