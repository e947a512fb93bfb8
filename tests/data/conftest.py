from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.data.arrays import ArraySource


@pytest.fixture
def numbered_images() -> Callable[[Mapping[str, int]], ArraySource]:
    """Builds a source whose example i of a base split has i in its first two pixels, and label i % 4."""

    def build(sizes: Mapping[str, int]) -> ArraySource:
        bases = {}
        for base, size in sizes.items():
            numbers = np.arange(size)
            images = np.zeros((size, 4, 6, 1), np.uint8)
            images[:, 0, 0, 0], images[:, 0, 1, 0] = numbers % 256, numbers // 256
            bases[base] = (images, (numbers % 4).astype(np.int32))
        spec = DataSpec(
            "numbered",
            "test",
            "classification",
            InputSpec((4, 6, 1), "uint8", "image"),
            TargetSpec((), "int32", ("a", "b", "c", "d")),
        )
        return ArraySource(spec, bases)

    return build


@pytest.fixture
def number_of() -> Callable[[np.ndarray], list[int]]:
    """Reads the numbers back from a batch of `numbered_images`."""
    return lambda images: (images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 1, 0].astype(int)).tolist()


class TableArrays:
    """A table in memory, given out in batches of 7 rows."""

    def __init__(self, columns, cells):
        self.cells = cells
        size = len(next(iter(cells.values())))
        self.sizes = {"all": size}
        target = TargetSpec((1,), "float32", ("y",))
        self.spec = DataSpec(
            "rows", "test", "regression", InputSpec((len(cells),), "", "table", tuple(cells), columns), target
        )

    def targets(self, part):
        return part.indices[:, np.newaxis].astype(np.float32)

    def batches(self, part, key=None):
        cells = {name: values[part.indices] for name, values in self.cells.items()}
        return tf.data.Dataset.from_tensor_slices((cells, self.targets(part))).batch(7)


@pytest.fixture
def table_arrays() -> type[TableArrays]:
    """The class, to be built of columns and their cells."""
    return TableArrays
