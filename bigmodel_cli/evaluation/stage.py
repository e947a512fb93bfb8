"""Metrics, predictions and pictures of a run on one of its splits, or on new data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bigmodel_cli import assembly, evaluation_pictures, model_pictures, rundir
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.data import contents
from bigmodel_cli.data.pipeline import Keeping, evaluation_batches
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError
from bigmodel_cli.evaluation import calibrating, several
from bigmodel_cli.evaluation.calibrating import Chosen
from bigmodel_cli.evaluation.grouping import Members, members
from bigmodel_cli.evaluation.language import evaluate_language
from bigmodel_cli.evaluation.least_squares import LeastSquares, least_squares
from bigmodel_cli.evaluation.linear_baseline import linear_baseline
from bigmodel_cli.evaluation.masks import evaluate_masks
from bigmodel_cli.evaluation.outcome import Evaluation, LeftOut
from bigmodel_cli.evaluation.predictions_file import write_predictions
from bigmodel_cli.evaluation.reconstruction import evaluate_reconstruction
from bigmodel_cli.evaluation.several import SeveralEvaluations
from bigmodel_cli.evaluation.subject import Subject, new_data, own_split
from bigmodel_cli.evaluation.worst_examples import worst_examples
from bigmodel_cli.metrics import (
    ClassificationReport,
    Grouping,
    MultiLabelReport,
    RegressionReport,
    class_columns,
    classification_metrics,
    group_scores,
    label_columns,
    multi_label_metrics,
    regression_metrics,
    value_columns,
)
from bigmodel_cli.plots import Theme
from bigmodel_cli.projection import Projection
from bigmodel_cli.rundir import Run
from bigmodel_cli.token_targets import is_language

_NAMED = 10
"""Examples that are named where some are left out."""


def evaluate(
    run: Run,
    split: SplitName = "test",
    *,
    by: Sequence[str] = (),
    theme: Theme = "light",
    projection: Projection = "pca",
) -> Evaluation | SeveralEvaluations:
    """Measure a run's best model on one of its splits and write metrics, predictions and pictures.

    Of a classifier a temperature, and with two classes a threshold, are chosen on the validation split and
    kept with the run. Examples whose output is not finite are left out. Of several tasks each is measured as
    if it were the only one, in a folder of its own.

    Args:
        run: a finished or stopped run.
        split: which examples.
        by: columns by which the examples are also measured in groups; `class` is the true class.
        theme: of the pictures, light or dark.
        projection: how embeddings come into the plane.

    Raises:
        UsageError: the run cannot be restored, a column is not there, or the dataset is no longer what the
            run was trained on.
        DataError: no output is finite.
    """
    restored = assembly.restore(run)
    subject = own_split(restored, split)
    if restored.spec.target.tasks:
        subjects = several.own_splits(restored, subject, by)
        return several.joined([_evaluate(*pair, by, theme, projection) for pair in subjects])
    return _evaluate(restored, subject, by, theme, projection)


def evaluate_new(
    run: Run,
    paths: Sequence[str],
    *,
    target: Sequence[str] = (),
    by: Sequence[str] = (),
    theme: Theme = "light",
    projection: Projection = "pca",
) -> Evaluation | SeveralEvaluations:
    """Measure a run's best model on new data, as `evaluate` does on a split.

    Inputs are prepared as in training. Temperature and threshold are those that the run keeps; where it keeps
    none they are chosen on its validation split, if its own data is here. So is the linear model.

    Args:
        run: a finished or stopped run.
        paths: see `new_data.read`.
        target: columns of the labels; empty for those of training.
        by: as in `evaluate`; also columns of the tables that the model does not take.
        theme: of the pictures, light or dark.
        projection: how embeddings come into the plane.

    Raises:
        UsageError: the run cannot be restored, or a column is not there.
        DataError: no labels, other columns or shapes than the model takes, or nothing that can be measured.
    """
    restored = assembly.restore(run)
    if restored.spec.target.tasks:
        subjects = several.new_data_of_each(restored, paths, target, by)
        return several.joined([_evaluate(*pair, by, theme, projection) for pair in subjects])
    return _evaluate(restored, new_data(restored, paths, target, by), by, theme, projection)


def _evaluate(
    restored: Restored, subject: Subject, by: Sequence[str], theme: Theme, projection: Projection
) -> Evaluation:
    if restored.spec.task == "segmentation":
        return evaluate_masks(restored, subject, by, theme)
    if is_language(restored.spec):
        return evaluate_language(restored, subject, by, theme)
    if restored.spec.task == "reconstruction":
        return evaluate_reconstruction(restored, subject, by, theme, projection)
    run, data = restored.run, subject.data
    seed, spec, title = restored.config.seed, restored.spec, f"{restored.config.name}, {subject.title}"
    # Before anything is computed: a column may be misspelt.
    examples = subject.split
    truth = examples.targets()
    memberships = [(column, members(column, examples, spec, truth)) for column in by]
    seen = _see(restored, examples, subject.keeping)
    if not len(seen.positions):
        raise DataError(
            f"{run}: none of the {examples.size:,} predictions on the {subject.title} is finite: the model "
            "diverged, or the inputs are not finite; check the inputs, or train again with a lower learning "
            "rate"
        )
    report = _report(restored, seen.targets, seen.outputs)
    chosen, notes = _chosen(restored, subject, seen)
    linear, reason = None, None
    if data is not None:
        linear, reason = linear_baseline(data, examples, seen.positions, seed)
    folder = run.evaluation(subject.name) / subject.output
    folder.mkdir(parents=True, exist_ok=True)
    line = _line(restored, subject, report)
    pictures = evaluation_pictures.draw(
        spec, seen.split, seen.targets, seen.outputs, report, folder, title=title, predict=restored.predict,
        least_squares=line.line() if line else None, theme=theme,
    )  # fmt: skip
    inner = (
        model_pictures.embedding_map(
            restored, seen.split, folder, method=projection, title=title, theme=theme
        ),
        model_pictures.weights(restored, data, folder, title=restored.config.name, theme=theme)
        if data is not None
        else None,
    )
    pictures += [picture for picture in inner if picture is not None]
    ids = subject.ids[seen.positions]
    write_predictions(folder / "predictions.parquet", restored, ids, seen.targets, seen.outputs)
    evaluation = Evaluation(
        run, subject.name, subject.title, folder, report, linear,
        calibrating.calibrated(chosen, seen.targets, seen.outputs) if chosen else None,
        calibrating.at_threshold(chosen, seen.targets, seen.outputs, spec, seed) if chosen else None,
        tuple(_group(column, found, restored, seen) for column, found in memberships),
        seen.named(subject.ids), line,
        worst_examples(spec, seen.split, ids, seen.targets, seen.outputs),
        tuple(pictures),
        (*subject.notes, *seen.notes(subject.ids), *notes, *([reason] if reason else [])),
        subject.record,
        output=restored.one,
    )  # fmt: skip
    rundir.write_json(folder / "metrics.json", evaluation.to_json())
    if chosen is not None and chosen is not subject.kept:
        calibrating.write(restored, chosen)
    return evaluation


@dataclass(frozen=True)
class _Seen:
    """Examples of a split for which the model gives finite numbers.

    Attributes:
        split: these examples.
        positions: of them in the whole split (n,).
        targets: class indices (n,), labels (n, labels) of 0 and 1, or values (n, targets).
        outputs: probabilities (n, classes) or (n, labels), or values (n, targets).
        left_out: positions of the others (m,).
    """

    split: SplitData
    positions: np.ndarray
    targets: np.ndarray
    outputs: np.ndarray
    left_out: np.ndarray

    def named(self, ids: np.ndarray) -> LeftOut | None:
        """What is left out, for the document; None where nothing is."""
        if not len(self.left_out):
            return None
        return LeftOut(len(self.left_out), tuple(ids[self.left_out[:_NAMED]].tolist()))

    def notes(self, ids: np.ndarray) -> list[str]:
        """The same for people."""
        found = self.named(ids)
        if found is None:
            return []
        first = ", ".join(map(str, found.first))
        more = ", ..." if found.count > len(found.first) else ""
        return [
            f"left out: {found.count:,} of {found.count + len(self.positions):,} examples, "
            f"whose predictions are not finite: {first}{more}"
        ]


def _see(restored: Restored, split: SplitData, keeping: Keeping) -> _Seen:
    outputs = restored.predict(evaluation_batches(split, batch_size=assembly.BATCH_SIZE, keeping=keeping))
    finite = np.isfinite(outputs).all(axis=1)
    targets = split.targets()
    positions, others = np.flatnonzero(finite), np.flatnonzero(~finite)
    if finite.all():
        return _Seen(split, positions, targets, outputs, others)
    return _Seen(contents.picked(split, positions), positions, targets[finite], outputs[finite], others)


def _report(
    restored: Restored, targets: np.ndarray, outputs: np.ndarray
) -> ClassificationReport | MultiLabelReport | RegressionReport:
    target, seed = restored.spec.target, restored.config.seed
    if restored.spec.task == "classification":
        return classification_metrics(targets, outputs, target.names, train_counts=target.counts, seed=seed)
    if restored.spec.task == "multi_label":
        return multi_label_metrics(
            targets, outputs, target.names,
            train_counts=target.counts, train_examples=restored.spec.sizes["train"], seed=seed,
        )  # fmt: skip
    return regression_metrics(targets, outputs, target.names, train_mean=target.mean, seed=seed)


def _chosen(restored: Restored, subject: Subject, seen: _Seen) -> tuple[Chosen | None, list[str]]:
    """What the validation split gives for one class out of several, and what to say about it."""
    if restored.spec.task != "classification":
        return None, []
    if subject.kept is not None:
        return subject.kept, []
    data = subject.data
    if data is None:
        return None, [
            f"no calibration: {restored.run.calibration.name} is not in the run, or of another model; "
            f"`bigmodel evaluate {restored.run}` writes it where the run's own data is"
        ]
    measured = subject.split.name == "validation"
    held_out = seen if measured else _see(restored, data.splits["validation"], data.raw)
    chosen = calibrating.choose(held_out.targets, held_out.outputs)
    if chosen is None:
        return None, ["no calibration: none of the predictions on the validation split is finite"]
    notes = ["temperature and threshold were chosen on these very examples"] if measured else []
    return chosen, [*notes, *chosen.notes]


def _group(by: str, found: Members, restored: Restored, seen: _Seen) -> Grouping:
    names, membership = found
    columns = {
        "classification": class_columns, "multi_label": label_columns, "regression": value_columns
    }[restored.spec.task]  # fmt: skip
    return group_scores(
        by,
        names,
        membership[seen.positions],
        columns(seen.targets, seen.outputs),
        seed=restored.config.seed,
    )


def _line(
    restored: Restored,
    subject: Subject,
    report: ClassificationReport | MultiLabelReport | RegressionReport,
) -> LeastSquares | None:
    # A table's columns become numbers of no single unit, and there is no one line to compare with.
    if restored.config.model.name != "linear_regression" or restored.spec.input.kind == "table":
        return None
    if subject.data is None:
        return None
    train = subject.data.splits["train"]
    return least_squares(restored.model, train, subject.split, report.scores["mse"])
