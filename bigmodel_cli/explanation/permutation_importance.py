"""Permutation importance (Breiman 2001, "Random Forests", section 10), by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.explanation.rows import columns_of, values_of

REPEATS = 10


@dataclass(frozen=True)
class Importance:
    """What a model loses where a column's cells are exchanged between the rows.

    Attributes:
        names: of the columns.
        measure: what is lost: `accuracy`, or by how much `rmse` rises.
        score: on the rows as they are.
        losses: (columns, repeats) float64.
        rows: how many.
    """

    names: tuple[str, ...]
    measure: str
    score: float
    losses: np.ndarray
    rows: int


class _Model(BaseEstimator):  # type: ignore[misc] # it has no types
    """A model as scikit-learn takes it: rows in a table of objects, (n, columns); of an image its number."""

    def __init__(
        self,
        predict: Callable[[Any], np.ndarray],
        spec: DataSpec,
        names: tuple[str, ...],
        images: dict[str, np.ndarray],
    ):
        self.predict_values = predict
        self.spec = spec
        self.names = names
        self.images = images

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities or values (n, outputs)."""
        columns = {name: rows[:, place] for place, name in enumerate(self.names)}
        if self.spec.input.kind == "table":
            numbers = {
                column.name: self.images[column.name][columns[column.name].astype(np.int64)]
                if column.kind == "image"
                else _cells(column.kind, columns[column.name])
                for column in self.spec.input.columns
            }
            return self.predict_values(values_of(numbers, self.spec))
        return self.predict_values(values_of(columns, self.spec))


def _cells(kind: str, cells: np.ndarray) -> np.ndarray:
    if kind in ("categorical", "text"):
        return cells
    return cells.astype(np.int64 if kind == "date" else np.float32)


def score(outputs: np.ndarray, targets: np.ndarray, spec: DataSpec) -> float:
    """The accuracy; of a regression the negative root of the mean squared error over all targets.

    Args:
        outputs: (n, outputs).
        targets: (n,) class indices, (n, labels) of 0 and 1, or (n, targets) values.
    """
    if spec.task == "regression":
        return -float(np.sqrt(np.mean((outputs - targets) ** 2)))
    if targets.ndim == 1:
        return float((outputs.argmax(axis=1) == targets).mean())
    return float(((outputs >= 0.5) == (targets > 0.5)).mean())


def importance(
    predict: Callable[[Any], np.ndarray], values: Any, targets: np.ndarray, spec: DataSpec, seed: int = 0
) -> Importance:
    """Exchange the cells of each column at random between the rows, and see what that costs.

    Args:
        predict: what the model takes -> probabilities or values (n, outputs).
        values: rows, as the model takes them.
        targets: (n, *target.shape).
        spec: of the data: vectors or a table.
        seed: of the exchanges.
    """
    columns = columns_of(values, spec)
    names = tuple(columns)
    images = {column.name: columns[column.name] for column in spec.input.columns if column.kind == "image"}
    columns |= {name: np.arange(len(cells)) for name, cells in images.items()}
    # One dtype where there is one: objects cost time.
    table = np.stack([np.asarray(cells) for cells in columns.values()], axis=1)
    if spec.input.kind == "table":
        table = np.stack([np.asarray(cells, object) for cells in columns.values()], axis=1)
    model = FrozenEstimator(_Model(predict, spec, names, images))
    found = permutation_importance(
        model,
        table,
        targets,
        scoring=lambda estimator, rows, known: score(estimator.predict(rows), known, spec),
        n_repeats=REPEATS,
        random_state=seed,
    )
    whole = score(predict(values), targets, spec)
    measure = "rmse" if spec.task == "regression" else "accuracy"
    return Importance(names, measure, abs(whole), np.asarray(found.importances), len(table))
