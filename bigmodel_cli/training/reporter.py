"""What training tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

NOT_METRICS = frozenset({"epoch", "learning_rate", "seconds", "examples_per_second", "data_wait", "best"})
"""Keys of a line of metrics.jsonl beside the metrics."""


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch; also a line of metrics.jsonl.

    Attributes:
        epoch: from 1.
        metrics: `loss`, `accuracy`, `val_loss`, ...; over the whole epoch.
        learning_rate: at the end of the epoch.
        seconds: wall time with validation.
        examples_per_second: of training alone, in this process.
        best: whether model.keras now holds this epoch because it is the best so far.
        data_wait: share of the training time that was spent waiting for data; None where it is not measured.
    """

    epoch: int
    metrics: Mapping[str, float]
    learning_rate: float
    seconds: float
    examples_per_second: float
    best: bool
    data_wait: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Flat, in the order of metrics.jsonl."""
        return {
            "epoch": self.epoch,
            **self.metrics,
            "learning_rate": self.learning_rate,
            "seconds": round(self.seconds, 3),
            "examples_per_second": round(self.examples_per_second, 1),
            "data_wait": None if self.data_wait is None else round(self.data_wait, 4),
            "best": self.best,
        }


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        status: finished, stopped (its time is up), interrupted, diverged or failed.
        epochs: finished epochs, over all sittings.
        planned_epochs: what the config asked for.
        best_epoch: from 1; None when no epoch was finished.
        stored_epoch: whose weights model.keras holds: the best, or the last with `restore_best: false`.
        metrics: of the best epoch.
        monitor: by which the best was chosen.
        seconds: training time over all sittings.
        examples_per_second: median over the epochs.
        stopped_early: whether early stopping ended it.
    """

    status: str
    epochs: int
    planned_epochs: int
    best_epoch: int | None
    stored_epoch: int | None
    metrics: Mapping[str, float]
    monitor: str
    seconds: float
    examples_per_second: float
    stopped_early: bool


class Reporter(Protocol):
    """Hears how training goes; called in this order."""

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        """Epoch `epoch` (from 1) of `epochs` begins at `start_step` of its `steps`."""

    def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
        """`step` steps of the epoch are done; metrics are means over the epoch so far."""

    def validation_begins(self) -> None:
        """The training steps of the epoch are done."""

    def epoch_done(self, record: EpochRecord) -> None:
        """An epoch is finished and recorded."""

    def note(self, text: str) -> None:
        """Something worth a line of its own."""


class Silent:
    """A `Reporter` that says nothing: of several processes, the chief alone speaks."""

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        """Nothing."""

    def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def validation_begins(self) -> None:
        """Nothing."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
