"""What commands print: tables and lines for people, one JSON document for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.rundir import json_text

if TYPE_CHECKING:
    from rich.console import Console


_WIDEST = 100_000


def print_json(document: Any) -> None:
    """The one JSON document that `--json` promises on standard output."""
    click.echo(json_text(document))


def console(stderr: bool = False) -> Console:
    """A rich console; in a pipe as wide as its lines need."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, soft_wrap=not terminal, width=None if terminal else 200)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print rows under bold column names.

    Args:
        columns: their names.
        rows: texts; as many as columns.
        right: indices of the columns to align on the right.
    """
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        drawn.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    screen = console()
    if not screen.is_terminal:
        # A line a row, for grep; none ends in blanks.
        screen.width = _WIDEST
        screen.width = screen.measure(drawn).maximum
        with screen.capture() as captured:
            screen.print(drawn)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    else:
        screen.print(drawn)
