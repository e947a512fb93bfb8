"""Images a second of `bigmodel train` beside plain `model.fit` on float32 arrays, once both are under way.

    python bench/steady_state.py --data-dir ~/tensorflow_datasets --repeats 5

The same networks, batch sizes, epochs and examples: the shipped configs as they are (the augmentation of
CIFAR-10 included, which the plain script does not have) against bench/plain_fit.py. Each runs in a process of
its own, in turn; the first epoch of each, in which it compiles, is left out.

- img/s    training examples a second, validation and everything between the epochs left out;
- epoch s  a whole epoch as either measures it, with validation;
- MB       the largest resident memory of the whole process.

A ratio is that of one turn, ours to plain; the medians over the turns are what counts. With --limit an epoch
is cut to so many examples, which leaves the speed as it is and makes the arrays of both small: memory counts
most at the whole size (--limit 0).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import processes

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Net:
    """What is trained.

    Attributes:
        name: of bench/plain_fit.py.
        config: its shipped config.
        batch_size: of both.
        epochs: by default.
        limit: examples of each split by default; None for all.
        goal: ratio of images a second to reach.
    """

    name: str
    config: str
    batch_size: int
    epochs: int
    limit: int | None
    goal: float


NETS = (
    Net("mnist", "mnist_cnn.yaml", 64, 5, None, 1.5),
    Net("cifar10", "cifar10_resnet.yaml", 128, 3, 11_264, 1.1),
)
MEMORY_GOAL = 1.2


@dataclass(frozen=True)
class Speed:
    """One process.

    Attributes:
        rate: images a second of training: median of the epochs after the first.
        epoch: seconds of a whole epoch: median of the same.
        peak: bytes.
        parameters: of the network.
        accuracy: of validation, after the last epoch.
    """

    rate: float
    epoch: float
    peak: int
    parameters: int
    accuracy: float

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        return f"{self.rate:,.0f}", f"{self.epoch:.1f}", f"{self.peak / 1e6:,.0f}", f"{self.accuracy:.3f}"


@dataclass(frozen=True)
class Turn:
    """One of each."""

    ours: Speed
    plain: Speed

    @property
    def rate(self) -> float:
        """Ratio of images a second."""
        return self.ours.rate / self.plain.rate

    @property
    def epoch(self) -> float:
        """Ratio of images a second over whole epochs."""
        return self.plain.epoch / self.ours.epoch

    @property
    def memory(self) -> float:
        """Ratio of the peaks."""
        return self.ours.peak / self.plain.peak


def ours(net: Net, epochs: int, limit: int | None, folder: Path) -> Speed:
    """`bigmodel train`."""
    given = [f"training.epochs={epochs}", f"training.batch_size={net.batch_size}"]
    given += [f"dataset.limit={limit}"] if limit else []
    command = [*processes.BIGMODEL, "train", str(ROOT / "configs" / net.config), *given, "--run-dir", "run"]
    done = processes.run(command, folder)
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs_done = [json.loads(line) for line in lines]
    summary = json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8"))
    return Speed(
        statistics.median(item["examples_per_second"] for item in epochs_done[1:]),
        statistics.median(item["seconds"] for item in epochs_done[1:]),
        done.peak,
        summary["parameters"],
        epochs_done[-1]["val_accuracy"],
    )


def plain(net: Net, epochs: int, limit: int | None, folder: Path) -> Speed:
    """The textbook way."""
    script = [sys.executable, str(ROOT / "bench" / "plain_fit.py"), net.name]
    given = ["--epochs", str(epochs), "--batch-size", str(net.batch_size)]
    given += ["--limit", str(limit)] if limit else []
    done = processes.run([*script, *given], folder)
    found: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return Speed(
        found["train"] / statistics.median(found["training_seconds"][1:]),
        statistics.median(found["epoch_seconds"][1:]),
        done.peak,
        found["parameters"],
        found["val_accuracy"],
    )


def turn(net: Net, epochs: int, limit: int | None) -> Turn:
    """One of each, in empty folders."""
    with tempfile.TemporaryDirectory(prefix="bigmodel-bench-") as folder:
        one = Turn(plain=plain(net, epochs, limit, Path(folder)), ours=ours(net, epochs, limit, Path(folder)))
    if one.ours.parameters != one.plain.parameters:
        sys.exit(
            f"{net.name}: {one.ours.parameters:,} and {one.plain.parameters:,} parameters: not one network"
        )
    return one


def medians(turns: Sequence[Turn]) -> dict[str, float]:
    """Over the turns."""
    return {key: statistics.median(getattr(one, key) for one in turns) for key in ("rate", "epoch", "memory")}


def text(net: Net, turns: Sequence[Turn]) -> str:
    """As plain columns, with the medians and the goals."""
    head = (
        f"{net.name} turn", "plain img/s", "epoch s", "MB", "accuracy",
        "bigmodel img/s", "epoch s", "MB", "accuracy", "img/s ratio", "epochs", "memory",
    )  # fmt: skip
    rows = []
    for number, one in enumerate(turns, 1):
        cells = (*one.plain.cells(), *one.ours.cells())
        rows.append((str(number), *cells, f"{one.rate:.2f}", f"{one.epoch:.2f}", f"{one.memory:.2f}"))
    found = medians(turns)
    last = (
        f"{net.name} medians: {found['rate']:.2f} times the images a second (goal {net.goal}), "
        f"{found['epoch']:.2f} over whole epochs, {found['memory']:.2f} times the memory (goal {MEMORY_GOAL})"
    )
    return f"{processes.table(head, rows)}\n{last}\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--nets", nargs="+", choices=[net.name for net in NETS])
    parser.add_argument("--epochs", type=int, help="at least 2 (default: 5 of mnist, 3 of cifar10)")
    parser.add_argument(
        "--limit",
        type=int,
        help="examples of each split, 0 for all (default: all of mnist, 11264 of cifar10)",
    )
    parser.add_argument("--data-dir", type=Path, help="prepared TFDS data (default: TFDS_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    if options.repeats < 1 or (options.epochs is not None and options.epochs < 2):
        parser.error("--repeats must be at least 1, --epochs at least 2: the first epoch does not count")
    if options.data_dir is not None:
        os.environ["TFDS_DATA_DIR"] = str(options.data_dir.expanduser().resolve())
    documents = []
    for net in NETS:
        if options.nets and net.name not in options.nets:
            continue
        limit = net.limit if options.limit is None else options.limit
        turns: list[Turn] = []
        for number in range(1, options.repeats + 1):
            turns.append(turn(net, options.epochs or net.epochs, limit))
            print(f"{net.name} {number}/{options.repeats}: {turns[-1].rate:.2f}", file=sys.stderr, flush=True)
        if not options.json:
            print(text(net, turns), flush=True)
        documents.append(
            {"name": net.name, "goal": net.goal, "medians": medians(turns), "turns": [*map(asdict, turns)]}
        )
    if options.json:
        print(json.dumps(documents, indent=2))


if __name__ == "__main__":
    main()
