"""What a model that ignores its input reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bigmodel_cli.metrics.counts import from_counts, of_positive
from bigmodel_cli.metrics.intervals import Ints, or_none
from bigmodel_cli.metrics.measured import EPSILON, score_names


@dataclass(frozen=True)
class Baseline:
    """What a simple model reaches on the same examples.

    Attributes:
        description: how it predicts.
        scores: under the names of the report's scores; those it has.
    """

    description: str
    scores: Mapping[str, float | None]


def majority(true: Ints, class_names: Sequence[str], train_counts: Ints) -> Baseline:
    """What always taking the most frequent class of the training split reaches.

    Args:
        true: class indices (n,).
        class_names: in index order.
        train_counts: examples of each class in the training split (classes,).
    """
    k = len(class_names)
    by_frequency = np.argsort(-train_counts, kind="stable")
    most = int(by_frequency[0])
    frequencies = train_counts / train_counts.sum()
    support = np.bincount(true, minlength=k)
    always = np.where(np.arange(k) == most, len(true), 0)
    right = np.where(np.arange(k) == most, support, 0)
    counted = from_counts(right[None], always[None], support[None])
    value = {name: float(item[0]) for name, item in (of_positive(counted) if k == 2 else counted).items()
             if item.ndim == 1}  # fmt: skip
    value["loss"] = float(-np.log(np.clip(frequencies, EPSILON, 1 - EPSILON))[true].mean())
    squares = (frequencies**2).sum() - 2 * frequencies[true] + 1
    value["brier_score"] = float(squares.mean()) / (2 if k == 2 else 1)
    value["top_5_accuracy"] = float(np.isin(true, by_frequency[:5]).mean())
    # All examples tie.
    several = np.count_nonzero(support) > 1
    value["roc_auc"] = value["macro_roc_auc"] = 0.5 if several else float("nan")
    value["average_precision"] = float(support[-1] / len(true)) if several else float("nan")
    description = f"always {class_names[most]}, the most frequent class of the training split"
    return Baseline(
        f"{description}; loss and Brier score of its class frequencies",
        {name: or_none(value[name]) for name in score_names(k)},
    )
