"""Memory of a model's activations, estimated from the shapes in its graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from bigmodel_cli.flops import nodes

_FREE = {
    "Add", "Subtract", "Average", "Concatenate", "Reshape", "Flatten", "Permute", "RepeatVector", "Rescaling",
    "Identity", "Cast", "Cropping2D", "ZeroPadding1D", "ZeroPadding2D", "UpSampling2D", "AveragePooling1D",
    "AveragePooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "Embedding", "Normalization",
    "Transpose", "ExpandDims", "Squeeze", "GetItem", "Flip", "Mean", "Sum", "Negative", "Cumsum", "OnesLike",
    "ZerosLike", "Greater", "NotEqual", "Equal", "LogicalAnd", "LogicalOr", "OneHot", "Stack", "Split",
    "BroadcastTo", "Repeat", "Take", "Pad",
}  # fmt: skip
"""Operations whose gradient needs none of their tensors, by the names of their classes."""

_OWN_OUTPUT = {
    "relu",
    "relu6",
    "sigmoid",
    "tanh",
    "softmax",
    "exponential",
    "leaky_relu",
    "elu",
    "selu",
    "hard_sigmoid",
}
"""Activations whose gradient follows from what they give."""

_GELU = 4
"""Tensors that the approximate GELU keeps: it is put together of element-wise operations."""

_NORMALIZATION = 1
"""Numbers in float32 that an unfused normalization keeps for each of its input, besides that."""


def kept(model: keras.Model) -> int:
    """Bytes of one example that a training step keeps for its backward pass.

    What each operation's gradient needs, a tensor that several need counting once: the inputs of products,
    the outputs of rectifiers, masks of dropout, attention weights. Where an operation is unknown, its inputs.
    """
    tensors: dict[int, int] = {}
    inside = 0
    for node in nodes(model) or ():
        operation, inputs = node.operation, node.arguments.keras_tensors
        if isinstance(operation, keras.Model):
            inside += kept(operation)
            continue
        tensors.update((id(tensor), size_of(tensor)) for tensor in _needed(operation, inputs, node.outputs))
        inside += _extra(operation, inputs, node.outputs)
    return sum(tensors.values()) + inside


def live(model: keras.Model) -> int:
    """The most bytes of one example's activations at a time in a forward pass in float32.

    Each tensor lives from the operation that gives it to the last one that takes it.

    Args:
        model: in any precision.
    """
    graph = nodes(model)
    if not graph:
        return sum(map(_served, _tensors(getattr(model, "inputs", None) or ())))
    last: dict[int, int] = {}
    for place, node in enumerate(graph):
        last.update((id(tensor), place) for tensor in node.arguments.keras_tensors)
    last.update((id(tensor), len(graph)) for tensor in model.outputs)
    alive = {id(tensor): _served(tensor) for tensor in model.inputs}
    most = sum(alive.values())
    for place, node in enumerate(graph):
        alive.update((id(tensor), _served(tensor)) for tensor in node.outputs)
        within = live(node.operation) if isinstance(node.operation, keras.Model) else 4 * _pairs(node)
        most = max(most, sum(alive.values()) + within)
        alive = {key: size for key, size in alive.items() if last.get(key, place) > place}
    return most


def largest(model: keras.Model) -> int:
    """Bytes of one example that the largest single operation takes and gives: in the backward pass the
    gradients of these stand beside what is kept."""
    most = 0
    for node in nodes(model) or ():
        if isinstance(node.operation, keras.Model):
            most = max(most, largest(node.operation))
        else:
            both = (*node.arguments.keras_tensors, *node.outputs)
            most = max(most, sum(map(size_of, both)) + scores(node))
    return most


def size_of(tensor: Any) -> int:
    """Bytes of one example of a symbolic tensor; an axis of open length counts 1."""
    return math.prod(size or 1 for size in tensor.shape[1:]) * _width(tensor.dtype)


def numbers(tensor: Any) -> int:
    """Numbers in one example of a symbolic tensor."""
    return math.prod(size or 1 for size in tensor.shape[1:])


def _served(tensor: Any) -> int:
    """Bytes of one example of a symbolic tensor in a model in float32."""
    return numbers(tensor) * (4 if "float" in tensor.dtype else _width(tensor.dtype))


def _width(dtype: str) -> int:
    if dtype in ("bool", "string"):
        return 1
    return int("".join(filter(str.isdigit, dtype.removeprefix("bfloat")))) // 8


def _tensors(found: Any) -> list[Any]:
    return list(keras.tree.flatten(found))


def _needed(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Iterator[Any]:
    """The tensors of the graph that an operation's gradient needs."""
    name = type(operation).__name__
    if name in _FREE:
        return
    if name in ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Relu", "Sigmoid", "Tanh", "Gelu"):
        yield from outputs if activation(operation) in _OWN_OUTPUT else inputs
        return
    if "Dropout" in name:
        # Of these the mask, which is no tensor of the graph.
        return
    yield from inputs
    if "MaxPool" in name or (
        getattr(operation, "activation", None) is not None and activation(operation) != "linear"
    ):
        yield from outputs


def activation(operation: Any) -> str:
    """Name of an operation's activation, in snake case."""
    function = getattr(operation, "activation", None)
    name = getattr(function, "__name__", "") or type(operation).__name__
    return {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu"}.get(name, name.lower())


def _extra(operation: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Bytes that an operation keeps beyond tensors of the graph."""
    name = type(operation).__name__
    if isinstance(operation, keras.layers.MultiHeadAttention):
        return _attention(operation, inputs, outputs)
    if isinstance(operation, keras.layers.RNN | keras.layers.Bidirectional):
        return _recurrence(operation, inputs)
    if "Dropout" in name:
        return numbers(outputs[0])
    if "gelu" in activation(operation):
        return (_GELU - 1) * size_of(outputs[0])
    if "Normalization" in name and name != "Normalization" and not fused(operation):
        return _NORMALIZATION * 4 * numbers(outputs[0])
    if isinstance(operation, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        filters = operation.depthwise_kernel.shape[-2] * operation.depth_multiplier
        return size_of(outputs[0]) // operation.filters * filters
    return 0


def fused(operation: Any) -> bool:
    """Whether a batch normalization runs as one kernel; `models.layers.fuse` sets the layer's own `call`."""
    return "call" in vars(operation)


def scores(node: Any) -> int:
    """Bytes of the attention weights of one example, where a node has any."""
    pairs = _pairs(node)
    return pairs * _width(node.operation.compute_dtype) if pairs else 0


def _pairs(node: Any) -> int:
    """Attention weights of one example, where a node has any."""
    if not isinstance(node.operation, keras.layers.MultiHeadAttention):
        return 0
    inputs = node.arguments.keras_tensors
    return int(node.operation.num_heads * inputs[0].shape[1] * inputs[1].shape[1])


def _attention(layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Query, key and value, what the heads give together, and the weights of all pairs of places."""
    width = _width(layer.compute_dtype)
    queries, keys = inputs[0].shape[1], inputs[1].shape[1]
    vectors = layer.num_heads * (
        queries * layer.key_dim + keys * (layer.key_dim + layer.value_dim) + queries * layer.value_dim
    )
    pairs = layer.num_heads * queries * keys
    # With dropout the weights before and after it, and its mask.
    dropped = pairs * (width + 1) if layer.dropout else 0
    return int(vectors * width + pairs * width + dropped)


def _recurrence(layer: Any, inputs: Sequence[Any]) -> int:
    """Gates and states of every step."""
    if isinstance(layer, keras.layers.Bidirectional):
        return _recurrence(layer.forward_layer, inputs) + _recurrence(layer.backward_layer, inputs)
    steps = inputs[0].shape[1] or 1
    kernel = getattr(layer.cell, "kernel", None)
    gates = kernel.shape[-1] if kernel is not None else 0
    # Each gate before and after its activation, and the states.
    return int(steps * 3 * gates * _width(layer.compute_dtype))
