"""What `bigmodel evaluate` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bigmodel_cli import formatting, rundir
from bigmodel_cli.cli import console

if TYPE_CHECKING:
    from bigmodel_cli.evaluation import Evaluation, LeastSquares, SeveralEvaluations
    from bigmodel_cli.metrics import (
        ClassificationReport,
        Grouping,
        Interval,
        MultiLabelReport,
        SegmentationReport,
        Threshold,
    )

_CLASSES_SHOWN = 20


def show(evaluation: Evaluation | SeveralEvaluations) -> None:
    """Print an evaluation for people: a table of metrics, then what there is besides.

    Of several tasks one after the other.
    """
    from bigmodel_cli.evaluation import Evaluation

    if isinstance(evaluation, Evaluation):
        _show_one(evaluation)
        return
    for number, one in enumerate(evaluation.outputs.values()):
        click.echo("\n" * bool(number), nl=False)
        _show_one(one)
    click.echo(f"\nall in {evaluation.folder}/\n  metrics.json\n  predictions.parquet")


def _show_one(evaluation: Evaluation) -> None:
    from bigmodel_cli.metrics import ClassificationReport, MultiLabelReport, SegmentationReport

    report = evaluation.report
    click.echo(f"{evaluation.run}  {evaluation.title}, {report.examples:,} examples\n")
    _show_scores(evaluation)
    if isinstance(report, ClassificationReport):
        _show_calibration(evaluation)
        _show_threshold(evaluation.threshold)
        _show_classes(report)
    elif isinstance(report, MultiLabelReport):
        _show_labels(report)
    elif isinstance(report, SegmentationReport):
        _show_pixels(report)
    for grouping in evaluation.groups:
        _show_groups(grouping)
    if evaluation.least_squares is not None:
        _show_least_squares(evaluation.least_squares, evaluation)
    if notes := evaluation.all_notes():
        click.echo()
    for note in notes:
        click.echo(f"note: {note}")
    click.echo(f"\nwritten to {evaluation.folder}/")
    for path in (
        evaluation.folder / "metrics.json",
        evaluation.folder / "predictions.parquet",
        *evaluation.pictures,
    ):
        click.echo(f"  {path.name}")


def _show_scores(evaluation: Evaluation) -> None:
    from bigmodel_cli.metrics import ClassificationReport

    report, linear = evaluation.report, evaluation.linear_baseline
    rows = []
    for name, interval in report.scores.items():
        rows.append((formatting.label(name), _value(interval), _range(interval),
                     _number(report.baseline.scores.get(name)),
                     *([_number(linear.scores.get(name))] if linear else [])))  # fmt: skip
    heads = ("metric", "value", "95% interval", "baseline", *(["linear"] if linear else []))
    console.table(heads, rows, right=(1, 3, 4))
    click.echo(f"baseline: {report.baseline.description}")
    if linear:
        click.echo(f"linear: {linear.description}")
    if isinstance(report, ClassificationReport) and report.positive:
        click.echo(f"positive class, whose precision, recall, F1 and curves are meant: {report.positive}")


def _show_calibration(evaluation: Evaluation) -> None:
    found, loss = evaluation.calibration, evaluation.report.scores["loss"]
    if found is None or loss is None:
        return
    if found.temperature == 1:
        click.echo(f"\ncalibration error {found.error:.2%}")
        return
    click.echo(
        f"\ncalibration error {found.error:.2%}, loss {formatting.metric(loss.value)}; with temperature "
        f"{found.temperature:.3g} {found.error_after:.2%} and {formatting.metric(found.loss_after)} (fitted "
        f"on {found.fitted_on['examples']:,} validation examples)"
    )


def _show_threshold(found: Threshold | None) -> None:
    if found is None:
        return
    if found.value == 0.5:
        click.echo(f"threshold 0.5 on the probability of {found.positive} has the {found.criterion}")
        return
    click.echo(f"\nthreshold on the probability of {found.positive}, with the {found.criterion}:")
    rows = [
        (formatting.label(name), _value(half), _range(half), _value(found.at_chosen[name]),
         _range(found.at_chosen[name]))
        for name, half in found.at_half.items()
    ]  # fmt: skip
    heads = ("metric", "at 0.5", "95% interval", f"at {formatting.metric(found.value)}", "95% interval")
    console.table(heads, rows, right=(1, 3))


def _show_groups(found: Grouping) -> None:
    names = list(found.groups[0].scores)
    first, *others = names
    rows = [
        (item.name, f"{item.examples:,}", _value(item.scores[first]), _range(item.scores[first]),
         *(_value(item.scores[name]) for name in others))
        for item in sorted(found.groups, key=lambda item: _order(item.scores[first], found.metric))
    ]  # fmt: skip
    shown = rows[:_CLASSES_SHOWN]
    click.echo()
    heads = (f"by {found.by}", "examples", found.metric, "95% interval", *map(formatting.label, others))
    console.table(heads, shown, right=(1, 2, *range(4, 4 + len(others))))
    if len(shown) < len(rows):
        click.echo(f"the {len(shown)} worst of {len(rows)} groups; all are in metrics.json")
    if found.gap is None:
        click.echo("worst: not named, as fewer than two groups have 10 examples")
    else:
        click.echo(
            f"worst: {found.worst}; {found.metric} differs from the best by "
            f"{formatting.metric(found.gap.value)}, 95% interval {_range(found.gap)}"
        )


def _order(score: Interval | None, metric: str) -> float:
    """The worst first."""
    if score is None:
        return float("inf")
    return -score.value if metric == "rmse" else score.value


def _value(interval: Interval | None) -> str:
    return "undefined" if interval is None else formatting.metric(interval.value)


def _range(interval: Interval | None) -> str:
    return (
        "" if interval is None else f"{formatting.metric(interval.low)} to {formatting.metric(interval.high)}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else formatting.metric(value)


def _show_labels(report: MultiLabelReport) -> None:
    worst_first = sorted(report.labels, key=lambda item: item.f1.value if item.f1 else 2.0)
    shown = report.labels if len(report.labels) <= _CLASSES_SHOWN else worst_first[:_CLASSES_SHOWN]
    rows = [
        (item.name, f"{item.support:,}", _value(item.precision), _value(item.recall), _value(item.f1),
         _number(item.roc_auc), _number(item.average_precision))
        for item in shown
    ]  # fmt: skip
    heads = ("label", "examples", "precision", "recall", "F1", "ROC AUC", "average precision")
    click.echo()
    console.table(heads, rows, right=range(1, len(heads)))
    if len(shown) < len(report.labels):
        click.echo(f"the {len(shown)} worst of {len(report.labels)} labels; all are in metrics.json")


def _show_pixels(report: SegmentationReport) -> None:
    worst_first = sorted(report.classes, key=lambda item: item.iou.value if item.iou else 2.0)
    shown = report.classes if len(report.classes) <= _CLASSES_SHOWN else worst_first[:_CLASSES_SHOWN]
    rows = [
        (item.name, f"{item.support / report.pixels:.1%}", _value(item.iou), _range(item.iou),
         *map(_value, (item.dice, item.precision, item.recall)))
        for item in shown
    ]  # fmt: skip
    click.echo()
    heads = ("class", "pixels", "IoU", "95% interval", "Dice", "precision", "recall")
    console.table(heads, rows, right=(1, 2, 4, 5, 6))
    if len(shown) < len(report.classes):
        click.echo(f"the {len(shown)} worst of {len(report.classes)} classes; all are in metrics.json")


def _show_classes(report: ClassificationReport) -> None:
    worst_first = sorted(report.classes, key=lambda item: item.f1.value if item.f1 else 2.0)
    shown = report.classes if len(report.classes) <= _CLASSES_SHOWN else worst_first[:_CLASSES_SHOWN]
    rows = [
        (
            item.name,
            f"{item.support:,}",
            formatting.metric(item.precision.value),
            formatting.metric(item.recall.value) if item.recall else "none here",
            formatting.metric(item.f1.value) if item.f1 else "none here",
        )
        for item in shown
    ]
    click.echo()
    console.table(("class", "examples", "precision", "recall", "F1"), rows, right=(1, 2, 3, 4))
    if len(shown) < len(report.classes):
        click.echo(f"the {len(shown)} worst of {len(report.classes)} classes; all are in metrics.json")


def _show_least_squares(found: LeastSquares, evaluation: Evaluation) -> None:
    spec = rundir.Run(evaluation.run.path).read_data()
    features = spec.input.names or tuple(f"x{index}" for index in range(len(found.slopes)))
    rows = []
    for column, target in enumerate(spec.target.names):
        prefix = f"{target}: " if len(spec.target.names) > 1 else ""
        rows += [
            (f"{prefix}slope of {name}", formatting.metric(row[column]), formatting.metric(exact[column]))
            for name, row, exact in zip(features, found.slopes, found.exact_slopes, strict=True)
        ][:_CLASSES_SHOWN]
        rows.append(
            (
                f"{prefix}intercept",
                formatting.metric(found.intercepts[column]),
                formatting.metric(found.exact_intercepts[column]),
            )
        )
    click.echo()
    console.table(("coefficient", "trained", "least squares"), rows, right=(1, 2))
    if found.mse_ratio is not None:
        click.echo(
            f"MSE of least squares {formatting.metric(found.exact_mse)}; "
            f"trained / least squares {found.mse_ratio:.4f}"
        )
