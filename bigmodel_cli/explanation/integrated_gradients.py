"""Integrated gradients (Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bigmodel_cli.assembly import Restored
from bigmodel_cli.explanation.scores import BATCH, Score, logits, on_floats

METHOD = "integrated_gradients"

STEPS, MOST_STEPS = 64, 1024
"""Points on the path: at first, and at most (section 5 of the paper: 20 to 300 suffice in most cases)."""

TOLERANCE = 1e-3
"""Of the difference of the outputs, by which the sum of the attributions may miss it before points are added.
"""


@dataclass(frozen=True)
class Attribution:
    """What each input number adds to a score.

    Attributes:
        values: in the shape of the input, float64, in units of the score.
        score: of the input.
        baseline_score: of the baseline.
        steps: points on the path.
    """

    values: np.ndarray
    score: float
    baseline_score: float
    steps: int

    @property
    def gap(self) -> float:
        """By how much the sum of the attributions misses the difference of the scores.

        It would be 0 of the exact integral: completeness, section 3, proposition 1.
        """
        return float(self.values.sum()) - (self.score - self.baseline_score)


def integrate(score: Score, point: np.ndarray, baseline: np.ndarray, index: int) -> Attribution:
    """Integrate the gradient of a score on the straight line from a baseline to a point (equation 1).

    The midpoint rule. Points are doubled until the attributions add up, or there are `MOST_STEPS`.

    Args:
        score: what is explained.
        point: one input, without a batch axis.
        baseline: an input of the same shape that says nothing.
        index: of the class or target.
    """
    way = np.asarray(point, np.float64) - baseline
    ends, _ = score(np.stack([baseline, point]), index)
    steps = STEPS
    while True:
        total = np.zeros(way.shape)
        for start in range(0, steps, BATCH):
            at = (np.arange(start, min(start + BATCH, steps)) + 0.5) / steps
            points = baseline + at.reshape(-1, *[1] * way.ndim) * way
            total += score(points, index)[1].sum(axis=0)
        found = Attribution(way * total / steps, float(ends[1]), float(ends[0]), steps)
        if abs(found.gap) <= TOLERANCE * abs(ends[1] - ends[0]) or steps >= MOST_STEPS:
            return found
        steps *= 2


def attributor(restored: Restored) -> Callable[[np.ndarray, int], Attribution]:
    """Integrated gradients of a run's logits (or values) by its pixels or numbers.

    The baseline is a black image, as in section 6.1 of the paper; of a vector the mean of the training
    split, and of a sequence that at each step.

    Args:
        restored: a run on images or vectors.

    Returns:
        (one input, index of the class or target) -> its attribution.
    """
    score = Score(on_floats(restored, logits(restored.model)), METHOD)
    spec = restored.spec.input
    baseline = np.zeros(spec.shape) if spec.kind == "image" else np.broadcast_to(spec.mean, spec.shape)
    return lambda point, index: integrate(score, np.asarray(point, np.float64), baseline, index)
