"""What `bigmodel train` does beyond `fit`, as a share of the training time.

    python bench/overhead.py --data-dir ~/tensorflow_datasets --repeats 5

One plan (data, model, pipeline) is trained in turn by the trainer and by a bare `model.fit` on the same
batches and validation data, some epochs at a time. At every epoch the trainer shows its progress, checks the
loss, and writes metrics, model.keras, a checkpoint and TensorBoard's files. The first turn of each, which
compiles, is left out.

- fit, train  seconds an epoch without and with all that, and by how much the latter is longer;
- CPU         the same in seconds of all cores, which other programs on the machine disturb less;
- callbacks   seconds an epoch inside the trainer's callbacks, which is where all of it happens: what is to be
  seen of the difference when epochs differ by more than it. On a GPU it holds the time that a callback waits
  for the device, too;
- once        seconds outside of `fit`, once a run: the run directory, the learning curves.

The goal is 2% of epochs of 10 s or more; --set dataset.limit=N makes them shorter or longer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import processes

from bigmodel_cli import engine, validation

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "cifar10_resnet_cpu.yaml"
# Epochs of about 15 s on two cores; the model is written at every epoch, not at the best alone.
SHORT = ("dataset.limit=16384", "training.early_stopping={patience: 1000, restore_best: false}")
GOAL, LONG_EPOCH = 0.02, 10.0
PARTS = ("train", "epoch", "train_batch", "test", "test_batch")
HOOKS = tuple(f"on_{part}_{end}" for part in PARTS for end in ("begin", "end"))


@dataclass(frozen=True)
class Turn:
    """Seconds an epoch.

    Attributes:
        bare: of `fit` alone.
        bare_cpu: the same, of all cores.
        train: of the trainer's `fit`.
        train_cpu: the same, of all cores.
        callbacks: of these, in callbacks.
        once: seconds of a run outside of `fit`.
    """

    bare: float
    bare_cpu: float
    train: float
    train_cpu: float
    callbacks: float
    once: float


class Account:
    """Measures a model's `fit` and the callbacks in it."""

    def __init__(self, model: Any):
        self._fit = model.fit
        self.reset()
        model.fit = self.fit

    def reset(self) -> None:
        """Begin anew."""
        self.in_fit = self.in_fit_cpu = self.in_callbacks = 0.0

    def fit(self, *given: Any, callbacks: Sequence[Any] = (), **named: Any) -> Any:
        """The model's own, with its callbacks measured."""
        for callback in callbacks:
            for hook in HOOKS:
                setattr(callback, hook, self._measured(getattr(callback, hook)))
        began, cpu = time.perf_counter(), time.process_time()
        history = self._fit(*given, callbacks=list(callbacks), **named)
        self.in_fit += time.perf_counter() - began
        self.in_fit_cpu += time.process_time() - cpu
        return history

    def _measured(self, hook: Callable[..., None]) -> Callable[..., None]:
        def measured(*given: Any, **named: Any) -> None:
            began = time.perf_counter()
            try:
                hook(*given, **named)
            finally:
                self.in_callbacks += time.perf_counter() - began

        return measured


def measure(plan: Any, epochs: int, repeats: int) -> list[Turn]:
    """Train in turn.

    Args:
        plan: of `epochs` epochs.
        epochs: in one turn of each.
        repeats: turns that count.
    """
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import starting, trainer

    account = Account(plan.model)

    def bare() -> None:
        plan.model.fit(
            plan.pipeline.batches(),
            validation_data=plan.validation,
            epochs=epochs,
            class_weight=plan.class_weights,
            verbose=0,
            shuffle=False,
        )

    def train(folder: Path) -> None:
        progress = TrainingProgress(quiet=False, stderr=True)
        run = starting.start(plan, folder / "run")
        with progress.logging(run.log):
            progress.show_plan(plan, run)
            progress.show_outcome(trainer.train(plan, run, progress), run)

    turns: list[Turn] = []
    for number in range(repeats + 1):
        account.reset()
        bare()
        alone = account.in_fit / epochs, account.in_fit_cpu / epochs
        account.reset()
        with tempfile.TemporaryDirectory(prefix="bigmodel-bench-") as folder:
            began = time.perf_counter()
            train(Path(folder))
            once = time.perf_counter() - began - account.in_fit
        if number:
            wall, cpu = account.in_fit / epochs, account.in_fit_cpu / epochs
            turns.append(Turn(*alone, wall, cpu, account.in_callbacks / epochs, once))
    return turns


def medians(turns: Sequence[Turn]) -> dict[str, float]:
    """Of each number over the turns, and of the shares turn by turn."""
    found = {key: statistics.median(getattr(one, key) for one in turns) for key in asdict(turns[0])}
    found["longer"] = statistics.median(one.train / one.bare - 1 for one in turns)
    found["longer_cpu"] = statistics.median(one.train_cpu / one.bare_cpu - 1 for one in turns)
    found["callbacks_share"] = statistics.median(one.callbacks / one.bare for one in turns)
    return found


def text(turns: Sequence[Turn]) -> str:
    """As plain columns, with the medians."""
    head = ("turn", "fit s", "CPU s", "train s", "CPU s", "longer", "CPU", "callbacks s", "share", "once s")
    rows = [
        (
            str(number),
            f"{one.bare:.2f}",
            f"{one.bare_cpu:.2f}",
            f"{one.train:.2f}",
            f"{one.train_cpu:.2f}",
            f"{one.train / one.bare - 1:+.1%}",
            f"{one.train_cpu / one.bare_cpu - 1:+.1%}",
            f"{one.callbacks:.3f}",
            f"{one.callbacks / one.bare:.2%}",
            f"{one.once:.2f}",
        )
        for number, one in enumerate(turns, 1)
    ]
    found = medians(turns)
    short = "" if found["bare"] >= LONG_EPOCH else f"  (epochs of less than {LONG_EPOCH:g} s)"
    return (
        f"{processes.table(head, rows)}\n"
        f"medians: an epoch {found['longer']:+.1%} longer, CPU {found['longer_cpu']:+.1%}, in callbacks "
        f"{found['callbacks_share']:.2%} (goal {GOAL:.0%}); once a run {found['once']:.2f} s{short}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns that count (default 5)")
    parser.add_argument("--epochs", type=int, default=2, help="in a turn of each (default 2)")
    parser.add_argument("--config", type=Path, help="another config than the short ResNet-20 on CIFAR-10")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of the config")
    parser.add_argument("--data-dir", type=Path, help="prepared TFDS data (default: TFDS_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    if options.repeats < 1 or options.epochs < 1:
        parser.error("--repeats and --epochs must be at least 1")
    if options.data_dir is not None:
        os.environ["TFDS_DATA_DIR"] = str(options.data_dir.expanduser().resolve())
    given = [*(SHORT[1:] if options.config else SHORT), f"training.epochs={options.epochs}", *options.set]
    config = validation.load(options.config or CONFIG, given).config
    engine.start()
    from bigmodel_cli.training import planning

    turns = measure(planning.prepare(config), options.epochs, options.repeats)
    if options.json:
        print(json.dumps({"medians": medians(turns), "turns": [asdict(one) for one in turns]}, indent=2))
    else:
        print(text(turns), flush=True)


if __name__ == "__main__":
    main()
