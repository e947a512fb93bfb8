"""New data for a run, with labels where its task has any: read, and held against what the run knows."""

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
from bigmodel_cli.evaluation import new_sources
from bigmodel_cli.evaluation.new_examples import BASE, NewExamples
from bigmodel_cli.inputs import STANDARD_INPUT, Inputs
from bigmodel_cli.inputs.blocks import Block, joined
from bigmodel_cli.inputs.labels import Labels
from bigmodel_cli.rundir import Run
from bigmodel_cli.token_targets import is_language

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
    """Read new data; inputs without a label that is needed, or that cannot be read, are left out.

    Args:
        restored: the run.
        paths: tables, folders with a folder for each class, or .npz files; of masks a folder with images and
            masks; of a model of long texts a file of text.
        target: columns of the labels; empty for those of training.
        by: further columns that are wanted.

    Raises:
        UsageError: labels that the task does not have, or several paths of what is read from one.
        DataError: no labels, other columns or shapes than the model takes, or nothing that is left.
    """
    if STANDARD_INPUT in paths:
        raise UsageError(
            f"--data {STANDARD_INPUT}: an evaluation is known by its path; put standard input into a file"
        )
    learns_itself = is_language(restored.spec) or restored.spec.task == "reconstruction"
    if learns_itself and (target or by):
        option = f"--target {target[0]}" if target else f"--by {by[0]}"
        raise UsageError(
            f"{option}: {restored.run} learned its own input, and new data for it needs no further columns; "
            "leave it out"
        )
    read_source = new_sources.reader(restored)
    if read_source is not None:
        return _by_source(restored, read_source, paths, target)
    remedy = f"--target NAME says where the labels are; `bigmodel predict {restored.run} ...` needs none"
    parameters = restored.config.dataset.parameters
    labels = None if learns_itself else Labels.of(restored.spec, parameters, remedy, target, by)
    notes: list[str] = []
    inputs = Inputs(
        paths, restored.spec.input, sys.stdin, parameters=parameters, note=notes.append, labels=labels
    )
    block = joined([*inputs.blocks()] or [Block([], [], None)])
    unread = [error for error in block.errors if error]
    why_not = block.unlabelled if labels else [""] * len(block)
    unlabelled = [error for error, other in zip(why_not, block.errors, strict=True) if error and not other]
    if len(unread) + len(unlabelled) == len(block):
        raise DataError("\n".join([*_left_out(unread, unlabelled, len(block)), _nothing(paths)]))
    split, ids = _examples(restored, block)
    record = _record(paths, split, len(block), unread, unlabelled)
    return _found(restored, paths, split, ids, record, (*notes, *_left_out(unread, unlabelled, len(block))))


def _by_source(
    restored: Restored, read_source: new_sources.Reader, paths: Sequence[str], target: Sequence[str]
) -> NewData:
    if target:
        raise UsageError(f"--target {target[0]}: masks have no columns; leave it out")
    if len(paths) > 1:
        raise UsageError(f"--data {paths[1]}: masks and long texts are measured from one path at a time")
    split, ids, notes = new_sources.examples(restored, read_source, paths[0])
    return _found(restored, paths, split, ids, _record(paths, split, split.size, [], []), notes)


def _record(
    paths: Sequence[str], split: SplitData, count: int, unread: Sequence[str], unlabelled: Sequence[str]
) -> dict[str, Any]:
    return {
        "paths": _absolute(paths),
        "fingerprint": split.source.fingerprint(),
        "read": count,
        "unreadable": {"count": len(unread), "first": unread[:_NAMED]},
        "unlabelled": {"count": len(unlabelled), "first": unlabelled[:_NAMED]},
    }


def _found(
    restored: Restored,
    paths: Sequence[str],
    split: SplitData,
    ids: np.ndarray,
    record: Mapping[str, Any],
    notes: tuple[str, ...],
) -> NewData:
    shown = Path(paths[0]).name or str(Path(paths[0]).resolve())
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    name = _free_name(restored.run, paths)
    return NewData(name, f"new data {shown}{more}", split, ids, record, notes)


def _examples(restored: Restored, block: Block) -> tuple[SplitData, np.ndarray]:
    """The inputs with a label, or of which none is needed, and their ids."""
    places, targets = block.readable, np.zeros(len(block), np.int32)
    if block.targets is not None:
        places = np.array([place for place in places if not block.unlabelled[place]], np.int64)
        targets = block.targets
    rows = np.searchsorted(block.readable, places)
    values = block.values
    values = {key: cells[rows] for key, cells in values.items()} if isinstance(values, dict) else values[rows]
    source = NewExamples(
        restored.spec,
        values,
        targets[places],
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
