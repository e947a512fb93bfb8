"""`bigmodel predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.prediction import Predictions

_SHOWN = 10


# Negative numbers are inputs, not options.
@click.command("predict", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, metavar="[RUN] [INPUT]...")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Predict for the run's own examples [test, when there is no INPUT].",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N examples of the split.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="A .csv, .jsonl or .parquet file, or - [RUN/predictions/predictions.csv].",
)
@options.as_json
def command(
    arguments: tuple[str, ...], split: str | None, limit: int | None, output: str | None, as_json: bool
) -> None:
    """Predict for new inputs, or for the test split.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all). INPUT is an image,
    a folder of images, a .npy, .npz or .csv file, a number (or several: 1,2,3), or - for standard input.
    """
    from bigmodel_cli import engine
    from bigmodel_cli.cli import console

    run, inputs = _run_and_inputs(arguments)
    if inputs and (split or limit):
        raise UsageError("--split and --limit are for the run's own examples; leave them out, or the INPUTs")
    folder = run.path / "predictions"
    path = folder / "predictions.csv" if output in (None, "-") else Path(str(output))
    engine.start()
    from bigmodel_cli import prediction

    if output not in (None, "-"):
        prediction.check_output(path)
    if inputs:
        found = prediction.predict_inputs(
            run, inputs, note=lambda text: click.echo(f"note: {text}", err=True)
        )
    else:
        found = prediction.predict_split(run, split or "test", limit)  # type: ignore[arg-type]
    if output == "-" and not as_json:
        prediction.write_text(list(found.rows()), sys.stdout, ".csv")
    elif as_json:
        if output not in (None, "-"):
            prediction.write(found, path)
        console.print_json({"run": str(run), "predictions": list(found.rows())})
    else:
        folder.mkdir(exist_ok=True)
        prediction.write(found, path)
        _show(found)
        click.echo(f"\n{len(found.items):,} prediction{'s' if len(found.items) > 1 else ''} in {path}")
        for picture in prediction.draw(found, folder):
            click.echo(f"picture in {picture}")
    for error in found.errors[:_SHOWN]:
        click.echo(f"not read: {error}", err=True)
    if found.errors:
        click.echo(f"{len(found.errors):,} of {len(found.items):,} inputs could not be read", err=True)


def _run_and_inputs(arguments: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The first argument is a run when it is a config, or a folder that is a run or holds runs."""
    from bigmodel_cli import rundir

    for argument in arguments:
        if argument.startswith("--") or (argument.startswith("-") and argument[1:2].isalpha()):
            raise UsageError(f"there is no option {argument}; `bigmodel predict --help` lists them")
    if arguments:
        first = Path(arguments[0])
        if first.suffix in (".yaml", ".yml") or rundir.is_run(first) or _holds_runs(first):
            return rundir.find(first), list(arguments[1:])
    return rundir.find(None), list(arguments)


def _holds_runs(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*/environment.json"))


def _show(found: Predictions) -> None:
    from bigmodel_cli.cli import console

    rows = [row for row in found.rows() if not row.get("error")][:_SHOWN]
    keys = [key for key in rows[0] if not key.startswith("probability_") and key != "error"][:8]
    texts = [
        tuple(
            console.metric(value) if isinstance(value, float) else str(value) for value in map(row.get, keys)
        )
        for row in rows
    ]
    right = [index for index, key in enumerate(keys) if isinstance(rows[0][key], float)]
    console.table([console.label(key) for key in keys], texts, right)
    if len(found.items) > len(rows):
        click.echo(f"... the first {len(rows)} of {len(found.items):,}")
