"""Kill a training run again and again at random moments, resume it, and compare it with the whole run.

    python bench/kills.py --kills 100

Every process is a real one that SIGKILL ends without warning, from the first moment of its training to the
last: between two steps, while a checkpoint is written, in validation. A killed run is resumed until it
finishes; then its weights, optimizer, history, best epoch and model.keras must be those of a run that was
never interrupted, to the bit. What differs is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

# Dropout, batch normalization, momentum, averaged weights, augmentation, a schedule and early stopping: all
# that has a state. 12 steps an epoch of 180 images.
CONFIG = """\
name: kills
seed: 7
dataset: {name: digits, limit: 180, augment: [{name: random_crop, padding: 1}]}
model: {name: cnn, filters: [4], dense: [16], dropout: 0.3, batch_norm: true}
optimizer:
  name: sgd
  momentum: 0.9
  learning_rate: {name: cosine, peak: 0.05, warmup_epochs: 1}
  ema: 0.9
training:
  epochs: 12
  batch_size: 15
  steps_per_execution: 1
  precision: float32
  tensorboard: false
  early_stopping: {monitor: val_accuracy, patience: 5}
  checkpoint: {every_epochs: 1, every_steps: 5, keep: 2}
"""
TIMES = ("seconds", "examples_per_second", "data_wait")


def command(arguments: list[str]) -> None:
    """In a child: the command line, its output into a file beside the run."""
    from bigmodel_cli.cli import main

    with Path("output.txt").open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(arguments)


class Trainer:
    """Starts processes that have TensorFlow imported already, which is most of a short run's time."""

    def __init__(self) -> None:
        # TensorFlow writes to standard error while it is imported.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tensorflow", "keras", "bigmodel_cli.training.trainer"])

    def run(self, arguments: list[str], lock: Path, kill_after: float | None) -> tuple[int, float]:
        """One process.

        Args:
            arguments: of `bigmodel`.
            lock: what the process writes its number into when training begins.
            kill_after: seconds after that; None to let it end.

        Returns:
            Its exit code, negative for a signal, and the seconds from there to its end.
        """
        process = self._context.Process(target=command, args=(arguments,))
        process.start()
        deadline = time.monotonic() + 120
        while process.is_alive() and not _holds(lock, process.pid) and time.monotonic() < deadline:
            time.sleep(0.005)
        begun = time.monotonic()
        if kill_after is not None:
            process.join(kill_after)
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
        process.join(300)
        if process.exitcode is None:
            process.kill()
            sys.exit("a run has not ended within 300 seconds")
        return process.exitcode, time.monotonic() - begun


def _holds(lock: Path, process: int | None) -> bool:
    return lock.exists() and f"process {process} " in lock.read_text(encoding="utf-8")


def result(run: Path) -> dict[str, Any]:
    """All that must be the same, by name."""
    newest = max((run / "checkpoints").glob("*.npz"))
    with np.load(newest) as archive:
        found: dict[str, Any] = {f"checkpoint {name}": archive[name] for name in archive.files}
    position = json.loads(found.pop("checkpoint position").tobytes())
    # The hash covers the time that training took.
    del found["checkpoint sha256"]
    found["position"] = {**position, "seconds": 0}
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found["history"] = [
        {key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines
    ]
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    for key in ("status", "epochs", "best_epoch", "stored_epoch", "metrics", "stopped_early"):
        found[key] = summary[key]
    with zipfile.ZipFile(run / "model.keras") as archive:
        found["model.keras"] = archive.read("model.weights.h5")
    return found


def differences(whole: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what is not the same."""
    return [
        name
        for name in whole.keys() | other.keys()
        if name not in whole or name not in other or not np.array_equal(whole[name], other[name])
    ]


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    arguments = parser.parse_args()
    if arguments.kills < 1:
        parser.error("--kills must be at least 1")
    with tempfile.TemporaryDirectory(prefix="bigmodel-kills-") as name:
        os.chdir(name)
        document = measure(arguments.kills, random.Random(arguments.seed))
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        print(
            f"{document['kills']} kills in {document['runs']} runs: {document['identical']} runs identical "
            f"to the whole one, {document['runs'] - document['identical']} different {document['differing']}"
        )
        print("killed in   " + ", ".join(f"{where}: {n}" for where, n in document["killed_in"].items()))
    sys.exit(document["identical"] != document["runs"])


def measure(kills: int, moments: random.Random) -> dict[str, Any]:
    """Kill as often as asked for, in as many runs as that takes."""
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    trainer = Trainer()
    code, duration = trainer.run(
        ["train", "config.yaml", "--resume", "auto", "--run-dir", "whole"],
        Path("whole/.lock"),
        kill_after=None,
    )
    if code:
        sys.exit(f"the whole run failed:\n{Path('output.txt').read_text(encoding='utf-8')[-3000:]}")
    whole = result(Path("whole"))
    killed, runs, identical = 0, 0, 0
    differing: list[str] = []
    killed_in: Counter[str] = Counter()
    while killed < kills:
        run = Path(f"run{runs}")
        arguments = ["train", "config.yaml", "--resume", "auto", "--run-dir", str(run)]
        while True:
            last = killed >= kills
            code, _ = trainer.run(arguments, run / ".lock", None if last else moments.uniform(0, duration))
            if code == 0:
                break
            if code != -signal.SIGKILL:
                said = Path("output.txt").read_text(encoding="utf-8")[-3000:]
                sys.exit(f"a resumed run failed with exit code {code}:\n{said}")
            killed += 1
            killed_in[_where(run)] += 1
            print(f"{killed} of {kills} kills", file=sys.stderr, end="\r")
        runs += 1
        found = differences(whole, result(run))
        identical += not found
        differing += [name for name in found if name not in differing]
        shutil.rmtree(run)
    return {
        "kills": killed,
        "runs": runs,
        "identical": identical,
        "differing": differing,
        "killed_in": dict(sorted(killed_in.items())),
    }


def _where(run: Path) -> str:
    """Which epoch was under way, and whether a file was being written."""
    if any(path.name.startswith(".") and path.name != ".lock" for path in run.rglob("*")):
        return "a write"
    metrics = run / "metrics.jsonl"
    lines = len(metrics.read_text(encoding="utf-8").splitlines()) if metrics.exists() else 0
    return f"epoch {lines + 1:02d}"


if __name__ == "__main__":
    main()
