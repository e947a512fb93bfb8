"""How a series of runs looks: each as `bigmodel train` shows it, then one table of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli import formatting
from bigmodel_cli.cli import console
from bigmodel_cli.cli.progress import TrainingProgress
from bigmodel_cli.errors import InterruptedTrainingError, TrainingFailedError
from bigmodel_cli.repeats.scores import Result, spreads

if TYPE_CHECKING:
    from bigmodel_cli.config.schema import Config
    from bigmodel_cli.devices import Choice
    from bigmodel_cli.repeats.series import Member, Series
    from bigmodel_cli.rundir import Run
    from bigmodel_cli.training.callbacks.guards import DivergedError
    from bigmodel_cli.training.plan import Plan
    from bigmodel_cli.training.reporter import Outcome, Reporter


class SeriesProgress:
    """A `repeats.running.Watcher` for people."""

    def __init__(self, *, quiet: bool, stderr: bool):
        """Prepare; nothing is printed yet.

        Args:
            quiet: print the table only.
            stderr: print to standard error, because standard output carries JSON.
        """
        self._quiet = quiet
        self._stderr = stderr

    def line(self, text: str, *, bold: bool = False) -> None:
        """Print a line, unless quiet."""
        if not self._quiet:
            click.echo(click.style(text, bold=bold), err=self._stderr)

    def begins(self, series: Series, member: Member, number: int) -> None:
        """A heading."""
        name = member.label.replace("-", " ")
        count = f"{number} of {len(series.members)}"
        own = f"{series.kind.member} {count}" if name.endswith(f" {number}") else f"{name}, {count}"
        self.line(f"\n{own}" if number > 1 else own, bold=True)

    def skips(self, run: Run, status: str) -> None:
        """Say so."""
        self.line(f"  {run} is {status} already")

    def trains(self, plan: Plan, run: Run, train: Callable[[Reporter], Outcome]) -> Outcome:
        """Show and log the run as `bigmodel train` does."""
        progress = TrainingProgress(quiet=self._quiet, stderr=self._stderr, last_block=False)
        with progress.logging(run.log):
            progress.show_plan(plan, run)
            outcome = train(progress)
            progress.show_outcome(outcome, run)
        return outcome

    def fails(self, member: Member, error: DivergedError) -> None:
        """Say so, even when quiet: the exit code will not be 0."""
        click.echo(click.style(f"note: {member.label}: {error}", fg="yellow"), err=True)


def start_engine(config: Config, quiet: bool, stderr: bool) -> Choice:
    """Bring up what a config trains on, in this process alone.

    Raises:
        UsageError: it cannot be had.
    """
    from bigmodel_cli import engine

    settings = config.training
    backend = engine.choose_backend(settings.backend, settings.devices, None)
    name = {"tensorflow": "TensorFlow", "jax": "JAX"}[backend.value]
    with TrainingProgress(quiet=quiet, stderr=stderr).starting(f"starting {name}"):
        engine.start(backend.value, deterministic=settings.deterministic)
    return backend


@contextmanager
def going_on(command: str) -> Iterator[None]:
    """Whatever interrupts the block, say how to go on with the whole series.

    Args:
        command: that goes on.
    """
    hint = f"go on with   {command}"
    try:
        yield
    except InterruptedTrainingError as error:
        raise InterruptedTrainingError(f"{str(error).splitlines()[0]}\n{hint}") from None
    except KeyboardInterrupt:
        raise InterruptedTrainingError(f"interrupted; what is finished is kept\n{hint}") from None
    except TrainingFailedError as error:
        raise TrainingFailedError(f"{error}\n{hint}") from None


def show(series: Series, results: Sequence[Result], heading: str, as_json: bool) -> None:
    """Print what a series came to.

    Args:
        series: all its runs are through.
        results: of its runs, in order.
        heading: the first line.
        as_json: as one JSON document instead.

    Raises:
        TrainingFailedError: some runs diverged.
    """
    from bigmodel_cli.rundir import read_json

    left_out = [item for item in results if item.reason is not None]
    if as_json:
        console.print_json({"folder": str(series.path), **read_json(series.document)})
    else:
        _tables(series, results, heading)
    if left_out:
        raise TrainingFailedError(
            f"{len(left_out)} of {len(results)} {series.kind.member}s left out: "
            + ", ".join(f"{item.label} ({item.reason})" for item in left_out)
        )


def _tables(series: Series, results: Sequence[Result], heading: str) -> None:
    counted = [item for item in results if item.reason is None]
    found = spreads(results)
    click.echo()
    if not found:
        click.echo(f"no {series.kind.member} came to a result")
        return
    click.echo(click.style(heading, bold=True))
    console.table(
        ("metric", "mean", "deviation", "lowest", "highest", f"{series.kind.member}s"),
        [
            (
                formatting.label(name),
                formatting.metric(spread.mean),
                "-" if spread.deviation is None else formatting.metric(spread.deviation),
                formatting.metric(spread.low),
                formatting.metric(spread.high),
                str(spread.count),
            )
            for name, spread in found.items()
        ],
        right=(1, 2, 3, 4, 5),
    )
    click.echo(
        f"deviation: of a single {series.kind.member}, with n - 1"
        + ("" if len(counted) == len(results) else f"; {len(counted)} of {len(results)} count")
    )
    _members(series, results, list(found)[:3])
    names = [series.document.name, *(item.name for item in sorted(series.path.glob("*.p*")))]
    click.echo(f"\nwritten to {series.path}/\n  " + "\n  ".join(names))


def _members(series: Series, results: Sequence[Result], names: Sequence[str]) -> None:
    def text(item: Result, name: str) -> str:
        value: Any = item.scores.get(name)
        return "-" if value is None else formatting.metric(value)

    click.echo()
    console.table(
        ("run", "status", "best epoch", "examples", *map(formatting.label, names)),
        [
            (
                str(series.path / item.label),
                item.status,
                str(item.best_epoch or "-"),
                "-" if item.examples is None else formatting.count(item.examples),
                *(text(item, name) for name in names),
            )
            for item in results
        ],
        right=range(2, 4 + len(names)),
    )
