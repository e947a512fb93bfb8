"""Metrics of a model that says of each label whether an example has it: over all labels and of each.

Their names are those of Tsoumakas, Katakis and Vlahavas, Mining Multi-label Data, 2010, section 7, and of
scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics.baseline import Baseline
from bigmodel_cli.metrics.checks import require_examples, require_finite
from bigmodel_cli.metrics.groups import Columns
from bigmodel_cli.metrics.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    bounds,
    interval_or_none,
    mean_of_defined,
    or_none,
    resampled_means,
)
from bigmodel_cli.metrics.label_ranking import Ranking
from bigmodel_cli.metrics.measured import EPSILON
from bigmodel_cli.targets import predicted_labels

RANKED_CELLS = 100_000_000
"""Cells (resamples x examples x labels) that are sorted through for the intervals of ROC AUC and average
precision; more would take longer than a second or two."""
LEAST_RESAMPLES = 100

_RANKED = ("macro_roc_auc", "macro_average_precision")


@dataclass(frozen=True)
class LabelScores:
    """How well one label is found.

    Attributes:
        name: of the label.
        support: examples with the label.
        predicted: examples that it is predicted for.
        precision: right share of `predicted`; 0 for a label that is never predicted.
        recall: right share of `support`; None for a label without examples.
        f1: harmonic mean of precision and recall; None for a label without examples.
        roc_auc: area under its ROC curve; None where all examples have it or none.
        average_precision: area under its precision-recall curve; None for a label without examples.
    """

    name: str
    support: int
    predicted: int
    precision: Interval
    recall: Interval | None
    f1: Interval | None
    roc_auc: float | None
    average_precision: float | None


@dataclass(frozen=True)
class MultiLabelReport:
    """Metrics of labels.

    Attributes:
        examples: number of examples.
        resamples: bootstrap resamples behind the intervals.
        seed: of the resampling.
        scores: loss (binary cross-entropy in nats, mean over examples and labels); subset_accuracy (examples
            whose labels are all right); hamming_loss (wrong share of all decisions); micro_f1 (of all
            decisions together), macro_f1 (mean over the labels with examples), samples_f1 (mean over the
            examples; 1 for one that has no label and gets none); macro_roc_auc and macro_average_precision
            (means over the labels that have one); label_ranking_average_precision (mean over the examples; 1
            for one without labels). None where it is undefined.
        labels: each label on its own, in order.
        baseline: every label as often as in the training split, whatever the input.
        notes: what could not be computed, and why; and where fewer resamples were taken.
    """

    examples: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    labels: tuple[LabelScores, ...]
    baseline: Baseline
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        document = {"task": "multi_label", "confidence": CONFIDENCE, **asdict(self)}
        return {**document, "labels": list(document["labels"]), "notes": list(self.notes)}


def multi_label_metrics(
    targets: NDArray[Any],
    probabilities: NDArray[np.floating[Any]],
    label_names: Sequence[str],
    *,
    train_counts: Sequence[int],
    train_examples: int,
    seed: int,
    resamples: int = 1000,
) -> MultiLabelReport:
    """Judge a multi-label model on held-out examples; a label is predicted from a probability of 0.5.

    Args:
        targets: (n, labels) of 0 and 1.
        probabilities: (n, labels), each on its own.
        label_names: in column order.
        train_counts: examples with each label in the training split, for the baseline.
        train_examples: size of the training split.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no examples, a target that is neither 0 nor 1, or a probability that is not finite.
    """
    require_examples(len(targets))
    if (wrong := np.argwhere((targets != 0) & (targets != 1))).size:
        row, column = wrong[0]
        raise DataError(
            f"example {row} has {targets[row, column]} for the label {label_names[column]}: it must be 0 or 1"
        )
    require_finite(probabilities, "probabilities")
    true = np.asarray(targets, np.float64)
    columns = _columns(true, probabilities)
    value = _from_means(columns.mean(axis=0, keepdims=True))
    drawn = _from_means(resampled_means(np.random.default_rng(seed), columns, resamples))
    ranking = Ranking(true, probabilities)
    area, precision = ranking.areas()
    ranked, of = _resampled_areas(ranking, true.shape, seed, resamples)
    scores = {name: interval_or_none(value[name][0], drawn[name]) for name in value if name not in _OF_EACH}
    for place, (name, values) in enumerate(zip(_RANKED, (area, precision), strict=True)):
        scores[name] = interval_or_none(mean_of_defined(values[None])[0], ranked[:, place])
    labels = _labels(label_names, true, probabilities, value, drawn, area, precision)
    return MultiLabelReport(
        len(true),
        resamples,
        seed,
        scores,
        labels,
        _frequencies(true, np.asarray(train_counts) / train_examples),
        tuple(_notes(labels, len(true), of, resamples)),
    )


_OF_EACH = ("precision", "recall", "f1")


def multi_label_values(targets: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float | None]:
    """The scores of labels without intervals, by name; None where one cannot be computed.

    Args:
        targets: (n, labels) of 0 and 1, n > 0.
        probabilities: (n, labels), finite.
    """
    true = np.asarray(targets, np.float64)
    value = _from_means(_columns(true, probabilities).mean(axis=0, keepdims=True))
    scores = {name: or_none(found[0]) for name, found in value.items() if name not in _OF_EACH}
    for name, values in zip(_RANKED, Ranking(true, probabilities).areas(), strict=True):
        scores[name] = or_none(mean_of_defined(values[None])[0])
    return scores


def label_columns(targets: NDArray[Any], probabilities: NDArray[Any]) -> Columns:
    """What the scores of groups are made of.

    Args:
        targets: (n, labels) of 0 and 1.
        probabilities: (n, labels), finite.
    """

    def scores(means: Floats) -> dict[str, Floats]:
        found = _from_means(means)
        return {name: found[name] for name in ("subset_accuracy", "hamming_loss", "micro_f1", "macro_f1")}

    return _columns(np.asarray(targets, np.float64), probabilities), scores


def _columns(true: Floats, probabilities: NDArray[np.floating[Any]]) -> Floats:
    """What the scores are made of, as means over the examples: (n, 5 + 3 * labels)."""
    predicted = predicted_labels(probabilities).astype(np.float64)
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    losses = -np.where(true == 1, np.log(clipped), np.log1p(-clipped)).mean(axis=1)
    wrong = np.abs(true - predicted)
    both = true * predicted
    sizes = true.sum(axis=1) + predicted.sum(axis=1)
    f1 = np.where(sizes > 0, 2 * both.sum(axis=1) / np.maximum(sizes, 1), 1)
    # An example's labels, ranked by their probabilities.
    _, ranked = Ranking(true.T, probabilities.T).areas()
    ranked = np.where(true.any(axis=1), ranked, 1)
    of_examples = [losses, ~wrong.any(axis=1), wrong.mean(axis=1), f1, ranked]
    return np.concatenate([np.stack(of_examples, axis=1), both, predicted, true], axis=1)


def _from_means(means: Floats) -> dict[str, Floats]:
    """Scores from means (resamples, 5 + 3 * labels) of `_columns`; what is undefined is NaN."""
    loss, subset, hamming, samples, ranked = means[:, :5].T
    right, predicted, support = np.split(means[:, 5:], 3, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(support > 0, right / support, np.nan)
        f1 = np.where(support > 0, 2 * right / (support + predicted), np.nan)
        precision = np.where(predicted > 0, right / predicted, 0)
        together = (support + predicted).sum(axis=1)
        # Without any label, true or predicted, nothing is wrong.
        micro = np.where(together > 0, 2 * right.sum(axis=1) / together, 1)
    return {
        "loss": loss,
        "subset_accuracy": subset,
        "hamming_loss": hamming,
        "micro_f1": micro,
        "macro_f1": mean_of_defined(f1),
        "samples_f1": samples,
        "label_ranking_average_precision": ranked,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def _resampled_areas(
    ranking: Ranking, shape: tuple[int, ...], seed: int, resamples: int
) -> tuple[Floats, int]:
    """Macro ROC AUC and macro average precision (resamples, 2) of resamples, and how many there are."""
    n = shape[0]
    count = min(resamples, max(LEAST_RESAMPLES, RANKED_CELLS // (shape[0] * shape[1])))
    rng = np.random.default_rng([seed, 1])
    found = np.empty((count, 2))
    for row in found:
        times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        row[:] = mean_of_defined(np.stack(ranking.areas(times)))
    return found, count


def _labels(
    names: Sequence[str],
    true: Floats,
    probabilities: NDArray[np.floating[Any]],
    value: Mapping[str, Floats],
    drawn: Mapping[str, Floats],
    area: Floats,
    precision: Floats,
) -> tuple[LabelScores, ...]:
    limits = {name: bounds(drawn[name]) for name in _OF_EACH}
    support = true.sum(axis=0).astype(int)
    predicted = predicted_labels(probabilities).sum(axis=0)

    def score(name: str, index: int) -> Interval:
        low, high = limits[name][:, index]
        return Interval(float(value[name][0, index]), float(low), float(high))

    return tuple(
        LabelScores(
            name,
            support=int(support[i]),
            predicted=int(predicted[i]),
            precision=score("precision", i),
            recall=score("recall", i) if support[i] else None,
            f1=score("f1", i) if support[i] else None,
            roc_auc=or_none(area[i]),
            average_precision=or_none(precision[i]),
        )
        for i, name in enumerate(names)
    )


def _frequencies(true: Floats, shares: Floats) -> Baseline:
    """What the training split's share of each label reaches as its probability."""
    scores = multi_label_values(true, np.broadcast_to(shares, true.shape))
    return Baseline("every label with its share of the training split as probability", scores)


def _notes(labels: Sequence[LabelScores], examples: int, ranked: int, resamples: int) -> list[str]:
    absent = [label.name for label in labels if not label.support]
    notes = []
    if absent:
        notes.append(
            f"no example has {_listed(absent)}: recall, F1, ROC AUC and average precision are undefined "
            "there, and the macro means leave them out"
        )
    if everywhere := [label.name for label in labels if label.support == examples]:
        notes.append(f"every example has {_listed(everywhere)}: there is no ROC AUC")
    if never := [label.name for label in labels if label.support and not label.predicted]:
        notes.append(f"never predicted: {_listed(never)}")
    if ranked < resamples:
        notes.append(f"the intervals of ROC AUC and average precision are from {ranked} resamples")
    return notes


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} others" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
