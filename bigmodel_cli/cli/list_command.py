"""`bigmodel list`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.components import Definition

KINDS = (
    "models", "datasets", "optimizers", "losses", "metrics", "schedules", "augmentations", "trackers",
    "layers", "initializers", "regularizers", "constraints",
)  # fmt: skip


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("name", required=False)
@options.as_json
def command(kind: Any, name: str | None, as_json: bool) -> None:
    """List what configs can name; with a NAME, all about that one.

    KIND is models, datasets, optimizers, losses, metrics, schedules, augmentations or trackers; and for
    `model.layers`: layers, initializers, regularizers or constraints.
    """
    from bigmodel_cli import components, validation
    from bigmodel_cli.cli import console

    try:
        if name is None:
            found = [components.find(kind, item) for item in components.names(kind)]
        elif kind == "datasets":
            found = [validation.dataset_definition(name)[0]]
        else:
            found = [components.find(kind, name)]
    except components.UnknownComponentError as error:
        raise UsageError(str(error)) from None
    if as_json:
        console.print_json([_document(item) for item in found])
        return
    if name is not None:
        _show_one(found[0])
        return
    rows = [(item.name, _parameters(item), item.summary) for item in found]
    console.table((kind.removesuffix("s"), "parameters", "what it is"), rows)
    if kind == "datasets":
        click.echo("\nand every name of TensorFlow Datasets, such as mnist or cifar10 (parameters: see tfds)")
    click.echo(f"\nmore: bigmodel list {kind} NAME")


def _parameters(item: Definition) -> str:
    """The names of the parameters; of a layer, which has some twenty, those that must be given."""
    fields = item.parameters.model_fields
    names = [key for key, field in fields.items() if item.kind != "layers" or field.is_required()]
    return ", ".join([*names, *["..."] * (len(names) < len(fields))]) or "-"


def _document(item: Definition) -> dict[str, Any]:
    schema = item.parameters.model_json_schema()
    return {"name": item.name, "summary": item.summary, "description": item.description, "parameters": schema}


def _show_one(item: Definition) -> None:
    from bigmodel_cli.cli import console

    click.echo(f"{item.description}\n")
    schema = item.parameters.model_json_schema()
    rows = [
        (
            key,
            "required" if field.is_required() else _yaml(field.default),
            _type(schema["properties"][key]),
            field.description or "",
        )
        for key, field in item.parameters.model_fields.items()
    ]
    if rows:
        console.table(("parameter", "default", "type", "what it is"), rows)
    else:
        click.echo("no parameters")


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return " | ".join(_type(item) for item in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:,}" for key, sign in bounds.items() if key in schema]
    kind = str(schema.get("type", "any")).replace("integer", "int").replace("string", "text")
    return f"{kind} {' and '.join(limits)}".strip()
