"""A dataset that lies in memory as numpy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import DataSpec, Lookup, Part

BATCH_EXAMPLES = 1024
BATCH_BYTES = 16 * 2**20
"""Bounds of the batches that arrays are streamed in."""


def in_batches(part: Part, look_up: Lookup, example_bytes: int) -> tf.data.Dataset:
    """Batches (inputs, targets) of a part, in order, by access to positions.

    Args:
        part: which examples.
        look_up: positions in the base split -> inputs and targets.
        example_bytes: memory of one example.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        indices = tf.convert_to_tensor(part.indices)
    size = max(1, min(BATCH_EXAMPLES, BATCH_BYTES // max(1, example_bytes)))
    # AutoGraph looks for control flow to rewrite; there is none.
    read = tf.autograph.experimental.do_not_convert(lambda places: look_up(tf.gather(indices, places)))
    return tf.data.Dataset.range(part.size).batch(size).map(read, num_parallel_calls=cpu_cores()).prefetch(2)


class ArraySource:
    """A `contracts.Source` over arrays.

    Attributes:
        spec: what the arrays hold.
        sizes: examples in each base split.
        example_bytes: memory of one example, input and target.
        notes: what was inferred, a line each.
    """

    def __init__(
        self,
        spec: DataSpec,
        bases: Mapping[str, tuple[np.ndarray, np.ndarray]],
        notes: Sequence[str] = (),
    ):
        """Take arrays as they are.

        Args:
            spec: what the arrays hold.
            bases: base split -> inputs (n, *spec.input.shape) and targets (n, *spec.target.shape), in the
                dtypes of the spec.
            notes: what was inferred, a line each.

        Raises:
            ValueError: arrays that contradict the spec.
        """
        for base, (inputs, targets) in bases.items():
            for array, part in ((inputs, spec.input), (targets, spec.target)):
                expected = (len(inputs), *part.shape)
                if array.shape != expected or array.dtype != part.dtype:
                    raise ValueError(
                        f"{spec.name}, base split `{base}`: an array is {array.dtype} {array.shape}, "
                        f"the spec says {part.dtype} {expected}"
                    )
        self.spec = spec
        self.notes: Sequence[str] = tuple(notes)
        self.sizes: Mapping[str, int] = {base: len(targets) for base, (_, targets) in bases.items()}
        self._bases = dict(bases)
        one = next(iter(bases.values()))
        self.example_bytes = sum(array[:1].nbytes for array in one)

    def fingerprint(self) -> str:
        """A hash of the arrays."""
        import numpy as np

        digest = hashlib.sha256()
        for base, arrays in sorted(self._bases.items()):
            digest.update(base.encode())
            for array in arrays:
                digest.update(f"{array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def arrays(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a part."""
        inputs, targets = self._bases[part.base]
        if part.size == len(targets):
            return inputs, targets
        return inputs[part.indices], targets[part.indices]

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part."""
        return self._bases[part.base][1][part.indices]

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (inputs, targets) of a part, in order; `key` has nothing to order."""
        return in_batches(part, self.lookup(part.base), self.example_bytes)

    def lookup(self, base: str) -> Lookup:
        """Gather by position."""
        import tensorflow as tf

        # tf.data reads them on the host.
        with tf.device("CPU:0"):
            inputs, targets = (tf.convert_to_tensor(array) for array in self._bases[base])
        return lambda positions: (tf.gather(inputs, positions), tf.gather(targets, positions))

    def values(self, base: str, name: str) -> np.ndarray:
        """A feature, by its name.

        Raises:
            DataError: there is none of that name.
        """
        names = self.spec.input.names
        if name not in names:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no column `{name}` to divide by; it has "
                f"{', '.join(names[:20]) or 'none'}"
            )
        return self._bases[base][0][:, names.index(name)]
