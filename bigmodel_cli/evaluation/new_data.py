"""New labelled data for a run: read, and held against what the run knows."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import rundir
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import Part
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.tables import files as table_files
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.evaluation.new_examples import BASE, NewExamples
from bigmodel_cli.inputs import STANDARD_INPUT, Inputs
from bigmodel_cli.inputs.blocks import Block, joined
from bigmodel_cli.inputs.labels import Labels
from bigmodel_cli.rundir import Run

_NAMED = 10
"""Inputs that are named where some are left out."""
_LONGEST_NAME = 60


@dataclass(frozen=True)
class NewData:
    """What was read.

    Attributes:
        name: of its folder among the evaluations.
        title: for people.
        split: the examples with a label.
        ids: theirs (n,), such as `file:line`.
        record: paths, fingerprint, and what was left out; JSON.
        notes: what was left out or not used, a line each.
    """

    name: str
    title: str
    split: SplitData
    ids: np.ndarray
    record: Mapping[str, Any]
    notes: tuple[str, ...]


def read(restored: Restored, paths: Sequence[str], target: Sequence[str], by: Sequence[str]) -> NewData:
    """Read new data; inputs without a label, or that cannot be read, are left out.

    Args:
        restored: the run.
        paths: tables, folders with a folder for each class, or .npz files.
        target: columns of the labels; empty for those of training.
        by: further columns that are wanted.

    Raises:
        UsageError: labels that the task does not have.
        DataError: no labels, other columns or shapes than the model takes, or nothing that is left.
    """
    if STANDARD_INPUT in paths:
        raise UsageError(
            f"--data {STANDARD_INPUT}: an evaluation is known by its path; put standard input into a file"
        )
    remedy = f"--target NAME says where the labels are; `bigmodel predict {restored.run} ...` needs none"
    labels = Labels.of(restored.spec, restored.config.dataset.parameters, remedy, target, by)
    notes: list[str] = []
    inputs = Inputs(
        paths,
        restored.spec.input,
        sys.stdin,
        parameters=restored.config.dataset.parameters,
        note=notes.append,
        labels=labels,
    )
    block = joined([*inputs.blocks()] or [Block([], [], None)])
    unread = [error for error in block.errors if error]
    unlabelled = [
        error for error, other in zip(block.unlabelled, block.errors, strict=True) if error and not other
    ]
    if len(unread) + len(unlabelled) == len(block):
        raise DataError("\n".join([*_left_out(unread, unlabelled, len(block)), _nothing(paths)]))
    split, ids = _examples(restored, block)
    shown = Path(paths[0]).name or str(Path(paths[0]).resolve())
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    record = {
        "paths": _absolute(paths),
        "fingerprint": split.source.fingerprint(),
        "read": len(block),
        "unreadable": {"count": len(unread), "first": unread[:_NAMED]},
        "unlabelled": {"count": len(unlabelled), "first": unlabelled[:_NAMED]},
    }
    return NewData(
        _free_name(restored.run, paths),
        f"new data {shown}{more}",
        split,
        ids,
        record,
        (*notes, *_left_out(unread, unlabelled, len(block))),
    )


def _examples(restored: Restored, block: Block) -> tuple[SplitData, np.ndarray]:
    """The inputs with a label, and their ids."""
    assert block.targets is not None
    places = np.array([place for place in block.readable if not block.unlabelled[place]], np.int64)
    rows = np.searchsorted(block.readable, places)
    values = block.values
    values = {key: cells[rows] for key, cells in values.items()} if isinstance(values, dict) else values[rows]
    source = NewExamples(
        restored.spec,
        values,
        block.targets[places],
        {name: cells[places] for name, cells in block.beside.items()},
    )
    split = SplitData("new data", source, (Part.range(BASE, 0, len(places)),), "new data")
    return split, np.array([block.ids[place] for place in places], object)


def _left_out(unread: Sequence[str], unlabelled: Sequence[str], count: int) -> list[str]:
    """What was left out, for people."""
    found = []
    for errors, why in ((unread, "cannot be read"), (unlabelled, "have no label that the run knows")):
        if errors:
            more = f"; and {len(errors) - _NAMED:,} more" if len(errors) > _NAMED else ""
            named = "; ".join(errors[:_NAMED])
            found.append(f"left out: {len(errors):,} of {count:,} inputs, which {why}: {named}{more}")
    return found


def _nothing(paths: Sequence[str]) -> str:
    return f"--data {' '.join(paths)}: no input is left to measure"


def _absolute(paths: Sequence[str]) -> list[str]:
    return [str(Path(path).resolve()) for path in paths]


def _free_name(run: Run, paths: Sequence[str]) -> str:
    """A folder among the evaluations, named after the paths: their own, or one that no others have."""
    whole = Path(paths[0]).resolve()
    stem = whole.name if whole.is_dir() else table_files.stem(whole)
    stem = re.sub(r"[^\w.-]+", "_", stem)[:_LONGEST_NAME] or "root"
    first = f"{rundir.NEW_DATA}{stem}" + (f"-and-{len(paths) - 1}-more" if len(paths) > 1 else "")
    name, number = first, 1
    while not _ours(run, name, paths):
        number += 1
        name = f"{first}-{number}"
    return name


def _ours(run: Run, name: str, paths: Sequence[str]) -> bool:
    """Whether an evaluation's folder is free, or of these very paths."""
    try:
        found = run.read_evaluation(name)
    except UsageError:
        # Whose it is cannot be told.
        return False
    return found is None or (found.get("data") or {}).get("paths") == _absolute(paths)
