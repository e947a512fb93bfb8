"""Which examples are for training, for validation and for the test.

A config either names its splits in the slicing syntax of TensorFlow Datasets
(https://www.tensorflow.org/datasets/splits) or leaves them to the rule of `split`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from bigmodel_cli.config.slicing import parse_instruction
from bigmodel_cli.contracts import DataSpec, Piece, Source, SplitName
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


@dataclass(frozen=True)
class Part:
    """Examples of one base split, by their positions in storage order."""

    base: str
    indices: np.ndarray

    @property
    def span(self) -> Piece:
        """The shortest range that holds them all."""
        return Piece(self.base, int(self.indices[0]), int(self.indices[-1]) + 1)

    @property
    def whole(self) -> bool:
        """Whether they are all of the span."""
        return self.span.size == len(self.indices)


@dataclass(frozen=True)
class SplitData:
    """The examples of one split, unbatched and unshuffled.

    Attributes:
        name: train, validation or test.
        source: where the examples are read from.
        parts: which examples, in order; never empty.
        describe: where they come from, for the user's eyes.
    """

    name: SplitName
    source: Source
    parts: tuple[Part, ...]
    describe: str

    @property
    def size(self) -> int:
        """Number of examples."""
        return sum(len(part.indices) for part in self.parts)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (size, *input.shape) and targets (size, *target.shape), decoded.

        Reads no more of the source than the spans of the parts.
        """
        read = [self.source.arrays(part.span) for part in self.parts]
        return (
            _joined([_picked(inputs, part) for (inputs, _), part in zip(read, self.parts, strict=True)]),
            _joined([_picked(targets, part) for (_, targets), part in zip(read, self.parts, strict=True)]),
        )

    def targets(self) -> np.ndarray:
        """Targets (size, *target.shape), without decoding inputs."""
        return _joined([_picked(self.source.targets(part.span), part) for part in self.parts])

    def first_inputs(self, count: int) -> np.ndarray:
        """The first inputs (at most count, *input.shape), without reading the others."""
        import numpy as np

        inputs, _ = next(iter(self.examples().take(count).batch(count)))
        return np.asarray(inputs)

    def examples(self) -> tf.data.Dataset:
        """The same as `arrays`, as a stream of single (input, target) with a known cardinality.

        A held-out split decodes all examples of its span and drops those that are not its own; a slice
        such as `train[90%:]` has none to drop.
        """
        streams = [_stream(self.source, part) for part in self.parts]
        first, *others = streams
        for other in others:
            first = first.concatenate(other)
        return first


def _picked(array: np.ndarray, part: Part) -> np.ndarray:
    return array if part.whole else array[part.indices - part.span.start]


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    import numpy as np

    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _stream(source: Source, part: Part) -> tf.data.Dataset:
    import numpy as np
    import tensorflow as tf

    examples = source.examples(part.span)
    if part.whole:
        return examples
    wanted = np.zeros(part.span.size, bool)
    wanted[part.indices - part.span.start] = True
    with tf.device("CPU:0"):
        mask = tf.convert_to_tensor(wanted)
    return (
        examples.enumerate()
        .filter(lambda index, _: mask[index])
        .map(lambda _, example: example)
        .apply(tf.data.experimental.assert_cardinality(len(part.indices)))
    )


def split(
    source: Source,
    *,
    splits: Mapping[str, str] | None,
    validation_fraction: float,
    test_fraction: float,
    limit: int | None,
    seed: int,
) -> dict[SplitName, SplitData]:
    """Divide a source into train, validation and test.

    What `splits` does not give is completed:

    - train is the base split `train`, or the pool `all`, without what the given splits take;
    - test is the base split `test`, unless a given split uses it; else `test_fraction` of train is held out;
    - validation is the base split `validation`, unless a given split uses it; else `validation_fraction` of
      what is left of train is held out. It never comes out of the test split.

    Held-out examples are drawn at random by `seed`, in equal shares of every class for classification; a
    class with a single example stays in train.

    Args:
        source: what to divide.
        splits: split -> instruction in the TFDS slicing syntax; any of train, validation and test.
        validation_fraction: share to hold out for validation.
        test_fraction: share to hold out for the test.
        limit: keep the first n examples of each split.
        seed: of the draw.

    Raises:
        DataError: a base split that the source does not have, an overlap between given splits, or a split
            without examples.
    """
    draw = _Division(source, seed)
    for name in get_args(SplitName):
        if splits and splits.get(name):
            draw.give(name, splits[name])
    if "train" not in draw.parts:
        draw.take_rest()
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in draw.parts and not draw.take_base(name):
            draw.hold_out(name, fraction)
    return {name: _limited(draw.split(name), limit) for name in get_args(SplitName)}


class _Division:
    """Splits while they are being decided."""

    def __init__(self, source: Source, seed: int):
        self.source = source
        self.seed = seed
        self.parts: dict[str, tuple[Part, ...]] = {}
        self.describe: dict[str, str] = {}

    def give(self, name: str, instruction: str) -> None:
        import numpy as np

        parts = []
        for term in parse_instruction(instruction):
            if term.base not in self.source.sizes:
                raise DataError(
                    f"dataset.splits.{name}: `{instruction}` names the split `{term.base}`, which "
                    f"{self.source.spec.name} does not have; it has {self._bases()}"
                )
            try:
                piece = term.piece(self.source.sizes[term.base])
            except ValueError as error:
                raise DataError(
                    f"dataset.splits.{name}: `{instruction}`: in the split `{term.base}`, {error}"
                ) from None
            parts.append(Part(term.base, np.arange(piece.start, piece.stop)))
        self._set(name, parts, instruction)
        for other, taken in self.parts.items():
            if other != name and (count := _overlap(self.parts[name], taken)):
                raise DataError(
                    f"dataset.splits: {other} `{self.describe[other]}` and {name} `{instruction}` share "
                    f"{count:,} examples; give slices that do not overlap"
                )

    def take_rest(self) -> None:
        import numpy as np

        base = next((base for base in ("train", "all") if base in self.source.sizes), None)
        if base is None:
            raise DataError(
                f"dataset: {self.source.spec.name} has no split `train`; it has {self._bases()}; name the "
                "one to train on in dataset.splits.train"
            )
        rest = np.arange(self.source.sizes[base])
        for parts in self.parts.values():
            rest = np.setdiff1d(rest, _positions(parts, base), assume_unique=False)
        whole = len(rest) == self.source.sizes[base]
        self._set("train", [Part(base, rest)], base if whole else f"{base} without the given splits")

    def take_base(self, name: str) -> bool:
        import numpy as np

        if name not in self.source.sizes:
            return False
        whole = (Part(name, np.arange(self.source.sizes[name])),)
        if any(_overlap(whole, parts) for parts in self.parts.values()):
            return False
        self._set(name, whole, name)
        return True

    def hold_out(self, name: str, fraction: float) -> None:
        import numpy as np

        train = self.split("train")
        stratified = self.source.spec.task == "classification"
        # Each split has a draw of its own, so that the test split does not move with validation_fraction.
        generator = np.random.default_rng([self.seed, get_args(SplitName).index(name)])
        held = _drawn(train.targets() if stratified else np.zeros(train.size, np.int64), fraction, generator)
        kept, taken, start = [], [], 0
        for part in train.parts:
            mask = held[start : start + len(part.indices)]
            kept.append(Part(part.base, part.indices[~mask]))
            taken.append(Part(part.base, part.indices[mask]))
            start += len(part.indices)
        how = "stratified by class" if stratified else "at random"
        origin = self.describe["train"]
        self._set("train", kept, origin)
        self._set(name, taken, f"{fraction:.4g} of {origin}, held out {how}, seed {self.seed}")

    def split(self, name: SplitName) -> SplitData:
        if not self.parts[name]:
            raise DataError(
                f"dataset: the {name} split ({self.describe[name]}) of {self.source.spec.name} holds no "
                f"examples; it has {self._bases()}; change dataset.splits, dataset.validation_fraction or "
                "dataset.test_fraction"
            )
        return SplitData(name, self.source, self.parts[name], self.describe[name])

    def _set(self, name: str, parts: Sequence[Part], describe: str) -> None:
        self.parts[name] = tuple(part for part in parts if len(part.indices))
        self.describe[name] = describe

    def _bases(self) -> str:
        return ", ".join(f"`{base}` ({size:,} examples)" for base, size in self.source.sizes.items())


def _positions(parts: Sequence[Part], base: str) -> np.ndarray:
    import numpy as np

    return np.concatenate([np.empty(0, np.int64), *(part.indices for part in parts if part.base == base)])


def _overlap(some: Sequence[Part], others: Sequence[Part]) -> int:
    import numpy as np

    return sum(
        len(np.intersect1d(_positions(some, base), _positions(others, base)))
        for base in {part.base for part in some}
    )


def _drawn(strata: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask of a random `fraction` of the examples, in the same share of each stratum.

    The shares are whole examples; what rounding leaves goes to the strata with the largest remainders. At
    least one example of each stratum is not drawn.
    """
    import numpy as np

    strata = np.unique(strata, return_inverse=True)[1]
    counts = np.bincount(strata)
    shares = np.floor(counts * fraction).astype(np.int64)
    left = round(len(strata) * fraction) - int(shares.sum())
    for stratum in np.argsort(shares - counts * fraction, kind="stable"):
        if left > 0 and shares[stratum] < counts[stratum] - 1:
            shares[stratum] += 1
            left -= 1
    order = generator.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    first = np.cumsum(counts) - counts
    mask = np.zeros(len(strata), bool)
    for start, share in zip(first, shares, strict=True):
        mask[order[start : start + share]] = True
    return mask


def _limited(data: SplitData, limit: int | None) -> SplitData:
    if limit is None or limit >= data.size:
        return data
    parts, left = [], limit
    for part in data.parts:
        parts.append(Part(part.base, part.indices[:left]))
        left -= len(parts[-1].indices)
    kept = tuple(part for part in parts if len(part.indices))
    return replace(data, parts=kept, describe=f"{data.describe}, the first {limit:,}")


def describe(source: Source, splits: Mapping[SplitName, SplitData]) -> DataSpec:
    """The full description: sizes, and the statistics of the training split alone.

    Raises:
        DataError: tabular inputs or regression targets that are not finite numbers.
    """
    import numpy as np

    spec = source.spec
    train = splits["train"]
    data_input, target = spec.input, spec.target
    if data_input.kind == "tabular" and len(data_input.shape) == 1:
        inputs, targets = train.arrays()
        mean = _finite_mean(inputs, spec, "feature", data_input.names)
        variance = np.var(inputs, axis=0, dtype=np.float64)
        data_input = replace(data_input, mean=mean, variance=tuple(map(float, variance)))
    else:
        targets = train.targets()
    if spec.task == "classification":
        target = replace(target, counts=tuple(np.bincount(targets, minlength=len(target.names)).tolist()))
    else:
        target = replace(target, mean=_finite_mean(targets, spec, "target", target.names))
    sizes: dict[str, int] = {name: data.size for name, data in splits.items()}
    return replace(spec, input=data_input, target=target, sizes=sizes)


def _finite_mean(array: np.ndarray, spec: DataSpec, what: str, names: Sequence[str]) -> tuple[float, ...]:
    mean = tuple(map(float, array.mean(axis=0, dtype="float64")))
    wrong = [names[i] for i, value in enumerate(mean) if not math.isfinite(value)]
    if wrong:
        raise DataError(
            f"dataset: {spec.name} holds numbers that are not finite (NaN or infinity) in the training "
            f"split, {what} {', '.join(wrong[:5])}{' and others' if len(wrong) > 5 else ''}; fill or drop "
            "them"
        )
    return mean
