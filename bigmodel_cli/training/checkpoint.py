"""Everything that an interrupted run needs to go on as if it had never stopped.

No stock way of Keras restores the state of the random generators (dropout) or the position in an
epoch. A checkpoint therefore holds every variable of model, metrics and optimizer, the position, the
state of the callbacks, the config, and a hash of all that, in one file written under a temporary name,
synced and renamed.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run, write_atomically
from bigmodel_cli.validation import fixed_differences


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Attributes:
        epoch: from 0; the epoch that is under way or about to begin.
        step: steps done in it.
        seconds: training time so far.
        callbacks: what the callbacks must remember, by name.
    """

    epoch: int
    step: int
    seconds: float = 0.0
    callbacks: Mapping[str, Any] = field(default_factory=dict)


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Each variable once, under a name that a rebuilt model gives the same variable."""
    seen: set[int] = set()
    for group, variables in (
        ("model", model.variables),
        ("metrics", model.metrics_variables),
        ("optimizer", model.optimizer.variables),
    ):
        for index, variable in enumerate(variables):
            if id(variable) not in seen:
                seen.add(id(variable))
                yield f"{group}/{index:05d}", variable


def size(model: keras.Model) -> int:
    """Bytes that a checkpoint of this model takes, but for a kilobyte or two of names."""
    return sum(
        math.prod(variable.shape) * np.dtype(variable.dtype).itemsize for _, variable in _variables(model)
    )


def save(run: Run, model: keras.Model, config: Config, position: Position, keep: int) -> Path:
    """Write a checkpoint and delete all but the newest.

    Args:
        run: where it belongs.
        model: compiled and built.
        config: that it was built from.
        position: where training stands.
        keep: how many of the newest remain.
    """
    run.checkpoints.mkdir(exist_ok=True)
    path = run.checkpoints / f"epoch-{position.epoch:05d}-step-{position.step:09d}.npz"
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model)}
    arrays["position"] = _text(asdict(position))
    arrays["config"] = _text(config.model_dump(mode="json"))
    arrays["sha256"] = np.frombuffer(_digest(arrays), np.uint8)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)

    write_atomically(path, write)
    # What claims to be ahead of the newest is a damaged one that `load` passed over.
    found = _newest_first(run)
    current = found.index(path)
    for old in (*found[:current], *found[current + keep :]):
        old.unlink()
    return path


def _text(document: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


def _digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """SHA-256 of names, dtypes, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.digest()


def _newest_first(run: Run) -> list[Path]:
    return sorted(run.checkpoints.glob("epoch-*.npz"), reverse=True)


def drop_newest(run: Run) -> None:
    """Delete the newest checkpoint where there is another one."""
    newest, *others = _newest_first(run)
    if others:
        newest.unlink()


def load(run: Run, model: keras.Model, config: Config, *, finite: bool = False) -> tuple[Position, list[str]]:
    """Put the newest sound checkpoint back into a model.

    Args:
        run: the interrupted run.
        model: compiled and built as the one that was saved.
        config: that it was built from.
        finite: pass over those with weights that are not finite numbers.

    Returns:
        The position, and a warning for each checkpoint that was passed over.

    Raises:
        UsageError: there is no sound checkpoint, or it was made with another config.
    """
    warnings: list[str] = []
    for path in _newest_first(run):
        try:
            arrays = _read(path)
            position = Position(**json.loads(arrays.pop("position").tobytes()))
            # The first ones ever written have neither config nor hash.
            then = json.loads(arrays.pop("config").tobytes()) if "config" in arrays else None
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError, TypeError) as error:
            warnings.append(f"{path} is damaged ({error}); going on from the one before")
            continue
        if then and (changed := fixed_differences(then, config.model_dump(mode="json"))):
            raise UsageError(
                f"{path}: was made with another config ({'; '.join(changed)}); bring {run.config} back to "
                "that, or train anew"
            )
        if finite and not all(np.isfinite(array).all() for array in arrays.values()):
            warnings.append(f"{path} holds weights that are not finite; going on from the one before")
            continue
        _assign(path, model, arrays)
        return position, warnings
    raise UsageError(
        f"{run}: has no checkpoint to go on from"
        + "".join(f"; {text}" for text in warnings)
        + "; train again"
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    """All arrays but the hash.

    Raises:
        ValueError: they are not those that were written; others as `numpy.load` has them.
    """
    # numpy leaves a damaged file open when it is given a path.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if "sha256" in arrays and arrays.pop("sha256").tobytes() != _digest(arrays):
        raise ValueError("its SHA-256 is another one")
    return arrays


def _assign(path: Path, model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    variables = dict(_variables(model))
    differing = sorted(set(variables) ^ set(arrays)) or [
        name for name, variable in variables.items() if tuple(variable.shape) != arrays[name].shape
    ]
    if differing:
        raise UsageError(
            f"{path}: belongs to another model or optimizer ({len(differing)} variables differ); "
            "resume with the versions and the code that it was trained with"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
