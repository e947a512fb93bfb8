"""Runs in Weights & Biases, offline."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

pytest.importorskip("wandb", reason="needs wandb: pip install bigmodel-cli[wandb]")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Without the user's own key and settings."""
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))
    yield
    wandb.teardown()


def records(folder: Path) -> list[Any]:
    """What the file of an offline run holds: a log of LevelDB's form, in blocks of 32 KiB, after 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("*.wandb")
    data, position, found, parts = file.read_bytes(), 7, [], b""
    while position + 7 <= len(data):
        if (left := -position % 32768) < 7 and left:
            position += left
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        # A whole record, or the last part of one.
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def told(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_a_run_and_its_resumption_are_one_entry(follow: Callable[..., Any]) -> None:
    tracker = "{name: wandb, project: flowers, mode: offline}"
    first = follow(tracker, "training.epochs=1")
    first.begin()
    first.epoch(1, 0.5)
    first.close("interrupted")
    second = follow(tracker, "training.epochs=2")
    second.begin()
    second.epoch(2, 0.25)
    second.close()
    run_id = json.loads((second.run.path / "tracking.json").read_text())["wandb"]["run_id"]
    folders = sorted((second.run.path / "wandb").glob("offline-run-*"))
    assert [folder.name.rpartition("-")[2] for folder in folders] == [run_id] * 2
    seen, codes, config = [], [], {}
    for folder in folders:
        for record in records(folder):
            if record.HasField("run"):
                assert (record.run.project, record.run.display_name) == ("flowers", "run")
                config |= told(record.run.config.update)
            if record.HasField("config"):
                config |= told(record.config.update)
            if record.HasField("history"):
                row = told(record.history.item)
                seen.append((row["epoch"], row["loss"], row["val_loss"]))
            if record.HasField("exit"):
                codes.append(record.exit.exit_code)
    assert seen == [(1, 0.5, 1.0), (2, 0.25, 0.5)]
    assert codes == [1, 0]
    assert config["training"]["epochs"] == 2
    assert config["environment"]["packages"] == {"keras": "3.15.1"}


def test_a_missing_key_is_found_before_the_run(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.trackers import check_trackers

    def check(tracker: str) -> None:
        check_trackers(config("name: c\ndataset: iris\nmodel: mlp\n", f"training.tracking=[{tracker}]"))

    check("{name: wandb, mode: offline}")
    with pytest.raises(UsageError, match="`wandb` has no key of yours: run `wandb login`"):
        check("wandb")
