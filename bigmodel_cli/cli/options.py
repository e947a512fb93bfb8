"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

CONFIG = click.Path(path_type=Path)

overrides = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def config(function: Any) -> Any:
    """The CONFIG argument."""
    return click.argument("config", type=CONFIG)(function)


def run(function: Any) -> Any:
    """The optional RUN argument: a run directory, a config (its newest run), or nothing (the newest run)."""
    return click.argument("run", type=CONFIG, required=False)(function)
