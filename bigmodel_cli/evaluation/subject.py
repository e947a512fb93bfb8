"""What is measured: a split of a run's own data, or new data with labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigmodel_cli import assembly
from bigmodel_cli.assembly import Data, Restored
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.data.pipeline import Keeping
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import BigmodelError
from bigmodel_cli.evaluation import calibrating
from bigmodel_cli.evaluation.calibrating import Chosen
from bigmodel_cli.evaluation.new_data import read

_LONGEST_REASON = 200


@dataclass(frozen=True)
class Subject:
    """Examples to measure on, and what else is there to measure with.

    Attributes:
        name: of the folder for what is written.
        title: for people: `test split`, or `new data penguins.csv`.
        split: the examples.
        ids: of the examples (n,): positions in the split, of new data texts such as `file:line`.
        keeping: where decoded examples stay.
        data: the run's own; None where it is not here.
        kept: temperature and threshold that the run keeps; None where they are to be chosen anew.
        record: of new data, where it lies and what was left out; None of a split.
        notes: what to say of it, a line each.
        output: of several tasks the key of the one that is measured, which has a folder in that of `name`;
            empty for the only task.
    """

    name: str
    title: str
    split: SplitData
    ids: np.ndarray
    keeping: Keeping
    data: Data | None
    kept: Chosen | None = None
    record: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    output: str = ""


def own_split(restored: Restored, name: SplitName) -> Subject:
    """A split of the data that a run was trained on.

    Raises:
        DataError: the data is not there, or has changed.
    """
    data = assembly.restored_data(restored)
    split = data.splits[name]
    return Subject(name, f"{name} split", split, np.arange(split.size), data.raw, data)


def new_data(
    restored: Restored,
    paths: Sequence[str],
    target: Sequence[str],
    by: Sequence[str],
    own: Callable[[], Data] | None = None,
) -> Subject:
    """New data with labels, and as much of the run's own data as is here.

    Args:
        restored: the run.
        paths: where the new data lies.
        target: columns of the labels; empty for those of training.
        by: columns that are asked for besides.
        own: gives the run's own data; None for `assembly.restored_data`.

    Raises:
        UsageError: labels that the task does not have.
        DataError: the new data lacks labels, does not fit the model, or nothing of it can be measured.
    """
    found = read(restored, paths, target, by)
    kept = calibrating.kept(restored) if restored.spec.task == "classification" else None
    notes = list(found.notes)
    if restored.spec.task == "segmentation":
        # No linear model stands beside masks, and to count the pixels of training would take long.
        return Subject(
            found.name, found.title, found.split, found.ids, Keeping("none"), None, None, found.record,
            tuple(notes),
        )  # fmt: skip
    try:
        data = own() if own else assembly.restored_data(restored)
    except BigmodelError as error:
        data = None
        reason = str(error).splitlines()[0]
        reason = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."
        notes.append(f"no linear model beside it, as the run's own data cannot be read here: {reason}")
    return Subject(
        found.name, found.title, found.split, found.ids, Keeping("none"), data, kept, found.record,
        tuple(notes),
    )  # fmt: skip
