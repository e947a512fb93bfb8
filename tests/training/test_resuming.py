from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.rundir import Run

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
training: {epochs: 2, batch_size: auto, tensorboard: false, resume: auto}
"""


@pytest.fixture
def config_file(write: Callable[[str, str], Path]) -> Path:
    return write("iris.yaml", IRIS)


def _runs(folder: Path) -> list[Path]:
    return sorted((folder / "runs" / "iris").iterdir())


def test_a_finished_run_is_followed_by_a_new_one(
    bigmodel: Callable[..., object], config_file: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert bigmodel("train", config_file).exit_code == 0
    assert len(_runs(tmp_path)) == 2


def test_an_unfinished_run_goes_on(
    bigmodel: Callable[..., object], config_file: Path, tmp_path: Path
) -> None:
    first = bigmodel("train", config_file, "training.max_minutes=1.0e-9", "training.steps_per_execution=1")
    assert first.exit_code == 0
    assert "note: stopped by training.max_minutes: 1e-09 in epoch 1" in first.stderr + first.stdout
    assert "no epoch is finished, and there is no model yet; go on with" in first.stdout
    assert "best epoch" not in first.stdout
    assert "bigmodel evaluate" not in first.stdout
    (path,) = _runs(tmp_path)
    assert Run(path).read_summary()["status"] == "stopped"
    # What `auto` became is the run's.
    assert "batch_size: 4" in Run(path).config.read_text()
    second = bigmodel("train", config_file, "--json")
    assert second.exit_code == 0, second.stderr
    assert json.loads(second.stdout)["status"] == "finished"
    assert _runs(tmp_path) == [path]
    # More epochs than it was made for: it is unfinished again.
    third = bigmodel("train", config_file, "--epochs", 3, "--json")
    assert json.loads(third.stdout)["epochs"] == 3
    assert _runs(tmp_path) == [path]
    # A finished run of other settings is none of its business.
    fourth = bigmodel("train", config_file, "--epochs", 4, "model.hidden=[9]")
    assert fourth.exit_code == 0, fourth.stderr
    assert len(_runs(tmp_path)) == 2


def test_a_changed_model_is_refused(
    bigmodel: Callable[..., object], config_file: Path, tmp_path: Path
) -> None:
    bigmodel("train", config_file, "training.max_minutes=1.0e-9")
    (path,) = _runs(tmp_path)
    changed = bigmodel("train", config_file, "model.hidden=[9]", "optimizer=sgd")
    assert changed.exit_code == 2
    assert "cannot go on with it: " in changed.stderr
    assert "model.hidden: [8] then, [9] now" in changed.stderr
    assert 'optimizer.name: "adam" then, "sgd" now' in changed.stderr
    assert "training.resume=never" in changed.stderr
    assert _runs(tmp_path) == [path]


def test_in_a_folder_of_ones_own(bigmodel: Callable[..., object], config_file: Path, tmp_path: Path) -> None:
    arguments = ("train", config_file, "training.resume=never", "--resume", "auto", "--run-dir", "here")
    # Killed before its first checkpoint.
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text("name: cut sho")
    assert bigmodel(*arguments).exit_code == 0
    before = (tmp_path / "here" / "model.keras").read_bytes()
    again = bigmodel(*arguments)
    assert again.exit_code == 0
    assert "all 2 epochs are done" in again.stdout + again.stderr
    assert (tmp_path / "here" / "model.keras").read_bytes() == before
    # What is not ours is not written over.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    refused = bigmodel(*arguments[:-1], "mine")
    assert (refused.exit_code, "is not empty" in refused.stderr) == (2, True)


def test_other_data_than_the_run_began_with(
    bigmodel: Callable[..., object], write: Callable[[str, str], Path]
) -> None:
    rows = [f"{n}.5,{n * 2}" for n in range(40)]
    write("rows.csv", "\n".join(["x,y", *rows]))
    config = write(
        "rows.yaml",
        "name: rows\ndataset: {name: csv, path: rows.csv, target: y}\nmodel: {name: mlp, hidden: [4]}\n"
        "training: {epochs: 1, batch_size: 8, tensorboard: false}\n",
    )
    assert bigmodel("train", config, "--run-dir", "run").exit_code == 0
    write("rows.csv", "\n".join(["x,y", *rows[:-1]]))
    changed = bigmodel("train", "--resume", "run", "--epochs", 2)
    assert changed.exit_code == 2
    assert "dataset csv: is not what run was trained on" in changed.stderr
    assert isinstance(DataError("x"), UsageError)


HOLD = """
import sys, time
from pathlib import Path
from bigmodel_cli import rundir
with rundir.locked(rundir.Run(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_in_one_run(bigmodel: Callable[..., object], config_file: Path, tmp_path: Path) -> None:
    assert bigmodel("train", config_file, "--run-dir", "run").exit_code == 0
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        second = bigmodel("train", "--resume", "run", "--epochs", 3)
    finally:
        holder.kill()
        holder.communicate()
    assert second.exit_code == 2
    assert f"run: process {holder.pid} on " in second.stderr
    assert "is training there" in second.stderr
    # Killed, it lets go.
    assert bigmodel("train", "--resume", "run", "--epochs", 3).exit_code == 0
