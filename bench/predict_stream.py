"""How fast `bigmodel predict` is beside its parts, and how much memory it takes.

    python bench/predict_stream.py --run runs/mnist-cnn/20261121-201500

With a run on images of one size (its own, or that of a new model trained for one step on random ones, with
`--run` left out), and `--count` random images of MNIST's kind as .npy and as PNG files, in turn and
`--repeats` times each; medians are told, in inputs a second, and medians of the ratios within a turn:

- model     the bare compiled model on ready batches in memory: what `arrays` is held against;
- arrays    `predict` on the .npy file, to Parquet;
- decode    TensorFlow's file reading and PNG decoding alone, on all cores: what `files` is held against;
- files     `predict` on the folder of PNG files, to Parquet;
- both      what `files` can reach where the model computes on the cores that decode,
            1 / (1/decode + 1/model);
- light     `predict` on the same folder with logistic regression, which leaves the cores to the decoder: what
            `files` is where the model computes elsewhere.

Then, each in a process of its own, the largest memory of `predict` on a sixth of the inputs and on all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIG = """\
name: predict-stream
dataset: {name: random, shape: {SHAPE}, classes: 10, examples: 512}
model: {MODEL}
training: {epochs: 1, batch_size: 64, precision: float32, tensorboard: false}
"""
CNN = "{name: cnn, filters: [32, 64], dense: [128]}"
LIGHT = "{name: logistic_regression, flatten: true}"


def trained(folder: Path, model: str, shape: tuple[int, ...]) -> Path:
    """A run of a model, trained on random images."""
    folder.mkdir(exist_ok=True)
    config = CONFIG.replace("{MODEL}", model).replace("{SHAPE}", str(list(shape)))
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "bigmodel_cli", "train", str(folder / "config.yaml")]
    subprocess.run([*command, "--run-dir", str(folder / "run")], check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def written(folder: Path, shape: tuple[int, ...], count: int) -> None:
    """Random images as x.npy, a sixth of them as sixth.npy, and as PNG files in pngs/ and sixth/.

    They compress as MNIST does: most pixels are black.
    """
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, *shape), np.uint8)
    images[generator.random((count, *shape)) < 0.8] = 0
    np.save(folder / "x.npy", images)
    np.save(folder / "sixth.npy", images[: count // 6])
    for name, some in (("pngs", images), ("sixth", images[: count // 6])):
        (folder / name).mkdir()
        for index, image in enumerate(some):
            pixels = image[..., 0] if shape[-1] == 1 else image
            Image.fromarray(pixels).save(folder / name / f"{index:06d}.png")


def seconds(function: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measured(
    run: Path, light: Path, folder: Path, batch_size: int, repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Inputs a second of each part, and their ratios, medians."""
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli import assembly, devices, prediction
    from bigmodel_cli.rundir import Run

    restored = assembly.restore(Run(run))
    images = np.load(folder / "x.npy")
    count, shape = len(images), images.shape[1:]
    ready = [tf.constant(images[start : start + batch_size]) for start in range(0, count, batch_size)]
    forward = tf.function(
        lambda batch: restored.model(batch, training=False),
        input_signature=[tf.TensorSpec((None, *shape), tf.uint8)],
    )
    paths = [str(path) for path in sorted((folder / "pngs").iterdir())]

    def model() -> None:
        found = [forward(batch) for batch in ready]
        found[-1].numpy()

    def decode() -> None:
        files = tf.data.Dataset.from_tensor_slices(paths).batch(batch_size)
        signature = tf.TensorSpec(shape, tf.uint8)
        batches = files.map(
            lambda some: tf.map_fn(
                lambda path: tf.io.decode_png(tf.io.read_file(path), shape[-1]),
                some,
                fn_output_signature=signature,
            ),
            num_parallel_calls=devices.cpu_cores(),
        ).prefetch(4)
        for _ in batches:
            pass

    def predict(source: str, run: Path = run) -> Callable[[], None]:
        request = prediction.Request(Run(run), [str(folder / source)], batch_size=batch_size)

        def go() -> None:
            with prediction.predict(request, folder / "out.parquet") as found:
                found.write(folder / "out.parquet")

        return go

    np.save(folder / "one.npy", images[:1])
    parts = {
        "model": model, "arrays": predict("x.npy"), "decode": decode, "files": predict("pngs"),
        "light": predict("pngs", light), "start": predict("one.npy"),
        "light start": predict("one.npy", light),
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(repeats + 1):
        for name, function in parts.items():
            needed = seconds(function)
            # The first turn compiles, and brings the files into the system's memory.
            if turn:
                taken[name].append(needed)
    starts = {"arrays": "start", "files": "start", "light": "light start"}
    # The models of earlier turns are restored anew, and the time of that is no part of predicting.
    net = {
        name: [one - own for one, own in zip(times, taken[starts[name]], strict=True)]
        if name in starts
        else times
        for name, times in taken.items()
        if not name.endswith("start")
    }
    net["both"] = [one + other for one, other in zip(net["decode"], net["model"], strict=True)]
    rates = {name: count / statistics.median(times) for name, times in net.items()}
    # Within a turn, because a machine that others use, too, is now fast and now slow.
    ratios = {
        f"{name} / {other}": statistics.median(b / a for a, b in zip(net[name], net[other], strict=True))
        for name, other in (("arrays", "model"), ("files", "decode"), ("files", "both"), ("light", "decode"))
    }
    return rates, ratios


def largest_memory(run: Path, source: Path) -> float:
    """MiB that `bigmodel predict` takes at most, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", str(source), "--run", str(run)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def memory_of(run: Path, source: Path) -> None:
    """Predict in this process, and print the largest memory it had, in MiB."""
    from bigmodel_cli.cli import main

    try:
        main(["predict", str(run), str(source), "-o", str(source.parent / "memory.csv")])
    except SystemExit as stop:
        if stop.code:
            raise
    # Unlike that of getrusage, it begins anew with the process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run on images [a new one]")
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from bigmodel_cli import engine

    if options.memory_of:
        memory_of(options.run, options.memory_of)
        return
    engine.start()
    from bigmodel_cli.rundir import Run

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = options.run or trained(folder, CNN, (28, 28, 1))
        shape = tuple(Run(run).read_data().input.shape)
        written(folder, shape, options.count)
        light = trained(folder / "light", LIGHT, shape)
        rates, ratios = measured(run, light, folder, options.batch_size, options.repeats)
        memory = {
            name: largest_memory(run, folder / name) for name in ("sixth.npy", "x.npy", "sixth", "pngs")
        }
    document = {
        "count": options.count,
        "inputs a second": rates,
        "ratios": ratios,
        "MiB": memory,
    }
    if options.json:
        print(json.dumps(document, indent=2))
        return
    print("  ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()))
    print("  ".join(f"{name} {value:.2f}" for name, value in ratios.items()))
    print(
        f"memory, MiB: arrays {memory['sixth.npy']:.0f} to {memory['x.npy']:.0f}, "
        f"files {memory['sixth']:.0f} to {memory['pngs']:.0f}"
    )


if __name__ == "__main__":
    main()
