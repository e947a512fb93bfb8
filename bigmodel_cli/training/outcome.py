"""How training ended, and what is left of it in the run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bigmodel_cli import plots, rundir
from bigmodel_cli.rundir import Run
from bigmodel_cli.training.callbacks.best_model import BestModel
from bigmodel_cli.training.plan import Plan
from bigmodel_cli.training.reporter import NOT_METRICS, Outcome


def describe(
    plan: Plan,
    records: Sequence[Mapping[str, Any]],
    best: BestModel,
    *,
    status: str,
    seconds: float,
    stopped_early: bool,
) -> Outcome:
    """What came out.

    Args:
        plan: what was trained.
        records: the finished epochs.
        best: knows the best of them.
        status: finished, stopped, interrupted, diverged or failed.
        seconds: training time over all sittings.
        stopped_early: whether early stopping ended it.
    """
    epoch = best.best_epoch
    chosen = records[epoch - 1] if epoch and epoch <= len(records) else {}
    return Outcome(
        status=status,
        epochs=len(records),
        planned_epochs=plan.config.training.epochs,
        best_epoch=epoch,
        stored_epoch=best.stored_epoch,
        metrics={key: value for key, value in chosen.items() if key not in NOT_METRICS},
        monitor=best.monitor,
        seconds=seconds,
        examples_per_second=median([item["examples_per_second"] for item in records]) if records else 0.0,
        stopped_early=status == "finished" and stopped_early,
    )


def write(run: Run, plan: Plan, records: Sequence[Mapping[str, Any]], outcome: Outcome) -> None:
    """summary.json and learning_curves.png."""
    rundir.write_json(run.summary, _summary(plan, outcome))
    if records:
        plots.learning_curves(
            records,
            run.path / "learning_curves.png",
            best_epoch=outcome.best_epoch,
            monitor=outcome.monitor,
            title=plan.config.name,
        )


def _summary(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "model": plan.config.model.name,
        "dataset": plan.config.dataset.name,
        "epochs": outcome.epochs,
        "planned_epochs": outcome.planned_epochs,
        "stopped_early": outcome.stopped_early,
        "monitor": outcome.monitor,
        "best_epoch": outcome.best_epoch,
        "stored_epoch": outcome.stored_epoch,
        "metrics": dict(outcome.metrics),
        "seconds": round(outcome.seconds, 3),
        "examples_per_second": outcome.examples_per_second,
        "parameters": plan.parameters,
        "flops": plan.flops,
    }
