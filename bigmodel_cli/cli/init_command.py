"""`bigmodel init`."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

DEFAULT_TEMPLATE = "digits_cnn"
SCHEMA_FILE = "bigmodel.schema.json"


@click.command("init")
@click.argument("template", required=False)
@click.option("--output", "-o", type=options.CONFIG, metavar="FILE", help="Where to write it, or - [TEMPLATE.yaml].")
def command(template: str | None, output: Path | None) -> None:
    """Write a commented config to start from.

    TEMPLATE is one of the shipped configs; without one, they are listed.
    """
    from bigmodel_cli.components import suggestion

    folder = resources.files("bigmodel_cli") / "templates"
    known = {Path(item.name).stem: item for item in folder.iterdir() if item.name.endswith(".yaml")}
    if template is None:
        click.echo("name one of:")
        for name in sorted(known):
            click.echo(f"  bigmodel init {name:<24}{_first_comment(known[name].read_text('utf-8'))}")
        return
    if template not in known:
        raise UsageError(f"there is no template `{template}`{suggestion(template, known)}; `bigmodel init` lists them")
    text = known[template].read_text("utf-8")
    if output == Path("-"):
        click.echo(text, nl=False)
        return
    path = output or Path(f"{template}.yaml")
    if path.exists():
        raise UsageError(f"{path}: is there already; choose another name with --output")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    from bigmodel_cli.json_schema import json_schema

    schema = path.with_name(SCHEMA_FILE)
    schema.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
    path.write_text(text.replace("$schema=../docs/config.schema.json", f"$schema={SCHEMA_FILE}"), encoding="utf-8")
    click.echo(f"{path}             the config; change it as you like")
    click.echo(f"{schema}   by which editors complete and check it")
    click.echo(f"next   bigmodel train {path}")


def _first_comment(text: str) -> str:
    """What a config says of itself: its first comment that is not for the editor."""
    lines = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    return next((line for line in lines if line and not line.startswith("yaml-language-server")), "")
