"""Wall time of `bigmodel train configs/mnist_cnn.yaml` beside the textbook Keras script, in turn.

    python bench/train_against_keras.py --data-dir ~/tensorflow_datasets --repeats 3

Whole processes, from start to exit: imports, data and everything either of them does on top of the
training. The test accuracy of ours comes from `bigmodel evaluate` afterwards, whose time stands in its
own column and in the second ratio, because the script evaluates within its own time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "bench" / "plain_keras_mnist.py"
CONFIG = ROOT / "configs" / "mnist_cnn.yaml"


@dataclass(frozen=True)
class Run:
    """One process that ended well.

    Attributes:
        wall: seconds from start to exit.
        cpu: seconds of all its cores, user and system.
        output: what it wrote to standard output.
    """

    wall: float
    cpu: float
    output: str


@dataclass(frozen=True)
class Pair:
    """One turn of each; seconds, and test accuracy where it is known."""

    keras: float
    keras_cpu: float
    keras_accuracy: float | None
    train: float
    train_cpu: float
    evaluate: float
    accuracy: float | None

    @property
    def ratio(self) -> float:
        """`bigmodel train` to the whole script."""
        return self.train / self.keras

    @property
    def ratio_with_evaluate(self) -> float:
        """`bigmodel train` and `bigmodel evaluate` to the whole script."""
        return (self.train + self.evaluate) / self.keras


def measure(command: list[str], *, folder: Path, environment: dict[str, str]) -> Run:
    """Run a command in a folder; exit with what it said when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        said = done.stdout[-2000:] + done.stderr[-4000:]
        sys.exit(f"{' '.join(command)}\nended with exit code {done.returncode}:\n{said}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, done.stdout)


def accuracy_in(text: str) -> float | None:
    """The test accuracy that the script prints, or the one in a JSON document of `bigmodel evaluate`."""
    if printed := re.search(r"^test accuracy ([\d.]+)$", text, re.MULTILINE):
        return float(printed.group(1))
    try:
        found = _find(json.loads(text), "accuracy")
    except json.JSONDecodeError:
        return None
    value = found.get("value") if isinstance(found, dict) else found
    return float(value) if isinstance(value, (int, float)) else None


def _find(document: object, key: str) -> object:
    """The first value under a key, depth first in the order of the document."""
    if isinstance(document, dict) and key in document:
        return document[key]
    parts = (
        document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    )
    return next((found for part in parts if (found := _find(part, key)) is not None), None)


def pair(bigmodel: str, epochs: int, environment: dict[str, str]) -> Pair:
    """Run both once, each in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="bigmodel-bench-") as name:
        folder = Path(name)
        run_dir = str(folder / "run")
        here = partial(measure, folder=folder, environment=environment)
        keras = here([sys.executable, str(SCRIPT), "--epochs", str(epochs)])
        train = here(
            [bigmodel, "train", str(CONFIG), f"training.epochs={epochs}", "--run-dir", run_dir, "--json"]
        )
        evaluate = here([bigmodel, "evaluate", run_dir, "--json"])
    return Pair(
        keras.wall,
        keras.cpu,
        accuracy_in(keras.output),
        train.wall,
        train.cpu,
        evaluate.wall,
        accuracy_in(evaluate.output),
    )


def table(pairs: list[Pair]) -> str:
    """The pairs as plain text, with the medians."""

    def known(accuracy: float | None) -> str:
        return "-" if accuracy is None else f"{accuracy:.4f}"

    head = (
        "turn",
        "keras s",
        "CPU s",
        "accuracy",
        "train s",
        "CPU s",
        "evaluate s",
        "accuracy",
        "train/keras",
        "with evaluate",
    )
    rows = [
        (
            str(number),
            f"{p.keras:.1f}",
            f"{p.keras_cpu:.1f}",
            known(p.keras_accuracy),
            f"{p.train:.1f}",
            f"{p.train_cpu:.1f}",
            f"{p.evaluate:.1f}",
            known(p.accuracy),
            f"{p.ratio:.2f}",
            f"{p.ratio_with_evaluate:.2f}",
        )
        for number, p in enumerate(pairs, 1)
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    medians = (
        f"median ratio: train to keras {statistics.median(p.ratio for p in pairs):.3f}, "
        f"train and evaluate to keras {statistics.median(p.ratio_with_evaluate for p in pairs):.3f}"
    )
    return "\n".join([*lines, medians])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--data-dir", type=Path, help="prepared TFDS data (default: TFDS's own, or TFDS_DATA_DIR)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    arguments = parser.parse_args()
    if arguments.repeats < 1 or arguments.epochs < 1:
        parser.error("--repeats and --epochs must be at least 1")
    bigmodel = shutil.which("bigmodel") or shutil.which("bigmodel", path=str(Path(sys.executable).parent))
    if bigmodel is None:
        sys.exit("there is no command `bigmodel` on the PATH or beside this Python: pip install -e .")
    environment = dict(os.environ)
    if arguments.data_dir is not None:
        environment["TFDS_DATA_DIR"] = str(arguments.data_dir.expanduser().resolve())

    pairs = []
    for number in range(1, arguments.repeats + 1):
        pairs.append(pair(bigmodel, arguments.epochs, environment))
        print(f"turn {number}/{arguments.repeats}: ratio {pairs[-1].ratio:.2f}", file=sys.stderr)
    if arguments.json:
        document = {
            "epochs": arguments.epochs,
            "pairs": [
                {**asdict(p), "ratio": p.ratio, "ratio_with_evaluate": p.ratio_with_evaluate} for p in pairs
            ],
            "median_ratio": statistics.median(p.ratio for p in pairs),
            "median_ratio_with_evaluate": statistics.median(p.ratio_with_evaluate for p in pairs),
        }
        print(json.dumps(document, indent=2))
    else:
        print(table(pairs))


if __name__ == "__main__":
    main()
