"""New examples in memory, as a source like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bigmodel_cli.contracts import DataSpec, Inputs, Lookup, Part
from bigmodel_cli.data.arrays import in_batches
from bigmodel_cli.data.tables.files import suggest
from bigmodel_cli.errors import DataError

BASE = "new"
"""Its only base split."""


class NewExamples:
    """A `contracts.Source` over inputs as the model takes them, and their targets.

    Attributes:
        spec: of the data that the model was trained on.
        sizes: of the one base split.
        example_bytes: memory of one example, of strings without their characters.
        notes: none.
    """

    def __init__(self, spec: DataSpec, inputs: Inputs, targets: np.ndarray, beside: Mapping[str, np.ndarray]):
        """Take them.

        Args:
            spec: see above.
            inputs: (n, *input.shape), or column key -> (n,).
            targets: (n, *target.shape).
            beside: further columns, name -> (n,): numbers, or `str` objects.
        """
        self.spec = spec
        self.sizes: Mapping[str, int] = {BASE: len(targets)}
        self.notes: Sequence[str] = ()
        self._inputs, self._targets, self._beside = inputs, targets, beside
        self.example_bytes = sum(array[:1].nbytes for array in (*self._columns().values(), targets))

    def fingerprint(self) -> str:
        """SHA-256 of all inputs and targets."""
        digest = hashlib.sha256()
        for name, array in sorted({**self._columns(), "": self._targets}.items()):
            digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
            if array.dtype.kind == "O":
                for cell in array:
                    digest.update(len(cell).to_bytes(8) + cell)
            else:
                digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part."""
        return np.asarray(self._targets[part.indices])

    def arrays(self, part: Part) -> tuple[Inputs, np.ndarray]:
        """Inputs and targets of a part."""
        if isinstance(self._inputs, Mapping):
            return {key: cells[part.indices] for key, cells in self._inputs.items()}, self.targets(part)
        return self._inputs[part.indices], self.targets(part)

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (inputs, targets) of a part, in order; `key` has nothing to order."""
        return in_batches(part, self.lookup(part.base), self.example_bytes)

    def lookup(self, base: str) -> Lookup:
        """Gather by position."""
        # tf.data reads them on the host.
        with tf.device("CPU:0"):
            held: Any = tf.nest.map_structure(tf.convert_to_tensor, (self._inputs, self._targets))
        return lambda positions: tf.nest.map_structure(lambda array: tf.gather(array, positions), held)

    def values(self, base: str, name: str) -> np.ndarray:
        """A column, whether the model takes it or not: numbers (n,), or `str` objects.

        Raises:
            DataError: there is none of that name.
        """
        spec = self.spec.input
        for column in spec.columns:
            if column.name == name and column.kind != "image":
                cells = self._inputs[column.key]
                return _texts(cells) if cells.dtype.kind == "O" else cells
        if name in spec.names and spec.kind == "tabular":
            return np.asarray(self._inputs.reshape(len(self._inputs), -1)[:, spec.names.index(name)])
        if name in self._beside:
            return _numbers_or_texts(self._beside[name])
        raise DataError(f"the new data has no column `{name}`; {suggest(name, spec.names)}")

    def _columns(self) -> dict[str, np.ndarray]:
        return dict(self._inputs) if isinstance(self._inputs, Mapping) else {"inputs": self._inputs}


def _texts(cells: np.ndarray) -> np.ndarray:
    return np.array([cell.decode("utf-8", "replace") for cell in cells], object)


def _numbers_or_texts(cells: np.ndarray) -> np.ndarray:
    """Numbers where all cells are numbers or empty."""
    if cells.dtype.kind != "O":
        return cells
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return cells
