"""Images a second of one process and of two local workers, measured in turn.

    python bench/workers.py configs/mnist_cnn.yaml dataset.limit=6000

The workers share the cores of this machine: what two of them gain here says nothing of two machines, but what
they lose is what sharing a batch costs.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3

SETTINGS = {
    "TensorFlow, one process": ["training.backend=tensorflow"],
    "JAX, one process": ["training.backend=jax"],
    "JAX, --workers 2": ["--workers", "2"],
}


def images_a_second(config: str, arguments: list[str], folder: Path) -> float:
    """The median over the epochs after the first one, in which the step is compiled."""
    run = folder / "run"
    subprocess.run(
        [sys.executable, "-m", "bigmodel_cli", "train", config, *arguments, "--run-dir", str(run), "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(statistics.median(epoch["examples_per_second"] for epoch in epochs[1:]))


def main() -> None:
    """Measure and print."""
    given = sys.argv[1:]
    config = given.pop(0) if given and "=" not in given[0] else "configs/mnist_cnn.yaml"
    common = ["training.epochs=3", "training.tensorboard=false", "training.precision=float32", *given]
    measured: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, arguments in SETTINGS.items():
            with tempfile.TemporaryDirectory() as folder:
                measured[name].append(images_a_second(config, [*common, *arguments], Path(folder)))
    first = statistics.median(measured["JAX, one process"])
    for name, values in measured.items():
        median = statistics.median(values)
        spread = ", ".join(f"{value:,.0f}" for value in sorted(values))
        print(f"{name:<25} {median:>9,.0f} img/s   {median / first:.2f} of JAX in one process   ({spread})")


if __name__ == "__main__":
    main()
