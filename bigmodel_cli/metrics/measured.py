"""What probabilities are worth, each score once: without resamples, for models and baselines alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.counts import from_counts, of_positive, rank
from bigmodel_cli.metrics.curve_areas import average_precision, macro_roc_auc, roc_auc
from bigmodel_cli.metrics.intervals import BLOCK, Floats, Ints, or_none

EPSILON = 1e-7
"""keras.config.epsilon(): where Keras clips probabilities before the logarithm."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores of probabilities, and what they were made of.

    Attributes:
        predicted: class indices (n,).
        in_top_5: whether the true class is among the 5 most probable (n,).
        losses: cross-entropy of each example (n,), nats.
        squares: Brier score of each example (n,).
        confusion: counts (classes, classes), rows the true class, columns the predicted one.
        value: of each of `score_names`; NaN where it cannot be computed.
        of_class: precision, recall and F1 of each class (classes,).
    """

    predicted: Ints
    in_top_5: NDArray[np.bool_]
    losses: Floats
    squares: Floats
    confusion: Ints
    value: dict[str, float]
    of_class: dict[str, Floats]


def score_names(classes: int) -> tuple[str, ...]:
    """Names of the scores of a classifier, in order."""
    names = ["loss", "accuracy", "macro_precision", "macro_recall", "macro_f1", "brier_score"]
    if classes > 5:
        names.insert(2, "top_5_accuracy")
    if classes == 2:
        names += ["precision", "recall", "f1", "balanced_accuracy", "roc_auc", "average_precision"]
    elif classes > 2:
        names += ["macro_roc_auc", "cohen_kappa"]
    return (*names, "matthews_correlation") if classes > 1 else tuple(names)


def measure(true: Ints, probabilities: NDArray[Any]) -> Measured:
    """Measure probabilities.

    Args:
        true: class indices (n,), n > 0.
        probabilities: (n, classes), finite.
    """
    k = probabilities.shape[1]
    predicted, in_top_5, own = rank(true, probabilities)
    losses = -np.log(np.clip(own, EPSILON, 1 - EPSILON))
    squares = _squares(probabilities) - 2 * own + 1
    # Of two classes both have the same square; by convention it counts once (Brier 1950 counted both).
    squares = squares / 2 if k == 2 else squares
    confusion = np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
    counted = from_counts(np.diag(confusion)[None], confusion.sum(axis=0)[None], confusion.sum(axis=1)[None])
    of_class = {name: counted[name][0] for name in ("precision", "recall", "f1")}
    found = of_positive(counted) if k == 2 else counted
    value = {name: float(found[name][0]) for name in score_names(k) if name in found}
    value |= {
        "loss": float(losses.mean()),
        "brier_score": float(squares.mean()),
        "top_5_accuracy": float(in_top_5.mean()),
    }
    if k == 2:
        # Without examples of both classes there is nothing to order.
        several = confusion.sum(axis=1).all()
        value["roc_auc"] = roc_auc(true == 1, probabilities[:, 1])
        value["average_precision"] = (
            average_precision(true == 1, probabilities[:, 1]) if several else float("nan")
        )
    elif k > 2:
        value["macro_roc_auc"] = macro_roc_auc(true, probabilities)
    return Measured(predicted, in_top_5, losses, squares, confusion, value, of_class)


def mean_loss(true: Ints, probabilities: NDArray[Any]) -> float:
    """Mean cross-entropy, nats, of class indices (n,) under probabilities (n, classes)."""
    own = probabilities[np.arange(len(true)), true].astype(np.float64)
    return float(-np.log(np.clip(own, EPSILON, 1 - EPSILON)).mean())


def classification_values(targets: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float | None]:
    """The scores of a classifier without intervals, by name; None where one cannot be computed.

    Args:
        targets: class indices (n,), n > 0.
        probabilities: (n, classes), finite.
    """
    value = measure(np.asarray(targets, np.int64), probabilities).value
    return {name: or_none(value[name]) for name in score_names(probabilities.shape[1])}


def _squares(probabilities: NDArray[Any]) -> Floats:
    """Sum of the squared probabilities of each example (n,)."""
    step = max(1, BLOCK // probabilities.shape[1])
    blocks = [
        np.square(probabilities[start : start + step], dtype=np.float64).sum(axis=1)
        for start in range(0, len(probabilities), step)
    ]
    return np.concatenate(blocks)
