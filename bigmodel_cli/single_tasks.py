"""One task of a run that has several, as if it were the only one.

What is done with a run of one task (metrics, pictures, weights) is done so with each of several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras

from bigmodel_cli.assembly import Data, Restored
from bigmodel_cli.contracts import DataSpec, Inputs, Lookup, Part, Source
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.targets import one_output, one_target

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


class OneTarget:
    """A `contracts.Source` with one of its several targets.

    Attributes:
        spec: of the one.
        sizes: examples in each base split.
        example_bytes: memory of one example.
        notes: of how the source was read.
    """

    def __init__(self, source: Source, spec: DataSpec, place: int):
        """Look at a source.

        Args:
            source: with all targets.
            spec: of the one, from `DataSpec.parts`.
            place: of the one among the targets.
        """
        self.spec = spec
        self.sizes: Mapping[str, int] = source.sizes
        self.example_bytes = source.example_bytes
        self.notes: Sequence[str] = source.notes
        self._source, self._place = source, place

    def fingerprint(self) -> str:
        """That of the source, and which target it is."""
        return f"{self._source.fingerprint()} target {self._place}"

    def targets(self, part: Part) -> np.ndarray:
        """Class indices (n,) int32, or values (n, 1) float32."""
        return one_target(self.spec, self._source.targets(part), self._place)

    def arrays(self, part: Part) -> tuple[Inputs, np.ndarray]:
        """Inputs and targets of a part."""
        inputs, targets = self._source.arrays(part)
        return inputs, one_target(self.spec, targets, self._place)

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """The same as a stream of batches."""
        import tensorflow as tf

        target = self.spec.target

        def one(inputs: Inputs, targets: tf.Tensor) -> tuple[Inputs, tf.Tensor]:
            column = tf.cast(targets[:, self._place], target.dtype)
            return inputs, tf.reshape(column, (-1, *target.shape))

        return self._source.batches(part, key).map(one)

    def lookup(self, base: str) -> Lookup | None:
        """None: the examples are read in order."""
        return None

    def values(self, base: str, name: str) -> np.ndarray:
        """A column, which may be one of the targets."""
        return self._source.values(base, name)


def split_of(split: SplitData, spec: DataSpec, place: int) -> SplitData:
    """A split with one of its targets, by the part of the data that it is."""
    return replace(split, source=OneTarget(split.source, spec, place))


def data_of(data: Data, place: int) -> Data:
    """A run's data with one of its targets."""
    spec = data.spec.parts[place]
    splits = {name: split_of(split, spec, place) for name, split in data.splits.items()}
    return replace(data, spec=spec, splits=splits)


@dataclass(frozen=True)
class OneRestored(Restored):
    """A run brought back, whose model gives one of its outputs.

    Attributes:
        whole: the run with all.
        place: of the one among the tasks.
    """

    whole: Restored | None = None
    place: int = 0

    def predict(self, inputs: Any) -> np.ndarray:
        """As `Restored.predict`."""
        assert self.whole is not None
        # By the whole model, for which TensorFlow makes one function, not one for each task.
        return one_output(self.whole.spec, self.whole.predict(inputs), self.place)


def restored_of(restored: Restored, place: int) -> OneRestored:
    """A run of several tasks with one of them."""
    one, model = restored.spec.target.tasks[place], restored.model
    alone = keras.Model(model.input, model.output[one.key], name=model.name)
    spec = restored.spec.parts[place]
    return OneRestored(restored.run, restored.config, spec, alone, one, restored, place)
