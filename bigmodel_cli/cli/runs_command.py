"""`bigmodel runs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bigmodel_cli.cli import options
from bigmodel_cli.errors import BigmodelError, UsageError

if TYPE_CHECKING:
    from bigmodel_cli.run_listing import Facts
    from bigmodel_cli.rundir import Run

_LISTING = {"limit": "--limit", "sort": "--sort", "filters": "--filter", "archived": "--archived"}


@click.command("runs")
@click.argument("places", type=options.CONFIG, nargs=-1, metavar="[FOLDER | RUN...]")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The first N.")
@click.option(
    "--sort",
    metavar="KEY",
    default="-time",
    show_default=True,
    help="Order by time, name, a metric (val_accuracy, test_accuracy), seconds, parameters or any other key; "
    "with - in front the largest first.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this status, dataset, model, tag, or any key of the config (optimizer.name=adam); "
    "also !=, <, <=, > and >= (val_accuracy>0.9), and * in texts. Repeat it for more conditions.",
)
@click.option("--archived", is_flag=True, help="List the archived runs instead.")
@click.option("--tag", "tags", multiple=True, metavar="NAME", help="Give RUN... a tag.")
@click.option("--untag", "untags", multiple=True, metavar="NAME", help="Take a tag from RUN...")
@click.option("--archive", "action", flag_value="archive", help="Move RUN... to runs/archive/.")
@click.option("--restore", "action", flag_value="restore", help="Move archived RUN... back.")
@click.option("--delete", "action", flag_value="delete", help="Delete RUN... for good.")
@click.option("--yes", "-y", is_flag=True, help="Archive or delete without a question.")
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    places: tuple[Path, ...],
    limit: int,
    sort: str,
    filters: tuple[str, ...],
    archived: bool,
    tags: tuple[str, ...],
    untags: tuple[str, ...],
    action: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """List the runs under FOLDER [runs], newest first; or tag, archive and delete runs.

    \b
    bigmodel runs --filter dataset=mnist --sort -val_accuracy
    bigmodel runs --tag baseline runs/mnist-cnn/20261121-201500
    bigmodel runs --archive runs/mnist-cnn/20261121-*
    """
    if action and (tags or untags):
        raise UsageError(f"--{action}: cannot go with --tag and --untag; do one after the other")
    if yes and action not in ("archive", "delete"):
        raise UsageError("--yes: answers the question of --archive and --delete; leave it out")
    if not action and not tags and not untags:
        _list(places, limit, sort, filters, archived, as_json)
        return
    for name, option in _LISTING.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"{option}: is for listing; the runs to change are named one by one")
    if action:
        _move(action, places, yes, as_json)
    else:
        _tag(places, tags, untags, as_json)


def _list(
    places: tuple[Path, ...], limit: int, sort: str, filters: tuple[str, ...], archived: bool, as_json: bool
) -> None:
    from bigmodel_cli import rundir
    from bigmodel_cli.cli import console
    from bigmodel_cli.run_listing import Facts, Filter, chosen

    if len(places) > 1:
        raise UsageError(
            f"{places[1]}: runs are listed in one FOLDER; of several RUNs say what to do with them"
        )
    root = places[0] if places else rundir.RUNS
    if places and not root.is_dir():
        raise UsageError(f"{root}: there is no such folder")
    conditions = [Filter.parse(text) for text in filters]
    there = [Facts(run) for run in rundir.all_runs(root, archived=archived)]
    fitting = chosen(there, conditions, sort)
    shown = fitting[:limit]
    if as_json:
        console.print_json([facts.to_json() for facts in shown])
    elif not there:
        none = (
            f"there is no archived run under {root}/"
            if archived
            else (f"there is no run under {root}/ yet; `bigmodel train CONFIG` makes one")
        )
        click.echo(none)
    elif not shown:
        click.echo(f"none of the {len(there)} runs under {root}/ fits")
    else:
        _show(shown)
        if len(shown) < len(fitting):
            click.echo(
                f"{len(shown)} of {len(fitting)} runs; --limit {len(fitting)} shows them all", err=True
            )


_COLUMNS = ("run", "status", "dataset", "model", "epochs", "best", "validation", "time", "tags")
_RIGHT = ("epochs", "best", "time")
_LEAVE_FIRST = ("best", "time", "epochs", "dataset", "model", "tags")
"""What a narrow terminal does without, in this order."""


def _show(shown: Sequence[Facts]) -> None:
    from bigmodel_cli.cli import console

    rows = [dict(zip(_COLUMNS, _row(facts), strict=True)) for facts in shown]
    # Most people have no tags.
    columns = [name for name in _COLUMNS if name != "tags" or any(row["tags"] for row in rows)]
    screen = console.console()
    left_out = _left_out(columns, rows, screen.width) if screen.is_terminal else []
    columns = [name for name in columns if name not in left_out]
    table = [tuple(row[name] for name in columns) for row in rows]
    console.table(columns, table, right=[i for i, name in enumerate(columns) if name in _RIGHT])
    if left_out:
        click.echo(f"not shown on {screen.width} columns: {', '.join(left_out)}", err=True)


def _left_out(columns: Sequence[str], rows: Sequence[dict[str, str]], width: int) -> list[str]:
    from rich.cells import cell_len

    needed = {name: max(cell_len(text) for text in (name, *(row[name] for row in rows))) for name in columns}
    left_out: list[str] = []
    for name in _LEAVE_FIRST:
        if sum(needed.values()) + 2 * len(needed) <= width:
            break
        if needed.pop(name, None) is not None:
            left_out.append(name)
    return left_out


def _row(facts: Facts) -> tuple[str, ...]:
    from bigmodel_cli import formatting

    summary = facts.summary
    validation = [
        f"{formatting.label(name.removeprefix('val_'))} {formatting.metric(value)}"
        for name, value in summary.get("metrics", {}).items()
        # Of several tasks the whole loss, and the metrics of each.
        if name.startswith("val_")
        and value is not None
        and (name == "val_loss" or not name.endswith("_loss"))
    ]
    planned = summary.get("planned_epochs")
    return (
        str(facts.run),
        summary["status"],
        str(summary.get("dataset", "")),
        str(summary.get("model", "")),
        f"{summary.get('epochs', 0)}/{planned}" if planned else "",
        str(summary.get("best_epoch") or ""),
        ", ".join(validation),
        formatting.duration(summary["seconds"]) if "seconds" in summary else "",
        ", ".join(facts.tags),
    )


def _tag(places: Sequence[Path], tags: Sequence[str], untags: Sequence[str], as_json: bool) -> None:
    from bigmodel_cli import run_care
    from bigmodel_cli.cli import console

    if both := set(tags) & set(untags):
        raise UsageError(f"--tag {min(both)} --untag {min(both)}: give it or take it")
    runs = run_care.named_runs(places)
    run_care.change_tags(runs, tags, untags)
    if as_json:
        console.print_json([{"run": str(run), "tags": run.read_tags()} for run in runs])
        return
    for run in runs:
        click.echo(f"{run}  tags: {', '.join(run.read_tags()) or 'none'}")


_DONE = {"archive": "archived", "restore": "restored", "delete": "deleted"}


def _move(action: str, places: Sequence[Path], yes: bool, as_json: bool) -> None:
    from bigmodel_cli import run_care
    from bigmodel_cli.cli import console

    runs = run_care.named_runs(places)
    # Before the question, not after it.
    if action == "archive":
        for run in runs:
            run_care.archived_place(run)
    if action != "restore" and not yes:
        _ask(action, runs)
    moved: Sequence[Run | None]
    if action == "delete":
        run_care.delete(runs)
        moved = [None] * len(runs)
    else:
        moved = (run_care.archive if action == "archive" else run_care.restore)(runs)
    pairs = list(zip(runs, moved, strict=True))
    if as_json:
        console.print_json(
            [{"run": str(run), "done": _DONE[action], "to": str(to) if to else None} for run, to in pairs]
        )
        return
    for run, to in pairs:
        click.echo(f"{_DONE[action]}  {run}" + (f"  to {to}" if to else ""))


def _ask(action: str, runs: Sequence[Run]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"--{action}: asks before it begins, and there is no terminal to ask on; add --yes")
    for run in runs:
        size = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
        click.echo(f"  {run}  {size / 2**20:,.1f} MiB", err=True)
    what = f"these {len(runs)} runs" if len(runs) > 1 else "this run"
    if not click.confirm(f"{action} {what}{' for good' if action == 'delete' else ''}?", err=True):
        raise BigmodelError(f"nothing is {_DONE[action]}")
