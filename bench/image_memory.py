"""Peak resident memory of training on ever more images, kept on disk: it should stay where it is.

    python bench/image_memory.py --data-dir ~/tensorflow_datasets --images 4800 48000

`bigmodel train configs/mnist_cnn.yaml dataset.cache=disk` for one epoch, in a process of its own for each
number of images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from table_rows import measure

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "mnist_cnn.yaml"


def main() -> None:
    """Measure and print a line for each number of images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder of prepared TFDS data")
    parser.add_argument("--images", type=int, nargs="+", default=[4_800, 48_000])
    parser.add_argument("--cache", default="disk")
    options = parser.parse_args()
    for count in options.images:
        with tempfile.TemporaryDirectory() as temporary:
            command = [
                sys.executable, "-m", "bigmodel_cli", "train", str(CONFIG), f"dataset.limit={count}",
                f"dataset.cache={options.cache}", f"dataset.cache_dir={temporary}/cache", "training.epochs=1",
            ]  # fmt: skip
            if options.data_dir:
                command.append(f"dataset.data_dir={options.data_dir}")
            wall, peak, _ = measure(command, Path(temporary))
            print(f"{options.cache} {count:>7,} images  {peak:.2f} GB  {wall:.1f} s", flush=True)


if __name__ == "__main__":
    main()
