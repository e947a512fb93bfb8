from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.curves

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
training: {epochs: 2, batch_size: 16, tensorboard: false}
"""
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def iris(write: Callable[[str, str], Path]) -> Path:
    return write("iris.yaml", IRIS)


def test_plain_lines_in_a_pipe(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    result = bigmodel("train", "iris.yaml")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[0] == "iris  seed 0"
    assert [line.split()[0] for line in lines[1:5]] == ["data", "model", "device", "run"]
    assert "108 train  12 validation  4 float32  3 classes, balanced" in lines[1]
    assert "precision float32 (auto: no convolutions or attention)" in lines[3]
    assert "7 steps an execution (auto)" in lines[3]
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 2
    assert re.search(
        r"^epoch 2/2  [\d.]+ s  [\d,]+ ex/s  data wait \d+%  loss \S+  acc \S+  val loss \S+  val acc \S+",
        epochs[1],
    )
    assert lines[-1].startswith("next   bigmodel evaluate  ")
    run = tmp_path / lines[4].split()[1]
    assert (run / "train.log").read_text() == result.stdout
    assert (tmp_path / "runs" / "latest").resolve() == run
    assert {path.name for path in tmp_path.iterdir()} == {"iris.yaml", "runs"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"iris", "latest"}


def test_quiet_prints_the_last_block_only(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    result = bigmodel("train", "iris.yaml", "--quiet", "--run-dir", "here/run")
    lines = result.stdout.splitlines()
    assert re.match(r"best epoch \d  val loss \S+  val accuracy \S+   2 epochs in ", lines[0])
    assert lines[1] == "model  here/run/model.keras"
    assert lines[2].startswith("next   bigmodel evaluate here/run  ")
    assert len(lines) == 3
    assert "epoch 1/2" in (tmp_path / "here" / "run" / "train.log").read_text()
    assert not (tmp_path / "runs").exists()


def test_json_on_standard_output_all_else_on_standard_error(bigmodel: Callable[..., Any], iris: Path) -> None:
    result = bigmodel("train", "iris.yaml", "--json", "--run-dir", "run")
    document = json.loads(result.stdout)
    assert (document["run"], document["status"], document["epochs"]) == ("run", "finished", 2)
    assert document["metrics"]["val_loss"] > 0
    assert "epoch 2/2" in result.stderr
    assert "best epoch" in result.stderr


def test_overrides_are_part_of_the_run(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    bigmodel("train", "iris.yaml", "--run-dir", "run", "training.epochs=1", "model.hidden=[5]")
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert "hidden: [5]" in text
    assert "epochs: 1" in text


def test_a_finished_run_is_extended(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    bigmodel("train", "iris.yaml", "--run-dir", "run")
    finished = bigmodel("train", "--resume", "run")
    assert finished.exit_code == 0
    assert "note: all 2 epochs are done; more of them with   bigmodel train --resume run --epochs 4" in (
        finished.stdout
    )
    more = bigmodel("train", "--resume", "run", "training.epochs=3")
    assert more.exit_code == 0, more.stderr
    assert "note: going on in epoch 3" in more.stdout
    assert "epoch 3/3" in more.stdout
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


def test_divergence_is_a_message(
    bigmodel: Callable[..., Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    write(
        "line.yaml",
        "name: line\ndataset: linear\nmodel: linear_regression\n"
        "optimizer: {name: sgd, learning_rate: 1e20}\n",
    )
    result = bigmodel("train", "line.yaml", "--run-dir", "run", "training.tensorboard=false")
    assert result.exit_code == 1
    assert re.match(
        r"diverged: the loss became \S+ at .*step.* of epoch 1; the learning rate was 1e\+20: try a tenth",
        result.stderr,
    )
    assert "Traceback" not in result.stderr
    assert (tmp_path / "run" / "train.log").read_text().rstrip().endswith(result.stderr.rstrip())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a CONFIG to train, or a run with --resume RUN"),
        (("nowhere.yaml",), "nowhere.yaml"),
        (("iris.yaml", "--resume", "run"), "name a CONFIG to train, or a run with --resume RUN"),
        (("--resume", "nowhere"), "nowhere: there is no such run directory or config"),
        (("--resume", "taken"), "taken: is not a run directory"),
        (("iris.yaml", "--run-dir", "taken"), "--run-dir taken: is not empty"),
        (
            ("iris.yaml", "training.batch_size=1000"),
            "training.batch_size: 1000 is larger than the training split of iris",
        ),
        (("iris.yaml", "model={name: cnn}"), "cnn"),
        (("iris.yaml", "model.hiden=[3]"), "did you mean `hidden`?"),
        (("iris.yaml", "dataset={name: mnist, data_dir: nowhere}"), "mnist"),
        (
            ("iris.yaml", "training.devices=gpu"),
            "training.devices: gpu was asked for, but TensorFlow sees no GPU",
        ),
        (
            ("iris.yaml", "training.devices=cpu", "training.precision=float16"),
            "float16 is many times slower than float32",
        ),
    ],
)
def test_what_cannot_be_trained_leaves_nothing_behind(
    arguments: Sequence[str],
    message: str,
    bigmodel: Callable[..., Any],
    iris: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    # Where there are GPUs, too.
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    result = bigmodel("train", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_live_bar_on_a_terminal(iris: Path, tmp_path: Path) -> None:
    """What was drawn and redrawn leaves the same lines as a pipe gets, and the cursor visible."""
    columns = 80
    output = _on_terminal(
        ["train", "iris.yaml", "--run-dir", "run", "training.steps_per_execution=1"], tmp_path, columns
    )
    assert "━" in output
    assert re.search(r"\d/7", ESCAPE.sub("", output))
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h")
    screen = _screen(output, columns)
    assert "━" not in "".join(screen)
    joined = re.sub(r"\s+", " ", " ".join(screen))
    log = (tmp_path / "run" / "train.log").read_text()
    assert joined.strip() == re.sub(r"\s+", " ", log).strip()


def _on_terminal(arguments: Sequence[str], folder: Path, columns: int) -> str:
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR", "CI")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bigmodel_cli", *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(slave)
    content, deadline = b"", time.monotonic() + 120
    try:
        while time.monotonic() < deadline:
            if select.select([master], [], [], 1)[0]:
                try:
                    content += os.read(master, 65536)
                except OSError:
                    break
        assert process.wait(30) == 0, content.decode()
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return content.decode()


def _screen(output: str, columns: int) -> list[str]:
    """What a terminal of this width shows in the end: enough of one for what rich writes."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.|[\r\n]|[^\x1b\r\n]", output):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
        elif part.startswith("\x1b["):
            count = int(part[2:-1]) if part[2:-1].isdigit() else 1
            if part[-1] == "A":
                row -= count
            elif part[-1] == "K":
                lines[row] = "" if part == "\x1b[2K" else lines[row][:column]
        elif not part.startswith("\x1b"):
            if column == columns:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
