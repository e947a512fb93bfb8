"""The textbook way to train the networks of two shipped configs: float32 arrays in 0..1, and `model.fit`.

    python bench/plain_fit.py mnist --epochs 4 --batch-size 64

The peer of bench/steady_state.py; needs nothing of bigmodel. Prints one JSON document: for each epoch its
seconds of training and its seconds with validation, besides the sizes, the parameters and the last accuracy.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import keras
import tensorflow_datasets as tfds

SPLITS = {"mnist": ("train[:80%]", "train[80%:]"), "cifar10": ("train[:90%]", "train[90%:]")}


def arrays(name: str, limit: int | None, data_dir: str | None) -> list[Any]:
    """Training inputs and targets, validation inputs and targets."""
    found: list[Any] = []
    for split in SPLITS[name]:
        data = tfds.load(name, split=split, batch_size=-1, as_supervised=True, data_dir=data_dir)
        images, labels = tfds.as_numpy(data)
        found += [images[:limit].astype("float32") / 255, labels[:limit]]
    return found


def mnist() -> keras.Model:
    """The network of configs/mnist_cnn.yaml."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cifar10() -> keras.Model:
    """ResNet-20 as in configs/cifar10_resnet.yaml: He et al. 2016, section 4.2, shortcuts of option A."""
    layers = keras.layers

    def convolution(x: Any, filters: int, stride: int = 1) -> Any:
        kernel = {"kernel_initializer": "he_normal", "kernel_regularizer": keras.regularizers.L2(1e-4)}
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, **kernel)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(inputs, 16))
    for filters in (16, 32, 64):
        for block in range(3):
            stride = 2 if filters > 16 and block == 0 else 1
            shortcut = x
            if stride == 2:
                shortcut = keras.ops.pad(
                    x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (filters // 4, filters // 4))
                )
            x = layers.ReLU()(convolution(x, filters, stride))
            x = layers.ReLU()(layers.Add()([shortcut, convolution(x, filters)]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


class Stopwatch(keras.callbacks.Callback):
    """Seconds of each epoch: until its last step, and with validation."""

    def __init__(self) -> None:
        super().__init__()
        self.training: list[float] = []
        self.whole: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        """The steps are done."""
        self.training.append(time.perf_counter() - self._began)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """So is the validation."""
        self.whole.append(time.perf_counter() - self._began)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=tuple(SPLITS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--limit", type=int, help="take only the first n examples of each split")
    parser.add_argument("--data-dir", help="prepared TFDS data (default: TFDS's own, or TFDS_DATA_DIR)")
    options = parser.parse_args()
    x_train, y_train, x_validation, y_validation = arrays(options.network, options.limit, options.data_dir)
    keras.utils.set_random_seed(0)
    model = {"mnist": mnist, "cifar10": cifar10}[options.network]()
    optimizer = {"mnist": "adam", "cifar10": keras.optimizers.SGD(0.1, momentum=0.9)}[options.network]
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    stopwatch = Stopwatch()
    history = model.fit(
        x_train,
        y_train,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=(x_validation, y_validation),
        callbacks=[stopwatch],
        verbose=2,
    ).history
    document = {
        "train": len(x_train),
        "validation": len(x_validation),
        "parameters": model.count_params(),
        "training_seconds": stopwatch.training,
        "epoch_seconds": stopwatch.whole,
        "val_accuracy": history["val_accuracy"][-1],
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
