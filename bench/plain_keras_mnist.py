"""The textbook Keras script for MNIST, as one writes it by hand: what `bigmodel train` is measured against.

python bench/plain_keras_mnist.py --data-dir ~/tensorflow_datasets
"""

import argparse
import time

start = time.perf_counter()

import keras  # noqa: E402 - the wall time counts the imports
import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow_datasets as tfds  # noqa: E402

parser = argparse.ArgumentParser(description="Train the textbook MNIST network with plain Keras.")
parser.add_argument(
    "--data-dir", default=None, help="prepared TFDS data (default: TFDS's own, or TFDS_DATA_DIR)"
)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--picture", default="plain_keras_mnist.png", help="where the 5 x 5 picture goes")
arguments = parser.parse_args()

train, test = tfds.load(
    "mnist", split=["train", "test"], batch_size=-1, as_supervised=True, data_dir=arguments.data_dir
)
(x_train, y_train), (x_test, y_test) = tfds.as_numpy(train), tfds.as_numpy(test)
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=64, epochs=arguments.epochs, validation_split=0.2)

test_loss, test_accuracy = model.evaluate(x_test, y_test)
predicted = np.argmax(model.predict(x_test), axis=1)

figure, grid = plt.subplots(5, 5, figsize=(10, 10))
for axes, image, label, guess in zip(grid.flat, x_test, y_test, predicted, strict=False):
    axes.imshow(image[..., 0], cmap="gray")
    axes.set_title(f"predicted {guess}, true {label}", color="black" if guess == label else "red")
    axes.axis("off")
figure.tight_layout()
figure.savefig(arguments.picture)

print(f"test accuracy {test_accuracy:.4f}")
print(f"wall seconds {time.perf_counter() - start:.1f}")
