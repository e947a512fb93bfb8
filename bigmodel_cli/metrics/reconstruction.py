"""Metrics of a model that reconstructs its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.baseline import Baseline
from bigmodel_cli.metrics.checks import require_examples
from bigmodel_cli.metrics.groups import Columns
from bigmodel_cli.metrics.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    interval_or_none,
    or_none,
    resampled_means,
)


@dataclass(frozen=True)
class ReconstructionReport:
    """Metrics of a reconstruction; errors are on the scale that the model learns.

    Attributes:
        examples: number of examples.
        latents: numbers that an example is squeezed into.
        resamples: bootstrap resamples behind the intervals.
        seed: of the resampling.
        scores: rmse, mse and mae over all values (pixels from 0 to 1, standardized features);
            explained_variance (1 - mse / mse of the training mean); of a variational model also
            negative_elbo, and what it is the sum of, negative_log_likelihood and kl, nats an example; where
            there are classes, probe_accuracy of a logistic regression on the latents.
        baseline: the mean of the training split.
        notes: what could not be measured.
    """

    examples: int
    latents: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    baseline: Baseline
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        return {
            "task": "reconstruction",
            "confidence": CONFIDENCE,
            **asdict(self),
            "notes": list(self.notes),
        }


def reconstruction_metrics(
    columns: Columns,
    baseline: Baseline,
    *,
    latents: int,
    seed: int,
    notes: tuple[str, ...] = (),
    resamples: int = 1000,
) -> ReconstructionReport:
    """Judge reconstructions of held-out examples.

    Args:
        columns: from `reconstruction_columns`.
        baseline: what the training mean reaches.
        latents: numbers that an example is squeezed into.
        seed: of the resampling; the same seed gives the same intervals.
        notes: what could not be measured.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no examples.
    """
    numbers, scores_of = columns
    require_examples(len(numbers))
    drawn = scores_of(resampled_means(np.random.default_rng(seed), numbers, resamples))
    value = scores_of(numbers.mean(axis=0, keepdims=True))
    scores = {name: interval_or_none(value[name][0], drawn[name]) for name in value}
    return ReconstructionReport(len(numbers), latents, resamples, seed, scores, baseline, notes)


def reconstruction_columns(
    squared: NDArray[Any], absolute: NDArray[Any], spread: NDArray[Any], **more: NDArray[Any]
) -> Columns:
    """What the scores of a reconstruction are made of.

    Args:
        squared: mean squared error of each example (n,).
        absolute: mean absolute error of each (n,).
        spread: mean squared distance of each from the training mean (n,).
        more: further scores that are means over the examples: each (n,).
    """
    extra = {name: np.asarray(values, np.float64) for name, values in more.items()}

    def scores(means: Floats) -> dict[str, Floats]:
        mse, mae, variance, *others = means.T
        with np.errstate(invalid="ignore", divide="ignore"):
            explained = np.where(variance > 0, 1 - mse / variance, np.nan)
        found = {"rmse": np.sqrt(mse), "mse": mse, "mae": mae, "explained_variance": explained}
        return found | dict(zip(extra, others, strict=True))

    return np.stack([squared, absolute, spread, *extra.values()], axis=1).astype(np.float64), scores


def reconstruction_values(columns: Columns) -> dict[str, float | None]:
    """The scores without intervals; None where one is undefined."""
    numbers, scores_of = columns
    return {name: or_none(value[0]) for name, value in scores_of(numbers.mean(axis=0, keepdims=True)).items()}
