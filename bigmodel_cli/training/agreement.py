"""What the processes of a job tell each other beside the training steps; one process alone tells nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bigmodel_cli.errors import UsageError

_LONGEST_PATH = 4096


def several() -> bool:
    """Whether this process is one of several."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.process_count() > 1


def chief() -> bool:
    """Whether this process is the one that writes."""
    if not several():
        return True
    import jax

    return bool(jax.process_index() == 0)


def largest(value: int) -> int:
    """The largest of all processes' values, below 2**31; every process must ask, and waits for the others."""
    return int(_gathered(np.array([value], np.int32)).max()) if several() else value


def meet() -> None:
    """Wait until all processes have come here."""
    largest(0)


def path_of_chief(path: Path | None) -> Path:
    """The path that the process of rank 0 gives, for all."""
    if not several():
        assert path is not None
        return path
    letters = np.zeros(_LONGEST_PATH, np.uint8)
    if path is not None:
        text = os.fsencode(path.resolve())
        letters[: len(text)] = np.frombuffer(text, np.uint8)
    return Path(os.fsdecode(_gathered(letters)[0].tobytes().rstrip(b"\0")))


def check(facts: Mapping[str, Any]) -> None:
    """Make sure that all processes are about to do the same.

    Args:
        facts: by name, what must be the same everywhere; anything that JSON can write.

    Raises:
        UsageError: in every process, where something is different.
    """
    if not several():
        return
    digests = np.stack([np.frombuffer(_digest(value), np.uint8) for value in facts.values()])
    everywhere = _gathered(digests)
    different = [name for index, name in enumerate(facts) if len(np.unique(everywhere[:, index], axis=0)) > 1]
    if different:
        raise UsageError(
            f"the processes of the job have different {', '.join(different)}; start all with one config on "
            "the same data, and set what `auto` chooses by the machine"
        )


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()


def _gathered(array: np.ndarray) -> np.ndarray:
    """(processes, *shape): the arrays of all processes, in order of rank."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array))
