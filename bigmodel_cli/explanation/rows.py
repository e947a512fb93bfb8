"""The first inputs with a prediction, as far as they are to be explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.explanation.methods import METHODS, Asked
from bigmodel_cli.inputs.blocks import Block

NAMED = 10
"""Inputs that are named where some are left out."""

MOST_ROWS = 5_000
"""That explain a model as a whole; a share or a mean over them is within 0.015 (2 standard errors)."""


class Rows:
    """Inputs that are kept while all inputs pass.

    Attributes:
        ids: of the inputs.
        places: among all inputs, from 0.
        unlabelled: why inputs that were to be kept have no known label, where they are read with labels.
    """

    def __init__(self, asked: Asked):
        """Keep as many as the method needs.

        Args:
            asked: what is to be explained: so many inputs, or a model over its rows.
        """
        self._wanted = MOST_ROWS if METHODS[asked.method].rows else asked.limit
        self.ids: list[str] = []
        self.places: list[int] = []
        self.unlabelled: list[str] = []
        self._values: list[Any] = []
        self._targets: list[np.ndarray] = []
        self._predicted: list[np.ndarray] = []

    def __len__(self) -> int:
        """Inputs that are kept."""
        return len(self.ids)

    @property
    def missing(self) -> int:
        """How many are still wanted."""
        return self._wanted - len(self.ids)

    def add(self, block: Block, good: np.ndarray, predicted: np.ndarray | None, start: int) -> None:
        """Keep what is wanted of a batch.

        Args:
            block: the inputs.
            good: positions of those with a prediction, (m,).
            predicted: class index of each input, (n,); None of a regression.
            start: place of the first one among all inputs.
        """
        if self.missing and block.unlabelled:
            known = np.array([not block.unlabelled[place] for place in good], bool)
            self.unlabelled += [block.unlabelled[place] for place in good[~known]]
            good = good[known]
        taken = good[: self.missing]
        if not len(taken):
            return
        row_of = np.searchsorted(block.readable, taken)
        if isinstance(block.values, Mapping):
            self._values.append({key: cells[row_of] for key, cells in block.values.items()})
        else:
            self._values.append(block.values[row_of])
        if block.targets is not None:
            self._targets.append(block.targets[taken])
        if predicted is not None:
            self._predicted.append(predicted[taken])
        self.ids += [block.ids[place] for place in taken]
        self.places += [start + int(place) for place in taken]

    def without_label(self) -> list[str]:
        """What to say of the inputs without a known label."""
        if not self.unlabelled:
            return []
        more = "; ..." if len(self.unlabelled) > NAMED else ""
        return [
            f"{len(self.unlabelled):,} inputs without a label that the run knows are left out: "
            f"{'; '.join(self.unlabelled[:NAMED])}{more}"
        ]

    @property
    def values(self) -> Any:
        """As the model takes them: (n, *shape), or column key -> (n,)."""
        first = self._values[0]
        if isinstance(first, Mapping):
            return {key: np.concatenate([some[key] for some in self._values]) for key in first}
        return np.concatenate(self._values)

    @property
    def targets(self) -> np.ndarray | None:
        """Their targets (n, *target.shape); None where they are not known."""
        return np.concatenate(self._targets) if self._targets else None

    @property
    def predicted(self) -> np.ndarray | None:
        """The predicted classes (n,); None of a regression."""
        return np.concatenate(self._predicted) if self._predicted else None


def columns_of(values: Any, spec: DataSpec) -> dict[str, np.ndarray]:
    """The columns by name, of a table's cells or of vectors: (n,) each."""
    if spec.input.kind == "table":
        return {column.name: values[column.key] for column in spec.input.columns}
    flat = values.reshape(len(values), -1)
    names = spec.input.names or tuple(f"feature {place}" for place in range(flat.shape[1]))
    return {name: flat[:, place] for place, name in enumerate(names)}


def values_of(columns: Mapping[str, np.ndarray], spec: DataSpec) -> Any:
    """The inverse of `columns_of`: what a model takes."""
    if spec.input.kind == "table":
        return {column.key: columns[column.name] for column in spec.input.columns}
    table = np.stack([columns[name] for name in columns], axis=1).astype(spec.input.dtype)
    return table.reshape(len(table), *spec.input.shape)
