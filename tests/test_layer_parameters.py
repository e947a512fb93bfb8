"""What the parameters of Keras layers take."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bigmodel_cli import catalogue, components
from bigmodel_cli.layer_parameters import SET_BY_US, annotation


def accepted(layer: str, name: str, value: Any) -> bool:
    entry = catalogue.entries("layers")[layer]
    (parameter,) = [item for item in entry.parameters if item.name == name]
    try:
        TypeAdapter(annotation(entry.keras_class, parameter)).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def test_the_defaults_of_keras_pass():
    for name, entry in catalogue.entries("layers").items():
        for item in entry.parameters:
            assert item.required or accepted(name, item.name, item.default), (name, item.name)


@pytest.mark.parametrize(
    ("layer", "name", "right", "wrong"),
    [
        ("dense", "units", [1, 1_000_000], [0, 10**10, 2.5, "3", True, None]),
        ("dense", "activation", ["relu", None], ["rlu", "glu", 3]),
        ("lstm", "activation", ["tanh"], [None]),
        ("dense", "kernel_initializer", ["zeros", {"name": "constant", "value": 1.0}], ["zeroes", None, {}]),
        (
            "dense",
            "kernel_regularizer",
            [None, "l2", {"name": "L2", "l2": 0.1}],
            ["l3", {"name": "l2", "l2": -1}],
        ),
        ("dense", "kernel_constraint", [None, "non_neg"], ["neg", {"name": "max_norm", "maximum": 1}]),
        ("conv2d", "kernel_size", [3, [3, 1]], [0, [], [1, 2, 3, 4], [0]]),
        ("conv2d", "padding", ["same"], ["causal", 1]),
        ("conv1d", "padding", ["same", "causal"], ["full"]),
        ("zero_padding2d", "padding", [1, [1, 2], [[1, 2], [0, 3]]], ["same", -1, [[1, 2, 3]]]),
        ("cropping2d", "cropping", [1, [[1, 0], [0, 1]]], [-1]),
        ("max_pooling2d", "strides", [None, 2, [2, 1]], [0]),
        ("rescaling", "scale", [0.5, [0.5, 0.2]], [[], "a"]),
        ("batch_normalization", "scale", [True], [1]),
        ("reshape", "target_shape", [[2, -1]], [[], [-2], 3, [10**10]]),
        ("dropout", "rate", [0, 0.5], [1, -0.1]),
        ("embedding", "input_dim", [30_000], [0, 10**10]),
        ("dense", "dtype", [None, "float32"], ["float", "int8"]),
        ("bidirectional", "layer", ["lstm", {"lstm": {"units": 3}}], [3, None]),
    ],
)
def test_ranges(layer, name, right, wrong):
    assert [value for value in right if not accepted(layer, name, value)] == []
    assert [value for value in wrong if accepted(layer, name, value)] == []


def test_what_the_tool_sets_cannot_be_set():
    for entry in catalogue.entries("layers").values():
        assert not SET_BY_US & {item.name for item in entry.parameters}


def test_a_part_is_listed():
    assert components.find("regularizers", "l2").parameters.model_fields["l2"].default == 0.01
