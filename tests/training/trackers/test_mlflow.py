"""Runs in MLflow, in a database of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

# SQLAlchemy 2.1 deprecates what MLflow does with it.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


def entries(store: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store)
    places = [item.experiment_id for item in client.search_experiments()]
    return list(client.search_runs(places))


def test_a_run_and_its_resumption_are_one_entry(follow: Callable[..., Any], store: str) -> None:
    from mlflow import MlflowClient

    tracker = f"{{name: mlflow, tracking_uri: '{store}', experiment: flowers}}"
    first = follow(tracker, "training.epochs=2")
    first.begin()
    first.epoch(1, 0.5)
    first.close("interrupted")
    (entry,) = entries(store)
    assert entry.info.status == "KILLED" and entry.info.run_name == "run"

    second = follow(tracker, "training.epochs=3")
    second.begin()
    second.epoch(2, 0.25)
    second.epoch(3, 0.125)
    second.close()
    (entry,) = entries(store)
    assert entry.info.status == "FINISHED"
    client = MlflowClient(tracking_uri=store)
    assert client.get_experiment(entry.info.experiment_id).name == "flowers"
    curve = client.get_metric_history(entry.info.run_id, "val_loss")
    assert [(item.step, item.value) for item in curve] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert set(entry.data.metrics) == {"loss", "val_loss", "learning_rate"}
    # What it began with, and what has changed since.
    assert entry.data.params["training.epochs"] == "2"
    assert entry.data.params["dataset.name"] == "iris"
    assert entry.data.params["training.tracking.0.name"] == "mlflow"
    tags = entry.data.tags
    assert tags["changed.training.epochs"] == "3"
    assert [key for key in tags if key.startswith("changed.")] == ["changed.training.epochs"]
    assert tags["environment.packages.keras"] == "3.15.1"
    assert tags["environment.command"] == '["bigmodel", "train", "iris.yaml"]'
    assert tags["environment.choices.precision.reason"] == "auto: no convolutions or attention"
    assert tags["summary.status"] == "finished" and tags["summary.metrics.val_loss"] == "0.5"
    assert json.loads((second.run.path / "tracking.json").read_text()) == {
        "mlflow": {"run_id": entry.info.run_id, "delivered": 3}
    }

    # Somebody deletes it: another one is made, and training does not notice.
    client.delete_run(entry.info.run_id)
    third = follow(tracker)
    third.begin()
    third.close("diverged")
    (other,) = entries(store)
    assert other.info.run_id != entry.info.run_id and other.info.status == "FAILED"


def test_a_server_that_is_gone_ends_nothing(follow: Callable[..., Any]) -> None:
    notes: list[str] = []
    followed = follow("{name: mlflow, tracking_uri: 'http://127.0.0.1:9'}", note=notes.append)
    followed.begin()
    followed.epoch(1, 0.5)
    followed.close()
    assert notes[-1].startswith("tracking: `mlflow` did not take everything (MlflowException: ")


def test_a_store_that_cannot_be_opened_is_refused(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bigmodel_cli.training.trackers import check_trackers
    from bigmodel_cli.training.trackers import mlflow as module

    def check(uri: str) -> None:
        tracker = f"{{name: mlflow, tracking_uri: '{uri}'}}"
        check_trackers(config("name: c\ndataset: iris\nmodel: mlp\n", f"training.tracking=[{tracker}]"))

    check(f"sqlite:///{tmp_path}/mlflow.db")
    check("http://127.0.0.1:9")
    assert not (tmp_path / "mlflow.db").exists()
    with pytest.raises(UsageError, match="MLflow refuses tracking_uri smoke://signals: "):
        check("smoke://signals")
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "sqlalchemy" else object())
    with pytest.raises(UsageError, match="the packages sqlalchemy and alembic are missing"):
        check(f"sqlite:///{tmp_path}/mlflow.db")
