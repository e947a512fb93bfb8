"""The examples that a model gets most wrong, with their inputs, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data import contents
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.evaluation_pictures import worst

COUNT = 10
_INPUTS = 8
_LONGEST = 300


@dataclass(frozen=True)
class WorstExample:
    """One of them.

    Attributes:
        id: as in predictions.parquet: position in the split, of new data a text.
        target: what is true.
        prediction: what the model says.
        score: probability of the true class; of several labels the mean loss; of a mask its mean IoU; of a
            regression the error in standard deviations of the target, the mean over several; of a
            reconstruction its rmse.
        input: the first columns or features, as text; empty for images.
    """

    id: int | str
    target: str
    prediction: str
    score: float
    input: Mapping[str, str]


def worst_examples(
    spec: DataSpec, split: SplitData, ids: np.ndarray, targets: np.ndarray, outputs: np.ndarray
) -> tuple[WorstExample, ...]:
    """Up to 10 examples, the worst first.

    Args:
        spec: of the data.
        split: the examples.
        ids: theirs (n,).
        targets: class indices (n,), labels (n, labels) of 0 and 1, or values (n, targets).
        outputs: probabilities or values (n, outputs), finite.
    """
    chosen, scores = _chosen(spec, targets, outputs)
    rows = inputs_as_texts(spec, split, chosen)
    names = ids.tolist()
    return tuple(
        WorstExample(
            names[place], _told(spec, targets[place]), _said(spec, outputs[place]), float(score), row
        )
        for place, score, row in zip(chosen, scores, rows, strict=True)
    )


def _chosen(spec: DataSpec, targets: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the worst, and their scores."""
    if spec.task == "classification":
        chosen = worst(targets, outputs, COUNT)
        return chosen, outputs[chosen, targets[chosen]]
    if spec.task == "multi_label":
        own = np.where(targets > 0, outputs, 1 - outputs)
        badness = -np.log(np.clip(own, 1e-7, 1)).mean(axis=1)
    else:
        scale = targets.std(axis=0, dtype=np.float64)
        badness = (np.abs(outputs - targets) / np.where(scale > 0, scale, 1)).mean(axis=1)
    chosen = np.argsort(-badness, kind="stable")[:COUNT]
    return chosen, badness[chosen]


def _told(spec: DataSpec, target: np.ndarray) -> str:
    if spec.task == "classification":
        return spec.target.names[int(target)]
    if spec.task == "multi_label":
        return _labels(spec, target > 0)
    return ", ".join(f"{value:.6g}" for value in target)


def _said(spec: DataSpec, output: np.ndarray) -> str:
    if spec.task == "classification":
        return spec.target.names[int(output.argmax())]
    if spec.task == "multi_label":
        return _labels(spec, output >= 0.5)
    return ", ".join(f"{value:.6g}" for value in output)


def _labels(spec: DataSpec, holds: np.ndarray) -> str:
    return "|".join(name for name, held in zip(spec.target.names, holds, strict=True) if held)


def inputs_as_texts(spec: DataSpec, split: SplitData, chosen: np.ndarray) -> list[dict[str, str]]:
    """Inputs of examples as texts, in the order of the positions."""
    if spec.input.kind == "image" or not len(chosen):
        return [{} for _ in chosen]
    order = np.argsort(chosen)
    found = contents.picked(split, chosen[order]).arrays()[0]
    back = np.argsort(order)
    if spec.input.kind == "table":
        shown = spec.input.columns[:_INPUTS]
        return [{c.name: _cell(c.kind, found[c.key][place]) for c in shown} for place in back]
    rows = np.asarray(found).reshape(len(chosen), -1)[back]
    names = spec.input.names or tuple(f"x{index}" for index in range(rows.shape[1]))
    return [{name: f"{value:.6g}" for name, value in zip(names[:_INPUTS], row, strict=False)} for row in rows]


def _cell(kind: str, cell: Any) -> str:
    """A raw cell, see `columns.RAW_DTYPES`, as text."""
    if kind == "date":
        return "" if cell == MISSING_DATE else f"{datetime.fromtimestamp(int(cell), UTC):%Y-%m-%d %H:%M}"
    if kind == "image":
        return f"{'x'.join(map(str, cell.shape))} image"
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, str):
        return cell if len(cell) <= _LONGEST else f"{cell[:_LONGEST]}…"
    return "" if np.isnan(cell) else f"{cell:.6g}"
