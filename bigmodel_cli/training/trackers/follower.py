"""Between `fit` and a tracker: hands the run's records on, in a thread of its own."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

import keras

from bigmodel_cli.rundir import Run
from bigmodel_cli.training.trackers import memory

PATIENCE = 20.0
"""Seconds that the end of a run waits for a service."""

_NOT_LOGS = ("epoch", "best")


class Follower(keras.callbacks.Callback):
    """Delivers what metrics.jsonl holds to a tracker; what could not be delivered is tried again.

    Of the tracker's callback it calls `on_train_begin` once in a sitting, `on_epoch_end` for each epoch that
    has not been delivered yet, whatever sitting it is of, and `on_train_end` once, with the summary.

    Args:
        name: of the tracker, in the config and in tracking.json.
        tracker: what `contracts.TrackerBuilder` gives.
        run: where the records are.
        note: hears, in the thread of training, that something could not be delivered.
        patience: seconds that `close` waits.
    """

    def __init__(
        self,
        name: str,
        tracker: keras.callbacks.Callback,
        run: Run,
        note: Callable[[str], None],
        patience: float = PATIENCE,
    ):
        super().__init__()
        self._name = name
        self._tracker = tracker
        self._run = run
        self._note = note
        self._patience = patience
        self._delivered = self._epochs = int(memory.recall(run.path, name).get("delivered", 0))
        self._begun = False
        self._trouble = ""
        self._told = False
        # None: there may be something to deliver. A number: the epoch after so many was trained again. The
        # summary: it is the last.
        self._events: SimpleQueue[int | Mapping[str, Any] | None] = SimpleQueue()
        # A daemon: a service that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"tracking {name}", daemon=True)

    def set_model(self, model: keras.Model) -> None:
        """For trackers that look at it."""
        super().set_model(model)
        self._tracker.set_model(model)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin; an epoch that was left in the middle has a `fit` of its own, the second of a sitting."""
        if not self._thread.is_alive():
            self._thread.start()
            self._events.put(None)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Hand on the epoch's record, which is written by now."""
        self._events.put(epoch if epoch < self._epochs else None)
        self._epochs = epoch + 1
        if self._trouble and not self._told:
            self._told = True
            self._note(
                f"tracking: `{self._name}` does not take the run ({self._trouble}); training goes on, and "
                "it is tried again after every epoch"
            )

    def close(self, summary: Mapping[str, Any]) -> None:
        """Hand on how it ended, and wait a little until all is delivered.

        Args:
            summary: as summary.json holds it.
        """
        if not self._thread.is_alive():
            # Nothing was trained, or it is closed already.
            return
        self._events.put(dict(summary))
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._trouble = f"no answer within {self._patience:g} s"
        if self._trouble:
            self._note(
                f"tracking: `{self._name}` did not take everything ({self._trouble}); what is missing "
                f"stands in {self._run.metrics}"
            )

    def _work(self) -> None:
        summary = None
        while summary is None:
            event = self._events.get()
            if isinstance(event, int):
                self._delivered = min(self._delivered, event)
            elif event is not None:
                summary = event
            try:
                self._deliver(summary)
                self._trouble = ""
            except Exception as error:
                # Whatever goes wrong there is no reason to stop training.
                reason = (str(error).strip().splitlines() or [""])[0]
                self._trouble = f"{type(error).__name__}: {textwrap.shorten(reason, 120)}"

    def _deliver(self, summary: Mapping[str, Any] | None) -> None:
        if not self._begun:
            self._tracker.on_train_begin({})
            self._begun = True
        for record in self._run.history():
            if record["epoch"] > self._delivered:
                logs = {
                    key: value
                    for key, value in record.items()
                    if key not in _NOT_LOGS and isinstance(value, int | float)
                }
                self._tracker.on_epoch_end(record["epoch"] - 1, logs)
                self._delivered = record["epoch"]
                memory.keep(self._run.path, self._name, delivered=self._delivered)
        if summary is not None:
            self._tracker.on_train_end(summary)
