"""Metrics of a regression model: over all targets and of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.baseline import Baseline
from bigmodel_cli.metrics.checks import require_examples, require_finite
from bigmodel_cli.metrics.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    interval_or_none,
    mean_of_defined,
    or_none,
    resampled_means,
)


@dataclass(frozen=True)
class TargetScores:
    """Metrics of one regression target.

    Attributes:
        name: of the target.
        scores: mse, rmse, mae, r2, in (squared) units of the target; r2 None where it is undefined.
    """

    name: str
    scores: Mapping[str, Interval | None]


@dataclass(frozen=True)
class RegressionReport:
    """Metrics of a regression model.

    Attributes:
        examples: number of examples.
        resamples: bootstrap resamples behind the intervals.
        seed: of the resampling.
        scores: loss and mse (mean over examples and targets), rmse (root of that mse), mae, r2 (unweighted
            mean over the targets that have one; None where none has).
        targets: each target on its own.
        baseline: always the mean of the training split.
        notes: why an r2 is None.
    """

    examples: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    targets: tuple[TargetScores, ...]
    baseline: Baseline
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        document = {"task": "regression", "confidence": CONFIDENCE, **asdict(self)}
        return {**document, "targets": list(document["targets"]), "notes": list(self.notes)}


def regression_metrics(
    targets: NDArray[np.floating[Any]],
    predictions: NDArray[np.floating[Any]],
    target_names: Sequence[str],
    *,
    train_mean: Sequence[float],
    seed: int,
    resamples: int = 1000,
) -> RegressionReport:
    """Judge a regression model on held-out examples.

    Args:
        targets: (n, targets).
        predictions: (n, targets).
        target_names: in column order.
        train_mean: of each target over the training split, for the baseline.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no examples, or a target or prediction that is not finite.
    """
    require_examples(len(targets))
    require_finite(targets, "targets")
    require_finite(predictions, "predictions")
    columns = error_columns(targets, predictions)
    value = scores_of_moments(columns.mean(axis=0, keepdims=True))
    drawn = scores_of_moments(resampled_means(np.random.default_rng(seed), columns, resamples))
    each = tuple(
        TargetScores(name, {s: interval_or_none(value[s][0, i], drawn[s][:, i]) for s in value})
        for i, name in enumerate(target_names)
    )
    whole, spread = over_targets(value), over_targets(drawn)
    undefined = [name for i, name in enumerate(target_names) if np.isnan(value["r2"][0, i])]
    notes = [f"r2 of {name} is undefined: all its values are the same" for name in undefined]
    if undefined and len(undefined) < len(target_names):
        notes.append(f"the r2 over all targets leaves out {', '.join(undefined)}")
    guess = regression_values(targets, np.broadcast_to(np.asarray(train_mean), np.shape(targets)))
    baseline = Baseline("always the mean of the training split", guess)
    scores = {name: interval_or_none(whole[name][0], spread[name]) for name in whole}
    return RegressionReport(len(targets), resamples, seed, scores, each, baseline, tuple(notes))


def regression_values(targets: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float | None]:
    """The scores of a regression model over all targets, without intervals; None where there is no R2.

    Args:
        targets: (n, targets), n > 0.
        predictions: (n, targets), finite.
    """
    moments = error_columns(targets, predictions).mean(axis=0, keepdims=True)
    return {name: or_none(value[0]) for name, value in over_targets(scores_of_moments(moments)).items()}


def error_columns(targets: NDArray[Any], predictions: NDArray[Any]) -> Floats:
    """What the scores are made of, whose means they need: (n, 4 * targets)."""
    true = np.asarray(targets, np.float64)
    error = true - np.asarray(predictions, np.float64)
    # Moments about the mean: about zero, the variance of large values would drown in rounding.
    centred = true - true.mean(axis=0)
    centred[:, np.ptp(true, axis=0) == 0] = 0
    return np.concatenate([error**2, np.abs(error), centred, centred**2], axis=1)


def scores_of_moments(moments: Floats) -> dict[str, Floats]:
    """Scores (resamples, targets) from means (resamples, 4 * targets) of `error_columns`."""
    mse, mae, mean, square = np.split(moments, 4, axis=1)
    variance = square - mean**2
    # A resample whose values are all the same has no R2; what rounding leaves of its variance is none.
    variance[variance <= 1e-9 * square] = np.nan
    return {"mse": mse, "rmse": np.sqrt(mse), "mae": mae, "r2": 1 - mse / variance}


def over_targets(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Scores (resamples,) over all targets from those of each (resamples, targets)."""
    mse = values["mse"].mean(axis=1)
    averages = {"loss": mse, "mse": mse, "rmse": np.sqrt(mse), "mae": values["mae"].mean(axis=1)}
    return {**averages, "r2": mean_of_defined(values["r2"])}
