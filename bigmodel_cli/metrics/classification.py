"""Metrics of a classifier: of all examples and of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics.baseline import Baseline, majority
from bigmodel_cli.metrics.checks import listed, require_examples, require_finite
from bigmodel_cli.metrics.counts import of_positive, resampled_counts
from bigmodel_cli.metrics.curve_areas import resampled_areas, resampled_macro_areas
from bigmodel_cli.metrics.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    Ints,
    bounds,
    interval_or_none,
    resampled_means,
)
from bigmodel_cli.metrics.measured import Measured, measure, score_names


@dataclass(frozen=True)
class ClassScores:
    """How well one class is told from the others.

    Attributes:
        name: of the class.
        support: examples of the class.
        predicted: examples taken for the class.
        precision: right share of `predicted`; 0 for a class that is never predicted.
        recall: right share of `support`; None for a class without examples.
        f1: harmonic mean of precision and recall; None for a class without examples.
    """

    name: str
    support: int
    predicted: int
    precision: Interval
    recall: Interval | None
    f1: Interval | None


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Metrics of a classifier.

    Attributes:
        examples: number of examples.
        resamples: bootstrap resamples behind the intervals.
        seed: of the resampling.
        scores: loss (mean cross-entropy, nats), accuracy, top_5_accuracy (more than 5 classes only),
            macro_precision, macro_recall, macro_f1 (unweighted means over the classes with examples),
            brier_score (mean squared distance from the truth; of two classes of one of them, as in
            scikit-learn), matthews_correlation. Of two classes: precision, recall, f1, roc_auc and
            average_precision of the second one, and balanced_accuracy. Of more: macro_roc_auc (each class
            against the rest) and cohen_kappa. None where one cannot be computed.
        classes: each class on its own, in index order.
        confusion: counts (classes, classes), rows the true class, columns the predicted one.
        baseline: always the most frequent class of the training split.
        positive: of two classes, the one whose precision, recall and so on are meant; else None.
        notes: classes that are never predicted or not there, and what cannot be computed for that.
    """

    examples: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    classes: tuple[ClassScores, ...]
    confusion: Ints
    baseline: Baseline
    positive: str | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        document = {"task": "classification", "confidence": CONFIDENCE, **asdict(self)}
        lists = {name: list(document[name]) for name in ("classes", "notes")}
        return {**document, **lists, "confusion": self.confusion.tolist()}


def classification_metrics(
    targets: NDArray[Any],
    probabilities: NDArray[np.floating[Any]],
    class_names: Sequence[str],
    *,
    train_counts: Sequence[int],
    seed: int,
    resamples: int = 1000,
) -> ClassificationReport:
    """Judge a classifier on held-out examples.

    Among equal probabilities the class of lower index counts as the more probable one, in the
    prediction and in the top 5.

    Args:
        targets: class indices (n,).
        probabilities: (n, classes).
        class_names: in index order.
        train_counts: examples of each class in the training split, for the baseline.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no examples, a class index out of range, or a probability that is not finite.
    """
    k = len(class_names)
    true = np.asarray(targets, np.int64)
    require_examples(len(true))
    if (outside := np.flatnonzero((true < 0) | (true >= k))).size:
        raise DataError(
            f"example {outside[0]} has class index {true[outside[0]]}, but the {k} classes are 0 to {k - 1}: "
            "evaluate on data with the classes of the training data"
        )
    require_finite(probabilities, "probabilities")
    found = measure(true, probabilities)
    drawn = _resampled(found, true, probabilities, seed, resamples)
    own = of_positive(drawn) if k == 2 else drawn
    scores = {name: interval_or_none(found.value[name], own[name]) for name in score_names(k)}
    baseline = majority(true, class_names, np.asarray(train_counts, np.int64))
    return ClassificationReport(
        len(true),
        resamples,
        seed,
        scores,
        _classes(found, drawn, class_names),
        found.confusion,
        baseline,
        class_names[1] if k == 2 else None,
        tuple(_notes(found, class_names)),
    )


def _resampled(
    found: Measured, true: Ints, probabilities: NDArray[Any], seed: int, resamples: int
) -> dict[str, Floats]:
    """Scores of resamples of the examples; NaN where a resample has none."""
    rng, k = np.random.default_rng(seed), probabilities.shape[1]
    drawn = resampled_counts(rng, true, found.predicted, found.in_top_5, k, resamples)
    means = resampled_means(rng, np.stack([found.losses, found.squares], axis=1), resamples)
    drawn |= {"loss": means[:, 0], "brier_score": means[:, 1]}
    if np.count_nonzero(found.confusion.sum(axis=1)) < 2:
        nothing = np.full(resamples, np.nan)
        return drawn | dict.fromkeys(("roc_auc", "average_precision", "macro_roc_auc"), nothing)
    if k == 2:
        return drawn | resampled_areas(rng, true == 1, probabilities[:, 1], resamples)
    return drawn | {"macro_roc_auc": resampled_macro_areas(rng, true, probabilities, resamples)}


def _classes(
    found: Measured, drawn: Mapping[str, Floats], class_names: Sequence[str]
) -> tuple[ClassScores, ...]:
    support, times_predicted = found.confusion.sum(axis=1), found.confusion.sum(axis=0)
    limits = {name: bounds(drawn[name]) for name in ("precision", "recall", "f1")}

    def score(name: str, index: int) -> Interval:
        low, high = limits[name][:, index]
        return Interval(float(found.of_class[name][index]), float(low), float(high))

    return tuple(
        ClassScores(
            name,
            support=int(support[i]),
            predicted=int(times_predicted[i]),
            precision=score("precision", i),
            recall=score("recall", i) if support[i] else None,
            f1=score("f1", i) if support[i] else None,
        )
        for i, name in enumerate(class_names)
    )


def _notes(found: Measured, class_names: Sequence[str]) -> list[str]:
    support, predicted = found.confusion.sum(axis=1), found.confusion.sum(axis=0)
    absent = [name for name, count in zip(class_names, support, strict=True) if not count]
    never = [
        name
        for name, count, taken in zip(class_names, support, predicted, strict=True)
        if count and not taken
    ]
    notes = []
    if absent:
        notes.append(f"without examples here, so without recall and F1: {listed(absent)}")
    if never:
        notes.append(f"never predicted: {listed(never)}")
    undefined = [
        name.replace("_", " ") for name in score_names(len(class_names)) if np.isnan(found.value[name])
    ]
    if undefined:
        notes.append(f"undefined, as all examples are of one class: {', '.join(undefined)}")
    return notes
