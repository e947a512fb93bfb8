"""A dataset cut down to some of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import Inputs, Lookup, Part, Source
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


class SelectedClasses:
    """A `contracts.Source` of the examples of some classes, which are numbered anew in the order given.

    Attributes:
        spec: with these classes only.
        sizes: examples of these classes in each base split.
        example_bytes: memory of one example, input and target.
        notes: of the whole source.
    """

    def __init__(self, source: Source, names: Sequence[str]):
        """Look at the targets of all examples.

        Args:
            source: the whole dataset, a classification.
            names: of the classes to keep.

        Raises:
            DataError: there are no classes, or not these, or fewer than two are named.
        """
        import numpy as np

        _check(source, names)
        known = source.spec.target.names
        self._inner, self._names = source, tuple(names)
        # Old index -> new one; -1 for classes that are left out.
        self._numbers = np.full(len(known), -1, np.int32)
        for number, name in enumerate(names):
            self._numbers[known.index(name)] = number
        self._kept: Mapping[str, np.ndarray] = {
            base: np.flatnonzero(self._numbers[source.targets(Part.range(base, 0, size))] >= 0)
            for base, size in source.sizes.items()
        }
        self.spec = replace(source.spec, target=replace(source.spec.target, names=self._names))
        self.sizes: Mapping[str, int] = {base: len(kept) for base, kept in self._kept.items()}
        self.example_bytes = source.example_bytes
        self.notes: Sequence[str] = (
            *source.notes,
            f"classes: {len(names)} of {len(known)} are kept, {sum(self.sizes.values()):,} of "
            f"{sum(source.sizes.values()):,} examples",
        )

    def fingerprint(self) -> str:
        """That of the whole, and the classes."""
        return f"{self._inner.fingerprint()} {'|'.join(self._names)}"

    def targets(self, part: Part) -> np.ndarray:
        """Class indices (n,) int32."""
        return self._renumbered(self._inner.targets(self._whole(part)))

    def arrays(self, part: Part) -> tuple[Inputs, np.ndarray]:
        """Inputs and class indices."""
        inputs, targets = self._inner.arrays(self._whole(part))
        return inputs, self._renumbered(targets)

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """The same as a stream."""
        import tensorflow as tf

        numbers = tf.constant(self._numbers)
        return self._inner.batches(self._whole(part), key).map(
            lambda inputs, targets: (inputs, tf.gather(numbers, targets))
        )

    def lookup(self, base: str) -> Lookup | None:
        """Access by position among the examples that are kept."""
        import tensorflow as tf

        found = self._inner.lookup(base)
        if found is None:
            return None
        kept, numbers = tf.constant(self._kept[base], tf.int64), tf.constant(self._numbers)
        whole: Lookup = found

        def look_up(positions: tf.Tensor) -> tuple[Inputs, tf.Tensor]:
            inputs, targets = whole(tf.gather(kept, positions))
            return inputs, tf.gather(numbers, targets)

        return look_up

    def values(self, base: str, name: str) -> np.ndarray:
        """Of a column, for the examples that are kept.

        Raises:
            DataError: as the whole source.
        """
        return self._inner.values(base, name)[self._kept[base]]

    def _whole(self, part: Part) -> Part:
        """The same examples in the whole source."""
        return Part(part.base, self._kept[part.base][part.indices])

    def _renumbered(self, targets: np.ndarray) -> np.ndarray:
        return self._numbers[targets]


def _check(source: Source, names: Sequence[str]) -> None:
    spec = source.spec
    if spec.task != "classification":
        raise DataError(
            f"dataset.only_classes: is for classification, but {spec.name} is for {spec.task}; leave it out"
        )
    known = spec.target.names
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the classes are {', '.join(known[:20])}"
            raise DataError(f"dataset.only_classes: {spec.name} has no class `{name}`; {hint}")
    if len(set(names)) != len(names):
        raise DataError("dataset.only_classes: a class is named twice")
    if len(names) < 2:
        raise DataError("dataset.only_classes: name at least two classes to tell apart")
