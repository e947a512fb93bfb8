"""Metrics, predictions and pictures of a run on one of its splits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bigmodel_cli import build, evaluation_pictures, rundir
from bigmodel_cli.build import Data, Restored
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.data.pipeline import evaluation_batches
from bigmodel_cli.metrics import (
    ClassificationReport,
    RegressionReport,
    classification_metrics,
    regression_metrics,
)
from bigmodel_cli.models.linear_regression import coefficients
from bigmodel_cli.plots import Theme
from bigmodel_cli.rundir import Run


@dataclass(frozen=True)
class LeastSquares:
    """A linear regression beside the closed-form solution on the same training examples.

    Attributes:
        slopes: (features, targets) of the model, in units of the raw inputs.
        intercepts: (targets,) of the model.
        exact_slopes: the same by least squares.
        exact_intercepts: the same by least squares.
        exact_mse: of the least-squares solution on the evaluated split.
        mse_ratio: the model's mean squared error divided by `exact_mse`.
    """

    slopes: list[list[float]]
    intercepts: list[float]
    exact_slopes: list[list[float]]
    exact_intercepts: list[float]
    exact_mse: float
    mse_ratio: float | None

    def line(self) -> tuple[float, float]:
        """Slope and intercept of the exact solution for the first feature and the first target."""
        return self.exact_slopes[0][0], self.exact_intercepts[0]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        run: the run.
        split: which examples.
        folder: where everything was written.
        report: metrics with intervals and baseline.
        least_squares: for linear regression only.
        pictures: the PNG files.
    """

    run: Run
    split: SplitName
    folder: Path
    report: ClassificationReport | RegressionReport
    least_squares: LeastSquares | None
    pictures: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """The document of metrics.json."""
        return {
            "run": str(self.run),
            "split": self.split,
            **self.report.to_json(),
            "least_squares": asdict(self.least_squares) if self.least_squares else None,
            "pictures": [path.name for path in self.pictures],
        }


def evaluate(run: Run, split: SplitName = "test", *, theme: Theme = "light") -> Evaluation:
    """Measure a run's best model on one of its splits and write metrics, predictions and pictures.

    Args:
        run: a finished or stopped run.
        split: which examples.
        theme: of the pictures, light or dark.

    Raises:
        UsageError: the run cannot be restored, or its dataset is no longer what it was trained on.
    """
    restored = build.restore(run)
    data = build.restored_data(restored)
    examples = data.splits[split]
    outputs = restored.predict(evaluation_batches(examples, batch_size=build.BATCH_SIZE, keeping=data.raw))
    targets = examples.targets()
    report = _report(restored, targets, outputs)
    folder = run.evaluation(split)
    folder.mkdir(parents=True, exist_ok=True)
    least_squares = None
    # A table's columns become numbers of no single unit, and there is no one line to compare with.
    if restored.config.model.name == "linear_regression" and restored.spec.input.kind != "table":
        least_squares = _least_squares(restored.model, data, split, report)
    pictures = evaluation_pictures.draw(
        restored.spec, examples, targets, outputs, report, folder,
        title=f"{restored.config.name}, {split} split", predict=restored.predict,
        least_squares=least_squares.line() if least_squares else None, theme=theme,
    )  # fmt: skip
    _write_predictions(folder / "predictions.parquet", restored, targets, outputs)
    evaluation = Evaluation(run, split, folder, report, least_squares, tuple(pictures))
    rundir.write_json(folder / "metrics.json", evaluation.to_json())
    return evaluation


def _report(
    restored: Restored, targets: np.ndarray, outputs: np.ndarray
) -> ClassificationReport | RegressionReport:
    target, seed = restored.spec.target, restored.config.seed
    if restored.spec.task == "classification":
        return classification_metrics(targets, outputs, target.names, train_counts=target.counts, seed=seed)
    return regression_metrics(targets, outputs, target.names, train_mean=target.mean, seed=seed)


def _least_squares(
    model: keras.Model, data: Data, split: SplitName, report: ClassificationReport | RegressionReport
) -> LeastSquares:
    slopes, intercepts = coefficients(model)
    inputs, targets = (np.asarray(array, np.float64) for array in data.splits["train"].arrays())
    exact_slopes, exact_intercepts = _fit(inputs.reshape(len(inputs), -1), targets)
    held_out, truth = (np.asarray(array, np.float64) for array in data.splits[split].arrays())
    exact = held_out.reshape(len(held_out), -1) @ exact_slopes + exact_intercepts
    exact_mse = float(np.mean((exact - truth) ** 2))
    mse = report.scores["mse"]
    return LeastSquares(
        slopes.tolist(),
        intercepts.tolist(),
        exact_slopes.tolist(),
        exact_intercepts.tolist(),
        exact_mse,
        mse.value / exact_mse if mse and exact_mse > 0 else None,
    )


def _fit(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with an intercept; of minimal norm where the inputs do not determine it."""
    center, mean = inputs.mean(axis=0), targets.mean(axis=0)
    slopes = np.linalg.lstsq(inputs - center, targets - mean, rcond=None)[0]
    return slopes, mean - center @ slopes


def _write_predictions(path: Path, restored: Restored, targets: np.ndarray, outputs: np.ndarray) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    spec = restored.spec
    columns: dict[str, Any] = {"id": np.arange(len(outputs))}
    if spec.task == "classification":
        names = np.asarray(spec.target.names)
        columns |= {"target": names[targets], "prediction": names[outputs.argmax(axis=1)]}
        columns |= {f"probability_{name}": outputs[:, index] for index, name in enumerate(spec.target.names)}
    else:
        for index, name in enumerate(spec.target.names):
            columns |= {f"target_{name}": targets[:, index], f"prediction_{name}": outputs[:, index]}
    rundir.write_atomically(path, lambda temporary: parquet.write_table(pa.table(columns), temporary))
