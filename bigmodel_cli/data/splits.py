"""The examples of one split, and how often each is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.contracts import Inputs, Lookup, Part, Source

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


@dataclass(frozen=True)
class SplitData:
    """The examples of one split, unbatched and unshuffled.

    Attributes:
        name: train, validation or test; of new data another one.
        source: where the examples are read from.
        parts: which examples, in order; never empty.
        describe: where they come from, for the user's eyes.
    """

    name: str
    source: Source
    parts: tuple[Part, ...]
    describe: str

    @property
    def size(self) -> int:
        """Number of examples."""
        return sum(part.size for part in self.parts)

    def fingerprint(self) -> str:
        """Of which examples these are, whatever they hold: a hash of bases and positions."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update(part.base.encode())
            digest.update(part.indices.astype("<i8").tobytes())
        return digest.hexdigest()

    def arrays(self) -> tuple[Inputs, np.ndarray]:
        """Inputs (size, *input.shape), or a table's dict of columns, and targets (size, *target.shape)."""
        read = [self.source.arrays(part) for part in self.parts]
        return _joined([inputs for inputs, _ in read]), _joined([targets for _, targets in read])

    def targets(self) -> np.ndarray:
        """Targets (size, *target.shape), without decoding inputs."""
        return _joined([self.source.targets(part) for part in self.parts])

    def first(self, count: int) -> SplitData:
        """The same split, cut after its first `count` examples."""
        if count >= self.size:
            return self
        parts, left = [], count
        for part in self.parts:
            parts.append(Part(part.base, part.indices[:left]))
            left -= parts[-1].size
        return replace(self, parts=tuple(part for part in parts if part.size))

    def batches(self, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """The same as `arrays`, as a stream of batches (inputs, targets) of the source's sizes.

        Args:
            key: (2,) int32; when given, the source may read its files or shards in an order drawn from it.
        """
        first, *others = [self.source.batches(part, key) for part in self.parts]
        for other in others:
            first = first.concatenate(other)
        return first

    def lookup(self) -> Lookup | None:
        """Access by position within this split; None when the source can only be read in order."""
        import tensorflow as tf

        found = [self.source.lookup(part.base) for part in self.parts]
        # Several base splits in one are rare, and a batch that spans them is not worth its code.
        if len(found) > 1 or found[0] is None:
            return None
        look_up = found[0]
        with tf.device("CPU:0"):
            indices = tf.convert_to_tensor(self.parts[0].indices)
        return lambda positions: look_up(tf.gather(indices, positions))


def _joined(arrays: Sequence[Any]) -> Any:
    import numpy as np

    if len(arrays) == 1:
        return arrays[0]
    if isinstance(arrays[0], dict):
        return {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}
    return np.concatenate(arrays)


def resampled_counts(targets: np.ndarray, how: Literal["oversample", "undersample"], seed: int) -> np.ndarray:
    """How often each example is taken, so that all classes have the same number.

    Oversampling takes every example of a class equally often, and a random share once more, up to the size
    of the largest class; undersampling a random share, down to the smallest. Classes without examples stay
    empty.

    Args:
        targets: class indices (n,).
        how: up to the largest class or down to the smallest.
        seed: of the draw.

    Returns:
        (n,) int64.
    """
    import numpy as np

    classes = np.bincount(targets)
    goal = int(classes.max() if how == "oversample" else classes[classes > 0].min())
    generator = np.random.default_rng([seed, 3])
    counts = np.zeros(len(targets), np.int64)
    for index in np.flatnonzero(classes):
        places = np.flatnonzero(targets == index)
        times, left = divmod(goal, len(places))
        counts[places] = times
        counts[generator.permutation(places)[:left]] += 1
    return counts
