"""How training looks: a live bar on a terminal, a line an epoch elsewhere, and both in train.log."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from bigmodel_cli import formatting
from bigmodel_cli.cli import console
from bigmodel_cli.contracts import LANGUAGE_TASKS
from bigmodel_cli.errors import BigmodelError
from bigmodel_cli.rundir import RUNS

if TYPE_CHECKING:
    from bigmodel_cli.contracts import DataSpec
    from bigmodel_cli.devices import Choice
    from bigmodel_cli.rundir import Run
    from bigmodel_cli.training.plan import Plan
    from bigmodel_cli.training.reporter import EpochRecord, Outcome

_SHORT = {
    "accuracy": "acc", "mean_absolute_error": "mae", "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
}  # fmt: skip
_REDRAWS_PER_SECOND = 8


def short(name: str) -> str:
    """`val_accuracy` as `val acc`."""
    stem = name.removeprefix("val_")
    # With several tasks that of the task stands before the metric's name.
    long = next((item for item in _SHORT if stem == item or stem.endswith(f"_{item}")), "")
    short_stem = stem.removesuffix(long) + _SHORT.get(long, "")
    return ("val " if stem != name else "") + short_stem.replace("_", " ")


def metrics_text(metrics: Mapping[str, float]) -> str:
    """`loss 0.214  acc 0.936`, training metrics before validation metrics."""
    return "  ".join(f"{short(name)} {formatting.metric(value)}" for name, value in metrics.items())


class _Steps(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:.0f}/{task.total:.0f}", style="progress.download")


class TrainingProgress:
    """A `Reporter` for people."""

    def __init__(self, *, quiet: bool, stderr: bool = False, last_block: bool = True):
        """Prepare; nothing is printed yet.

        Args:
            quiet: print the last block only.
            stderr: print to standard error, because standard output carries JSON.
            last_block: print it even when quiet.
        """
        self._last_block = last_block
        self._console = console.console(stderr)
        self._live = self._console.is_terminal and not quiet
        self._quiet = quiet
        self._log: TextIO | None = None
        self._bar: Progress | None = None
        self._epoch = ""
        self._unit = "ex/s"
        self._drawn = 0.0
        self._tasks: tuple[str, ...] = ()

    def starting(self, text: str) -> AbstractContextManager[Any]:
        """A spinner while something slow goes on, on a terminal."""
        return self._console.status(text) if self._live else nullcontext()

    @contextmanager
    def logging(self, path: Path) -> Iterator[None]:
        """Write all lines to a log, too."""
        with path.open("a", encoding="utf-8") as self._log:
            try:
                yield
            except BigmodelError as error:
                # Printed by `main`, which does not know the log.
                print(error, file=self._log, flush=True)
                raise
            finally:
                self._close_bar()
        self._log = None

    def _line(self, text: str, style: str | None = None, *, last_block: bool = False) -> None:
        if self._log is not None:
            print(text, file=self._log, flush=True)
        if (last_block and self._last_block) or not self._quiet:
            self._console.print(Text(text, style=style or ""))

    def show_plan(self, plan: Plan, run: Run) -> None:
        """What is about to be trained, on what, and what `auto` chose."""
        config, spec = plan.config, plan.data.spec
        self._unit = "img/s" if spec.input.kind == "image" else "ex/s"
        self._tasks = tuple(one.key for one in spec.target.tasks)
        one = "an image" if spec.input.kind == "image" else "an example"
        choices = plan.choices
        self._line(f"{config.name}  seed {config.seed}", "bold")
        sizes = "  ".join(f"{size:,} {name}" for name, size in spec.sizes.items() if name != "test")
        self._line(
            f"  data     {spec.name} ({spec.origin})  {sizes}  {describe_inputs(spec)}  {_targets(spec)}"
        )
        for note in plan.data.notes:
            self._line(f"           {note}")
        if plan.data.storage.value != "memory":
            where = {"disk": f"kept in {plan.data.keeping.cache_dir}", "none": "read at every epoch"}
            self._line(
                f"           {where[plan.data.storage.value]} ({plan.data.storage.reason}); "
                f"shuffled: {plan.pipeline.shuffle}"
            )
        self._line(
            f"  model    {plan.model.name}  {plan.parameters:,} parameters  "
            f"{formatting.si(plan.flops, 'FLOP')} {one}"
        )
        precision, steps = choices["precision"], choices["steps_per_execution"]
        self._line(
            f"  device   {choices['devices'].value}  {_engine(choices['backend'])}"
            f"precision {precision.value}{_because(precision.reason)}  "
            f"{steps.value} step{'s' if steps.value > 1 else ''} an execution{_because(steps.reason)}"
        )
        for key, name in (("batch_size", "batch"), ("learning_rate", "rate"), ("initialize", "begins")):
            if key in choices and choices[key].reason != "asked for":
                self._line(f"  {name:<8} {choices[key].value}{_because(choices[key].reason)}")
        self._line(f"  run      {run}")
        self._line("")

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        """Begin a bar."""
        self._epoch = f"epoch {epoch:>{len(str(epochs))}}/{epochs}"
        if not self._live:
            return
        self._close_bar()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=22),
            _Steps(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._epoch, total=steps, completed=start_step, text="")
        self._started, self._start_step, self._steps = time.monotonic(), start_step, steps

    def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
        """Move the bar, a few times a second at most."""
        now = time.monotonic()
        if self._bar is None or (now - self._drawn < 1 / _REDRAWS_PER_SECOND and step < self._steps):
            return
        self._drawn = now
        left = (now - self._started) / max(1, step - self._start_step) * (self._steps - step)
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        text = (
            f"{examples_per_second:,.0f} {self._unit}  {hours}:{minutes:02d}:{seconds:02d} left  "
            f"{metrics_text(self._shown(metrics))}"
        )
        self._bar.update(self._task, completed=step, text=text)
        self._bar.refresh()

    def validation_begins(self) -> None:
        """Say what takes the time now."""
        if self._bar is not None:
            self._bar.update(self._task, text="validating")
            self._bar.refresh()

    def epoch_done(self, record: EpochRecord) -> None:
        """One line, which stays."""
        self._close_bar()
        text = (
            f"{self._epoch}  {formatting.duration(record.seconds)}  "
            f"{record.examples_per_second:,.0f} {self._unit}  "
            f"{'' if record.data_wait is None else f'data wait {record.data_wait:.0%}  '}"
            f"{metrics_text(self._shown(record.metrics))}{'  best' if record.best else ''}"
        )
        self._line(text)

    def _shown(self, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """What a line has room for: of several tasks their metrics, in the end those of validation, and the
        whole loss; the rest stands in metrics.jsonl."""
        if not self._tasks:
            return metrics
        losses = {f"{prefix}{key}_loss" for key in self._tasks for prefix in ("", "val_")}
        ended = "val_loss" in metrics
        return {
            name: value
            for name, value in metrics.items()
            if name not in losses and (not ended or name == "loss" or name.startswith("val_"))
        }

    def note(self, text: str) -> None:
        """A line of its own."""
        self._line(f"note: {text}", "yellow")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show_outcome(self, outcome: Outcome, run: Run) -> None:
        """The last block: what came out, where it lies, what to type next."""
        self._line("")
        if outcome.best_epoch is None:
            # Its time was up in the first epoch: there is nothing yet to evaluate.
            self._line(
                f"no epoch is finished, and there is no model yet; go on with   bigmodel train --resume "
                f"{shlex.quote(str(run.path))}",
                "bold",
                last_block=True,
            )
            return
        values = "  ".join(
            f"{formatting.label(name)} {formatting.metric(value)}"
            for name, value in self._shown(outcome.metrics).items()
            if name.startswith("val_")
        )
        early = f", stopped early out of {outcome.planned_epochs}" if outcome.stopped_early else ""
        took = formatting.duration(outcome.seconds)
        epochs = f"{outcome.epochs} epoch{'s' if outcome.epochs > 1 else ''} in {took}"
        self._line(f"best epoch {outcome.best_epoch}  {values}   {epochs}{early}", "bold", last_block=True)
        last = (
            f"  (epoch {outcome.stored_epoch}, the last)"
            if outcome.stored_epoch != outcome.best_epoch
            else ""
        )
        self._line(f"model  {run.model}{last}", last_block=True)
        # Without an argument the newest run under runs/ is meant, which this one is unless it lies elsewhere.
        argument = "" if RUNS in run.path.parents else f" {shlex.quote(str(run.path))}"
        self._line(
            f"next   bigmodel evaluate{argument}        (test split, pictures, report)", last_block=True
        )


def _engine(backend: Choice) -> str:
    """Of the engine, what is not as usual."""
    return "" if backend.value == "tensorflow" else f"on {backend.value}{_because(backend.reason)}  "


def _because(reason: str) -> str:
    return f" ({reason})" if reason != "asked for" else ""


def describe_inputs(spec: DataSpec) -> str:
    """`28x28x1 uint8`, or a table's columns by kind."""
    if spec.input.kind != "table":
        return f"{'x'.join(map(str, spec.input.shape))} {spec.input.dtype}"
    kinds = Counter(column.kind for column in spec.input.columns)
    return "columns: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def _targets(spec: DataSpec) -> str:
    if spec.target.tasks:
        each = (
            f"{one.name} ({len(one.target.names)} classes)" if one.task == "classification" else one.name
            for one in spec.target.tasks
        )
        return f"{len(spec.target.tasks)} targets: {', '.join(each)}"
    if spec.unlearned is not None:
        return f"reconstructed; its own targets ({spec.unlearned.task.replace('_', ' ')}) are not learned"
    if spec.task == "regression":
        names = ", ".join(spec.target.names[:3])
        return f"target {names}" if spec.outputs <= 3 else f"{spec.outputs} targets"
    counts = [count for count in spec.target.counts if count]
    if spec.task in LANGUAGE_TASKS:
        return f"{spec.outputs:,} tokens, {spec.target.shape[0]} at a time"
    if spec.task == "multi_label":
        return f"{spec.outputs} labels, {sum(counts) / spec.sizes['train']:.2g} an example"
    ratio = max(counts) / min(counts)
    balance = "balanced" if ratio < 1.5 else f"largest {ratio:.1f} times the smallest"
    return f"{spec.outputs} classes, {balance}"
