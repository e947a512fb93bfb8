"""`bigmodel evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from bigmodel_cli.cli import options


@click.command("evaluate")
@options.run
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Which examples to measure on.",
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
    split: str,
    by: tuple[str, ...],
    theme: Literal["light", "dark"],
    projection: Literal["pca", "tsne"],
    as_json: bool,
) -> None:
    """Measure a run on its test split: metrics, baselines, calibration, predictions, pictures, report.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all). The temperature
    and, of two classes, the threshold that suit the validation split are kept with the run for `bigmodel
    predict`.
    """
    from bigmodel_cli import engine, report, rundir
    from bigmodel_cli.cli import console, evaluation_text

    found = rundir.find(run)
    engine.start()
    from bigmodel_cli.evaluation import evaluate

    evaluation = evaluate(found, split, by=by, theme=theme, projection=projection)  # type: ignore[arg-type]
    written = report.write(found)
    if as_json:
        paths = {"report": str(written.page), "model_card": str(written.card)}
        console.print_json({**evaluation.to_json(), **paths})
    else:
        evaluation_text.show(evaluation)
        click.echo(f"report      {written.page}\nmodel card  {written.card}")
