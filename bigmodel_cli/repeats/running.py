"""The runs of a series, one after the other in this process.

What a run depends on (weights, order, draws) is made anew from its config each time, so each gives what it
would give alone.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from bigmodel_cli import assembly, plots, rundir, validation
from bigmodel_cli.config.schema import Config, FoldScheme
from bigmodel_cli.data.strata import strata
from bigmodel_cli.devices import Choice
from bigmodel_cli.evaluation import evaluate
from bigmodel_cli.repeats import scores
from bigmodel_cli.repeats.predictions import join_predictions
from bigmodel_cli.repeats.scores import Result
from bigmodel_cli.repeats.series import CROSS_VALIDATION, FINISHED, RUNNING, Member, Series
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import planning, starting, trainer
from bigmodel_cli.training.callbacks.guards import DivergedError
from bigmodel_cli.training.plan import Plan
from bigmodel_cli.training.reporter import Outcome, Reporter

PICTURE = "scores.png"
PREDICTIONS = "predictions.parquet"

_ENDED = ("finished", "stopped", "diverged")
"""Whatever comes afterwards, these runs are not trained again."""


class Watcher(Protocol):
    """Hears how a series goes."""

    def begins(self, series: Series, member: Member, number: int) -> None:
        """The run of that number, from 1, is next."""

    def skips(self, run: Run, status: str) -> None:
        """It has ended already."""

    def trains(self, plan: Plan, run: Run, train: Callable[[Reporter], Outcome]) -> Outcome:
        """Call `train` with a reporter that follows this run."""

    def fails(self, member: Member, error: DivergedError) -> None:
        """It diverged, and the others go on."""


def choose_scheme(config: Config, by: str | None) -> tuple[FoldScheme, str | None, str]:
    """How `auto` divides a config's examples into folds.

    Args:
        config: complete.
        by: the column that is asked for.

    Returns:
        The scheme, its column and the reason.

    Raises:
        DataError: the dataset is not there or cannot be read.
    """
    split_by = config.dataset.split_by
    if split_by is not None and split_by.column is None:
        kind, column = split_by.choice
        scheme: FoldScheme = "grouped" if kind == "group" else "time"
        return scheme, by or column, f"auto: dataset.split_by.{kind}"
    if by is not None:
        return "grouped", by, "auto: a column is given"
    spec = assembly.open_source(config).spec
    classes = strata(spec)
    if classes is None:
        return "plain", None, f"auto: {spec.task.replace('_', ' ')}"
    if not config.dataset.stratify:
        return "plain", None, "auto: dataset.stratify is false"
    several = "" if classes.part is None else f" of {classes.by}"
    return "stratified", None, f"auto: classification{several}"


def run_series(series: Series, backend: Choice, watcher: Watcher, first: Plan | None = None) -> list[Result]:
    """Train every run of a series that is not trained yet, measure it, and write what they say together.

    Args:
        series: new or gone on with.
        backend: the engine that Keras runs on.
        watcher: hears how it goes.
        first: the plan of the first run, where it is made already.

    Returns:
        How each run came out; those that diverged are among them.

    Raises:
        InterruptedTrainingError: a signal came; the state is saved.
        TrainingFailedError: out of memory, disk full.
        UsageError: another process works on this series.
    """
    results: list[Result] = []
    with rundir.locked(Run(series.path), "the series goes on"), _without_retracing_warnings():
        for number, member in enumerate(series.members, 1):
            watcher.begins(series, member, number)
            _train(series, member, backend, watcher, first if number == 1 else None)
            first = None
            # The models and data of the runs before must not add up.
            gc.collect()
            results.append(_measure(series, member))
            series.write(RUNNING, scores.to_json(results))
        _write(series, results)
    return results


@contextmanager
def _without_retracing_warnings() -> Iterator[None]:
    """TensorFlow takes the models of several runs for one that is traced again and again."""

    def other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def _train(series: Series, member: Member, backend: Choice, watcher: Watcher, plan: Plan | None) -> None:
    """Train a run, go on with it, or leave it as it is."""
    run = series.run(member)
    status = run.read_summary()["status"] if rundir.is_run(run.path) else RUNNING
    if status in _ENDED:
        watcher.skips(run, status)
        return
    resumed = any(run.checkpoints.glob("epoch-*.npz"))
    if resumed:
        plan = planning.prepare(validation.load_resumed(run.config, ()).config, run, backend)
    else:
        plan = plan or planning.prepare(member.config, None, backend)
        starting.start(plan, run.path, begun=True)
    made = plan
    try:
        watcher.trains(made, run, lambda reporter: trainer.train(made, run, reporter, resume=resumed))
    except DivergedError as error:
        watcher.fails(member, error)


def _measure(series: Series, member: Member) -> Result:
    run = series.run(member)
    summary = run.read_summary()
    status, best = str(summary["status"]), summary.get("best_epoch")
    if status not in ("finished", "stopped"):
        return Result(member.label, status, status, best, None, {})
    if not run.model.exists():
        return Result(member.label, status, "no epoch was finished", best, None, {})
    if series.kind is not CROSS_VALIDATION:
        measured = {
            name.removeprefix("val_"): value
            for name, value in summary["metrics"].items()
            if name.startswith("val_")
        }
        return Result(member.label, status, None, best, run.read_data().sizes["validation"], measured)
    if run.read_evaluation("test") is None:
        evaluate(run, "test")
    found: dict[str, Any] = run.read_evaluation("test") or {}
    values = {name: score["value"] if score else None for name, score in found["scores"].items()}
    return Result(member.label, status, None, best, found["examples"], values)


def _write(series: Series, results: list[Result]) -> None:
    """The picture, the predictions of all folds and the document, which comes last."""
    counted = [item for item in results if item.reason is None]
    if not counted:
        series.write(FINISHED, scores.to_json(results))
        return
    written: dict[str, Any] = {"picture": PICTURE}
    if series.kind is CROSS_VALIDATION:
        join_predictions(series, [item.label for item in counted], PREDICTIONS)
        written["predictions"] = PREDICTIONS
    what = "validation, best epoch" if series.kind is not CROSS_VALIDATION else "held-out examples"
    plots.repeated_scores(
        {name: [item.scores.get(name) for item in counted] for name in scores.spreads(results)},
        [item.label.removeprefix(f"{series.kind.member}-") for item in counted],
        series.path / PICTURE,
        title=f"{series.config.name}: {len(counted)} {series.kind.member}s, {what}",
        member=series.kind.member,
    )
    series.write(FINISHED, {**scores.to_json(results), **written})
