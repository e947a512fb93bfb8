"""Make the run directory, with all that describes the run."""

from __future__ import annotations

import shutil
from pathlib import Path

from bigmodel_cli import assembly, plots, rundir
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import agreement, environment
from bigmodel_cli.training.checkpointing import RESERVE, disk_needed
from bigmodel_cli.training.plan import Plan
from bigmodel_cli.training.trackers.tensorboard import write_description


def start(plan: Plan, path: Path | None, *, begun: bool = False) -> Run:
    """Make the run directory; of several processes, the chief does.

    Args:
        plan: from `planning.prepare`.
        path: where it is to lie; None for a place of our own.
        begun: write over a run there that ended before its first checkpoint, as `training.resume: auto` does.

    Raises:
        UsageError: the place is taken, cannot be written, or has no room for a checkpoint and the model.
    """
    run = _made(plan, path, begun) if agreement.chief() else None
    told = Run(agreement.path_of_chief(run.path if run else None))
    return run or told


def _made(plan: Plan, path: Path | None, begun: bool) -> Run:
    _check_room(plan, path or rundir.RUNS)
    run = rundir.create(plan.config.name, path, begun=begun or plan.config.training.resume == "auto")
    rundir.write_yaml(run.config, plan.config.model_dump(mode="json"))
    rundir.write_json(run.data, plan.data.spec.to_json())
    rundir.write_json(
        run.splits, {name: assembly.split_record(part) for name, part in plan.data.splits.items()}
    )
    described = environment.describe(plan.devices, plan.choices)
    rundir.write_json(run.environment, described)
    if plan.config.training.tensorboard:
        write_description(run, plan.config.model_dump(mode="json"), described)
    if (found := plan.range_test) is not None:
        rundir.write_json(run.path / "learning_rate_range.json", found.to_json())
        plots.learning_rate_range(
            found.rates,
            found.losses,
            found.smoothed,
            run.path / "learning_rate_range.png",
            chosen=found.rate,
            title=f"{plan.config.name}: learning rate {found.rate:.2g}",
        )
    return run


def _check_room(plan: Plan, place: Path) -> None:
    """Refuse to begin what the disk could not hold."""
    there = next(folder for folder in (place, *place.resolve().parents) if folder.is_dir())
    free, needed = shutil.disk_usage(there).free, 2 * disk_needed(plan.model) + RESERVE
    if free < needed:
        raise UsageError(
            f"{place}: the disk has {free / 2**20:,.0f} MiB left, but checkpoints and the model need "
            f"{needed / 2**20:,.0f} MiB; free some space, or name a folder elsewhere with --run-dir"
        )
