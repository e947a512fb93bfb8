"""Whether probabilities are true, and one number that makes them truer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.intervals import BLOCK, Floats, Ints

BINS = 15
"""As in Guo et al. 2017, section 5."""

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures between which the best is sought."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class Bins:
    """Predictions by their confidence, in bins of equal width, closed on the right.

    Attributes:
        counts: predictions in each bin (bins,).
        accuracy: share of right ones (bins,); NaN in an empty bin.
        confidence: their mean confidence (bins,); NaN in an empty bin.
        error: expected calibration error, 0 to 1: the mean gap between accuracy and confidence, weighted by
            the counts; NaN without predictions.
    """

    counts: NDArray[Any]
    accuracy: NDArray[Any]
    confidence: NDArray[Any]
    error: float


def binned(right: NDArray[Any], confidences: NDArray[Any], bins: int = BINS) -> Bins:
    """Sort predictions into bins (Guo et al., On Calibration of Modern Neural Networks, 2017, section 2).

    Args:
        right: whether each prediction is right (n,).
        confidences: probability of each prediction (n,), 0 to 1, finite.
        bins: how many.
    """
    places = np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(places, right, bins) / counts
        confidence = np.bincount(places, confidences, bins) / counts
    gaps = np.where(counts > 0, np.abs(accuracy - confidence), 0)
    error = float((counts * gaps).sum() / counts.sum()) if len(confidences) else float("nan")
    return Bins(counts, accuracy, confidence, error)


def calibration_error(true: Ints, probabilities: NDArray[Any]) -> float:
    """Expected calibration error of the predicted classes.

    Args:
        true: class indices (n,), n > 0.
        probabilities: (n, classes), finite.
    """
    right = probabilities.argmax(axis=1) == true
    return binned(right, probabilities.max(axis=1).astype(np.float64)).error


def fitted_temperature(true: Ints, probabilities: NDArray[Any]) -> float | None:
    """The temperature with the smallest mean negative log-likelihood (Guo et al. 2017, section 4.2).

    In 1 / temperature the likelihood is convex: the minimum is where its derivative, the mean logit under the
    model less that of the true class, crosses zero.

    Args:
        true: class indices (n,), n > 0.
        probabilities: (n, classes), finite, of the model as it is.

    Returns:
        None where there is no minimum between `LOWEST` and `HIGHEST`: all predictions are right, or the
        probabilities say nothing.
    """
    from scipy.optimize import brentq

    def slope(inverse: float) -> float:
        return _slope(true, probabilities, inverse)

    ends = 1 / HIGHEST, 1 / LOWEST
    if slope(ends[0]) >= 0 or slope(ends[1]) <= 0:
        return None
    return float(1 / brentq(slope, *ends, xtol=1e-6, rtol=1e-6))


def at_temperature(probabilities: NDArray[Any], temperature: float) -> Floats:
    """Probabilities (n, classes) with their logits divided by a temperature.

    Logarithms of probabilities are logits up to a constant, which the softmax takes out.
    """
    powers = _logits(probabilities) / temperature
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def threshold_at_temperature(threshold: float, temperature: float) -> float:
    """Where a threshold on the probability of one of two classes comes to lie at a temperature."""
    if not 0 < threshold < 1:
        return threshold
    odds = np.log(threshold / (1 - threshold)) / temperature
    return float(1 / (1 + np.exp(-odds)))


def _logits(probabilities: NDArray[Any]) -> Floats:
    """Logits (n, classes) float64, the largest of each row 0."""
    found = np.log(np.maximum(probabilities, _TINY), dtype=np.float64)
    return np.asarray(found - found.max(axis=1, keepdims=True))


def _slope(true: Ints, probabilities: NDArray[Any], inverse: float) -> float:
    """Derivative of the mean negative log-likelihood in 1 / temperature."""
    total, step = 0.0, max(1, BLOCK // probabilities.shape[1])
    for start in range(0, len(true), step):
        rows = slice(start, start + step)
        logits = _logits(probabilities[rows])
        shares = np.exp(inverse * logits)
        expected = np.einsum("nk,nk->n", shares, logits) / shares.sum(axis=1)
        total += float((expected - np.take_along_axis(logits, true[rows, None], axis=1)[:, 0]).sum())
    return total / len(true)
