"""What a config's model consists of."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import keras

from bigmodel_cli import build
from bigmodel_cli.config.schema import Config
from bigmodel_cli.flops import count_flops


@dataclass(frozen=True)
class LayerSummary:
    """One layer.

    Attributes:
        name: within the model.
        kind: Keras class.
        output_shape: with the batch axis as None.
        parameters: number of weights.
        flops: of one example's forward pass; 0 for element-wise layers.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int
    flops: int


@dataclass(frozen=True)
class ModelSummary:
    """A model as a whole.

    Attributes:
        model: its name.
        dataset: what it is built for.
        layers: in order.
        parameters: number of weights.
        trainable: those that training changes.
        flops: of one example's forward pass, a multiply-add counting 2.
        uncounted: layers whose operations `flops` lacks.
    """

    model: str
    dataset: str
    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    flops: int
    uncounted: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings."""
        return asdict(self)


def summarize(config: Config) -> ModelSummary:
    """Build a config's model for its data and count.

    Raises:
        BigmodelError: the data is not there, or the model does not fit it.
    """
    data = build.load_data(config)
    # Weights that are made in this scope have a shape and no values: a billion of them take no memory.
    model = build.build_model(config, data.spec, scope=keras.StatelessScope(initialize_variables=False))
    flops = count_flops(model)
    layers = tuple(
        LayerSummary(
            layer.name,
            type(layer).__name__,
            _shape(layer),
            layer.count_params(),
            flops.layers.get(layer.name, 0),
        )
        for layer in model.layers
    )
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    # Keras would give them values at the end of the next scope.
    keras.utils.clear_session(free_memory=False)
    return ModelSummary(
        model.name, data.spec.name, layers, model.count_params(), trainable, flops.total, flops.uncounted
    )


def _shape(layer: keras.layers.Layer) -> tuple[int | None, ...]:
    output = layer.output
    return tuple((output[0] if isinstance(output, list | tuple) else output).shape)
