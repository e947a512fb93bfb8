"""Scores of groups of examples, and how far the best and the worst are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.intervals import Floats, Interval, bounds, interval_or_none, resampled_means
from bigmodel_cli.metrics.measured import EPSILON
from bigmodel_cli.metrics.regression import error_columns, over_targets, scores_of_moments

RANKED = 10
"""Examples from which on a group is compared with the others."""

Columns = tuple[Floats, Callable[[Floats], dict[str, Floats]]]
"""Numbers of each example (n, m), and what gives scores (resamples,) of their means (resamples, m)."""


@dataclass(frozen=True)
class Group:
    """A group's scores.

    Attributes:
        name: of the group.
        examples: in it.
        scores: of a classifier accuracy and loss, of two classes also precision, recall and f1 of the second;
            of labels subset_accuracy, hamming_loss, micro_f1 and macro_f1; of a regression rmse, mae and r2;
            of a reconstruction those of `ReconstructionReport`.
            None where one cannot be computed.
    """

    name: str
    examples: int
    scores: Mapping[str, Interval | None]


@dataclass(frozen=True)
class Grouping:
    """The groups of a column.

    Attributes:
        by: the column.
        metric: that by which groups are compared: accuracy, subset_accuracy or rmse.
        worst: name of the worst group with at least `RANKED` examples; None with fewer than two of those.
        gap: between the best and the worst of these, 0 or more; the interval is that of these two groups,
            resampled apart. None as before.
        groups: all of them, in order.
    """

    by: str
    metric: str
    worst: str | None
    gap: Interval | None
    groups: tuple[Group, ...]


def class_columns(targets: NDArray[Any], probabilities: NDArray[Any]) -> Columns:
    """What a classifier's scores are made of.

    Args:
        targets: class indices (n,).
        probabilities: (n, classes), finite.
    """
    predicted = probabilities.argmax(axis=1)
    own = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    right, losses = predicted == targets, -np.log(np.clip(own, EPSILON, 1 - EPSILON))
    if probabilities.shape[1] != 2:
        return np.stack([right, losses], axis=1), lambda m: {"accuracy": m[:, 0], "loss": m[:, 1]}
    columns = [right, losses, right & (targets == 1), predicted == 1, targets == 1]

    def scores(means: Floats) -> dict[str, Floats]:
        accuracy, loss, both, taken, positive = means.T
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(positive > 0, 2 * both / (taken + positive), np.nan)
            pair = {"precision": both / taken, "recall": both / positive}
        return {"accuracy": accuracy, "loss": loss, **pair, "f1": f1}

    return np.stack(columns, axis=1).astype(np.float64), scores


def value_columns(targets: NDArray[Any], predictions: NDArray[Any]) -> Columns:
    """What a regression's scores are made of.

    Args:
        targets: (n, targets).
        predictions: (n, targets), finite.
    """

    def scores(means: Floats) -> dict[str, Floats]:
        found = over_targets(scores_of_moments(means))
        return {name: found[name] for name in ("rmse", "mae", "r2")}

    return error_columns(targets, predictions), scores


def group_scores(
    by: str, names: Sequence[str], membership: NDArray[Any], columns: Columns, *, seed: int,
    resamples: int = 1000,
) -> Grouping:  # fmt: skip
    """Measure groups, each with resamples of its own examples.

    Args:
        by: the column.
        names: of the groups, in order.
        membership: index of each example's group (n,).
        columns: `class_columns`, `multi_label.label_columns` or `value_columns` of all examples.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
    """
    numbers, scores_of = columns
    groups, values, drawn = [], [], []
    metric = next(iter(scores_of(numbers[:1])))
    for index, name in enumerate(names):
        own = numbers[membership == index]
        if not len(own):
            continue
        value = scores_of(own.mean(axis=0, keepdims=True))
        spread = scores_of(resampled_means(np.random.default_rng([seed, index]), own, resamples))
        scores = {score: interval_or_none(value[score][0], spread[score]) for score in value}
        groups.append(Group(name, len(own), scores))
        if len(own) >= RANKED:
            values.append((float(value[metric][0]), name))
            drawn.append(spread[metric])
    if len(values) < 2:
        return Grouping(by, metric, None, None, tuple(groups))
    # Of the error the largest is the worst, of the accuracy the smallest.
    order = sorted(range(len(values)), key=lambda i: values[i][0], reverse=metric == "rmse")
    worst, best = order[0], order[-1]
    low, high = bounds(np.abs(drawn[best] - drawn[worst]))
    gap = Interval(abs(values[best][0] - values[worst][0]), float(low), float(high))
    return Grouping(by, metric, values[worst][1], gap, tuple(groups))
