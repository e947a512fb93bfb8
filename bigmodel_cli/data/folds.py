"""Which examples a fold of a cross-validation holds out, by scikit-learn's splitters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.config.schema import Fold
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class HeldOut:
    """The two sides of a fold; by time they are not everything.

    Attributes:
        test: mask (n,) bool of the examples that are held out.
        rest: mask (n,) bool of those that may be learned from.
    """

    test: np.ndarray
    rest: np.ndarray


def held_out(
    fold: Fold,
    size: int,
    classes: np.ndarray | None,
    values: np.ndarray | None,
    names: Sequence[str],
    seed: int,
) -> HeldOut:
    """The examples of one fold.

    - stratified: `StratifiedKFold`, shuffled;
    - plain: `KFold`, shuffled;
    - grouped: `StratifiedGroupKFold` for classes, else `GroupKFold`, shuffled;
    - time: `TimeSeriesSplit` over the distinct times, so that examples of one time stay together. The oldest
      are held out in no fold, and what is newer than a fold is not learned from.

    Args:
        fold: which one.
        size: number of examples n.
        classes: class index of each example (n,); None where an example is not of one class.
        values: of the column `fold.by`, (n,); None where the fold has none.
        names: of the classes.
        seed: of the shuffle.

    Raises:
        DataError: there are fewer examples, examples of a class, groups or times than the folds need.
    """
    import numpy as np

    if size < fold.of:
        raise DataError(
            f"dataset.fold.of: {fold.of} folds of {size:,} training and validation examples would leave some "
            f"without any; use at most {size}"
        )
    strata = np.zeros(size) if classes is None else classes
    if fold.scheme == "time":
        assert values is not None
        return _by_time(fold, values)
    if fold.scheme == "stratified":
        _check_classes(fold, classes, names)
    groups = _groups(fold, values)
    test = np.zeros(size, bool)
    for index, chosen in enumerate(_tests(_splitter(fold, classes is not None, seed), strata, groups)):
        if not len(chosen):
            raise DataError(
                f"dataset.fold: fold {index + 1} of {fold.of} by the groups of {fold.by} would be empty, "
                "because a few groups hold most examples; use fewer folds"
            )
        if index == fold.index:
            test[chosen] = True
    _check_rest(fold, groups, ~test)
    return HeldOut(test, ~test)


def _splitter(fold: Fold, classification: bool, seed: int) -> Any:
    from sklearn import model_selection as schemes

    if fold.scheme == "grouped":
        splitter = schemes.StratifiedGroupKFold if classification else schemes.GroupKFold
    else:
        splitter = schemes.StratifiedKFold if fold.scheme == "stratified" else schemes.KFold
    return splitter(fold.of, shuffle=True, random_state=seed)


def _tests(splitter: Any, strata: np.ndarray, groups: np.ndarray | None) -> Iterator[np.ndarray]:
    """The positions that each fold holds out."""
    with warnings.catch_warnings():
        # Of groups: that a class is smaller than the number of folds, which groups cannot help.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            yield from (chosen for _, chosen in splitter.split(strata, strata, groups))
        except ValueError as error:
            raise DataError(f"dataset.fold: cannot divide these examples: {error}") from None


def _check_classes(fold: Fold, classes: np.ndarray | None, names: Sequence[str]) -> None:
    import numpy as np

    if classes is None:
        raise DataError("dataset.fold.scheme: `stratified` is for examples of one class each; use `plain`")
    counts = np.bincount(classes, minlength=len(names))
    few = [f"`{name}` has {count}" for name, count in zip(names, counts, strict=True) if 0 < count < fold.of]
    if few:
        raise DataError(
            f"dataset.fold.of: {fold.of} folds need as many training and validation examples of each class, "
            f"but {', '.join(few[:5])}{' and others' if len(few) > 5 else ''}; use fewer folds, or the "
            "scheme `plain`"
        )


def _groups(fold: Fold, values: np.ndarray | None) -> np.ndarray | None:
    """Each example's group as a number (n,)."""
    import numpy as np

    if values is None:
        return None
    found, members = np.unique(values, return_inverse=True)
    if len(found) < fold.of:
        raise DataError(
            f"dataset.fold.by: {fold.by} has {len(found)} groups in training and validation, too few for "
            f"{fold.of} folds; use at most {len(found)}"
            if len(found) > 1
            else f"dataset.fold.by: {fold.by} has one group only (`{found[0]}`), which cannot be divided"
        )
    numbers: np.ndarray = members
    return numbers


def _check_rest(fold: Fold, groups: np.ndarray | None, rest: np.ndarray) -> None:
    """The rest is divided once more, into training and validation."""
    import numpy as np

    if groups is not None and len(np.unique(groups[rest])) < 2:
        raise DataError(
            f"dataset.fold: beside fold {fold.index + 1} of {fold.of} there is one group of {fold.by} only, "
            "which cannot serve both for training and for validation; use more folds"
        )


def _by_time(fold: Fold, values: np.ndarray) -> HeldOut:
    import numpy as np
    from sklearn.model_selection import TimeSeriesSplit

    check_times(values, str(fold.by), "dataset.fold.by")
    times, places = np.unique(values, return_inverse=True)
    if len(times) < fold.of + 2:
        raise DataError(
            f"dataset.fold.by: {fold.by} has {len(times)} distinct times in training and validation, too few "
            f"for {fold.of} folds with training and validation before the first; "
            + (f"use at most {len(times) - 2}" if len(times) > 3 else "use another column or scheme")
        )
    before, held = list(TimeSeriesSplit(fold.of).split(times))[fold.index]
    return HeldOut(np.isin(places, held), np.isin(places, before))


def check_times(values: np.ndarray, column: str, key: str) -> None:
    """Make sure that examples can be ordered by a column.

    Args:
        values: of the column, (n,).
        column: its name.
        key: of the config that names it.

    Raises:
        DataError: it holds texts, or is missing somewhere.
    """
    import numpy as np

    if values.dtype.kind not in "iufM":
        raise DataError(
            f"{key}: `{column}` holds texts, such as `{values[0]}`; it must hold dates or numbers"
        )
    missing = np.isnan(values) if values.dtype.kind == "f" else values == MISSING_DATE
    if missing.any():
        raise DataError(
            f"{key}: `{column}` is missing in {int(missing.sum()):,} rows; drop them with "
            f"dataset.drop_missing: [{column}]"
        )
