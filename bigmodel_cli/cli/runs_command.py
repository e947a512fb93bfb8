"""`bigmodel runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.rundir import Run


@click.command("runs")
@click.argument("folder", type=options.CONFIG, required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest N.")
@options.as_json
def command(folder: Path | None, limit: int, as_json: bool) -> None:
    """List the runs under FOLDER [runs], newest first."""
    from itertools import islice

    from bigmodel_cli import rundir
    from bigmodel_cli.cli import console

    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    root = folder or rundir.RUNS
    found = list(islice(rundir.all_runs(root), limit))
    documents = [{"run": str(run), **_summary(run)} for run in found]
    if as_json:
        console.print_json(documents)
        return
    if not found:
        click.echo(f"there is no run under {root}/ yet; `bigmodel train CONFIG` makes one")
        return
    rows = [_row(document) for document in documents]
    columns = ("run", "status", "dataset", "model", "epochs", "best", "validation", "time")
    console.table(columns, rows, right=(4, 5, 7))


def _summary(run: Run) -> dict[str, Any]:
    try:
        return run.read_summary()
    except UsageError:
        # One broken run must not hide the others.
        return {"status": "damaged"}


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    from bigmodel_cli.cli import console

    validation = [
        f"{console.label(name.removeprefix('val_'))} {console.metric(value)}"
        for name, value in document.get("metrics", {}).items()
        if name.startswith("val_") and value is not None
    ]
    planned = document.get("planned_epochs")
    return (
        document["run"],
        document["status"],
        str(document.get("dataset", "")),
        str(document.get("model", "")),
        f"{document.get('epochs', 0)}/{planned}" if planned else "",
        str(document.get("best_epoch") or ""),
        ", ".join(validation),
        console.duration(document["seconds"]) if "seconds" in document else "",
    )
