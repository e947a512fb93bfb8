"""A linear regression held against the closed-form solution."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.metrics import Interval
from bigmodel_cli.models.linear_regression import coefficients


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


def least_squares(
    model: keras.Model, train: SplitData, split: SplitData, mse: Interval | None
) -> LeastSquares:
    """Compare a linear regression with least squares on its training examples.

    Args:
        model: the trained one.
        train: its training examples.
        split: where both are measured.
        mse: the model's mean squared error there.
    """
    slopes, intercepts = coefficients(model)
    inputs, targets = (np.asarray(array, np.float64) for array in train.arrays())
    exact_slopes, exact_intercepts = _fit(inputs.reshape(len(inputs), -1), targets)
    held_out, truth = (np.asarray(array, np.float64) for array in split.arrays())
    exact = held_out.reshape(len(held_out), -1) @ exact_slopes + exact_intercepts
    exact_mse = float(np.mean((exact - truth) ** 2))
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
