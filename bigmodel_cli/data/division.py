"""Which examples are for training, for validation and for the test.

A config either names its splits in the slicing syntax of TensorFlow Datasets
(https://www.tensorflow.org/datasets/splits), or by a column, or leaves them to the rule of `split`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from bigmodel_cli.config.schema import Fold
from bigmodel_cli.config.slicing import parse_instruction
from bigmodel_cli.contracts import SPLIT_NAMES, Part, Source, SplitName
from bigmodel_cli.data.folds import check_times, held_out
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.strata import strata
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np


def split(
    source: Source,
    *,
    splits: Mapping[str, str] | None,
    validation_fraction: float,
    test_fraction: float,
    limit: int | None,
    seed: int,
    split_by: tuple[Literal["column", "group", "time"], str] | None = None,
    stratify: bool = True,
    fold: Fold | None = None,
) -> dict[SplitName, SplitData]:
    """Divide a source into train, validation and test.

    What `splits` does not give is completed:

    - train is the base split `train`, or the pool `all`, without what the given splits take;
    - test is the base split `test`, unless a given split uses it; else `test_fraction` of train is held out;
    - validation is the base split `validation`, unless a given split uses it; else `validation_fraction` of
      what is left of train is held out. It never comes out of the test split.

    Held-out examples are drawn at random by `seed`, in equal shares of every class for classification; a
    class with a single example stays in train. With `split_by` a column decides instead: by its values,
    which name the splits; by group, whole groups being drawn until the share is reached; or by time, the
    newest examples being held out (examples of one time stay together).

    With `fold`, train and validation as they would be without it are joined, and the test split is left
    alone. Of the joined examples, the fold is the test; of the rest that the fold may learn from,
    `validation_fraction` is held out, by the fold's groups or time where it has them.

    Args:
        source: what to divide.
        splits: split -> instruction in the TFDS slicing syntax; any of train, validation and test.
        validation_fraction: share to hold out for validation.
        test_fraction: share to hold out for the test.
        limit: keep the first n examples of each split.
        seed: of the draw.
        split_by: how a column divides the examples, and its name.
        stratify: hold out the same share of every class; classification only.
        fold: which part of a cross-validation to hold out.

    Raises:
        DataError: a base split that the source does not have, an overlap between given splits, a split
            without examples, or a column that cannot divide them.
    """
    draw = _Division(source, seed, split_by, stratify)
    if split_by is not None and split_by[0] == "column":
        draw.give_by_column(split_by[1])
    for name in get_args(SplitName):
        if splits and splits.get(name):
            draw.give(name, splits[name])
    if "train" not in draw.parts:
        draw.take_rest()
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in draw.parts and not draw.take_base(name):
            draw.hold_out(name, fraction)
    draw.check_groups()
    whole = {name: _limited(draw.split(name), limit) for name in get_args(SplitName)}
    if fold is None:
        return whole
    draw.take_fold(fold, [*whole["train"].parts, *whole["validation"].parts])
    draw.hold_out("validation", validation_fraction)
    return {name: draw.split(name) for name in get_args(SplitName)}


class _Division:
    """Splits while they are being decided."""

    def __init__(
        self,
        source: Source,
        seed: int,
        split_by: tuple[Literal["column", "group", "time"], str] | None,
        stratify: bool,
    ):
        self.source = source
        self.seed = seed
        self.split_by = split_by
        self.classes = strata(source.spec)
        self.strata = self.classes if stratify else None
        self.parts: dict[str, tuple[Part, ...]] = {}
        self.describe: dict[str, str] = {}

    def give_by_column(self, column: str) -> None:
        import numpy as np

        found: dict[str, list[Part]] = {}
        for base in self.source.sizes:
            values = np.asarray([str(value).strip().lower() for value in self.source.values(base, column)])
            for value in np.unique(values):
                name = SPLIT_NAMES.get(str(value))
                if name is None:
                    raise DataError(
                        f"dataset.split_by.column: `{column}` holds `{value}`, which names no split; its "
                        "values must be train, validation (or val, valid, dev) and test"
                    )
                found.setdefault(name, []).append(Part(base, np.flatnonzero(values == value)))
        for split_name, parts in found.items():
            self._set(split_name, _merged(parts), f"where {column} says so")

    def give(self, name: str, instruction: str) -> None:
        parts = []
        for term in parse_instruction(instruction):
            if term.base not in self.source.sizes:
                raise DataError(
                    f"dataset.splits.{name}: `{instruction}` names the split `{term.base}`, which "
                    f"{self.source.spec.name} does not have; it has {self._bases()}"
                )
            try:
                positions = term.positions(self.source.sizes[term.base])
            except ValueError as error:
                raise DataError(
                    f"dataset.splits.{name}: `{instruction}`: in the split `{term.base}`, {error}"
                ) from None
            parts.append(Part.range(term.base, positions.start, positions.stop))
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
        if name not in self.source.sizes:
            return False
        whole = (Part.range(name, 0, self.source.sizes[name]),)
        if any(_overlap(whole, parts) for parts in self.parts.values()):
            return False
        self._set(name, whole, name)
        return True

    def hold_out(self, name: str, fraction: float) -> None:
        import numpy as np

        train = self.split("train")
        # Each split has a draw of its own, so that the test split does not move with validation_fraction.
        generator = np.random.default_rng([self.seed, get_args(SplitName).index(name)])
        by, column = self.split_by or ("", "")
        if by == "group":
            held = _drawn_groups(self._values(train, column), fraction, generator)
            how = f"whole groups of {column}"
        elif by == "time":
            held = _newest(self._values(train, column), fraction, column)
            how = f"the newest by {column}"
        else:
            held = (
                _drawn(self.strata.of(train.targets()), fraction, generator)
                if self.strata
                else _drawn_evenly(train.size, fraction, generator)
            )
            how = f"stratified by {self.strata.by}" if self.strata else "at random"
        kept, taken = _chosen(train.parts, ~held), _chosen(train.parts, held)
        origin = self.describe["train"]
        seed = "" if by == "time" else f", seed {self.seed}"
        self._set("train", kept, origin)
        self._set(name, taken, f"{fraction:.4g} of {origin}, held out {how}{seed}")

    def take_fold(self, fold: Fold, pool: Sequence[Part]) -> None:
        """Let a fold be the test split, and what it may learn from the training split."""
        joined = SplitData("train", self.source, tuple(_merged(pool)), "train and validation")
        values = None
        if fold.by is not None:
            try:
                values = self._values(joined, fold.by)
            except DataError as error:
                raise DataError(str(error).replace("dataset.split_by", "dataset.fold.by", 1)) from None
            # Validation must be kept apart in the same way.
            self.split_by = ("group" if fold.scheme == "grouped" else "time", fold.by)
        classes = self.classes.of(joined.targets()) if self.classes else None
        names, by = (self.classes.names, self.classes.by) if self.classes else ((), "")
        held = held_out(fold, joined.size, classes, values, names, self.seed)
        how = {"stratified": f"stratified by {by}", "plain": "at random", "grouped": "whole groups of",
               "time": "by"}[fold.scheme]  # fmt: skip
        seed = "" if fold.scheme == "time" else f", seed {self.seed}"
        describe = (
            f"fold {fold.index + 1} of {fold.of} of train and validation, {how}"
            f"{'' if fold.by is None else f' {fold.by}'}{seed}"
        )
        self._set("test", _chosen(joined.parts, held.test), describe)
        rest = "what comes before" if fold.scheme == "time" else "the rest of train and validation without"
        self._set("train", _chosen(joined.parts, held.rest), f"{rest} fold {fold.index + 1} of {fold.of}")

    def check_groups(self) -> None:
        """No group may lie in two splits, whoever divided them."""
        import numpy as np

        if self.split_by is None or self.split_by[0] != "group":
            return
        column, seen = self.split_by[1], dict[Any, str]()
        for name in get_args(SplitName):
            for value in np.unique(self._values(self.split(name), column)).tolist():
                if value in seen:
                    raise DataError(
                        f"dataset.split_by.group: `{value}` of {column} lies in {seen[value]} and in {name}; "
                        "the source or dataset.splits divides the groups; leave the splits to bigmodel"
                    )
                seen[value] = name

    def _values(self, data: SplitData, column: str) -> np.ndarray:
        import numpy as np

        values = {part.base: self.source.values(part.base, column) for part in data.parts}
        return np.concatenate([values[part.base][part.indices] for part in data.parts])

    def split(self, name: SplitName) -> SplitData:
        if not self.parts[name]:
            raise DataError(
                f"dataset: the {name} split ({self.describe[name]}) of {self.source.spec.name} holds no "
                f"examples; it has {self._bases()}; change dataset.splits, dataset.validation_fraction or "
                "dataset.test_fraction"
            )
        return SplitData(name, self.source, self.parts[name], self.describe[name])

    def _set(self, name: str, parts: Sequence[Part], describe: str) -> None:
        self.parts[name] = tuple(part for part in parts if part.size)
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


def _drawn_evenly(size: int, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """`_drawn` where all examples are of one stratum, in a fraction of its memory."""
    import numpy as np

    mask = np.zeros(size, bool)
    mask[generator.permutation(size)[: min(round(size * fraction), size - 1)]] = True
    return mask


def _drawn_groups(values: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask of whole groups, drawn at random until the share of the examples is as close as it gets.

    At least one group is drawn and one is left.
    """
    import numpy as np

    groups, members = np.unique(values, return_inverse=True)
    if len(groups) < 2:
        raise DataError(
            f"dataset.split_by.group: there is one group only (`{groups[0]}`), which cannot be divided"
        )
    sizes = np.bincount(members)
    order = generator.permutation(len(groups))
    reached = np.cumsum(sizes[order])
    count = int(np.argmin(np.abs(reached - fraction * len(values)))) + 1
    chosen = np.zeros(len(groups), bool)
    chosen[order[: min(count, len(groups) - 1)]] = True
    return chosen[members]


def _newest(values: np.ndarray, fraction: float, column: str) -> np.ndarray:
    """Mask of the newest examples; examples of one time are not divided, and of two times one is held out."""
    import numpy as np

    check_times(values, column, "dataset.split_by.time")
    limit = np.sort(values)[len(values) - max(1, round(fraction * len(values))) - 1]
    if limit == values.max() > values.min():
        # More examples of the newest time than are asked for.
        newest: np.ndarray = values == limit
        return newest
    return values > limit


def _chosen(parts: Sequence[Part], mask: np.ndarray) -> list[Part]:
    """The examples of some parts where a mask over all of them is true."""
    chosen, start = [], 0
    for part in parts:
        chosen.append(Part(part.base, part.indices[mask[start : start + part.size]]))
        start += part.size
    return chosen


def _merged(parts: Sequence[Part]) -> list[Part]:
    """One part for each base, its positions ascending."""
    import numpy as np

    bases = dict.fromkeys(part.base for part in parts)
    return [Part(base, np.sort(_positions(parts, base))) for base in bases]


def _limited(data: SplitData, limit: int | None) -> SplitData:
    if limit is None or limit >= data.size:
        return data
    return replace(data.first(limit), describe=f"{data.describe}, the first {limit:,}")
