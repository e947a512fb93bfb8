"""A dataset that lies in memory as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import DataSpec, Piece


class ArraySource:
    """A `contracts.Source` over arrays.

    Attributes:
        spec: what the arrays hold.
        sizes: examples in each base split.
        example_bytes: memory of one example, input and target.
    """

    def __init__(self, spec: DataSpec, bases: Mapping[str, tuple[np.ndarray, np.ndarray]]):
        """Take arrays as they are.

        Args:
            spec: what the arrays hold.
            bases: base split -> inputs (n, *spec.input.shape) and targets (n, *spec.target.shape), in the
                dtypes of the spec.

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
        self.sizes: Mapping[str, int] = {base: len(targets) for base, (_, targets) in bases.items()}
        self._bases = dict(bases)
        one = next(iter(bases.values()))
        self.example_bytes = sum(array[:1].nbytes for array in one)

    def arrays(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a piece."""
        inputs, targets = self._bases[piece.base]
        return inputs[piece.start : piece.stop], targets[piece.start : piece.stop]

    def targets(self, piece: Piece) -> np.ndarray:
        """Targets of a piece."""
        return self.arrays(piece)[1]

    def examples(self, piece: Piece) -> tf.data.Dataset:
        """Single (input, target) of a piece, in order."""
        import tensorflow as tf

        # tf.data reads them on the host.
        with tf.device("CPU:0"):
            inputs, targets = (tf.convert_to_tensor(array) for array in self.arrays(piece))
        return tf.data.Dataset.range(piece.size).map(lambda i: (tf.gather(inputs, i), tf.gather(targets, i)))
