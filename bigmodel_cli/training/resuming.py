"""Which run to go on with, and what is different from when it began."""

from __future__ import annotations

from pathlib import Path

from bigmodel_cli import rundir, validation
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run
from bigmodel_cli.training.reporter import Reporter


def unfinished(config: Config, path: Path | None) -> tuple[Run | None, Config]:
    """The run that `resume: auto` goes on with: the one at `path`, or the config's newest unfinished one.

    Args:
        config: complete.
        path: where the run is to lie; None for a place of our own.

    Returns:
        The run, and the config with what the run has decided. The run is None where there is nothing to go on
        with: none there, one that has not come to its first checkpoint, or, without a `path`, finished ones.

    Raises:
        UsageError: the run was made with another model, dataset or optimizer, or something else lies there.
    """
    if path is None:
        run = next((run for run in rundir.all_runs() if run.path.parent.name == config.name), None)
        if run is not None and _is_done(run, config):
            run = None
    else:
        run = Run(path)
    if run is None or not any(run.checkpoints.glob("epoch-*.npz")):
        rundir.check_free(path, begun=True)
        return None, config
    then = validation.load(run.config).config
    if changed := _changes(then, config):
        raise UsageError(
            f"{run}: cannot go on with it: {'; '.join(changed)}; take that back, or train anew with "
            f"{'another --run-dir' if path is not None else 'training.resume=never'}"
        )
    return run, validation.decided(config, then)


def _is_done(run: Run, config: Config) -> bool:
    """Whether a run has come to its end: all epochs of the config, or all of its own with other settings."""
    summary = run.read_summary()
    if summary["status"] != "finished":
        return False
    enough = summary.get("planned_epochs", 0) >= config.training.epochs
    return enough or bool(_changes(validation.load(run.config).config, config))


def _changes(then: Config, now: Config) -> list[str]:
    return validation.fixed_differences(then.model_dump(mode="json"), now.model_dump(mode="json"))


def continue_config(run: Run, config: Config, reporter: Reporter) -> None:
    """Write down what the command line changed, so that a later resume goes on with it."""
    before = validation.load(run.config).config
    if config == before:
        return
    schedule = config.optimizer.learning_rate
    epochs = config.training.epochs
    if epochs != before.training.epochs and isinstance(schedule, Component) and schedule.name in _STRETCHED:
        reporter.note(
            f"the learning-rate schedule `{schedule.name}` now ends after epoch {epochs} instead of "
            f"{before.training.epochs}: the rate jumps to where it stands on the new curve"
        )
    rundir.write_yaml(run.config, config.model_dump(mode="json"))


_STRETCHED = ("cosine", "linear", "polynomial", "exponential", "one_cycle")
"""Schedules that are laid over the whole training."""


def compare_precision(run: Run, now: str, reporter: Reporter) -> None:
    """Say when `auto` chooses otherwise here: the numbers will not be those of the other machine."""
    then = run.read_environment().get("choices", {}).get("precision", {}).get("value", now)
    if then != now:
        reporter.note(
            f"this run began in {then} and goes on in {now}, which `auto` chooses here; to keep the "
            f"arithmetic, set training.precision to {then} in {run.config}"
        )
