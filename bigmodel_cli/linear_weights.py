"""Weights of linear models with their uncertainty, from the curvature of the likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_PARAMETERS = 1500
"""Of the information matrix: beyond, its inverse takes too long and its picture shows nothing."""

_RANK = 1e-9
_NORMAL = 1.959963984540054
"""97.5th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Weights:
    """Weights of a linear model.

    Attributes:
        names: `feature`, or `feature: class` where there are several outputs.
        values: (m,).
        intervals: 95%, lower and upper bound (m, 2).
        unit: of the values.
    """

    names: tuple[str, ...]
    values: Floats
    intervals: Floats
    unit: str

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings."""
        rows = zip(self.names, self.values.tolist(), self.intervals.tolist(), strict=True)
        return {
            "unit": self.unit,
            "weights": [{"name": n, "value": v, "low": low, "high": high} for n, v, (low, high) in rows],
        }


def regression_weights(
    features: Floats,
    targets: Floats,
    weights: Floats,
    intercepts: Floats,
    names: Sequence[str],
    outputs: Sequence[str],
    unit: str,
) -> Weights:
    """Weights of a linear regression with t-intervals (Seber and Lee 2003, section 5.1).

    They hold for the least-squares fit, and so for trained weights as far as these are near it. Of collinear
    features, whose weights the data do not tell apart, the equivalent weights of least norm are shown.

    Args:
        features: (n, f) as the weights take them, n greater than f + 1.
        targets: (n, t), as the model learns them.
        weights: (f, t).
        intercepts: (t,).
        names: of the features.
        outputs: of the targets.
        unit: of the weights.
    """
    from scipy import stats

    design = _with_ones(features)
    inverse, row_space = _pseudo_inverse(design.T @ design)
    free = len(features) - row_space.shape[1]
    residuals = targets - features @ weights - intercepts
    variance = (residuals**2).sum(axis=0) / free
    errors = np.sqrt(np.outer(np.diag(inverse)[:-1], variance))
    reach = stats.t.ppf(0.975, free) * errors
    least = row_space @ (row_space.T @ np.concatenate([weights, intercepts[None]]))
    return _listed(least[:-1], reach, names, outputs if len(outputs) > 1 else None, unit)


def classification_weights(
    features: Floats,
    probabilities: Floats,
    weights: Floats,
    intercepts: Floats,
    names: Sequence[str],
    classes: Sequence[str],
) -> Weights:
    """Weights of a multinomial logistic regression with Wald intervals (Agresti 2013, section 8.1).

    The same number added to a feature's weights of all classes changes nothing, and so does what collinear
    features trade among each other: shown are the equivalent weights of least norm. Of two classes the
    log-odds of the second are shown.

    Args:
        features: (n, f) as the weights take them.
        probabilities: (n, k).
        weights: (f, k).
        intercepts: (k,).
        names: of the features.
        classes: their names.
    """
    design = _with_ones(features)
    p, k = design.shape[1], probabilities.shape[1]
    information = np.empty((k, p, k, p))
    for a in range(k):
        for b in range(a, k):
            share = probabilities[:, a] * ((a == b) - probabilities[:, b])
            block = design.T @ (design * share[:, None])
            information[a, :, b], information[b, :, a] = block, block.T
    inverse, row_space = _pseudo_inverse(information.reshape(k * p, k * p))
    whole = np.concatenate([weights, intercepts[None]]).T.reshape(-1)
    least = (row_space @ (row_space.T @ whole)).reshape(k, p)
    if k == 2:
        difference = np.concatenate([-np.eye(p), np.eye(p)], axis=1)
        errors = np.sqrt(np.einsum("ij,jk,ik->i", difference, inverse, difference))[:-1, None]
        values = (least[1] - least[0])[:-1, None]
        return _listed(values, _NORMAL * errors, names, None, f"log-odds of {classes[1]}")
    errors = np.sqrt(np.diag(inverse)).reshape(k, p)[:, :-1].T
    unit = "logit against the mean of all classes"
    return _listed(least[:, :-1].T, _NORMAL * errors, names, classes, unit)


def _with_ones(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def _pseudo_inverse(symmetric: Floats) -> tuple[Floats, Floats]:
    """Pseudo-inverse of a positive semi-definite matrix, and an orthonormal basis (m, rank) of its rows."""
    values, vectors = np.linalg.eigh(symmetric)
    kept = values > _RANK * max(values.max(), 0.0)
    basis = vectors[:, kept]
    return (basis / values[kept]) @ basis.T, basis


def _listed(
    values: Floats, reach: Floats, names: Sequence[str], outputs: Sequence[str] | None, unit: str
) -> Weights:
    """Features and outputs in one row."""
    labels = [f"{name}: {output}" if output else name for name in names for output in outputs or [""]]
    flat, half = values.reshape(-1), reach.reshape(-1)
    return Weights(tuple(labels), flat, np.stack([flat - half, flat + half], axis=1), unit)
