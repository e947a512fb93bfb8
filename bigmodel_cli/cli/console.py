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


def count(number: float) -> str:
    """`225,034`."""
    return f"{number:,.0f}"


def si(number: float, unit: str) -> str:
    """`5.3 MFLOP`: three significant digits with a decimal prefix."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        # From there three digits round up to the next prefix.
        if number >= 0.9995 * factor:
            return f"{number / factor:.3g} {prefix}{unit}"
    return f"{number:.0f} {unit}"


def duration(seconds: float) -> str:
    """`12.1 s`, `3 min 05 s`, `2 h 04 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def metric(value: float) -> str:
    """Four significant digits, `0.0413` or `3.41e-06`; `n/a` for what is not a number."""
    if value != value:
        return "n/a"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 10 else f"{value:.4g}"


def label(name: str) -> str:
    """`val_mean_absolute_error` as `val mean absolute error`."""
    return name.replace("_", " ")
