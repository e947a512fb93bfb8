"""From a config to its model, as it is trained and as it is used afterwards."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import keras
import numpy as np

from bigmodel_cli import components
from bigmodel_cli.config.document import Document, KeyPath, dotted
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import ConfigError, LayerError, ModelError
from bigmodel_cli.models.layers import input_variance
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.reconstruction import DRAW, LATENT
from bigmodel_cli.targets import original_units
from bigmodel_cli.token_targets import is_language

Precision = Literal["float32", "bfloat16", "float16"]


def build_model(
    config: Config,
    data: DataSpec,
    precision: Precision = "float32",
    scope: AbstractContextManager[Any] | None = None,
) -> keras.Model:
    """The config's model: raw inputs to logits (of classes or labels) or values (regression).

    Weights depend on the config's seed alone, not on the precision.

    Raises:
        ModelError: it does not fit the data, or does not keep the contract of `ModelBuilder`.
    """
    definition = components.find("models", config.model.name)
    assert definition.builder is not None
    # Layer names begin anew, so that every build of a config gives the same ones.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(config.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        with scope or nullcontext():
            model = definition.builder(data, **config.model.parameters)
    except LayerError as error:
        raise _placed(error, config.document) from error
    except ValueError as error:
        shape = "x".join(map(str, data.input.shape))
        raise ModelError(
            f"model: `{config.model.name}` cannot be built on {data.input.kind} inputs of shape {shape}: "
            f"{error}"
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"model.name: `{config.model.name}` gave a {type(model).__name__}, not a keras.Model"
        )
    if data.target.tasks:
        return _with_named_outputs(model, config.model.name, data)
    try:
        (output,) = (tensor.shape for tensor in model.outputs)
    except (AttributeError, TypeError, ValueError):
        raise ModelError(
            f"model.name: `{config.model.name}` gave a {type(model).__name__} without known "
            "inputs and outputs; return keras.Model(inputs, outputs)"
        ) from None
    if output != (None, *data.output_shape):
        instead = "; use `unet`, or another dataset" if data.task == "segmentation" else ""
        raise ModelError(
            f"model.name: `{config.model.name}` gives outputs of shape {output}, but {data.name} needs "
            f"{(None, *data.output_shape)}{instead}"
        )
    return model


def _with_named_outputs(model: keras.Model, name: str, data: DataSpec) -> keras.Model:
    """The model of several tasks: its output is a dict, in the order of the tasks.

    Raises:
        ModelError: it gives neither an output for each task nor one tensor with all of them.
    """
    wanted = {one.key: part.outputs for one, part in zip(data.target.tasks, data.parts, strict=True)}
    output: Any = getattr(model, "output", None)
    if isinstance(output, dict):
        if {key: tensor.shape for key, tensor in output.items()} == {
            key: (None, width) for key, width in wanted.items()
        }:
            return keras.Model(model.input, {key: output[key] for key in wanted}, name=model.name)
    elif getattr(output, "shape", None) == (None, data.outputs):
        ends = np.cumsum([*wanted.values()])
        cut = zip(wanted, ends - [*wanted.values()], ends, strict=True)
        outputs = {key: output[:, int(start) : int(end)] for key, start, end in cut}
        return keras.Model(model.input, outputs, name=model.name)
    needed = ", ".join(f"{key} (None, {width})" for key, width in wanted.items())
    given = "unknown" if output is None else keras.tree.map_structure(lambda tensor: tensor.shape, output)
    raise ModelError(
        f"model.name: `{name}` gives outputs of shape {given}, but {data.name} has {len(wanted)} targets, "
        f"which need a dict of {needed}, or one tensor (None, {data.outputs}); use another model, or one "
        "target"
    )


def _placed(error: LayerError, document: Document) -> ConfigError:
    """The error with the lines of the config that it is about."""
    here = document.mistake(error.path, "")

    def place(path: KeyPath) -> str:
        there = document.mistake(path, "")
        if not there.line:
            return dotted(path)
        return f"line {there.line}" if there.file == here.file else f"{there.file}:{there.line}"

    message = "".join(part if isinstance(part, str) else place(part) for part in error.parts)
    return ConfigError(document.name, [replace(here, message=message)], error.details)


def serving_model(model: keras.Model, data: DataSpec) -> keras.Model:
    """The model as it is used afterwards: raw inputs to probabilities, or to values in their original units,
    which for a reconstruction are those of the input.

    It shares its weights with the model it is made of.
    """
    inputs, outputs = model.input, model.output if data.target.tasks else model.outputs[0]
    if data.input.kind == "table":
        prepare = preparation(data.input.columns)
        # A copy that is never compiled: the file would hold the optimizer of a nested model.
        core = keras.Model(inputs, outputs, name=model.name)
        inputs, outputs = prepare.input, core(prepare.output)
    if data.target.tasks:
        each = zip(data.target.tasks, data.parts, strict=True)
        served = {one.key: _served(outputs[one.key], part, f"_{one.key}") for one, part in each}
        return keras.Model(inputs, served, name=model.name)
    if data.task == "reconstruction":
        return keras.Model(inputs, _in_units_of_input(model, data), name=model.name)
    return keras.Model(inputs, _served(outputs, data, ""), name=model.name)


def _served(outputs: Any, data: DataSpec, suffix: str) -> Any:
    """Logits as probabilities, values in their original units."""
    if data.task in ("classification", "segmentation") or is_language(data):
        return keras.layers.Softmax(dtype="float32", name=f"probabilities{suffix}")(outputs)
    if data.task == "multi_label":
        # Each label on its own: their probabilities do not sum to 1.
        layer = keras.layers.Activation("sigmoid", dtype="float32", name=f"probabilities{suffix}")
        return layer(outputs)
    return outputs if data.target.scaling == "none" else original_units(outputs, data.target)


def _in_units_of_input(model: keras.Model, data: DataSpec) -> Any:
    """A reconstruction as what it reconstructs: pixels from 0 to 255, features in their own units."""
    (outputs,) = model.outputs
    if any(layer.name == DRAW for layer in model.layers):
        # Drawing belongs to training, and so does what it adds to the loss.
        decoder = keras.Model(model.get_layer(DRAW).output, outputs, name="decoder")
        outputs = decoder(model.get_layer(LATENT).output)
    if data.input.kind == "image":
        outputs = keras.layers.Activation("sigmoid", dtype="float32", name="intensities")(outputs)
        return keras.layers.Rescaling(255.0, dtype="float32", name="pixels")(outputs)
    mean, variance = list(data.input.mean), input_variance(data)
    return keras.layers.Normalization(
        mean=mean, variance=variance, invert=True, dtype="float32", name="original_units"
    )(outputs)
