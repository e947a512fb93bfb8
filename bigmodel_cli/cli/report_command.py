"""`bigmodel report`."""

from __future__ import annotations

from pathlib import Path

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError


@click.command("report")
@options.run
@click.option("--output", "-o", type=options.CONFIG, metavar="FILE", help="The HTML page [RUN/report.html].")
@click.option(
    "--card", type=options.CONFIG, metavar="FILE", help="The model card, Markdown [RUN/model_card.md]."
)
@options.as_json
def command(run: Path | None, output: Path | None, card: Path | None, as_json: bool) -> None:
    """Write a run as one HTML page that needs no network, and as a model card.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all). `bigmodel evaluate`
    writes both as well.
    """
    for option, path, suffixes in (("--output", output, (".html", ".htm")), ("--card", card, (".md",))):
        if path is not None and path.suffix not in suffixes:
            raise UsageError(f"{option} {path}: must end in {suffixes[0]}")
    from bigmodel_cli import formatting, report, rundir
    from bigmodel_cli.cli import console

    found = report.write(rundir.find(run), output, card)
    if as_json:
        console.print_json(found.to_json())
        return
    click.echo(f"{found.run}\nreport      {found.page}  ({formatting.si(found.bytes, 'B')})")
    click.echo(f"model card  {found.card}")
    if not found.evaluated:
        click.echo(f"note: it is not evaluated yet; `bigmodel evaluate {found.run}` measures the test split")
