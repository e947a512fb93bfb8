"""`bigmodel schema`."""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of configs, for editors.

    An editor with a YAML language server completes and checks a config whose first line is
    `# yaml-language-server: $schema=PATH`.
    """
    from bigmodel_cli.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))
