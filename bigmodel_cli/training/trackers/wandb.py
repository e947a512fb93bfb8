"""Runs in Weights & Biases."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.contracts import TrackedRun
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.trackers import memory
from bigmodel_cli.training.trackers.flattening import flattened

if TYPE_CHECKING:
    import keras

# Seconds: W&B waits this long for an answer when a run begins, and for its uploads when it ends.
_WAIT = 20.0


def wandb(
    run: TrackedRun,
    *,
    project: str | None = None,
    entity: str | None = None,
    mode: Literal["online", "offline"] | None = None,
) -> keras.callbacks.Callback:
    """Follow a run in Weights & Biases: config and environment, metrics of every epoch, status.

    Needs the package `wandb`: pip install bigmodel-cli[wandb]. Its files lie in the run directory, under
    `wandb/`; what was recorded offline is sent by `wandb sync`.

    Args:
        project: where the run stands in W&B; by default the config's `name`.
        entity: user or team; by default the user's own.
        mode: `offline` keeps everything in the run directory; by default what W&B is set to (WANDB_MODE, else
            online).
    """
    import keras

    if find_spec("wandb") is None:
        raise UsageError(
            "training.tracking: `wandb` needs the package wandb, which is not installed: "
            "pip install bigmodel-cli[wandb]"
        )
    import wandb as library

    chosen = mode or os.environ.get("WANDB_MODE", "online")
    library.setup(settings=library.Settings(silent=True))
    # Without a key W&B would ask for one at the terminal, in the midst of training.
    if chosen == "online" and not library.login(prompt=False, verify=False):
        raise UsageError(
            "training.tracking: `wandb` has no key of yours: run `wandb login`, set WANDB_API_KEY, or set "
            "`mode: offline`"
        )
    entry = _Entry(run, {"project": project or run.name, "entity": entity, "mode": chosen})
    return keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: entry.begin(),
        on_epoch_end=entry.log,
        on_train_end=lambda logs: entry.end(logs),
    )


class _Entry:
    """A run's entry in W&B."""

    def __init__(self, run: TrackedRun, place: Mapping[str, Any]):
        self._run = run
        self._place = place
        self._entry: Any = None

    def begin(self) -> None:
        """Make the entry, or open that of an earlier sitting, and describe the run."""
        import wandb as library

        run_id = memory.recall(self._run.path, "wandb").get("run_id") or secrets.token_hex(8)
        self._entry = library.init(
            **self._place,
            id=run_id,
            resume="allow",
            name=self._run.path.name,
            dir=str(self._run.path),
            settings=library.Settings(
                silent=True, console="off", init_timeout=_WAIT, finish_timeout=_WAIT, x_disable_stats=True
            ),
        )
        # Only now: an id that got no answer stays in use in this process, and cannot be tried again.
        memory.keep(self._run.path, "wandb", run_id=run_id)
        # A resumed run may differ from what is known there.
        self._entry.config.update(
            {**self._run.config, "environment": dict(self._run.environment)}, allow_val_change=True
        )
        # Steps of W&B only grow, and an epoch may be trained again.
        self._entry.define_metric("*", step_metric="epoch")

    def log(self, epoch: int, logs: Mapping[str, float]) -> None:
        """The metrics of an epoch, counted from 1."""
        self._entry.log({"epoch": epoch + 1, **logs})

    def end(self, summary: Mapping[str, Any]) -> None:
        """How the run ended."""
        self._entry.summary.update(flattened(summary, "summary."))
        self._entry.finish(exit_code=0 if summary["status"] in ("finished", "stopped") else 1)
