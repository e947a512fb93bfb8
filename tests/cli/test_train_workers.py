"""Training by several devices and by several processes, as a user starts it; all on this machine's CPU."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.rundir import Run

pytestmark = pytest.mark.slow

# 109 training and 109 validation examples: the last batch of 13 does not divide by 4 devices. Batch
# normalization, dropout, a mixing augmentation and EMA, so that everything that may depend on how a batch is
# shared is there. Nothing improves by 10, so that early stopping ends it after 3 epochs.
CONFIG = """\
name: shared
dataset:
  name: digits
  limit: 109
  augment: [{name: random_crop, padding: 1}, {name: mix_up, probability: 0.5}]
model: {name: cnn, filters: [4], dense: [8], batch_norm: true, dropout: 0.2}
optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9, ema: 0.9}
training:
  epochs: 9
  batch_size: 16
  precision: float32
  tensorboard: false
  early_stopping: {monitor: val_loss, patience: 2, min_delta: 10}
"""
LONG = """\
name: long
dataset: iris
model: {name: mlp, hidden: [4]}
training: {epochs: 900, batch_size: 16, early_stopping: null, tensorboard: false}
"""
TOLERANCE = 2e-6
"""Of weights after 3 epochs; up to 5e-7 was measured, by the order of summation."""

COMPILED = tempfile.TemporaryDirectory(prefix="bigmodel-tests-")
"""What JAX has compiled, so that not every process does it again: half of the time of these tests."""


def start(folder: Path, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bigmodel_cli", "train", *map(str, arguments)],
        cwd=folder,
        env={
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err[-4000:]
    return out, err


def trained(folder: Path, name: str, devices: int, *arguments: object) -> tuple[Run, str, str]:
    """Train in a process of its own, or in several: the run, and what was said on both streams."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    process = start(folder, "config.yaml", "--run-dir", name, *arguments, XLA_FLAGS=flags)
    return Run(folder / name), *finish(process)


def state(run: Run) -> dict[str, np.ndarray]:
    """The variables of the newest checkpoint."""
    newest = max(run.checkpoints.glob("*.npz"))
    with np.load(newest) as archive:
        return {name: archive[name] for name in archive.files if "/" in name}


def test_two_processes_of_two_devices_train_as_one_device(
    tmp_path: Path, write: Callable[[str, str], Path], bigmodel: Callable[..., Any]
) -> None:
    write("config.yaml", CONFIG)
    one, _, _ = trained(tmp_path, "one", 1, "training.backend=jax")
    other, out, err = trained(tmp_path, "workers", 2, "--workers", 2, "--json")
    weights, found = state(one), state(other)
    assert weights.keys() == found.keys()
    for key, value in weights.items():
        # Sums over an epoch, of the metrics, are large numbers.
        np.testing.assert_allclose(found[key], value, rtol=1e-6, atol=TOLERANCE, err_msg=key)
    # By early stopping, in every process.
    assert len(one.history()) == len(other.history()) == 3
    for mine, theirs in zip(one.history(), other.history(), strict=True):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert theirs[key] == pytest.approx(mine[key], abs=1e-5), key

    assert json.loads(out)["status"] == "finished"
    assert re.search(r"device   2 processes, each CPU, \d+ cores? as 2 devices  on jax \(auto: 2 proc", err)
    environment = other.read_environment()
    assert (environment["backend"], environment["workers"], environment["devices"]["count"]) == ("jax", 2, 4)
    assert "jax" in environment["packages"]
    assert environment["choices"]["backend"] == {"value": "jax", "reason": "auto: 2 processes, by TF_CONFIG"}
    assert one.read_environment()["choices"]["backend"]["reason"] == "asked for"
    # The chief alone writes, and nothing but its run.
    assert {item.name for item in tmp_path.iterdir()} == {"config.yaml", "one", "workers"}
    assert not list(other.path.glob(".*.keras"))

    # TensorFlow evaluates what JAX has trained.
    result = bigmodel("evaluate", other, "--split", "validation", "--json")
    assert result.exit_code == 0, result.stderr
    best = other.history()[other.read_summary()["best_epoch"] - 1]
    measured = json.loads(result.stdout)["scores"]
    assert measured["accuracy"]["value"] == pytest.approx(best["val_accuracy"], abs=1e-6)
    assert measured["loss"]["value"] == pytest.approx(best["val_loss"], abs=1e-5)


def children(process: int) -> list[int]:
    return [
        int(number)
        for task in Path(f"/proc/{process}/task").iterdir()
        for number in (task / "children").read_text().split()
    ]


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()[1][-4000:]
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers by /proc")
def test_a_worker_dies_and_others_go_on(
    write: Callable[[str, str], Path], tmp_path: Path, bigmodel: Callable[..., Any]
) -> None:
    """One of two is killed; one process goes on, on TensorFlow; two go on again, and are interrupted."""
    config, run = write("config.yaml", LONG), Run(tmp_path / "run")
    process = start(tmp_path, config, "--run-dir", run, "--workers", 2, "training.steps_per_execution=2")
    until(lambda: len(run.history()) >= 2, process)
    workers = children(process.pid)
    assert len(workers) == 2
    killed_at = time.monotonic()
    os.kill(max(workers), signal.SIGKILL)
    _, err = finish(process, 1)
    assert time.monotonic() - killed_at < 90
    assert "worker 1 of 2 was killed by SIGKILL; all were ended" in err
    assert f"go on, with as many as you like, with   bigmodel train --resume {run}" in err
    assert run.read_summary()["status"] == "failed"
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)

    epochs = len(run.history()) + 1
    result = bigmodel("train", "--resume", run, "--epochs", epochs)
    assert result.exit_code == 0, result.stderr
    assert run.read_summary()["status"] == "finished"
    assert len(run.history()) == epochs

    process = start(tmp_path, "--resume", run, "--epochs", 900, "--workers", 2)
    until(lambda: len(run.history()) > epochs, process)
    os.kill(process.pid, signal.SIGINT)
    _, err = finish(process, 130)
    assert "interrupted by SIGINT" in err
    summary = run.read_summary()
    assert summary["status"] == "interrupted"
    assert summary["epochs"] == len(run.history()) > epochs


def test_a_job_whose_others_never_come(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    config = write("config.yaml", CONFIG)
    job = {
        "cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]},
        "task": {"type": "worker", "index": 1},
    }
    process = start(tmp_path, config, "--workers-timeout", 2, TF_CONFIG=json.dumps(job))
    _, err = finish(process, 1)
    assert (
        "rank 1 of 2 (TF_CONFIG): the processes of the job did not meet at 127.0.0.1:1 (in 2 seconds)" in err
    )
    assert not (tmp_path / "runs").exists()


def test_workers_within_a_job(
    write: Callable[[str, str], Path], bigmodel: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(job))
    result = bigmodel("train", write("config.yaml", CONFIG), "--workers", 2)
    assert result.exit_code == 2
    assert "--workers 2: this process already is one of a job of 2 (TF_CONFIG); leave --workers out" in (
        result.stderr
    )
