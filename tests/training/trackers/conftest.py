"""A run whose epochs are written by hand, and the trackers that follow it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.rundir import Run

ENVIRONMENT = {
    "bigmodel": "0.1.0",
    "command": ["bigmodel", "train", "iris.yaml"],
    "packages": {"keras": "3.15.1"},
    "git_commit": None,
    "choices": {"precision": {"value": "float32", "reason": "auto: no convolutions or attention"}},
}


class Followed:
    """`fit` as trackers see it: epochs are recorded, then told."""

    def __init__(self, run: Run, trackers: list[Any]):
        self.run = run
        self.trackers = trackers

    def begin(self) -> None:
        for item in self.trackers:
            item.on_train_begin()

    def epoch(self, number: int, loss: float) -> None:
        """Epoch `number` from 1, which may stand in metrics.jsonl already."""
        records = [*self.run.history()[: number - 1]]
        records.append(
            {"epoch": number, "loss": loss, "val_loss": 2 * loss, "learning_rate": 0.1, "best": True}
        )
        self.run.metrics.write_text("".join(json.dumps(item) + "\n" for item in records), encoding="utf-8")
        for item in self.trackers:
            item.on_epoch_end(number - 1, {"loss": loss})

    def close(self, status: str = "finished") -> None:
        for item in self.trackers:
            item.close({"status": status, "best_epoch": 1, "metrics": {"val_loss": 0.5}})


@pytest.fixture
def follow(config: Callable[..., Config], tmp_path: Path) -> Callable[..., Followed]:
    """`follow("mlflow", "training.epochs=3")`: a sitting of the run in tmp_path/run; notes end the test."""
    from bigmodel_cli.training.trackers import build_trackers

    def run(tracker: str, *overrides: str, note: Callable[[str], None] = pytest.fail) -> Followed:
        path = tmp_path / "run"
        path.mkdir(exist_ok=True)
        complete = config(
            "name: iris\ndataset: iris\nmodel: mlp\n", f"training.tracking=[{tracker}]", *overrides
        )
        return Followed(Run(path), build_trackers(complete, Run(path), ENVIRONMENT, note))

    return run


@pytest.fixture
def sitting(tmp_path: Path) -> Callable[..., Followed]:
    """`sitting(service, notes)`: the service follows the run in tmp_path."""
    from bigmodel_cli.training.trackers.follower import Follower

    def begin(service: Any, notes: list[str], patience: float = 20.0) -> Followed:
        run = Run(tmp_path)
        return Followed(run, [Follower("service", service.tracker(), run, notes.append, patience)])

    return begin
