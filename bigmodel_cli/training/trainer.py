"""Train what has been planned: make the run, call `fit`, and leave a whole run directory in every case."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import keras
import tensorflow as tf

from bigmodel_cli import build, plots, rundir, validation
from bigmodel_cli.config.schema import Component
from bigmodel_cli.data.reading import data_error
from bigmodel_cli.errors import (
    BigmodelError,
    DataError,
    InterruptedTrainingError,
    TrainingFailedError,
)
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import checkpoint, environment
from bigmodel_cli.training.callbacks import (
    BestModel,
    Clock,
    Course,
    DivergenceGuard,
    EarlyStopping,
    Recorder,
    SignalWatch,
    StopRequestedError,
)
from bigmodel_cli.training.checkpoint import Position
from bigmodel_cli.training.checkpointing import Checkpoints
from bigmodel_cli.training.planning import Plan
from bigmodel_cli.training.reporter import NOT_METRICS, Outcome, Reporter


def start(plan: Plan, path: Path | None) -> Run:
    """Make the run directory with all that describes the run."""
    run = rundir.create(plan.config.name, path)
    rundir.write_yaml(run.config, plan.config.model_dump(mode="json"))
    rundir.write_json(run.data, plan.data.spec.to_json())
    rundir.write_json(run.splits, {name: build.split_record(part) for name, part in plan.data.splits.items()})
    rundir.write_json(run.environment, environment.describe(plan.devices, plan.choices))
    return run


def train(plan: Plan, run: Run, reporter: Reporter, *, resume: bool = False) -> Outcome:
    """Train to the end of the config's epochs, or until something stops it.

    Args:
        plan: from `prepare`.
        run: from `start`, or the run to go on with.
        reporter: hears how it goes.
        resume: go on from the run's newest checkpoint.

    Raises:
        InterruptedTrainingError: a signal came; the state is saved.
        TrainingFailedError: diverged, out of memory, disk full.
    """
    return _Training(plan, run, reporter, resume).run_to_end()


class _Training:
    """One sitting of a run."""

    def __init__(self, plan: Plan, run: Run, reporter: Reporter, resume: bool):
        self.plan = plan
        self.run = run
        self.reporter = reporter
        position, self.restored = Position(epoch=0, step=0), resume
        if resume:
            position, warnings = checkpoint.load(run, plan.model)
            for text in warnings:
                reporter.note(text)
            self._continue_config()
            self._compare_precision()
            if position.epoch < plan.config.training.epochs:
                step = f" after step {position.step} of {plan.pipeline.steps}" if position.step else ""
                reporter.note(f"going on in epoch {position.epoch + 1}{step}")
        metrics = (
            [keras.ops.convert_to_numpy(item) for item in plan.model.metrics_variables]
            if position.step
            else None
        )
        training = plan.config.training
        stopping = training.early_stopping
        self.monitor = stopping.monitor if stopping else "val_loss"
        self.clock = Clock(position.epoch, position.step, position.step, position.seconds)
        self.best = BestModel(
            run, plan.serving, self.monitor, keep_last=bool(stopping and not stopping.restore_best)
        )
        self.stopping = (
            EarlyStopping(stopping.monitor, stopping.patience, stopping.min_delta) if stopping else None
        )
        self.recorder = Recorder(
            run, reporter, self.clock, self.best, training.epochs, plan.pipeline,
            training.batch_size,
            # Across devices a batch is fetched ahead of its step, and nobody is seen waiting.
            measure_wait=plan.devices.count == 1 and plan.pipeline.timed,
        )  # fmt: skip
        self.course = Course(self.clock, plan.pipeline, metrics)
        self.checkpoints = Checkpoints(
            run, training.checkpoint, self.clock, self._position, plan.pipeline.steps
        )
        self._restore(position)

    def _restore(self, position: Position) -> None:
        if not self.restored:
            return
        self.recorder.records = self.run.history()[: position.epoch]
        self.best.restore(position.callbacks["best"])
        if self.stopping and position.callbacks.get("early_stopping"):
            self.stopping.restore(position.callbacks["early_stopping"])

        if self.clock.epoch >= self.plan.config.training.epochs:
            self.reporter.note(
                f"all {self.clock.epoch} epochs are done; more of them with   bigmodel train --resume "
                f"{self.run} training.epochs={2 * self.clock.epoch}"
            )
        elif self._stopped_early():
            self.reporter.note(
                f"stopped early after epoch {self.clock.epoch}; go on regardless with   bigmodel train "
                f"--resume {self.run} training.early_stopping=null"
            )

    def _continue_config(self) -> None:
        """Write down what the command line changed, so that a later resume goes on with it."""
        config = self.plan.config
        before = validation.load(self.run.config).config
        if config == before:
            return
        schedule = config.optimizer.learning_rate
        epochs = config.training.epochs
        if epochs != before.training.epochs and isinstance(schedule, Component) and schedule.name == "cosine":
            self.reporter.note(
                f"the learning-rate schedule `cosine` now ends after epoch {epochs} instead of "
                f"{before.training.epochs}: the rate jumps to where it stands on the new curve"
            )
        rundir.write_yaml(self.run.config, config.model_dump(mode="json"))

    def _compare_precision(self) -> None:
        """Say when `auto` chooses otherwise here: the numbers will not be those of the other machine."""
        now = self.plan.choices["precision"].value
        then = self.run.read_environment().get("choices", {}).get("precision", {}).get("value", now)
        if then != now:
            self.reporter.note(
                f"this run began in {then} and goes on in {now}, which `auto` chooses here; to keep the "
                f"arithmetic, set training.precision to {then} in {self.run.config}"
            )

    def _position(self, epoch: int, step: int) -> Position:
        callbacks = {"best": self.best.state()}
        if self.stopping:
            callbacks["early_stopping"] = self.stopping.state()
        return Position(epoch, step, self.clock.seconds, callbacks)

    def run_to_end(self) -> Outcome:
        steps, epochs = self.plan.pipeline.steps, self.plan.config.training.epochs
        with SignalWatch(self.clock, self.reporter, steps, epochs) as signals:
            try:
                self._fit(signals)
            except StopRequestedError as stop:
                self.checkpoints.save_now()
                self._finish("interrupted")
                raise InterruptedTrainingError(
                    f"interrupted by {stop} in epoch {self.clock.epoch + 1} after step {self.clock.step} of "
                    f"{self.plan.pipeline.steps}; the state is saved\n"
                    f"go on with   bigmodel train --resume {self.run}"
                ) from None
            except TrainingFailedError:
                self._finish("diverged")
                raise
            except Exception as error:
                failure = self._failure(error)
                if failure is None:
                    raise
                raise failure from None
        return self._finish("finished")

    def _failure(self, error: Exception) -> BigmodelError | None:
        """Note the status; what to tell the user, or None where neither machine nor data is at fault."""
        if _disk_is_full(error):
            # Not even the status can be counted on to be written.
            with suppress(OSError):
                self._finish("failed")
            return TrainingFailedError(
                f"{self.run}: the disk is full; free some space, then `bigmodel train --resume {self.run}`"
            )
        self._finish("failed")
        reason = (str(getattr(error, "message", error)).splitlines() or [""])[0]
        if isinstance(error, tf.errors.ResourceExhaustedError):
            return TrainingFailedError(f"out of memory: {reason}; try a smaller training.batch_size")
        if (found := data_error(error)) is not None:
            return DataError(f"{found}\ngo on when it is mended with   bigmodel train --resume {self.run}")
        return None

    def _fit(self, signals: SignalWatch) -> None:
        callbacks = [self.course, DivergenceGuard(self.clock), self.best]
        if self.stopping:
            callbacks.append(self.stopping)
        callbacks.append(self.recorder)
        if self.plan.config.training.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(self.run.tensorboard, write_graph=False))
        callbacks += [self.checkpoints, signals]
        pipeline, epochs = self.plan.pipeline, self.plan.config.training.epochs
        # An epoch that was left in the middle has fewer steps than the others: a `fit` of its own.
        sittings = [(self.clock.epoch, epochs, 0)]
        if self.clock.step:
            sittings = [
                (self.clock.epoch, self.clock.epoch + 1, self.clock.step),
                (self.clock.epoch + 1, epochs, 0),
            ]
        for first, last, start_step in sittings:
            if first >= last or self._stopped_early():
                continue
            self.plan.model.fit(
                pipeline.batches(start_step),
                validation_data=self.plan.validation,
                initial_epoch=first,
                epochs=last,
                callbacks=callbacks,
                class_weight=self.plan.class_weights,
                verbose=0,
                shuffle=False,
            )

    def _stopped_early(self) -> bool:
        return bool(self.stopping and self.stopping.stopped_epoch)

    def _finish(self, status: str) -> Outcome:
        records = self.recorder.records
        best = self.best.best_epoch
        chosen = records[best - 1] if best and best <= len(records) else {}
        outcome = Outcome(
            status=status,
            epochs=len(records),
            planned_epochs=self.plan.config.training.epochs,
            best_epoch=best,
            stored_epoch=self.best.stored_epoch,
            metrics={key: value for key, value in chosen.items() if key not in NOT_METRICS},
            monitor=self.monitor,
            seconds=self.clock.seconds,
            examples_per_second=median([item["examples_per_second"] for item in records]) if records else 0.0,
            stopped_early=status == "finished" and self._stopped_early(),
        )
        rundir.write_json(self.run.summary, self._summary(outcome))
        if records:
            plots.learning_curves(
                records,
                self.run.path / "learning_curves.png",
                best_epoch=best,
                monitor=self.monitor,
                title=self.plan.config.name,
            )
        return outcome

    def _summary(self, outcome: Outcome) -> dict[str, Any]:
        return {
            "status": outcome.status,
            "model": self.plan.config.model.name,
            "dataset": self.plan.config.dataset.name,
            "epochs": outcome.epochs,
            "planned_epochs": outcome.planned_epochs,
            "stopped_early": outcome.stopped_early,
            "monitor": outcome.monitor,
            "best_epoch": outcome.best_epoch,
            "stored_epoch": outcome.stored_epoch,
            "metrics": dict(outcome.metrics),
            "seconds": round(outcome.seconds, 3),
            "examples_per_second": outcome.examples_per_second,
            "parameters": self.plan.parameters,
            "flops": self.plan.flops,
        }


def _disk_is_full(error: Exception) -> bool:
    """TensorFlow and h5py say it in words only."""
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
