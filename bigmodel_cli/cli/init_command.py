"""`bigmodel init`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

SCHEMA_FILE = "bigmodel.schema.json"


@click.command("init")
@click.argument("template", required=False, metavar="[TEMPLATE | FOLDER]")
@click.option(
    "--output", "-o", type=options.CONFIG, metavar="FILE", help="Where to write it, or - [TEMPLATE.yaml]."
)
@click.option("--plugin", metavar="NAME", help="Write a package with a model of this name instead.")
def command(template: str | None, output: Path | None, plugin: str | None) -> None:
    """Write a commented config to start from, or with --plugin a package with a model of your own.

    TEMPLATE is one of the shipped configs; without one, they are listed. FOLDER is that of the package, a new
    one [NAME].
    """
    if plugin is not None:
        if output is not None:
            raise UsageError("--output: is for a config; name the folder of the package as FOLDER")
        _plugin(plugin, Path(template) if template else None)
        return
    _config(template, output)


def _plugin(name: str, folder: Path | None) -> None:
    from bigmodel_cli import plugin_package

    written = plugin_package.write(name, folder)
    said = (
        "how it is installed, and under which names its parts go",
        "what to do next",
        "a config that uses both",
        "",
        "the model; change it as you like",
        "the dataset; change it or leave it out",
        "tests of all of it",
    )
    _say(dict(zip(written, said, strict=True)))
    click.echo(f"next   pip install -e {written[0].parent}")


def _say(files: Mapping[Path, str]) -> None:
    """Files with what each is for."""
    width = max(len(str(place)) for place in files)
    for place, what in files.items():
        click.echo(f"{place!s:<{width}}  {what}".rstrip())


def _config(template: str | None, output: Path | None) -> None:
    from bigmodel_cli.components import suggestion

    folder = resources.files("bigmodel_cli") / "templates"
    known = {Path(item.name).stem: item for item in folder.iterdir() if item.name.endswith(".yaml")}
    if template is None:
        click.echo("name one of:")
        for name in sorted(known):
            click.echo(f"  bigmodel init {name:<24}{_first_comment(known[name].read_text('utf-8'))}")
        return
    if template not in known:
        raise UsageError(
            f"there is no template `{template}`{suggestion(template, known)} (`bigmodel init` lists them)"
        )
    if output == Path("-"):
        click.echo(_adapted(known[template].read_text("utf-8"), template, f"{template}.yaml", ""), nl=False)
        return
    path = output or Path(f"{template}.yaml")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    files = {path: _adapted(known[template].read_text("utf-8"), template, str(path), SCHEMA_FILE)}
    for base in _bases(known, template):
        there = path.with_name(f"{base}.yaml")
        files[there] = _adapted(known[base].read_text("utf-8"), base, str(there), SCHEMA_FILE)
    for taken in files:
        if taken.exists() and (taken == path or taken.read_text("utf-8") != files[taken]):
            raise UsageError(f"{taken}: is there already; choose another name or folder with --output")
    from bigmodel_cli.json_schema import json_schema

    schema = path.with_name(SCHEMA_FILE)
    texts = {**files, schema: json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"}
    try:
        for place, text in texts.items():
            place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written: {error.strerror}") from None
    said = [
        "the config; change it as you like",
        *["what it builds on"] * (len(files) - 1),
        "for your editor's help",
    ]
    _say(dict(zip(texts, said, strict=True)))
    click.echo(f"next   bigmodel train {path}")


def _bases(known: Mapping[str, Traversable], template: str) -> list[str]:
    """The templates that one builds on, nearest first."""
    match = re.search(r"^extends: (\S+)\.yaml$", known[template].read_text("utf-8"), re.M)
    return [match[1], *_bases(known, match[1])] if match else []


def _adapted(text: str, template: str, path: str, schema: str) -> str:
    """A template's text as it reads at its new place; without a schema beside it, without its reference."""
    reference, _, rest = text.partition("\n")
    reference = f"{reference.partition('$schema=')[0]}$schema={schema}\n" if schema else ""
    return reference + rest.replace(f"configs/{template}.yaml", path)


def _first_comment(text: str) -> str:
    """What a config says of itself: its first comment that is not for the editor."""
    lines = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    return next((line for line in lines if line and not line.startswith("yaml-language-server")), "")
