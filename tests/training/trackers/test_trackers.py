"""Trackers of a config, built and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

OWN = """\
def file(run, *, to: str = "seen.txt"):
    import keras

    def write(text):
        with open(run.path / to, "a") as out:
            out.write(text)

    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: write(f"{epoch} {logs['loss']}\\n"),
        on_train_end=lambda logs: write(logs["status"]),
    )


def broken(run):
    raise RuntimeError("no licence")


def nothing(run):
    return None
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_trackers.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own")
def test_a_tracker_of_ones_own(follow: Callable[..., Any]) -> None:
    followed = follow("{name: 'my_trackers:file', to: heard.txt}")
    followed.begin()
    followed.epoch(1, 0.5)
    followed.close()
    path = followed.run.path / "heard.txt"
    assert path.read_text(encoding="utf-8") == "0 0.5\nfinished"


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("tracker", "message"),
    [
        (
            "my_trackers:broken",
            r"tracking\[0\]: `my_trackers:broken` cannot be built: RuntimeError: no licence",
        ),
        (
            "my_trackers:nothing",
            r"tracking\[0\]: `my_trackers:nothing` gave a NoneType, not a keras.callbacks",
        ),
    ],
)
def test_what_is_no_tracker_is_refused(tracker: str, message: str, config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.trackers import check_trackers

    with pytest.raises(UsageError, match=message):
        check_trackers(config("name: c\ndataset: iris\nmodel: mlp\n", f"training.tracking=['{tracker}']"))


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_missing_package_is_named(
    tracker: str, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    from bigmodel_cli.training.trackers import check_trackers

    module = import_module(f"bigmodel_cli.training.trackers.{tracker}")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=rf"pip install bigmodel-cli\[{tracker}\]"):
        check_trackers(config("name: c\ndataset: iris\nmodel: mlp\n", f"training.tracking=[{tracker}]"))


def test_no_trackers(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.trackers import check_trackers

    check_trackers(config("name: c\ndataset: iris\nmodel: mlp\n"))


def test_flattened() -> None:
    from bigmodel_cli.training.trackers.flattening import flattened, text

    document = {"a": {"b": 1, "c": {}}, "d": [{"e": None}, {"f": True}], "g": [1, 2]}
    flat = {"a.b": 1, "a.c": {}, "d.0.e": None, "d.1.f": True, "g": [1, 2]}
    assert flattened(document) == flat
    assert [text(value) for value in flat.values()] == ["1", "{}", "null", "true", "[1, 2]"]


def test_tensorboard_shows_config_and_environment(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from bigmodel_cli.rundir import Run
    from bigmodel_cli.training.trackers.tensorboard import write_description

    run = Run(tmp_path)
    write_description(run, {"model": {"name": "cnn"}}, {"command": ["bigmodel", "train"]})
    events = EventAccumulator(str(run.tensorboard / "description"))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"config", "environment"}
    (config,) = events.Tensors("config")
    (text,) = config.tensor_proto.string_val
    assert b"| model.name | `cnn` |" in text
