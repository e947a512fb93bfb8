"""What is chosen on the validation split: a temperature, and a threshold of two classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import rundir
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.metrics import (
    Threshold,
    at_temperature,
    best_threshold,
    calibration_error,
    fitted_temperature,
    mean_loss,
    threshold_scores,
)
from bigmodel_cli.metrics.threshold import CRITERION, HALF


@dataclass(frozen=True)
class Chosen:
    """What the validation split gave.

    Attributes:
        temperature: by which logits are divided; 1 where none is better than all others.
        examples: of the validation split.
        before: loss and calibration error there, as the model is.
        after: the same at the temperature.
        threshold: on the probability of the second of two classes; None with other numbers of classes, or
            without an example of that class.
        notes: what was not possible.
    """

    temperature: float
    examples: int
    before: tuple[float, float]
    after: tuple[float, float]
    threshold: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """What the temperature does on the evaluated split.

    Attributes:
        error: expected calibration error of the model as it is.
        error_after: the same at the temperature.
        loss_after: mean cross-entropy at the temperature.
        temperature: see `Chosen`.
        fitted_on: split and number of examples.
    """

    error: float
    error_after: float
    loss_after: float
    temperature: float
    fitted_on: dict[str, Any]


def choose(targets: np.ndarray, probabilities: np.ndarray) -> Chosen | None:
    """Fit a temperature, and of two classes a threshold.

    Args:
        targets: class indices (n,) of the validation split.
        probabilities: (n, classes); rows that are not finite are left out.

    Returns:
        None without an example.
    """
    known = np.isfinite(probabilities).all(axis=1)
    true, probabilities = np.asarray(targets, np.int64)[known], probabilities[known]
    if not len(true):
        return None
    notes = []
    temperature = fitted_temperature(true, probabilities)
    if temperature is None:
        right = bool((probabilities.argmax(axis=1) == true).all())
        why = "all predictions there are right" if right else "the probabilities say too little"
        notes.append(
            f"the temperature stays 1: on the {len(true):,} validation examples none is best, as {why}"
        )
    threshold = None
    if probabilities.shape[1] == 2:
        threshold = best_threshold(true == 1, probabilities[:, 1])
        if threshold is None:
            notes.append("no threshold was chosen: the validation split has no example of the second class")
    return Chosen(
        temperature or 1.0,
        len(true),
        _quality(true, probabilities),
        _quality(true, at_temperature(probabilities, temperature or 1.0)),
        threshold,
        tuple(notes),
    )


def _quality(true: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    return mean_loss(true, probabilities), calibration_error(true, probabilities)


def calibrated(chosen: Chosen, targets: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """What the temperature does to other examples.

    Args:
        chosen: on the validation split.
        targets: class indices (n,), n > 0.
        probabilities: (n, classes), finite.
    """
    true = np.asarray(targets, np.int64)
    loss, error = _quality(true, at_temperature(probabilities, chosen.temperature))
    return Calibration(
        calibration_error(true, probabilities),
        error,
        loss,
        chosen.temperature,
        {"split": "validation", "examples": chosen.examples},
    )


def at_threshold(
    chosen: Chosen, targets: np.ndarray, probabilities: np.ndarray, spec: DataSpec, seed: int
) -> Threshold | None:
    """What the threshold does to other examples, beside 0.5; None where none was chosen."""
    if chosen.threshold is None:
        return None
    true, scores = np.asarray(targets, np.int64), probabilities[:, 1]
    half, own = (threshold_scores(true, scores, at, seed=seed) for at in (HALF, chosen.threshold))
    return Threshold(spec.target.names[1], chosen.threshold, CRITERION, half, own)


def kept(restored: Restored) -> Chosen | None:
    """What was chosen before and is kept with the run; None where that is not there, or of another model."""
    run = restored.run
    try:
        found = rundir.read_json(_place(restored))
        part, threshold = found["validation"], found["threshold"]
        chosen = Chosen(
            float(found["temperature"]),
            int(found["fitted_on"]["examples"]),
            (float(part["loss_before"]), float(part["error_before"])),
            (float(part["loss_after"]), float(part["error_after"])),
            None if threshold is None else float(threshold["value"]),
            (),
        )
        same = found["model_sha256"] == rundir.file_digest(run.model)
    except (UsageError, KeyError, TypeError, ValueError):
        return None
    return chosen if same else None


def _place(restored: Restored) -> Path:
    """The file that keeps it; each of several tasks has its own."""
    path, one = restored.run.calibration, restored.one
    return path if one is None else path.with_stem(f"{path.stem}_{one.key}")


def write(restored: Restored, chosen: Chosen) -> None:
    """Keep what was chosen with the run, for `bigmodel predict`."""
    (loss_before, error_before), (loss_after, error_after) = chosen.before, chosen.after
    threshold = None
    if chosen.threshold is not None:
        threshold = {
            "positive": restored.spec.target.names[1],
            "value": chosen.threshold,
            "criterion": CRITERION,
        }
    rundir.write_json(
        _place(restored),
        {
            "temperature": chosen.temperature,
            "fitted_on": {"split": "validation", "examples": chosen.examples},
            "validation": {
                "loss_before": loss_before,
                "loss_after": loss_after,
                "error_before": error_before,
                "error_after": error_after,
            },
            "threshold": threshold,
            "model_sha256": rundir.file_digest(restored.run.model),
        },
    )
