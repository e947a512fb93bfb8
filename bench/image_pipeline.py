"""Images a second of the data pipeline alone, beside what the decoder and the model can do.

    python bench/image_pipeline.py --data-dir ~/tensorflow_datasets

For MNIST and CIFAR-10 from TensorFlow Datasets, and MNIST again as a folder of 60,000 PNG files:

- decoder  the bare TensorFlow operations on records or files that lie in memory, on all cores;
- first    the first epoch of the pipeline, from the files to the last batch, with all that is learned of the
  data;
- later    a later epoch of the pipeline alone (median of three);
- model    the shipped network of that set, trained on ready float32 arrays by the same `compile` and `fit`;
- fit      the same, fed by the pipeline (medians of `--repeats` epochs, the two in turn).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bigmodel_cli import assembly, engine, validation
from bigmodel_cli.config.schema import Config

ROOT = Path(__file__).resolve().parent.parent


def seconds(function: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def consume(dataset: Any) -> None:
    """Pull every batch."""
    for _ in dataset:
        pass


def write_folder(data: assembly.Data, folder: Path) -> None:
    """MNIST as PNG files in a folder of classes for each split."""
    from PIL import Image

    for name in ("train", "test"):
        part = data.splits[name]
        inputs, targets = part.arrays()
        for label in range(10):
            (folder / name / str(label)).mkdir(parents=True)
        for index, (image, target) in enumerate(zip(inputs, targets, strict=True)):
            Image.fromarray(image[..., 0]).save(folder / name / str(target) / f"{index}.png")


def decoder_rate(data: assembly.Data, cores: int, codec: str) -> float:
    """Images a second of the bare decoding operation, a thread for each core, on `png` or `jpeg`."""
    import tensorflow as tf

    encode = {"png": tf.io.encode_png, "jpeg": tf.io.encode_jpeg}[codec]
    decode_one = {"png": tf.io.decode_png, "jpeg": tf.io.decode_jpeg}[codec]
    images = data.splits["train"].first(4000).arrays()[0]
    encoded = tf.constant([encode(image).numpy() for image in images])
    channels = images.shape[-1]
    records = tf.data.Dataset.from_tensor_slices(encoded).repeat(5).batch(256)
    signature = tf.TensorSpec(images.shape[1:], tf.uint8)

    def decode(batch: Any) -> Any:
        return tf.map_fn(lambda one: decode_one(one, channels), batch, fn_output_signature=signature)

    decoded = records.map(decode, num_parallel_calls=cores)
    consume(decoded.take(4))
    return 20_000 / seconds(lambda: consume(decoded))


def measure(name: str, config: Config, repeats: int, limit: int) -> None:
    """Print a line for one data set."""
    import numpy as np

    from bigmodel_cli import devices
    from bigmodel_cli.data.pipeline import TrainingPipeline
    from bigmodel_cli.training import planning

    began = time.perf_counter()
    data = assembly.load_data(config)
    found = time.perf_counter() - began
    train = data.splits["train"]
    batch_size = config.training.batch_size
    assert batch_size != "auto"
    began = time.perf_counter()
    pipeline = TrainingPipeline(
        train,
        batch_size=batch_size,
        seed=0,
        keeping=data.keeping,
        augmentations=assembly.augmentations(config),
    )
    first = time.perf_counter() - began
    consume(pipeline.batches())
    later = statistics.median(seconds(lambda: consume(pipeline.batches())) for _ in range(3))
    png, jpeg = (decoder_rate(data, devices.cpu_cores(), codec) for codec in ("png", "jpeg"))
    short = config.dataset.model_copy(update={"augment": [], "limit": limit})
    plan = planning.prepare(config.model_copy(update={"dataset": short}))
    inputs, targets = plan.data.splits["train"].arrays()
    ready = inputs.astype(np.float32)
    times: dict[str, list[float]] = {"arrays": [], "pipeline": []}
    for turn in range(repeats + 1):
        for kind, taken in times.items():
            began = time.perf_counter()
            if kind == "arrays":
                plan.model.fit(ready, targets, batch_size=batch_size, verbose=0)
            else:
                plan.model.fit(plan.pipeline.batches(), verbose=0)
            # The first turn compiles.
            if turn:
                taken.append(time.perf_counter() - began)
    model, fit = (len(ready) / statistics.median(taken) for taken in times.values())
    print(
        f"{name:<14} decoder {png:>6,.0f} {jpeg:>6,.0f}  found {found:.1f} s  "
        f"first {train.size / first:>7,.0f}  "
        f"later {train.size / later:>8,.0f}  "
        f"model {model:>7,.0f}  fit {fit:>7,.0f}   later/model {train.size / later / model:.1f}  "
        f"fit/model {fit / model:.2f}",
        flush=True,
    )


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder of prepared TFDS data")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=int, default=16_384)
    options = parser.parse_args()
    engine.start()
    given = [f"dataset.data_dir={options.data_dir}"] if options.data_dir else []
    mnist = validation.load(ROOT / "configs" / "mnist_cnn.yaml", given).config
    cifar = validation.load(ROOT / "configs" / "cifar10_resnet_cpu.yaml", given).config
    measure("mnist", mnist, options.repeats, options.limit)
    measure("cifar10", cifar, options.repeats, options.limit // 4)
    with tempfile.TemporaryDirectory() as temporary:
        write_folder(assembly.load_data(mnist), Path(temporary))
        folder = validation.load(
            ROOT / "configs" / "mnist_cnn.yaml",
            [f"dataset={{name: image_folder, path: {temporary}}}", *given[1:]],
        ).config
        measure("mnist as PNG", folder, options.repeats, options.limit)


if __name__ == "__main__":
    main()
