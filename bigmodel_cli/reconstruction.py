"""Reconstruction: the task of a model that gives its own input back, and the scale that it is measured on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.components import Definition
from bigmodel_cli.contracts import DataSpec, TargetSpec, Unlearned
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import describe_input, input_variance

if TYPE_CHECKING:
    import tensorflow as tf

LATENT, DRAW = "latent", "draw"
"""Layers of a model that reconstructs: where its narrow place is, and where training draws around that."""

MOMENTS = "moments"
"""The layer of a variational model that gives mean and logarithm of the variance of its latents."""

IMAGE_DEVIATION, FEATURE_DEVIATION = 0.1, 0.5
"""Standard deviations of a Gaussian likelihood where none is given, on the scale of `scaled`."""


def is_self_supervised(definition: Definition) -> bool:
    """Whether a model learns its input and needs no labels: see `contracts.self_supervised`."""
    return bool(getattr(definition.builder, "self_supervised", False))


def reconstructed(data: DataSpec, model_name: str) -> DataSpec:
    """A dataset whose targets are its inputs.

    Args:
        data: with its own targets, which are kept as `unlearned`.
        model_name: for messages.

    Raises:
        ModelError: inputs of other kinds than images and vectors of numbers.
    """
    if data.input.kind == "table" or len(data.input.shape) not in (1, 3):
        raise ModelError(
            f"model.name: `{model_name}` reconstructs images and vectors of numbers, but dataset "
            f"`{data.name}` gives {describe_input(data)}; give numbers as arrays (dataset.name: npz), or use "
            "another dataset"
        )
    target = TargetSpec(data.input.shape, data.input.dtype, data.input.names)
    own = Unlearned(data.task, data.target)
    return replace(data, task="reconstruction", target=target, unlearned=own)


def labelled(data: DataSpec) -> DataSpec:
    """The inverse of `reconstructed`; other data as it is."""
    if data.unlearned is None:
        return data
    return replace(data, task=data.unlearned.task, target=data.unlearned.target, unlearned=None)


def inputs_as_targets(inputs: Any, targets: tf.Tensor, key: tf.Tensor) -> tuple[Any, Any]:
    """A batch whose targets are its inputs, as `contracts.Mixing` has its function."""
    return inputs, inputs


def scaled(values: Any, data: DataSpec) -> Any:
    """Inputs on the scale of the reconstruction: pixels from 0 to 1, features of mean 0 and variance 1.

    Args:
        values: raw inputs (n, *input.shape), of NumPy or of the engine.
        data: of a reconstruction.
    """
    if data.input.kind == "image":
        return values / 255
    return (values - list(data.input.mean)) / [v**0.5 for v in input_variance(data)]


@dataclass(frozen=True)
class Likelihood:
    """How probable an input is, given what the decoder says of it; its values are independent.

    Attributes:
        name: `bernoulli`, of pixels from 0 to 1; or `gaussian`, about the reconstruction.
        deviation: standard deviation of the Gaussian, on the scale of `scaled`; 0 for Bernoulli.
    """

    name: Literal["bernoulli", "gaussian"]
    deviation: float


def likelihood_of(parameters: Mapping[str, Any], data: DataSpec) -> Likelihood | None:
    """What a model's parameters say of the likelihood; None where they say nothing of it.

    Raises:
        ModelError: a Bernoulli likelihood of what is no image, or one with a deviation.
    """
    if "likelihood" not in parameters:
        return None
    name, deviation = parameters["likelihood"], parameters["deviation"]
    image = data.input.kind == "image"
    if name == "auto":
        name = "bernoulli" if image and deviation is None else "gaussian"
    if name == "gaussian":
        usual = IMAGE_DEVIATION if image else FEATURE_DEVIATION
        return Likelihood(name, usual if deviation is None else deviation)
    if not image:
        raise ModelError(
            f"model.likelihood: `bernoulli` is for pixels, but dataset `{data.name}` gives "
            f"{describe_input(data)}; use `gaussian` or `auto`"
        )
    if deviation is not None:
        raise ModelError(
            f"model.deviation: got {deviation}, but a Bernoulli likelihood has none; leave it out, or set "
            "model.likelihood: gaussian"
        )
    return Likelihood("bernoulli", 0.0)


def as_values(outputs: Any, data: DataSpec) -> Any:
    """What a model gives, on the scale of `scaled`: pixels from 0 to 1 of logits, features as they are."""
    from keras import ops

    return ops.sigmoid(outputs) if data.input.kind == "image" else outputs


def negative_log_likelihood(values: Any, outputs: Any, likelihood: Likelihood, data: DataSpec) -> Any:
    """Minus the log-likelihood of inputs given their reconstructions, nats, summed over their values.

    Kingma and Welling 2014, equation 10 (second term) and appendix C.

    Args:
        values: raw inputs (n, *input.shape) float32.
        outputs: of the model, the same shape: logits of pixels, or standardized features.
        likelihood: which one.
        data: of a reconstruction.

    Returns:
        (n,).
    """
    from keras import ops

    true = scaled(values, data)
    if likelihood.name == "bernoulli":
        # Of logits: the logarithm of a probability that is rounded to 0 or 1 would be endless.
        each = ops.softplus(outputs) - true * outputs
    else:
        error = (true - as_values(outputs, data)) / likelihood.deviation
        each = 0.5 * ops.square(error) + math.log(likelihood.deviation * math.sqrt(2 * math.pi))
    return ops.sum(each, axis=tuple(range(1, len(each.shape))))


def root_mean_squared_error(values: Any, given: Any, data: DataSpec) -> Any:
    """Of each example (n,) float32, on the scale of `scaled`.

    Args:
        values: raw inputs (n, *input.shape).
        given: reconstructions in the same units.
        data: of a reconstruction.
    """
    from keras import ops

    true, found = (scaled(ops.cast(part, "float32"), data) for part in (values, given))
    axes = tuple(range(1, len(true.shape)))
    return ops.sqrt(ops.mean(ops.square(true - found), axis=axes))
