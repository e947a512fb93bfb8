"""The flat graph to Keras layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bigmodel_cli import catalogue
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import LayerError
from bigmodel_cli.layer_parameters import part_section
from bigmodel_cli.models.graph.expansion import Node, projection_name
from bigmodel_cli.models.graph.items import ATTENTIONS, QUERY_VALUE_KEY, LayerItem
from bigmodel_cli.models.layers import fuse

if TYPE_CHECKING:
    import keras

_ROOT: tuple[str | int, ...] = ("model", "layers")


def build(
    nodes: Sequence[Node], tensor: keras.KerasTensor, *, head: bool, data: DataSpec
) -> keras.KerasTensor:
    """Call every layer of a graph.

    Args:
        nodes: as `Expansion` gives them.
        tensor: the model's input, ready for the first layer.
        head: whether a dense layer with the outputs of the data follows.
        data: what the model is for.

    Returns:
        The output of the last layer.

    Raises:
        LayerError: a layer does not take the shapes that reach it, or the last gives another than it must.
    """
    tensors = [tensor]
    for position, node in enumerate(nodes[1:], 1):
        last = position == len(nodes) - 1
        inputs = [tensors[source] for source in node.inputs]
        try:
            # Predictions in bfloat16 would have two or three digits.
            tensors.append(_called(node, inputs, exact=last and not head))
        except _NoProjectionError as error:
            raise _failed(nodes, tensors, node, str(error)) from None
        except Exception as error:
            # Keras and TensorFlow have no one family of errors for shapes and values that do not fit.
            raise _failed(nodes, tensors, node, _reason(error)) from error
    _check_output(nodes, tensors, head, data)
    return tensors[-1]


class _NoProjectionError(Exception):
    """No 1x1 convolution leads from the one shape to the other."""


def _called(node: Node, inputs: list[keras.KerasTensor], *, exact: bool) -> keras.KerasTensor:
    item = node.item
    if node.projected and inputs[0].shape != inputs[1].shape:
        inputs = [_projected(inputs[0], inputs[1].shape, projection_name(node.name)), inputs[1]]
    layer, call = _layer(item, name=node.name, **({"dtype": "float32"} if exact else {}))
    if item.kind == "batch_normalization":
        fuse(layer, inputs[0])
    if item.kind in ATTENTIONS and len(inputs) == 1:
        inputs = inputs * 2
    if item.kind in QUERY_VALUE_KEY:
        return layer(*inputs, **call)
    return layer(inputs if len(inputs) > 1 else inputs[0], **call)


def _layer(item: LayerItem, **given: Any) -> tuple[keras.layers.Layer, dict[str, Any]]:
    """The Keras layer of an item, and the arguments of its call."""
    import keras

    entry = catalogue.entries("layers")[item.kind]
    own = {key: _value(key, value) for key, value in item.parameters.items()}
    call = {key: own.pop(key) for key in ("use_causal_mask",) if key in own}
    if item.inner is not None:
        own["layer"] = _layer(item.inner)[0]
    if item.kind == "batch_normalization" and keras.backend.backend() == "tensorflow":
        # The statistics cover the batch of all replicas; other engines refuse the option, and need it not.
        own["synchronized"] = True
    return getattr(keras.layers, entry.keras_class)(**{**given, **own}), call


def _value(key: str, value: Any) -> Any:
    """A parameter as Keras takes it."""
    section = part_section(key)
    if section is not None and value is not None:
        import keras

        named: Mapping[str, Any] = {"name": value} if isinstance(value, str) else value
        entry = catalogue.find(section, named["name"])
        assert entry is not None
        arguments = {name: item for name, item in named.items() if name != "name"}
        return getattr(getattr(keras, section), entry.keras_class)(**arguments)
    return _tuple(value)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _projected(x: keras.KerasTensor, shape: tuple[int | None, ...], name: str) -> keras.KerasTensor:
    """A tensor brought to a shape by a linear map: dense, or a 1x1 convolution with strides.

    He et al. 2016, equation 2 and section 3.3 (option B), without a bias.

    Raises:
        _NoProjectionError: no strides lead there.
    """
    import keras

    if len(x.shape) != len(shape) or not 2 <= len(shape) <= 5 or None in (x.shape[-1], shape[-1]):
        raise _NoProjectionError("no projection leads from the one to the other")
    if len(shape) == 2:
        return keras.layers.Dense(shape[-1], use_bias=False, name=name)(x)
    strides = []
    for here, there in zip(x.shape[1:-1], shape[1:-1], strict=True):
        stride = 1 if here == there else -(-here // there) if here and there else 0
        if stride < 1 or (here != there and -(-here // stride) != there):
            raise _NoProjectionError("no strides lead from the one to the other")
        strides.append(stride)
    convolution = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)[len(strides) - 1]
    return convolution(shape[-1], 1, strides=tuple(strides), padding="same", use_bias=False, name=name)(x)


def _check_output(
    nodes: Sequence[Node], tensors: Sequence[keras.KerasTensor], head: bool, data: DataSpec
) -> None:
    """Refuse an output that the head or the data cannot take.

    Raises:
        LayerError: it has another shape.
    """
    shape, kind = tensors[-1].shape, nodes[-1].item.kind
    # The head is dense: it changes the last axis only.
    wanted = (None, *data.output_shape)
    if head and (shape[-1] is None or shape[:-1] != wanted[:-1]):
        takes = ", ".join([str(size) for size in wanted[:-1]] + ["features"])
        remedy = f"add {_FLATTER.get(len(shape), '`flatten`')}, or " if len(shape) > len(wanted) else ""
        message = (
            f"`{kind}` is the last layer and gives {shape}, but the dense head takes ({takes}); {remedy}"
            "write the head yourself, with `model.head: false`"
        )
    elif not head and shape != wanted:
        message = (
            f"`{kind}` is the last layer and gives {shape}, but {data.name} needs {wanted} of it "
            "(`model.head: false`)"
        )
    else:
        return
    raise LayerError((*_ROOT, *nodes[-1].item.path), [message], _shapes(nodes, tensors))


_FLATTER = {
    3: "`global_average_pooling1d` or `flatten`",
    4: "`global_average_pooling2d` or `flatten`",
    5: "`global_average_pooling3d` or `flatten`",
}


def _failed(
    nodes: Sequence[Node], tensors: Sequence[keras.KerasTensor], node: Node, reason: str
) -> LayerError:
    """What reached a layer, from where, and why it does not take it."""
    parts: list[str | tuple[str | int, ...]] = [f"`{node.item.kind}` cannot be built on "]
    for number, source in enumerate(node.inputs):
        path = nodes[source].item.path
        parts.append(f"{' and ' if number else ''}{tensors[source].shape} from `{nodes[source].name}`")
        # The model's input is written nowhere.
        parts += [" (", (*_ROOT, *path), ")"] if path else []
    parts.append(f": {reason}")
    return LayerError((*_ROOT, *node.item.path), parts, _shapes(nodes, tensors))


def _shapes(nodes: Sequence[Node], tensors: Sequence[keras.KerasTensor]) -> str:
    """The layers that were built, one a line, with what they give."""
    rows = [(node.name, str(tensor.shape)) for node, tensor in zip(nodes, tensors, strict=False)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(["shapes, layer by layer:", *(f"  {name:<{width}}  {shape}" for name, shape in rows)])


def _reason(error: Exception) -> str:
    """The first sentence of an engine's error, without its call stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if text.startswith("Exception encountered when calling") and len(lines) > 1:
        text = lines[1]
    return text.removesuffix(".")
