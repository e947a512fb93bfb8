"""`bigmodel explain`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bigmodel_cli.cli import options


@click.command("explain")
@options.config
@options.overrides
@options.as_json
def command(config: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show the resolved config: each value and where it comes from."""
    from bigmodel_cli import validation
    from bigmodel_cli.cli import console
    from bigmodel_cli.config.document import dotted

    loaded = validation.load(config, overrides)
    rows = [
        (dotted(path), value, str(loaded.document.origin(path)))
        for path, value in validation.resolved_values(loaded.config)
    ]
    if as_json:
        console.print_json([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
    else:
        texts = [
            (key, value if isinstance(value, str) else json.dumps(value), origin)
            for key, value, origin in rows
        ]
        console.table(("key", "value", "origin"), texts)
