"""What a forward pass computes, counted from the layers' shapes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]
"""Without the batch axis."""

Rule = Callable[[Any, list[Shape], list[Shape]], int | None]
"""(layer, shapes of its inputs, shapes of its outputs) -> multiply-adds for one example."""

# Products that a functional graph can hold as bare operations (`keras.ops.matmul(x, y)`) or as layers
# without weights, and for which there is no rule.
_PRODUCTS = {
    "Matmul",
    "Einsum",
    "Dot",
    "Tensordot",
    "Conv",
    "DepthwiseConv",
    "SeparableConv",
    "ConvTranspose",
}


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one example's forward pass.

    Attributes:
        total: sum over the layers.
        layers: by name of the model's own layers, in its order; a nested model is one entry, and a layer
            used twice counts twice. Layers that count 0 are left out.
        uncounted: layers that multiply matrices in a way this module has no rule for, or whose shapes are
            not fixed; `total` is a lower bound where this is not empty.
    """

    total: int
    layers: Mapping[str, int]
    uncounted: tuple[str, ...]


def count_flops(model: keras.Model) -> Flops:
    """Count the matrix products, convolutions, attention and recurrences of a functional or sequential model.

    A multiply-add counts 2. Element-wise layers (activations, normalization, pooling, biases, scaling,
    dropout) and look-ups (embeddings) count 0: they are a percent or two of a network's arithmetic, and
    the published figures leave them out as well.
    """
    graph = nodes(model)
    if graph is None:
        return Flops(0, {}, (model.name,))
    layers: dict[str, int] = {}
    uncounted: dict[str, None] = {}
    for node in graph:
        name = node.operation.name
        inputs = [tensor.shape[1:] for tensor in node.arguments.keras_tensors]
        count = _multiply_adds(node.operation, inputs, [tensor.shape[1:] for tensor in node.outputs])
        if count is None:
            uncounted[name] = None
        elif count:
            layers[name] = layers.get(name, 0) + 2 * count
    return Flops(sum(layers.values()), layers, tuple(uncounted))


def nodes(model: keras.Model) -> list[Any] | None:
    """The uses of operations in a model, inputs left out, each behind those whose outputs it takes.

    Each has `operation`, `arguments.keras_tensors` and `outputs`. Keras gives no public way to them;
    pyproject.toml keeps Keras to one series.

    Returns:
        None where the model has no graph.
    """
    # A Sequential keeps its graph in a functional model of its own, once it is built.
    functional = getattr(model, "_functional", model)
    by_depth: Mapping[int, list[Any]] | None = getattr(functional, "_nodes_by_depth", None)
    if by_depth is None:
        return None
    # The output's depth is 0.
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def _multiply_adds(operation: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """Multiply-adds of one use of an operation; None where they cannot be known."""
    import keras

    if isinstance(operation, keras.Model):
        flops = count_flops(operation)
        return None if flops.uncounted else flops.total // 2
    for kind, rule in _rules():
        if isinstance(operation, kind):
            unknown = any(size is None for shape in (*inputs, *outputs) for size in shape)
            return None if unknown else rule(operation, inputs, outputs)
    if (of_hub := _KERAS_HUB.get(type(operation).__name__)) is not None:
        return of_hub(operation, inputs, outputs)
    if type(operation).__name__ in _PRODUCTS:
        return None
    # What has no rule is element-wise, unless it holds a matrix.
    return None if any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ())) else 0


@functools.cache
def _rules() -> tuple[tuple[Any, Rule], ...]:
    """Layer classes with their rules; the first that fits counts."""
    from keras import layers

    return (
        (layers.ReversibleEmbedding, _reversible),
        (layers.Embedding, lambda layer, inputs, outputs: 0),
        (layers.Dense, lambda layer, inputs, outputs: inputs[0][-1] * _size(outputs[0])),
        (layers.EinsumDense, _einsum),
        ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise),
        ((layers.SeparableConv1D, layers.SeparableConv2D), _separable),
        ((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), _transposed),
        ((layers.Conv1D, layers.Conv2D, layers.Conv3D), _convolution),
        (layers.MultiHeadAttention, _attention),
        ((layers.LSTM, layers.GRU, layers.SimpleRNN), _recurrent),
        (layers.ConvLSTM2D, _convolutional_recurrent),
        (layers.Bidirectional, _bidirectional),
        (layers.TimeDistributed, _time_distributed),
    )


def _reversible(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """A look-up of tokens, or the product of vectors with all of them."""
    backwards = len(inputs[0]) == len(outputs[0])
    return int(layer.output_dim) * _size(outputs[0]) if backwards else 0


def _size(shape: Iterable[int]) -> int:
    """Numbers in an array of this shape."""
    return math.prod(shape)


def _einsum(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """One for each combination of the input's axes and those that the kernel adds to them."""
    own, kernel = layer.equation.split("->")[0].split(",")
    added = [size for label, size in zip(kernel, layer.kernel.shape, strict=True) if label not in own]
    return _size(inputs[0]) * _size(added)


def _convolution(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """Every output number takes one window of the input channels of its group."""
    return _size(layer.kernel.shape[:-1]) * _size(outputs[0])


def _transposed(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """Every input number is spread over one window of all filters."""
    return _size((*layer.kernel_size, layer.filters)) * _size(inputs[0])


def _depthwise(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """Every output number takes one window of one channel."""
    return _size(layer.kernel_size) * _size(outputs[0])


def _separable(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """Depthwise, then a 1x1 convolution, both at the output's positions."""
    positions = _size(outputs[0]) // int(layer.filters)
    return positions * (_size(layer.depthwise_kernel.shape) + _size(layer.pointwise_kernel.shape))


def _attention(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """Projections of query, key, value and output, and the two products of all pairs of positions."""
    if len(outputs[0]) != 2:
        return None
    queries, keys = inputs[0][0], inputs[1][0]
    projections = queries * (
        _size(layer.query_dense.kernel.shape) + _size(layer.output_dense.kernel.shape)
    ) + keys * (_size(layer.key_dense.kernel.shape) + _size(layer.value_dense.kernel.shape))
    pairs: int = layer.num_heads * queries * keys * (layer.key_dim + layer.value_dim)
    return projections + pairs


def _encoder(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """Attention and two dense layers at each position."""
    attention = _attention(layer._self_attention_layer, [inputs[0], inputs[0]], outputs)
    dense = (layer._feedforward_intermediate_dense, layer._feedforward_output_dense)
    return None if attention is None else attention + inputs[0][0] * sum(_size(x.kernel.shape) for x in dense)


def _recurrent(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """Every step multiplies the input and the state by their kernels."""
    cell = layer.cell
    return inputs[0][0] * (_size(cell.kernel.shape) + _size(cell.recurrent_kernel.shape))


def _convolutional_recurrent(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    """At every step and place of the state a window of the input and one of the state."""
    cell = layer.cell
    height, width = outputs[0][-3:-1]
    return inputs[0][0] * height * width * (_size(cell.kernel.shape) + _size(cell.recurrent_kernel.shape))


def _bidirectional(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """One pass each way."""
    passes = [_multiply_adds(one, inputs, outputs) for one in (layer.forward_layer, layer.backward_layer)]
    return None if None in passes else sum(filter(None, passes))


def _time_distributed(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """The layer inside, at each step."""
    once = _multiply_adds(layer.layer, [shape[1:] for shape in inputs], [shape[1:] for shape in outputs])
    return None if once is None else inputs[0][0] * once


# By name: the package is not always there.
_KERAS_HUB: Mapping[str, Rule] = {
    "TransformerEncoder": _encoder,
    "PositionEmbedding": lambda layer, inputs, outputs: 0,
}
