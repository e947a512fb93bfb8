"""The JSON Schema of a config, for editors: keys, types, ranges, defaults and descriptions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from bigmodel_cli import catalogue, components
from bigmodel_cli.components import Kind
from bigmodel_cli.config.schema import Component, Config, Dataset, Optimizer

_COMPONENTS: tuple[tuple[str, Kind, type[BaseModel]], ...] = (
    ("model", "models", Component),
    ("dataset", "datasets", Dataset),
    ("optimizer", "optimizers", Optimizer),
    ("loss", "losses", Component),
)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a whole config, components and their parameters included."""
    schema = Config.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for key, kind, section in _COMPONENTS:
        description = schema["properties"][key].get("description", "")
        definitions[key] = _component(kind, section, definitions)
        schema["properties"][key] = {"$ref": f"#/$defs/{key}", "description": description}
    schema["properties"]["extends"] = {
        "description": "a config, or several, that this one builds on; paths count from this file",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    # A config that extends another one, or is called after its file, leaves these out.
    schema["required"] = []
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "bigmodel config",
    }


def _component(kind: Kind, section: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    names = components.names(kind)
    fixed = {key: value for key, value in section.model_json_schema().get("properties", {}).items() if key != "name"}
    nested = section.model_json_schema().get("$defs", {})
    definitions.update(nested)
    extra = ["auto"] if kind == "losses" else catalogue.tfds_names() if kind == "datasets" else []
    known = {"enum": sorted({*names, *extra})}
    # Plug-ins, own functions, and TFDS names with config or version.
    name = {"anyOf": [known, {"type": "string"}]}
    cases = [_case([item], kind, item, fixed, definitions) for item in names]
    if kind == "datasets":
        cases.append(_case(catalogue.tfds_names(), kind, "tfds", fixed, definitions))
    required = ["name"] if section.model_fields["name"].is_required() else []
    return {
        "anyOf": [name, {"type": "object", "required": required, "properties": {"name": name}, "allOf": cases}]
    }


def _case(
    when: Iterable[str], kind: Kind, name: str, fixed: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    found = components.find(kind, name).parameters.model_json_schema()
    definitions.update(found.get("$defs", {}))
    properties = {"name": True, **fixed, **found.get("properties", {})}
    required = [key for key in found.get("required", []) if not (kind == "datasets" and key == "dataset")]
    then: dict[str, Any] = {"properties": properties, "additionalProperties": False}
    if required:
        then["required"] = required
    return {"if": {"properties": {"name": {"enum": list(when)}}, "required": ["name"]}, "then": then}
