"""The textbook way to train on a CSV: pandas.read_csv, a generator of rows, Dataset.from_generator,
model.fit.

    python bench/plain_pandas_table.py rows.csv mpg --rows 200000

Numeric columns are filled with their median and standardized, the others are one-hot; one epoch of the
network of bench/table_rows.py. Prints rows a second, from the first read to the end of `fit`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf


def main() -> None:
    """Train for an epoch and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("target")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=1024)
    options = parser.parse_args()
    began = time.perf_counter()
    table = pd.read_csv(options.path, nrows=options.rows)
    targets = table.pop(options.target).to_numpy(np.float32)
    numbers = table.select_dtypes("number")
    numbers = numbers.fillna(numbers.median())
    numbers = (numbers - numbers.mean()) / numbers.std()
    rows = pd.concat([numbers, pd.get_dummies(table.select_dtypes(exclude="number"))], axis=1)

    def examples() -> Iterator[tuple[Any, Any]]:
        for row, target in zip(rows.itertuples(index=False), targets, strict=True):
            yield np.asarray(row, np.float32), target

    signature = (tf.TensorSpec((rows.shape[1],), tf.float32), tf.TensorSpec((), tf.float32))
    data = tf.data.Dataset.from_generator(examples, output_signature=signature)
    data = data.shuffle(10_000).batch(options.batch_size).prefetch(tf.data.AUTOTUNE)
    model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(data, epochs=1, verbose=0)
    print(json.dumps({"rows": len(rows), "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
