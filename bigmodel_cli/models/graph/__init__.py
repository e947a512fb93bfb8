"""A model written layer by layer in the config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from bigmodel_cli.config.messages import WRONG_KEY
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.models.graph.expansion import Expansion
from bigmodel_cli.models.graph.items import Problem
from bigmodel_cli.models.graph.reading import Reader
from bigmodel_cli.models.layers import features, numbers, output_head, raw_input, scaled_image

if TYPE_CHECKING:
    import keras


def _checked(values: list[Any]) -> list[Any]:
    """Hold the items against Keras' layers, and their graph together.

    Raises:
        ValidationError: every mistake.
    """
    reader = Reader()
    items = reader.items(values, ())
    problems = [*reader.problems, *Expansion(items, whole=not reader.problems).problems]
    if problems:
        raise ValidationError.from_exception_data("layers", [_details(problem) for problem in problems])
    return values


def _details(problem: Problem) -> InitErrorDetails:
    if problem.kind == "missing":
        return InitErrorDetails(type="missing", loc=problem.path, input=None)
    kind: Any = WRONG_KEY if problem.kind == "key" else "value_error"
    error = PydanticCustomError(kind, "{error}", {"error": problem.message})
    return InitErrorDetails(type=error, loc=problem.path, input=None)


Layers = Annotated[list[Any], Field(min_length=1), AfterValidator(_checked)]


def layers(data: DataSpec, *, layers: Layers, scale: bool = True, head: bool = True) -> keras.Model:
    """Any Keras layers, written in the config: a chain, or any graph that runs one way.

    An item is a layer (`- flatten`, `- dense: {units: 10}`), or a block: `repeat: n` with `layers: [...]`,
    `residual: [...]` (He et al. 2016), `parallel: [[...], [...]]` with `merge: concatenate`. Beside the layer
    may stand `name:`, of its tensor, and `from:`, the name or names of its inputs instead of the item before.
    The tensor `input` is the model's input.

    Args:
        layers: The items, first to last; `bigmodel list layers` lists the layers.
        scale: Bring pixels to 0 to 1, and features to mean 0 and variance 1; a table's columns are as
            `dataset.prepare` makes them, either way.
        head: Add the dense layer that gives a number for each class, label or target; without it, the last
            layer must.
    """
    import keras

    from bigmodel_cli.models.graph.building import build

    nodes = Expansion(Reader().items(layers, ())).nodes
    if data.input.kind == "image":
        inputs: Any = raw_input(data)
        x = scaled_image(inputs, 0, 1 if scale else 255)
    elif len(data.input.shape) > 1:
        inputs = raw_input(data)
        x = numbers(inputs, data, scale)
    else:
        inputs, x = features(data, "layers", flatten=False, standardize=scale)
    x = build(nodes, x, head=head, data=data)
    return keras.Model(inputs, output_head(x, data) if head else x, name="layers")
