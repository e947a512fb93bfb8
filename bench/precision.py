"""Test accuracy after training in float32 and in bfloat16, over several seeds.

    python bench/precision.py --data-dir ~/tensorflow_datasets --work runs/bench-precision

Each run is `bigmodel train` and `bigmodel evaluate`, in processes of their own, below the `--work` folder.
What is finished there is not done again, so that the bench can be stopped and started: delete the folder to
begin anew. MNIST is the shipped config; CIFAR-10 is a ResNet-8 for six epochs of 15,000
images, whose accuracy is that of a short training, not of a good one.

bfloat16 counts as no worse when the difference of the two means is above minus twice its standard error,
which comes from the spread over the seeds: a seed gives both the same initial weights and the same order of
examples, but their ways part after a few steps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import processes

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
PRECISIONS = ("float32", "bfloat16")
SETS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mnist": ("mnist_cnn.yaml", ()),
    "cifar10": (
        "cifar10_resnet_cpu.yaml",
        (
            "model.depth=8",
            "training.epochs=6",
            "dataset.splits={train: 'train[:15000]', validation: 'train[15000:17000]', test: test}",
            "optimizer.learning_rate={name: cosine, peak: 0.2, warmup_epochs: 1}",
        ),
    ),
}


@dataclass(frozen=True)
class Comparison:
    """All runs of one data set.

    Attributes:
        name: of the data set.
        seeds: of the runs, in order.
        float32: test accuracy for each seed.
        bfloat16: the same.
    """

    name: str
    seeds: tuple[int, ...]
    float32: tuple[float, ...]
    bfloat16: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Mean of bfloat16 minus float32."""
        return statistics.mean(self.bfloat16) - statistics.mean(self.float32)

    @property
    def noise(self) -> float:
        """Twice the standard error of the difference of the means, from the spread over the seeds."""
        variances = statistics.variance(self.float32) + statistics.variance(self.bfloat16)
        return 2 * float((variances / len(self.seeds)) ** 0.5)

    @property
    def no_worse(self) -> bool:
        """Whether bfloat16 is within the noise of float32, or better."""
        return self.difference >= -self.noise

    def document(self) -> dict[str, Any]:
        """For JSON."""
        judged = {"difference": self.difference, "noise": self.noise, "no_worse": self.no_worse}
        return {**asdict(self), **judged}


def accuracy(name: str, precision: str, seed: int, work: Path) -> float:
    """Test accuracy of one run, which is made unless it is there."""
    run = work / f"{name}-{precision}-{seed}"
    report = run / "evaluation" / "test" / "metrics.json"
    if not report.exists():
        shutil.rmtree(run, ignore_errors=True)
        config, overrides = SETS[name]
        given = [*overrides, f"training.precision={precision}", f"seed={seed}", "--run-dir", str(run)]
        trained = processes.run([*processes.BIGMODEL, "train", str(CONFIGS / config), *given], work)
        # Written last, so that a run that was cut off is made again.
        processes.run([*processes.BIGMODEL, "evaluate", str(run)], work)
        print(f"{run.name}: {trained.wall:.0f} s", file=sys.stderr, flush=True)
    return float(json.loads(report.read_text(encoding="utf-8"))["scores"]["accuracy"]["value"])


def text(comparisons: Sequence[Comparison]) -> str:
    """As plain columns."""
    rows = []
    for item in comparisons:
        for precision, values in zip(PRECISIONS, (item.float32, item.bfloat16), strict=True):
            rows.append((
                f"{item.name} {precision}",
                *(f"{value:.4f}" for value in values),
                f"{statistics.mean(values):.4f}",
                f"{statistics.stdev(values):.4f}",
            ))  # fmt: skip
    head = ("test accuracy", *(f"seed {seed}" for seed in comparisons[0].seeds), "mean", "deviation")
    verdicts = [
        f"{item.name}: bfloat16 - float32 = {item.difference:+.4f}, noise {item.noise:.4f}: "
        f"{'no worse' if item.no_worse else 'WORSE'}"
        for item in comparisons
    ]
    return "\n".join([processes.table(head, rows), *verdicts])


def main() -> None:
    """Train, evaluate, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="seeds, from 0 on (default 3, at least 2)")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--work", type=Path, default=Path("runs/bench-precision"), help="where the runs lie")
    parser.add_argument("--data-dir", type=Path, help="prepared TFDS data (default: TFDS_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error("--repeats must be at least 2: the noise is that between seeds")
    if options.data_dir is not None:
        os.environ["TFDS_DATA_DIR"] = str(options.data_dir.expanduser().resolve())
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    seeds = tuple(range(options.repeats))
    comparisons = []
    for name in options.sets:
        # In turn, so that the accuracies of a seed are known together.
        pairs = [[accuracy(name, precision, seed, work) for precision in PRECISIONS] for seed in seeds]
        comparisons.append(Comparison(name, seeds, *(tuple(values) for values in zip(*pairs, strict=True))))
    if options.json:
        print(json.dumps([item.document() for item in comparisons], indent=2))
    else:
        print(text(comparisons))
    sys.exit(0 if all(item.no_worse for item in comparisons) else 1)


if __name__ == "__main__":
    main()
