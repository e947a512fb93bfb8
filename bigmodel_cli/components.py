"""Names in a config to the things they name, and their parameters to what those things accept.

Built-ins and plug-ins come through the same door, the entry points `bigmodel.<kind>`; optimizers,
losses, metrics, layers and their parts are Keras classes, from the catalogue; schedules are both. A name of
the form `package.module:function` names one's own.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from bigmodel_cli import catalogue, layer_parameters

Kind = Literal[
    "models", "datasets", "augmentations", "schedules", "optimizers", "losses", "metrics", "trackers",
    "layers", "initializers", "regularizers", "constraints",
]  # fmt: skip
KINDS: tuple[Kind, ...] = typing.get_args(Kind)

_FROM_KERAS: frozenset[str] = frozenset(typing.get_args(catalogue.Section))
_FROM_ENTRY_POINTS: frozenset[str] = frozenset(
    {"models", "datasets", "augmentations", "schedules", "trackers"}
)
# What builders get besides their parameters (see contracts.py).
_GIVEN: Mapping[Kind, tuple[str, ...]] = {
    "models": ("data",),
    "datasets": ("seed",),
    "augmentations": (),
    "schedules": ("total_steps", "steps_per_epoch"),
    "trackers": ("run",),
}


class UnknownComponentError(Exception):
    """A name that names nothing; the message says what it could have been."""


@dataclass(frozen=True)
class Definition:
    """What a name stands for.

    Attributes:
        kind: plural, such as `models`.
        name: canonical name.
        summary: one line.
        description: whole docstring, or the summary again for Keras classes.
        parameters: pydantic model of the parameters: strict types, ranges, defaults, descriptions.
        builder: our side of the contract (see contracts.py); None for a Keras class.
        keras_class: name of the Keras class; None for anything else.
    """

    kind: Kind
    name: str
    summary: str
    description: str
    parameters: type[BaseModel]
    builder: Callable[..., Any] | None = None
    keras_class: str | None = None


def _parameter_model(name: str, fields: Mapping[str, tuple[Any, FieldInfo]]) -> type[BaseModel]:
    definitions: dict[str, Any] = dict(fields)
    # Parameters are called what they are called, `model_` in front or not.
    config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=()
    )
    return create_model(name, __config__=config, **definitions)


def _descriptions(docstring: str) -> tuple[str, dict[str, str]]:
    """The text before `Args:`, and one line for each argument."""
    text, _, rest = docstring.partition("\nArgs:\n")
    rest = re.split(r"^\S", rest, maxsplit=1, flags=re.M)[0]
    pattern = re.compile(r"^ {4}(\w+):(.*?)(?=^ {4}\w+:|\Z)", re.M | re.S)
    return text.strip(), {item[1]: " ".join(item[2].split()) for item in pattern.finditer(rest + "\n")}


def _from_builder(kind: Kind, name: str, builder: Callable[..., Any]) -> Definition:
    """Read a builder's keyword-only parameters.

    Raises:
        UnknownComponentError: the object is not a builder of the contract.
    """
    if not callable(builder):
        raise UnknownComponentError(f"`{name}` is a {type(builder).__name__}, not a function")
    given = _GIVEN[kind]
    try:
        signature = inspect.signature(builder)
        signature.bind_partial(*given)
        if any(item.default is item.empty for item in _by_position(signature)[len(given) :]):
            raise TypeError
    except (TypeError, ValueError):
        wanted = ", ".join([*given, "*", "parameter=3"])
        raise UnknownComponentError(
            f"`{name}` cannot build a {_singular(kind)}; it must look like `def "
            f"{name.split(':')[-1]}({wanted})`"
        ) from None
    own = {
        item.name: item.annotation for item in signature.parameters.values() if item.kind is item.KEYWORD_ONLY
    }
    # The other annotations may name types that are only imported for type checking.
    annotated = {key: value for key, value in own.items() if value is not inspect.Parameter.empty}
    try:
        hints = typing.get_type_hints(
            SimpleNamespace(__annotations__=annotated),
            getattr(builder, "__globals__", {}),
            include_extras=True,
        )
    except Exception as error:
        raise UnknownComponentError(f"`{name}`: an annotation cannot be resolved: {error}") from error
    text, descriptions = _descriptions(inspect.getdoc(builder) or "")
    fields = {}
    for key in own:
        default = signature.parameters[key].default
        fields[key] = (
            hints.get(key, Any),
            Field(... if default is inspect.Parameter.empty else default, description=descriptions.get(key)),
        )
    try:
        parameters = _parameter_model(name, fields)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise UnknownComponentError(f"`{name}`: its parameters cannot be checked: {reason}") from error
    summary = " ".join(text.split("\n\n")[0].split())
    return Definition(kind, name, summary, text, parameters, builder=builder)


def _by_position(signature: inspect.Signature) -> list[inspect.Parameter]:
    wanted = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [item for item in signature.parameters.values() if item.kind in wanted]


def _from_catalogue(kind: Kind, entry: catalogue.Entry) -> Definition:
    fields = {
        item.name: (
            layer_parameters.annotation(entry.keras_class, item) if kind == "layers" else item.annotation,
            Field(... if item.required else item.default, description=item.description),
        )
        for item in entry.parameters
    }
    return Definition(
        kind,
        entry.name,
        entry.summary,
        entry.summary,
        _parameter_model(entry.keras_class, fields),
        keras_class=entry.keras_class,
    )


@cache
def _entry_points(kind: Kind) -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"bigmodel.{kind}")}


def names(kind: Kind) -> list[str]:
    """Canonical names of a kind, sorted; TFDS names are not among the datasets (see catalogue)."""
    found: set[str] = set(_entry_points(kind)) if kind in _FROM_ENTRY_POINTS else set()
    if kind in _FROM_KERAS:
        found |= set(catalogue.entries(typing.cast("catalogue.Section", kind)))
    return sorted(found)


def find(kind: Kind, name: str) -> Definition:
    """The definition behind a name.

    Raises:
        UnknownComponentError: there is none, or the module of `package.module:function` does not import.
    """
    if ":" in name and kind in _FROM_ENTRY_POINTS:
        return _from_builder(kind, name, own(name))
    if kind in _FROM_ENTRY_POINTS and (point := _entry_points(kind).get(name)) is not None:
        return _from_builder(kind, name, _plug_in(name, point))
    if kind in _FROM_KERAS:
        entry = catalogue.find(typing.cast("catalogue.Section", kind), name)
        if entry is not None:
            return _from_catalogue(kind, entry)
    near = suggestion(name, names(kind))
    raise UnknownComponentError(f"there is no {_singular(kind)} `{name}`{near} (`bigmodel list {kind}`)")


def _singular(kind: Kind) -> str:
    return "loss" if kind == "losses" else kind.removesuffix("s")


def _plug_in(name: str, point: EntryPoint) -> Callable[..., Any]:
    try:
        builder: Callable[..., Any] = point.load()
    except Exception as error:
        package = point.dist.name if point.dist else "unknown"
        raise UnknownComponentError(
            f"the plug-in `{name}` of the package {package} does not load: {_reason(error)}"
        ) from error
    return builder


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"


def own(name: str) -> Callable[..., Any]:
    """One's own function, named as `package.module:function`; the working folder is searched, too.

    Raises:
        UnknownComponentError: there is none.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise UnknownComponentError(f"`{name}` is not of the form package.module:function")
    # The console script does not have the working folder on the path, where people keep their module.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # Whatever goes wrong in the user's own module is for the user to read.
        reason = _reason(error)
        raise UnknownComponentError(f"`{name}`: module `{module_name}` does not import: {reason}") from error
    try:
        found: Callable[..., Any] = getattr(module, attribute)
    except AttributeError:
        near = suggestion(attribute, [key for key in vars(module) if not key.startswith("_")])
        raise UnknownComponentError(f"module `{module_name}` has no `{attribute}`{near}") from None
    return found


def suggestion(word: str, known: typing.Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing when no known word is near."""
    near = get_close_matches(word, list(known), n=2, cutoff=0.6)
    # A second one only where it is about as near.
    distances = [SequenceMatcher(None, word, item).ratio() for item in near]
    near = [item for item, distance in zip(near, distances, strict=True) if distance > distances[0] - 0.25]
    return f"; did you mean {' or '.join(f'`{item}`' for item in near)}?" if near else ""
