"""The JSON Schema of a config, for editors: keys, types, ranges, defaults and descriptions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from bigmodel_cli import catalogue, components
from bigmodel_cli.components import Kind
from bigmodel_cli.config.schema import AugmentationItem, Component, Config, Dataset, Loss, Optimizer

_SECTIONS: tuple[tuple[str, Kind, type[BaseModel]], ...] = (
    ("model", "models", Component),
    ("dataset", "datasets", Dataset),
    ("optimizer", "optimizers", Optimizer),
    ("loss", "losses", Loss),
)
_INNER: tuple[tuple[str, Kind, type[Component]], ...] = (
    ("augmentation", "augmentations", AugmentationItem),
    ("schedule", "schedules", Component),
    ("metric", "metrics", Component),
    ("tracker", "trackers", Component),
)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a whole config, components and their parameters included."""
    schema = Config.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for key, kind, inner in _INNER:
        definitions[key] = _component(kind, inner, definitions)
    definitions["layer"] = _layer(definitions)
    for key, kind, section in _SECTIONS:
        description = schema["properties"][key].get("description", "")
        definitions[key] = _component(kind, section, definitions)
        schema["properties"][key] = {**_reference(key), "description": description}
    schema["properties"]["metrics"]["anyOf"] = [
        {"const": "auto"},
        {"type": "array", "items": _reference("metric")},
    ]
    definitions["Training"]["properties"]["tracking"]["items"] = _reference("tracker")
    schema["properties"]["extends"] = {
        "description": "a config, or several, that this one builds on; paths count from this file",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    # A config that extends another one, or is called after its file, leaves these out.
    schema["required"] = []
    # The definitions of whole sections are replaced by those with their components' parameters.
    for replaced in ("Component", "AugmentationItem", "Dataset", "Loss", "Optimizer"):
        definitions.pop(replaced, None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bigmodel config",
    }


def _reference(key: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{key}"}


def _component(kind: Kind, section: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    names = components.names(kind)
    own = section.model_json_schema()
    definitions.update(own.get("$defs", {}))
    fixed = {key: value for key, value in own.get("properties", {}).items() if key != "name"}
    if "augment" in fixed:
        fixed["augment"]["items"] = _reference("augmentation")
    if "learning_rate" in fixed:
        number = {"type": "number", "exclusiveMinimum": 0}
        fixed["learning_rate"]["anyOf"] = [
            number,
            {"const": "auto"},
            _reference("schedule"),
            {"type": "null"},
        ]
    extra = ["auto"] if kind == "losses" else catalogue.tfds_names() if kind == "datasets" else []
    known = {"enum": sorted({*names, *extra})}
    # Plug-ins, own functions, and TFDS names with config or version.
    name = {"anyOf": [known, {"type": "string"}]}
    cases = [_case([item], kind, item, fixed, definitions) for item in names]
    if kind == "datasets":
        cases.append(_case(catalogue.tfds_names(), kind, "tfds", fixed, definitions, given=("dataset",)))
    required = ["name"] if section.model_fields["name"].is_required() else []
    return {
        "anyOf": [
            name,
            {"type": "object", "required": required, "properties": {"name": name}, "allOf": cases},
        ]
    }


def _layer(definitions: dict[str, Any]) -> dict[str, Any]:
    """One item of `model.layers`: a layer or a block, with its name and its inputs."""
    several = {"type": "array", "items": _reference("layer")}
    names = components.names("layers")
    properties: dict[str, Any] = {
        "name": {"type": "string", "description": "of the tensor that the layer gives"},
        "from": {
            "description": "its input, or inputs, by name; default: the item before",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        "repeat": {"type": "integer", "minimum": 1, "description": "how often `layers` come"},
        "layers": several,
        "residual": {**several, "description": "layers whose output is added to their input"},
        "projection": {"anyOf": [{"enum": ["auto", "none"]}, several]},
        "parallel": {"type": "array", "items": several, "minItems": 2, "description": "branches"},
        "merge": {
            "description": "the layer that joins the branches",
            "anyOf": [{"type": "string"}, {"type": "object"}],
        },
    }
    shared: dict[str, str] = {}
    for name in names:
        found = components.find("layers", name)
        schema = found.parameters.model_json_schema()
        fields = {
            key: _shared_field(key, field, shared, definitions) for key, field in schema["properties"].items()
        }
        properties[name] = {
            "type": ["object", "null"],
            "description": found.summary,
            "properties": fields,
            "required": schema.get("required", []),
            "additionalProperties": False,
        }
    kinds = [{"required": [key]} for key in ("repeat", "residual", "parallel", *names)]
    return {
        "anyOf": [
            {"enum": names},
            {"type": "object", "properties": properties, "additionalProperties": False, "anyOf": kinds},
            # A layer by its Keras class.
            {"type": "string", "pattern": "^[A-Z]"},
            {
                "type": "object",
                "properties": {key: properties[key] for key in ("name", "from")},
                "patternProperties": {"^[A-Z]": {}},
                "not": {"propertyNames": {"enum": ["name", "from"]}},
                "additionalProperties": False,
            },
        ]
    }


def _shared_field(
    key: str, field: dict[str, Any], shared: dict[str, str], definitions: dict[str, Any]
) -> dict[str, Any]:
    """A layer's parameter, with a long type as a definition that all layers share.

    Args:
        key: the parameter.
        field: its schema.
        shared: type as JSON -> name of its definition; added to.
        definitions: added to.
    """
    said: dict[str, Any] = {word: field[word] for word in ("default", "description") if word in field}
    if "description" in said:
        # The first sentence; `bigmodel list layers NAME` tells all.
        said["description"] = re.split(r"(?<=[a-z)`])\. (?=[A-Z])", said["description"])[0].removesuffix(".")
    kind = {word: value for word, value in field.items() if word not in ("default", "description", "title")}
    text = json.dumps(kind)
    if len(text) < 100:
        return {**kind, **said}
    if text not in shared:
        ending = key.rpartition("_")[2]
        count = sum(name.rpartition(".")[0] == f"layer.{ending}" for name in shared.values())
        shared[text] = f"layer.{ending}.{count}"
        definitions[shared[text]] = kind
    return {**_reference(shared[text]), **said}


def _case(
    when: Iterable[str],
    kind: Kind,
    name: str,
    fixed: dict[str, Any],
    definitions: dict[str, Any],
    given: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The parameters that go with some names, but for those that the name itself gives."""
    found = components.find(kind, name).parameters.model_json_schema()
    definitions.update(found.get("$defs", {}))
    own = {key: value for key, value in found.get("properties", {}).items() if key not in given}
    if (kind, name) == ("models", "layers"):
        own["layers"] = {**own["layers"], "items": _reference("layer")}
    then: dict[str, Any] = {"properties": {"name": True, **fixed, **own}, "additionalProperties": False}
    if required := [key for key in found.get("required", []) if key not in given]:
        then["required"] = required
    return {"if": {"properties": {"name": {"enum": list(when)}}, "required": ["name"]}, "then": then}
