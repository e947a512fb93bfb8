"""`bigmodel evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bigmodel_cli.cli import options

if TYPE_CHECKING:
    from bigmodel_cli.evaluation import Evaluation, LeastSquares
    from bigmodel_cli.metrics import ClassificationReport

_CLASSES_SHOWN = 20


@click.command("evaluate")
@options.run
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Which examples to measure on.",
)
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", help="Of pictures [light].")
@options.as_json
def command(run: Path | None, split: str, theme: Literal["light", "dark"], as_json: bool) -> None:
    """Measure a run on its test split: metrics, predictions, pictures.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all).
    """
    from bigmodel_cli import engine, rundir
    from bigmodel_cli.cli import console

    found = rundir.find(run)
    engine.start()
    from bigmodel_cli.evaluation import evaluate

    evaluation = evaluate(found, split, theme=theme)  # type: ignore[arg-type]
    if as_json:
        console.print_json(evaluation.to_json())
    else:
        _show(evaluation)


def _show(evaluation: Evaluation) -> None:
    from bigmodel_cli.cli import console
    from bigmodel_cli.metrics import ClassificationReport

    report = evaluation.report
    click.echo(f"{evaluation.run}  {evaluation.split} split, {report.examples:,} examples\n")
    rows = []
    for name, interval in report.scores.items():
        baseline = report.baseline.scores.get(name)
        rows.append(
            (
                console.label(name),
                "undefined" if interval is None else console.metric(interval.value),
                ""
                if interval is None
                else f"{console.metric(interval.low)} to {console.metric(interval.high)}",
                "" if baseline is None else console.metric(baseline),
            )
        )
    console.table(("metric", "value", "95% interval", "baseline"), rows, right=(1, 3))
    click.echo(f"baseline: {report.baseline.description}")
    if isinstance(report, ClassificationReport):
        _show_classes(report)
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
    if evaluation.least_squares is not None:
        _show_least_squares(evaluation.least_squares, evaluation)
    click.echo(f"\nwritten to {evaluation.folder}/")
    for path in (
        evaluation.folder / "metrics.json",
        evaluation.folder / "predictions.parquet",
        *evaluation.pictures,
    ):
        click.echo(f"  {path.name}")


def _show_classes(report: ClassificationReport) -> None:
    from bigmodel_cli.cli import console

    worst_first = sorted(report.classes, key=lambda item: item.f1.value if item.f1 else 2.0)
    shown = report.classes if len(report.classes) <= _CLASSES_SHOWN else worst_first[:_CLASSES_SHOWN]
    rows = [
        (
            item.name,
            f"{item.support:,}",
            console.metric(item.precision.value),
            console.metric(item.recall.value) if item.recall else "none here",
            console.metric(item.f1.value) if item.f1 else "none here",
        )
        for item in shown
    ]
    click.echo()
    console.table(("class", "examples", "precision", "recall", "F1"), rows, right=(1, 2, 3, 4))
    if len(shown) < len(report.classes):
        click.echo(f"the {len(shown)} worst of {len(report.classes)} classes; all are in metrics.json")


def _show_least_squares(found: LeastSquares, evaluation: Evaluation) -> None:
    from bigmodel_cli import rundir
    from bigmodel_cli.cli import console

    spec = rundir.Run(evaluation.run.path).read_data()
    features = spec.input.names or tuple(f"x{index}" for index in range(len(found.slopes)))
    rows = []
    for column, target in enumerate(spec.target.names):
        prefix = f"{target}: " if len(spec.target.names) > 1 else ""
        rows += [
            (f"{prefix}slope of {name}", console.metric(row[column]), console.metric(exact[column]))
            for name, row, exact in zip(features, found.slopes, found.exact_slopes, strict=True)
        ][:_CLASSES_SHOWN]
        rows.append(
            (
                f"{prefix}intercept",
                console.metric(found.intercepts[column]),
                console.metric(found.exact_intercepts[column]),
            )
        )
    click.echo()
    console.table(("coefficient", "trained", "least squares"), rows, right=(1, 2))
    if found.mse_ratio is not None:
        click.echo(
            f"MSE of least squares {console.metric(found.exact_mse)}; "
            f"trained / least squares {found.mse_ratio:.4f}"
        )
