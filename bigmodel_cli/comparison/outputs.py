"""What `evaluate` left of a run's predictions, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.contracts import DataSpec, Task
from bigmodel_cli.errors import UsageError
from bigmodel_cli.targets import predicted_labels

ERRORS = ("mse", "mae", "spread")
"""Columns that every reconstruction has."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """Predictions of a run for a split, and the truth.

    Attributes:
        task: classification, multi_label, segmentation, regression, language_model or reconstruction.
        classes: their number, or that of the labels; 0 for regression.
        ids: of the examples, (n,).
        targets: class indices (n,) int64, labels (n, labels) int64 of 0 and 1, pixels of each class of masks
            (n, classes) int64, values (n, targets) float64, tokens and characters of texts (n, 2) int64, or
            of reconstructions the squared distance from the training mean (n, 1) float64.
        predicted: the same as predicted; of masks the columns of `metrics.PixelCounts`, of texts those of
            `metrics.text_sums`, of reconstructions squared and absolute error, that distance, and the
            negative bound where there is one.
        true_probability: that of the true class, (n,) float64; of classification only.
        in_top_5: whether the true class is among the 5 most probable, (n,) int64; of classification only.
    """

    task: str
    classes: int
    ids: NDArray[Any]
    targets: NDArray[Any]
    predicted: NDArray[Any]
    true_probability: NDArray[np.float64]
    in_top_5: NDArray[np.int64]


def read_outputs(path: Path, spec: DataSpec) -> Outputs:
    """Read predictions.parquet.

    Args:
        path: the file.
        spec: the data that the run was trained on.

    Raises:
        UsageError: the file is missing or damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path}: cannot be read ({str(error).splitlines()[0]}); evaluate again") from None
    columns = {name: table[name].to_numpy() for name in table.column_names}
    readers: Mapping[Task, Callable[[dict[str, NDArray[Any]], list[str]], Outputs]] = {
        "classification": _classes, "multi_label": _labels, "segmentation": _masks,
        "regression": _values, "language_model": _texts,
        "masked_language_model": _texts, "reconstruction": _errors,
    }  # fmt: skip
    try:
        return readers[spec.task](columns, list(spec.target.names))
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: lacks what paired tests need ({error}); evaluate again") from None


def _classes(columns: dict[str, NDArray[Any]], names: list[str]) -> Outputs:
    index = {name: number for number, name in enumerate(names)}
    true, predicted = (
        np.fromiter((index[str(name)] for name in columns[key]), np.int64, len(columns[key]))
        for key in ("target", "prediction")
    )
    probabilities = np.stack([columns[f"probability_{name}"] for name in names], axis=1)
    own = np.take_along_axis(probabilities, true[:, None], axis=1)
    # Among equal ones the lower index counts as the more probable class, as in the metrics.
    before = (probabilities > own) | ((probabilities == own) & (np.arange(len(names)) < true[:, None]))
    return Outputs(
        "classification",
        len(names),
        columns["id"],
        true,
        predicted,
        own[:, 0].astype(np.float64),
        (before.sum(axis=1) < 5).astype(np.int64),
    )


def _texts(columns: dict[str, NDArray[Any]], names: list[str]) -> Outputs:
    numbers = np.stack([columns[name] for name in ("loss_sum", "right", "tokens", "characters")], axis=1)
    empty = np.empty(0)
    return Outputs(
        "language_model",
        len(names),
        columns["id"],
        numbers[:, 2:].astype(np.int64),
        numbers.astype(np.float64),
        empty,
        empty.astype(np.int64),
    )


def _errors(columns: dict[str, NDArray[Any]], names: list[str]) -> Outputs:
    found = [columns[name] for name in (*ERRORS, "negative_elbo") if name in columns or name in ERRORS]
    numbers, empty = np.stack(found, axis=1).astype(np.float64), np.empty(0)
    return Outputs(
        "reconstruction", 0, columns["id"], numbers[:, 2:3], numbers, empty, empty.astype(np.int64)
    )


def _labels(columns: dict[str, NDArray[Any]], names: list[str]) -> Outputs:
    true = np.stack([columns[f"target_{name}"] for name in names], axis=1).astype(np.int64)
    probabilities = np.stack([columns[f"probability_{name}"] for name in names], axis=1)
    predicted = predicted_labels(probabilities).astype(np.int64)
    empty = np.empty(0)
    return Outputs("multi_label", len(names), columns["id"], true, predicted, empty, empty.astype(np.int64))


def _masks(columns: dict[str, NDArray[Any]], names: list[str]) -> Outputs:
    pixels = {
        kind: np.stack([columns[f"{kind}_{name}"] for name in names], axis=1).astype(np.int64)
        for kind in ("right", "true", "predicted")
    }
    numbers = np.concatenate([columns["loss_sum"][:, None], *pixels.values()], axis=1)
    empty = np.empty(0)
    return Outputs(
        "segmentation", len(names), columns["id"], pixels["true"], numbers, empty, empty.astype(np.int64)
    )


def _values(columns: dict[str, NDArray[Any]], names: list[str]) -> Outputs:
    true, predicted = (
        np.stack([columns[f"{kind}_{name}"].astype(np.float64) for name in names], axis=1)
        for kind in ("target", "prediction")
    )
    empty = np.empty(0)
    return Outputs("regression", 0, columns["id"], true, predicted, empty, empty.astype(np.int64))
