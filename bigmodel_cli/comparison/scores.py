"""Metrics of several runs side by side, and which of them is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LOWER = frozenset(
    {
        "loss", "error", "mse", "rmse", "mae", "mape", "msle", "ece", "brier", "nll", "entropy",
        "crossentropy", "perplexity", "divergence", "hinge", "poisson", "false", "negative",
    }
)  # fmt: skip
_HIGHER = frozenset(
    {
        "accuracy", "auc", "precision", "recall", "specificity", "sensitivity", "f1", "f", "fbeta", "r2",
        "iou", "dice", "jaccard", "similarity", "correlation", "kappa", "mcc", "map", "true",
        "explained",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """A metric of one run.

    Attributes:
        value: the metric.
        low: lower end of its 95% interval; None for a metric of training.
        high: upper end of it.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ScoreRow:
    """A metric of all runs.

    Attributes:
        metric: its name.
        scores: one a run; None where the run has none, or an undefined one.
        best: indices of the runs with the best value; empty where there is none to name.
    """

    metric: str
    scores: tuple[Score | None, ...]
    best: tuple[int, ...]


def higher_is_better(metric: str) -> bool | None:
    """Whether a larger value is better, told from the words of a metric's name.

    Returns:
        None for a name that does not tell, of which no best can be named.
    """
    words = set(metric.removeprefix("val_").lower().replace("-", "_").split("_"))
    if words & _LOWER:
        return False
    return True if words & _HIGHER else None


def _row(metric: str, scores: Sequence[Score | None], comparable: bool) -> ScoreRow:
    known = {index: score.value for index, score in enumerate(scores) if score is not None}
    upward = higher_is_better(metric)
    if not comparable or upward is None or len(known) < 2:
        return ScoreRow(metric, tuple(scores), ())
    top = max(known.values()) if upward else min(known.values())
    best = tuple(index for index, value in known.items() if value == top)
    # Where all are alike none is better.
    return ScoreRow(metric, tuple(scores), best if len(best) < len(known) else ())


def _score(value: Any, low: Any = None, high: Any = None) -> Score | None:
    """None for what is absent, undefined or not finite, which JSON holds as null."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Score(float(value), low, high)


def validation_rows(
    summaries: Sequence[Mapping[str, Any]], same_examples: bool, losses_differ: bool
) -> tuple[ScoreRow, ...]:
    """Metrics of the best epochs.

    Args:
        summaries: the summary.json of each run.
        same_examples: whether they were measured on the same examples; no best is named otherwise.
        losses_differ: whether the loss is not the same function; of it no best is named then.
    """
    metrics = [dict(item.get("metrics") or {}) for item in summaries]
    names = dict.fromkeys(name for item in metrics for name in item if name.startswith("val_"))
    return tuple(
        _row(
            name,
            [_score(item.get(name)) for item in metrics],
            same_examples and not (name == "val_loss" and losses_differ),
        )
        for name in names
    )


def scores_of(evaluation: Mapping[str, Any] | None) -> dict[str, Score | None]:
    """The metrics of a metrics.json, by name; nothing for a run that is not evaluated."""
    scores = (evaluation or {}).get("scores") or {}
    return {name: _score(**item) if isinstance(item, Mapping) else None for name, item in scores.items()}


def measured_rows(
    evaluations: Sequence[Mapping[str, Any] | None], same_examples: bool
) -> tuple[ScoreRow, ...]:
    """Metrics of the evaluations, the metrics.json of each run; None where a run is not evaluated."""
    scores = [scores_of(item) for item in evaluations]
    names = dict.fromkeys(name for item in scores for name in item)
    return tuple(_row(name, [item.get(name) for item in scores], same_examples) for name in names)
