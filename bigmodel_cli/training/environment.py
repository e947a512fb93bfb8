"""What a run was made with: versions, devices, command line, and what `auto` chose."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import bigmodel_cli
from bigmodel_cli.devices import Choice, Devices

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "scikit-learn", "matplotlib")

_ENGINES = {"tensorflow": (), "jax": ("jax", "jaxlib")}
"""Of each backend of Keras, what is to be noted beside."""


def describe(devices: Devices, choices: Mapping[str, Choice]) -> dict[str, Any]:
    """The document of environment.json."""
    return {
        "bigmodel": bigmodel_cli.__version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in (*_PACKAGES, *_ENGINES[devices.backend])},
        "git_commit": _git_commit(),
        "backend": devices.backend,
        "devices": {"kind": devices.kind, "count": devices.count, "description": devices.description},
        "workers": devices.processes,
        "choices": {name: {"value": item.value, "reason": item.reason} for name, item in choices.items()},
    }


def _git_commit() -> str | None:
    """The commit of the working folder, when it is in a repository and git is there."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
