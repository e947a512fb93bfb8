"""`bigmodel evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from bigmodel_cli.cli import options
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.errors import UsageError


@click.command("evaluate")
@options.run
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Which examples of the run's own data to measure on [test].",
)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="Measure on new data: a table, a folder with a folder for each class (or images and masks), an .npz "
    "file, or a text for a model of long texts; may be given several times.",
)
@click.option(
    "--target",
    multiple=True,
    metavar="COLUMN",
    help="Of --data: the column of the labels, of several targets one each [that of training, or target].",
)
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    help="Measure groups too: by a column, or by `class`, the true class; may be given several times.",
)
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", help="Of pictures [light].")
@click.option(
    "--projection",
    type=click.Choice(["pca", "tsne"]),
    default="pca",
    help="Of the embeddings into the plane [pca].",
)
@options.as_json
def command(
    run: Path | None,
    split: SplitName | None,
    data: tuple[str, ...],
    target: tuple[str, ...],
    by: tuple[str, ...],
    theme: Literal["light", "dark"],
    projection: Literal["pca", "tsne"],
    as_json: bool,
) -> None:
    """Measure a run on its test split, or on new data: metrics, baselines, predictions, pictures, report.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all). The temperature
    and, of two classes, the threshold that suit the validation split are kept with the run for `bigmodel
    predict`.
    """
    if data and split is not None:
        raise UsageError(f"--split {split}: is for the run's own examples; leave it out, or --data")
    if target and not data:
        raise UsageError(f"--target {target[0]}: is for --data PATH; give both")
    from bigmodel_cli import engine, report, rundir
    from bigmodel_cli.cli import console, evaluation_text

    found = rundir.find(run)
    engine.start()
    from bigmodel_cli.evaluation import evaluate, evaluate_new

    if data:
        evaluation = evaluate_new(found, data, target=target, by=by, theme=theme, projection=projection)
    else:
        evaluation = evaluate(found, split or "test", by=by, theme=theme, projection=projection)
    written = report.write(found)
    if as_json:
        paths = {"report": str(written.page), "model_card": str(written.card)}
        console.print_json({**evaluation.to_json(), **paths})
    else:
        evaluation_text.show(evaluation)
        click.echo(f"report      {written.page}\nmodel card  {written.card}")
