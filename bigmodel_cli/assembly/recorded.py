"""From a run to the data that it was trained on, held against what was recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bigmodel_cli.assembly.data import Data, load_data
from bigmodel_cli.assembly.restoring import Restored
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError
from bigmodel_cli.rundir import Run


def restored_data(restored: Restored) -> Data:
    """The data that a run was trained on.

    Raises:
        DataError: it is not there, or has changed: with other examples in the splits, training examples would
            be among those held out.
    """
    return recorded_data(restored.run, restored.config, restored.spec)


def recorded_data(run: Run, config: Config, then: DataSpec) -> Data:
    """The data of a run, held against what was recorded of it.

    Args:
        run: where that was.
        config: of the run.
        then: what the data was, whose preparation is taken instead of being learned again.

    Raises:
        DataError: it is not there, or has changed.
    """
    data = load_data(config, then)
    now = data.spec
    recorded = run.read_splits()
    moved = [name for name, part in data.splits.items() if recorded.get(name, {}) != split_record(part)]
    if not _alike(then, now) or (recorded and moved):
        raise DataError(
            f"dataset {now.name}: is not what {run} was trained on (then {_sizes(then.sizes)}, now "
            f"{_sizes(now.sizes)}{_other(then, now, moved if recorded else [])}); bring the data back, or "
            "train "
            "again"
        )
    return data


def split_record(split: SplitData) -> dict[str, Any]:
    """What a run keeps of a split, to tell later whether it still is the same: see `rundir.Run.splits`."""
    return {"examples": split.size, "describe": split.describe, "sha256": split.fingerprint()}


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size:,} {name}" for name, size in sizes.items())


def _alike(then: DataSpec, now: DataSpec) -> bool:
    return (
        dict(then.sizes) == dict(now.sizes)
        and (then.input.shape, then.input.names) == (now.input.shape, now.input.names)
        and _alike_targets(then, now)
    )


def _alike_targets(then: DataSpec, now: DataSpec) -> bool:
    return (
        (then.task, then.target.names, then.target.counts) == (now.task, now.target.names, now.target.counts)
        # Sums may differ in their last digits from machine to machine.
        and np.allclose(then.target.mean, now.target.mean, rtol=1e-6)
        and len(then.parts) == len(now.parts)
        and all(map(_alike_targets, then.parts, now.parts))
    )


def _other(then: DataSpec, now: DataSpec, moved: Sequence[str]) -> str:
    """What differs where the sizes do not tell."""
    if dict(then.sizes) != dict(now.sizes):
        return ""
    if then.input.shape != now.input.shape:
        return ", of another shape"
    if then.input.names != now.input.names:
        return ", with other columns"
    if not _alike_targets(then, now):
        return ", with other targets"
    return f", other examples in {' and '.join(moved)}" if moved else ", with other targets"
