"""`bigmodel compare`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.comparison import Comparison
    from bigmodel_cli.pages import Picture, Table


@click.command("compare")
@click.argument("runs", type=options.CONFIG, nargs=-1, metavar="RUN RUN...")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Whose evaluations to compare.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap.")
@click.option(
    "--output", "-o", type=options.CONFIG, metavar="FILE", help="Draw the curves of all runs in a PNG."
)
@click.option("--html", type=options.CONFIG, metavar="FILE", help="Write everything as one HTML page.")
@options.as_json
def command(
    runs: tuple[Path, ...], split: str, seed: int, output: Path | None, html: Path | None, as_json: bool
) -> None:
    """Show how runs differ: config, data, metrics with paired tests, speed and size, curves.

    The first RUN is the reference that the others are held against. A RUN is a run directory or a config (its
    newest run).
    """
    for option, path, suffixes in (("--output", output, (".png",)), ("--html", html, (".html", ".htm"))):
        if path is not None and path.suffix not in suffixes:
            raise UsageError(f"{option} {path}: must end in {suffixes[0]}")
    from bigmodel_cli import comparison, rundir
    from bigmodel_cli.cli import compare_tables, console

    found = comparison.compare([rundir.find(run) for run in runs], split, seed)  # type: ignore[arg-type]
    shown = list(compare_tables.grouped(found))
    picture = _picture(found, output) if output or html else None
    if html is not None:
        _write_page(html, found, shown, picture)
    if as_json:
        written = {
            "picture": str(output) if output and picture else None,
            "html": str(html) if html else None,
        }
        console.print_json({**found.to_json(), **written})
        return
    for _, tables in shown:
        for table in tables:
            _print(table)
    if (output or html) and picture is None:
        click.echo("no picture: none of these runs has finished an epoch")
    for path in (output if picture else None, html):
        if path is not None:
            click.echo(f"written to {path}")


def _print(table: Table) -> None:
    from bigmodel_cli.cli import console

    click.echo(click.style(table.caption, bold=True))
    rows = [
        tuple(f"{text} *" if (number, column) in table.best else text for column, text in enumerate(row))
        for number, row in enumerate(table.rows)
    ]
    if rows:
        console.table(table.columns, rows, right=table.right)
    if table.best:
        click.echo("* best")
    for note in table.notes:
        click.echo(f"note: {note}")
    click.echo()


def _picture(found: Comparison, path: Path | None) -> Picture | None:
    """The curves of all runs; None when there is no epoch to draw.

    Args:
        found: the runs.
        path: where the user wants it; None for nowhere.
    """
    from bigmodel_cli.pages import Picture
    from bigmodel_cli.plots.comparison import compared_curves

    histories = dict(zip(found.labels, [run.history() for run in found.runs], strict=True))
    drawn = {label: history for label, history in histories.items() if history}
    if not drawn:
        return None
    title = f"{' and '.join(drawn)}" if len(drawn) <= 2 else f"{len(drawn)} runs"
    with TemporaryDirectory() as folder:
        try:
            light = compared_curves(drawn, path or Path(folder) / "light.png", title=title)
            dark = compared_curves(drawn, Path(folder) / "dark.png", title=title, theme="dark")
            images = light.read_bytes(), dark.read_bytes()
        except OSError as error:
            raise UsageError(f"{path or folder}: cannot be written: {error.strerror}") from None
    return Picture(
        images[0],
        "Curves of all runs: validation, and training as thin lines while there are at most four runs.",
        f"Loss and metrics of {', '.join(drawn)} against the epoch; the values that count are in the tables.",
        images[1],
    )


def _write_page(
    path: Path, found: Comparison, shown: list[tuple[str, list[Table]]], picture: Picture | None
) -> None:
    from bigmodel_cli import __version__, pages

    title = f"{found.labels[0]} and {', '.join(found.labels[1:])}"
    told = f"{len(found.runs)} runs compared by bigmodel {__version__}; {found.labels[0]} is the reference."
    sections = [pages.Section(name, tables) for name, tables in shown]
    if picture is not None:
        sections.append(pages.Section("Curves", [picture]))
    pages.write_page(path, f"Comparison of {title}", [pages.Paragraph(told)], sections)
