from __future__ import annotations

import time

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.contracts import Mixing
from bigmodel_cli.data.pipeline import Scheduled
from bigmodel_cli.data.timing import augmentation_milliseconds, examples_per_second


def slow(milliseconds, examples=4):
    """Batches of which each takes this long."""

    def wait(number):
        time.sleep(milliseconds / 1000)
        return np.zeros((examples, 2), np.float32)

    def read(number):
        return tf.ensure_shape(tf.numpy_function(wait, [number], tf.float32), (None, 2))

    return tf.data.Dataset.range(10**6).map(read)


def test_rate_of_a_slow_pipeline():
    # Sleeping takes longer than asked for, never shorter.
    assert 10 < examples_per_second(slow(20), 0.5) <= 200


def test_it_ends_in_time():
    begun = time.perf_counter()
    examples_per_second(slow(1), 0.3)
    # The pipeline itself would go on for days.
    assert time.perf_counter() - begun < 60


def test_a_single_batch_and_the_last_smaller_one_count():
    assert 10 < examples_per_second(slow(20).take(1), 5) <= 200
    uneven = tf.data.Dataset.from_tensor_slices((np.zeros(7), np.zeros(7))).batch(4)
    assert examples_per_second(uneven, 5) > 0


def test_batches_of_dicts_epoch_after_epoch():
    table = tf.data.Dataset.from_tensor_slices(({"a": [b"x", b"y"], "b": [1, 2]}, [0, 1])).batch(2)
    assert examples_per_second(table.repeat(), 0.2) > 100


@pytest.mark.parametrize("mixing", [False, True])
def test_milliseconds_of_an_augmentation(mixing, monkeypatch):
    monkeypatch.setattr("bigmodel_cli.data.timing.cpu_cores", lambda: 1)

    def wait(images):
        time.sleep(0.02)
        return images

    def change(images, *rest):
        changed = tf.ensure_shape(tf.numpy_function(wait, [images], tf.uint8), images.shape)
        return (changed, rest[0]) if mixing else changed

    item = Scheduled(Mixing(change) if mixing else change)
    images, targets = tf.zeros((8, 2, 2, 1), tf.uint8), tf.zeros((8, 3))
    assert 18 < augmentation_milliseconds(item, images, targets, 0.4) < 100
