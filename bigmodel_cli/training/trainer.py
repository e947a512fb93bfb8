"""Train what has been planned: make the run, call `fit`, and leave a whole run directory in every case."""

from __future__ import annotations

import errno
from contextlib import nullcontext, suppress

import keras

from bigmodel_cli import rundir
from bigmodel_cli.config.schema import Component
from bigmodel_cli.data.reading import data_error
from bigmodel_cli.engine import lost_contact, out_of_memory
from bigmodel_cli.errors import (
    BigmodelError,
    DataError,
    InterruptedTrainingError,
    TrainingFailedError,
)
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import agreement, checkpoint, outcome, resuming
from bigmodel_cli.training.averaging import EvaluationWeights
from bigmodel_cli.training.callbacks.best_model import BestModel
from bigmodel_cli.training.callbacks.clock import Clock, Course
from bigmodel_cli.training.callbacks.guards import DivergedError, DivergenceGuard, StallGuard
from bigmodel_cli.training.callbacks.patience import EarlyStopping, ReduceOnPlateau
from bigmodel_cli.training.callbacks.recorder import Recorder
from bigmodel_cli.training.callbacks.releasing import Releasing
from bigmodel_cli.training.callbacks.stops import SignalWatch, StopRequestedError, TimeBudget, TimeIsUpError
from bigmodel_cli.training.checkpoint import Position
from bigmodel_cli.training.checkpointing import Checkpoints, DiskNearlyFullError
from bigmodel_cli.training.compiling import compile_model
from bigmodel_cli.training.optimizer import current_learning_rate
from bigmodel_cli.training.plan import Plan
from bigmodel_cli.training.reporter import Outcome, Reporter
from bigmodel_cli.training.trackers import build_trackers


def train(plan: Plan, run: Run, reporter: Reporter, *, resume: bool = False) -> Outcome:
    """Train to the end of the config's epochs, or until something stops it.

    Args:
        plan: from `prepare`.
        run: from `start`, or the run to go on with.
        reporter: hears how it goes.
        resume: go on from the run's newest checkpoint.

    Raises:
        UsageError: another process trains in this run, or there is no checkpoint of this config in it.
        InterruptedTrainingError: a signal came; the state is saved.
        TrainingFailedError: diverged, out of memory, disk full.
    """
    with rundir.locked(run) if agreement.chief() else nullcontext():
        training = _Training(plan, run, reporter)
        if resume:
            training.resume()
        return training.run_to_end()


class _Training:
    """One sitting of a run.

    Attributes:
        rolled_back: how often training went back after it had diverged, over all sittings.
        rolled_to: the epoch and step that it went back to the last time, in this sitting.
        rate_factor: by which a schedule's learning rate is multiplied since then.
    """

    def __init__(self, plan: Plan, run: Run, reporter: Reporter):
        self.plan = plan
        self.run = run
        self.reporter = reporter
        self.rolled_back = 0
        self.rolled_to: tuple[int, int] | None = None
        self.rate_factor = 1.0
        training = plan.config.training
        stopping, plateau = training.early_stopping, training.reduce_on_plateau
        self.clock = Clock(0, 0, 0)
        self.course = Course(self.clock, plan.pipeline)
        self.best = BestModel(
            run,
            plan.serving,
            stopping.monitor if stopping else "val_loss",
            keep_last=bool(stopping and not stopping.restore_best),
        )
        self.stopping = EarlyStopping(stopping) if stopping else None
        self.plateau = ReduceOnPlateau(plateau, reporter) if plateau else None
        self.recorder = Recorder(
            run, reporter, self.clock, self.best, training.epochs, plan.pipeline,
            # Across devices a batch is fetched ahead of its step, and nobody is seen waiting.
            measure_wait=plan.devices.count == 1 and plan.pipeline.timed,
        )  # fmt: skip
        self.trackers = (
            build_trackers(plan.config, run, run.read_environment(), reporter.note)
            if agreement.chief()
            else []
        )
        self.checkpoints = Checkpoints(
            run, plan.config, self.clock, self.best, self._position, plan.pipeline.steps
        )
        self.checkpoints.set_model(plan.model)

    def resume(self) -> None:
        """Take the state of the newest checkpoint."""
        position = self._load()
        if agreement.chief():
            resuming.continue_config(self.run, self.plan.config, self.reporter)
        resuming.compare_precision(self.run, self.plan.choices["precision"].value, self.reporter)
        self.clock.seconds_before = position.seconds
        self._go_to(position)
        epochs = self.plan.config.training.epochs
        if self.clock.epoch >= epochs:
            self.reporter.note(
                f"all {self.clock.epoch} epochs are done; more of them with   bigmodel train --resume "
                f"{self.run} --epochs {2 * self.clock.epoch}"
            )
        elif self._stopped_early():
            self.reporter.note(
                f"stopped early after epoch {self.clock.epoch}; go on regardless with   bigmodel train "
                f"--resume {self.run} training.early_stopping=null"
            )
        else:
            step = f" after step {position.step} of {self.plan.pipeline.steps}" if position.step else ""
            self.reporter.note(f"going on in epoch {position.epoch + 1}{step}")

    def _load(self, *, finite: bool = False) -> Position:
        """The newest sound checkpoint, its variables put into the model."""
        config = self.plan.config
        position, warnings = checkpoint.load(self.run, self.plan.model, config, finite=finite)
        # The chief must not write the next one before all have read this one.
        agreement.meet()
        for text in warnings:
            self.reporter.note(text)
        factor = position.callbacks.get("rate_factor", 1.0)
        if factor != self.rate_factor and isinstance(config.optimizer.learning_rate, Component):
            self._set_rate_factor(factor)
            return self._load(finite=finite)
        self.rate_factor = factor
        return position

    def _set_rate_factor(self, factor: float) -> None:
        """A schedule is part of the compiled step."""
        compile_model(self.plan, factor)
        self.rate_factor = factor

    def _go_to(self, position: Position) -> None:
        """Set everything beside the model's variables to a position."""
        self.clock.set(position.epoch, position.step)
        if position.step:
            self.course.restore_metrics(
                [keras.ops.convert_to_numpy(item) for item in self.plan.model.metrics_variables]
            )
        state = position.callbacks
        self.rolled_back = state.get("rolled_back", 0)
        self.recorder.records = self.run.history()[: position.epoch]
        self.best.restore(state["best"])
        if self.stopping and state.get("early_stopping"):
            self.stopping.restore(state["early_stopping"])
        if self.plateau and state.get("reduce_on_plateau"):
            self.plateau.restore(state["reduce_on_plateau"])

    def _position(self, epoch: int, step: int) -> Position:
        callbacks = {
            "best": self.best.state(),
            "rolled_back": self.rolled_back,
            "rate_factor": self.rate_factor,
        }
        if self.stopping:
            callbacks["early_stopping"] = self.stopping.state()
        if self.plateau:
            callbacks["reduce_on_plateau"] = self.plateau.state()
        return Position(epoch, step, self.clock.seconds, callbacks)

    def run_to_end(self) -> Outcome:
        """Train until all epochs are done, or something stops it."""
        steps, epochs = self.plan.pipeline.steps, self.plan.config.training.epochs
        with SignalWatch(self.clock, steps, epochs) as signals:
            try:
                self._fit_and_roll_back(signals)
            except (StopRequestedError, TimeIsUpError) as stop:
                return self._stop(stop)
            except DivergedError:
                self._finish("diverged")
                raise
            except DiskNearlyFullError:
                self._finish("failed")
                raise
            except Exception as error:
                failure = self._failure(error)
                if failure is None:
                    raise
                raise failure from None
        return self._finish("finished")

    def _stop(self, stop: StopRequestedError | TimeIsUpError) -> Outcome:
        """Save the state; a budget that is used up is a good end, a signal is not."""
        self.checkpoints.save_now()
        # One that ended now would be missed, and end the chief before it has saved.
        agreement.meet()
        where = (
            f"in epoch {self.clock.epoch + 1} after step {self.clock.step} of {self.plan.pipeline.steps}; "
            f"the state is saved\ngo on with   bigmodel train --resume {self.run}"
        )
        if isinstance(stop, StopRequestedError):
            self._finish("interrupted")
            raise InterruptedTrainingError(f"interrupted by {stop} {where}") from None
        ended = self._finish("stopped")
        minutes = self.plan.config.training.max_minutes
        self.reporter.note(f"stopped by training.max_minutes: {minutes:g} {where}")
        return ended

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
        if agreement.several() and lost_contact(error):
            return TrainingFailedError(
                f"another process of the job is gone ({reason})\n"
                f"go on, with as many as you like, with   bigmodel train --resume {self.run}"
            )
        if out_of_memory(error):
            return TrainingFailedError(
                f"out of memory: {reason}; try a smaller training.batch_size, or `auto`"
            )
        if (found := data_error(error)) is not None:
            return DataError(f"{found}\ngo on when it is mended with   bigmodel train --resume {self.run}")
        return None

    def _fit_and_roll_back(self, signals: SignalWatch) -> None:
        divergence = self.plan.config.training.divergence
        if divergence.action == "roll_back" and not any(self.run.checkpoints.glob("epoch-*.npz")):
            self.checkpoints.save_now()
        while True:
            try:
                return self._fit(signals)
            except DivergedError as error:
                if divergence.action == "stop" or self.rolled_back >= divergence.attempts:
                    raise
                self._roll_back(error)

    def _roll_back(self, error: DivergedError) -> None:
        """Go back to the last checkpoint with a smaller learning rate."""
        config, model = self.plan.config, self.plan.model
        attempt, factor = self.rolled_back + 1, config.training.divergence.learning_rate_factor
        rate, rate_factor = current_learning_rate(model.optimizer), self.rate_factor
        position = self._load(finite=True)
        if (position.epoch, position.step) == self.rolled_to:
            # Weights from there on overflow at any rate.
            if agreement.chief():
                checkpoint.drop_newest(self.run)
            agreement.meet()
            position = self._load(finite=True)
        self.rolled_to = (position.epoch, position.step)
        if isinstance(config.optimizer.learning_rate, Component):
            self._set_rate_factor(rate_factor * factor)
            smaller = self.rate_factor
            checkpoint.load(self.run, model, config, finite=True)
            agreement.meet()
        else:
            smaller = rate * factor
            model.optimizer.learning_rate = smaller
        self._go_to(position)
        self.rolled_back = attempt
        step = f" after step {position.step}" if position.step else ""
        what = "the schedule's rate times" if self.rate_factor != 1 else "a learning rate of"
        self.reporter.note(
            f"{str(error).split(';')[0]}; back to epoch {position.epoch + 1}{step} with {what} {smaller:.3g} "
            f"(attempt {attempt} of {config.training.divergence.attempts})"
        )
        self.recorder.write()
        # So that a resumed run goes on with the smaller rate.
        self.checkpoints.go_to(position)
        self.checkpoints.save_now()

    def _fit(self, signals: SignalWatch) -> None:
        training, pipeline = self.plan.config.training, self.plan.pipeline
        callbacks = [Releasing(self.plan.config), EvaluationWeights(), self.course]
        callbacks += [DivergenceGuard(self.clock), self.best]
        callbacks += [self.stopping] if self.stopping else []
        callbacks += [self.recorder, *self.trackers]
        callbacks.append(StallGuard(self.clock, self.reporter, self.plan.chance))
        if training.tensorboard and agreement.chief():
            callbacks.append(keras.callbacks.TensorBoard(self.run.tensorboard, write_graph=False))
        callbacks += [self.plateau] if self.plateau else []
        callbacks += [self.checkpoints, signals]
        if training.max_minutes is not None:
            callbacks.append(TimeBudget(training.max_minutes, self.clock, pipeline.steps, training.epochs))
        # An epoch that was left in the middle has fewer steps than the others: a `fit` of its own.
        sittings = [(self.clock.epoch, training.epochs, 0)]
        if self.clock.step:
            sittings = [
                (self.clock.epoch, self.clock.epoch + 1, self.clock.step),
                (self.clock.epoch + 1, training.epochs, 0),
            ]
        for first, last, start_step in sittings:
            if first >= last or self._stopped_early():
                continue
            with self.plan.devices.running():
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
        ended = outcome.describe(
            self.plan,
            self.recorder.records,
            self.best,
            status=status,
            seconds=self.clock.seconds,
            stopped_early=self._stopped_early(),
        )
        if agreement.chief():
            outcome.write(self.run, self.plan, self.recorder.records, ended)
            for tracker in self.trackers:
                tracker.close(self.run.read_summary())
        return ended


def _disk_is_full(error: Exception) -> bool:
    """TensorFlow and h5py say it in words only."""
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
