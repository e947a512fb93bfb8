"""The weights that training begins with: `initialize`, and LoRA."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bigmodel_cli import assembly, components, hidden_layers, rundir
from bigmodel_cli.config.schema import Config, Initialize
from bigmodel_cli.contracts import DataSpec, OneOfSeveral
from bigmodel_cli.devices import Choice
from bigmodel_cli.errors import ModelError, UsageError
from bigmodel_cli.training.layer_rules import add_lora

_SHOWN = 6


@dataclass(frozen=True)
class Weights:
    """Weights of an earlier training.

    Attributes:
        origin: where they come from, for people.
        arrays: path of a variable -> its value.
        outputs: names of its classes or targets; None where they are not known.
        tasks: where it has several; else empty.
    """

    origin: str
    arrays: Mapping[str, np.ndarray]
    outputs: tuple[str, ...] | None
    tasks: tuple[OneOfSeveral, ...] = ()


@dataclass(frozen=True)
class Beginning:
    """What is done to a model before it is compiled for the first time.

    Attributes:
        config: complete.
        spec: of the data.
        weights: to begin with; None for those that it is built with, or when a run goes on.
    """

    config: Config
    spec: DataSpec
    weights: Weights | None

    def prepare(self, model: keras.Model) -> Choice | None:
        """Give a model its weights, and its layers LoRA.

        Args:
            model: as it was built.

        Returns:
            What was taken and what was not; None where there was nothing to take.

        Raises:
            ModelError: the weights do not fit.
        """
        choice = None
        settings = self.config.initialize
        if self.weights is not None and settings is not None:
            choice = _take(self.weights, settings, model, self.spec)
        add_lora(self.config, model)
        return choice


def beginning(config: Config, spec: DataSpec, *, resumed: bool) -> Beginning:
    """Read what a config begins with; before the model is built, as reading builds one too.

    Args:
        config: complete.
        spec: of the data.
        resumed: whether a run goes on, whose weights come from its checkpoint.

    Raises:
        UsageError: the weights are not there or cannot be read.
    """
    settings = config.initialize
    weights = None if settings is None or resumed else _read(Path(settings.weights))
    return Beginning(config, spec, weights)


def _read(path: Path) -> Weights:
    """Weights of a run, of a config's newest run, or of a .keras file."""
    if path.suffix == ".keras":
        if path.name == "model.keras" and rundir.is_run(path.parent):
            path = path.parent
        else:
            return _read_file(path)
    if not path.exists():
        raise UsageError(f"initialize.weights: there is no run, config or .keras file {path}")
    restored = assembly.restore(rundir.find(path))
    model = hidden_layers.trained_layers(restored)
    target = restored.spec.target
    return Weights(str(restored.run), _arrays(model), target.names, target.tasks)


def _read_file(path: Path) -> Weights:
    if not path.is_file():
        raise UsageError(f"initialize.weights: there is no file {path}")
    try:
        with warnings.catch_warnings(action="ignore"):
            # Keras' safe mode refuses files that would run code.
            model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"initialize.weights: {path} cannot be read as a Keras model: {first}") from None
    return Weights(str(path), _arrays(model), None)


def _arrays(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def _take(weights: Weights, settings: Initialize, model: keras.Model, spec: DataSpec) -> Choice:
    """Copy what fits by path and shape."""
    wanted = [weight for weight in model.weights if _wanted(weight.path, settings)]
    _check_patterns(settings, [weight.path for weight in model.weights])
    heads = _heads(model, spec)
    new_head = [
        path
        for one, paths in heads
        for path in paths
        if settings.head == "new"
        or (settings.head == "auto" and _other_outputs(weights, model, paths, spec, one))
    ]
    misfits, absent, taken = [], [], 0
    for weight in wanted:
        given = weights.arrays.get(weight.path)
        if weight.path in new_head:
            continue
        if given is None:
            absent.append(weight.path)
        elif not _fits(given, weight):
            misfits.append(f"{weight.path} ({_shape(given.shape)} there, {_shape(weight.shape)} here)")
        else:
            weight.assign(given)
            taken += 1
    if misfits:
        raise ModelError(
            f"initialize.weights: {_listed(misfits)} of {weights.origin} do not fit this model; leave these "
            "layers out with `initialize.skip`, or build the model as it was"
        )
    if not taken:
        there = ", ".join(list(weights.arrays)[:_SHOWN])
        raise ModelError(
            f"initialize.weights: no weight of {weights.origin} has the name of one of this model; it has "
            f"{there}, ..., this model {', '.join(weight.path for weight in wanted[:_SHOWN])}, ..."
        )
    new = [path for path in new_head if _wanted(path, settings)]
    return Choice(
        f"{taken} of {len(model.weights)} weights of {weights.origin}", _told(new, absent, settings)
    )


def _told(new_head: Sequence[str], absent: Sequence[str], settings: Initialize) -> str:
    parts = ["by name and shape"]
    if new_head:
        parts.append("the head is new: " + ("asked for" if settings.head == "new" else "other outputs there"))
    if absent:
        parts.append(f"not there, so new: {_listed(absent)}")
    return "; ".join(parts)


def _wanted(path: str, settings: Initialize) -> bool:
    return _named(path, settings.match) and not _named(path, settings.skip)


def _named(path: str, patterns: Sequence[str]) -> bool:
    """Whether a weight, or a layer that it lies in, has a name like one of the patterns."""
    names = (*path.split("/")[:-1], path)
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _check_patterns(settings: Initialize, paths: Sequence[str]) -> None:
    for key in ("match", "skip"):
        for pattern in getattr(settings, key):
            if not any(_named(path, [pattern]) for path in paths):
                names = list(dict.fromkeys(path.split("/")[0] for path in paths))
                raise UsageError(
                    f"initialize.{key}: no layer with weights is called `{pattern}`"
                    f"{components.suggestion(pattern, names)}; they are {_listed(names)}"
                )


def _other_outputs(
    weights: Weights, model: keras.Model, head: Sequence[str], spec: DataSpec, one: OneOfSeveral | None
) -> bool:
    """Whether the last layer there says something else; where its outputs have no names, by their number.

    Args:
        weights: that are to be taken.
        model: that takes them.
        head: paths of the weights of its last layer.
        spec: of the data.
        one: the task that the layer is of, where each of several has its own.
    """
    if one is not None and weights.outputs is not None:
        alike = [(t.task, t.target.names) for t in weights.tasks if t.key == one.key]
        if alike != [(one.task, one.target.names)]:
            return True
    elif weights.outputs is not None and weights.outputs != spec.target.names:
        return True
    shapes = {weight.path: weight for weight in model.weights}
    return any(not _fits(weights.arrays.get(path), shapes[path]) for path in head)


def _heads(model: keras.Model, spec: DataSpec) -> list[tuple[OneOfSeveral | None, list[str]]]:
    """Paths of the weights of the last layer that has any; of several tasks those of each one's own layer."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if layer._trainable_variables]
    own: list[tuple[OneOfSeveral | None, Any]] = [
        (one, layer)
        for one in spec.target.tasks
        for layer in layers
        if layer.name in (f"logits_{one.key}", f"outputs_{one.key}")
    ]
    last = [(None, layer) for layer in layers[-1:]]
    return [(one, [weight.path for weight in layer.weights]) for one, layer in own or last]


def _fits(given: np.ndarray | None, weight: Any) -> bool:
    return given is not None and tuple(given.shape) == tuple(weight.shape)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
