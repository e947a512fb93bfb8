import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data import pipeline as pipelines
from bigmodel_cli.data.augment import random_crop, random_flip
from bigmodel_cli.data.pipeline import TrainingPipeline, evaluation_batches, fits_in_memory
from bigmodel_cli.data.splits import split

BOTH_WAYS = pytest.mark.parametrize("in_memory", [True, False], ids=["in_memory", "stream"])


@pytest.fixture
def train(numbered_images):
    source = numbered_images({"train": 300, "test": 50})
    return split(source, splits=None, validation_fraction=0.1, test_fraction=0.1, limit=None, seed=0)["train"]


def batches(pipeline, epoch, start_step=0):
    pipeline.epoch.assign(epoch)
    return list(pipeline.batches(start_step).as_numpy_iterator())


def same(some, others):
    return len(some) == len(others) and all(
        np.array_equal(a, b) for pair in zip(some, others, strict=True) for a, b in zip(*pair, strict=True)
    )


@BOTH_WAYS
def test_every_example_once_an_epoch_in_another_order(train, number_of, in_memory):
    pipeline = TrainingPipeline(train, batch_size=64, seed=1, in_memory=in_memory)
    expected = sorted(number_of(train.arrays()[0]))
    orders = []
    for epoch in range(3):
        epoch_batches = batches(pipeline, epoch)
        assert [len(targets) for _, targets in epoch_batches] == [64, 64, 64, 64, 14]
        orders.append([n for inputs, _ in epoch_batches for n in number_of(inputs)])
        assert sorted(orders[-1]) == expected
        # Inputs and targets stay together: the label of number n is n % 4.
        assert all([n % 4 for n in number_of(x)] == y.tolist() for x, y in epoch_batches)
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert abs(np.corrcoef(orders[0], orders[1])[0, 1]) < 0.3


@BOTH_WAYS
def test_the_order_depends_on_the_seed_and_the_epoch_alone(train, in_memory):
    def build(seed):
        return TrainingPipeline(
            train,
            batch_size=64,
            seed=seed,
            augmentations=[random_flip(), random_crop(padding=1)],
            in_memory=in_memory,
        )

    first = build(2**40 + 1)
    epoch_5 = batches(first, 5)
    batches(first, 6)
    assert same(epoch_5, batches(first, 5))
    assert same(epoch_5, batches(build(2**40 + 1), 5))
    assert not same(epoch_5, batches(build(1), 5))


@BOTH_WAYS
@pytest.mark.parametrize("start_step", [1, 4])
def test_starting_within_an_epoch_gives_its_tail_to_the_bit(train, in_memory, start_step):
    pipeline = TrainingPipeline(
        train,
        batch_size=64,
        seed=3,
        augmentations=[random_flip(), random_crop(padding=1)],
        in_memory=in_memory,
    )
    tail = pipeline.batches(start_step)
    assert tail.cardinality().numpy() == pipeline.steps - start_step
    assert same(batches(pipeline, 2)[start_step:], batches(pipeline, 2, start_step))


@BOTH_WAYS
def test_augmentations_change_between_steps_and_epochs(train, in_memory):
    seeds = []

    def record(images, seed):
        tf.py_function(lambda s: seeds.append(tuple(s.numpy())), [seed], [])
        return images

    pipeline = TrainingPipeline(
        train, batch_size=64, seed=3, augmentations=[record, record], in_memory=in_memory
    )
    batches(pipeline, 0)
    batches(pipeline, 1)
    assert len(set(seeds)) == len(seeds) == 2 * 2 * pipeline.steps


@BOTH_WAYS
def test_images_stay_uint8_and_the_cardinality_is_exact(train, in_memory):
    pipeline = TrainingPipeline(
        train, batch_size=64, seed=1, augmentations=[random_flip()], in_memory=in_memory
    )
    dataset = pipeline.batches()
    inputs, targets = dataset.element_spec
    assert (inputs.dtype, inputs.shape.as_list()) == (tf.uint8, [None, 4, 6, 1])
    assert (targets.dtype, targets.shape.as_list()) == (tf.int32, [None])
    assert dataset.cardinality().numpy() == pipeline.steps == 5


@BOTH_WAYS
def test_evaluation_is_in_storage_order(train, number_of, in_memory):
    dataset = evaluation_batches(train, batch_size=64, in_memory=in_memory)
    assert dataset.cardinality().numpy() == 5
    read = [n for inputs, _ in dataset.as_numpy_iterator() for n in number_of(inputs)]
    assert read == number_of(train.arrays()[0]) == sorted(read)


@BOTH_WAYS
def test_one_hot(train, in_memory):
    training = TrainingPipeline(train, batch_size=64, seed=1, in_memory=in_memory, one_hot=4).batches()
    for dataset in (training, evaluation_batches(train, batch_size=64, in_memory=in_memory, one_hot=4)):
        _, targets = next(dataset.as_numpy_iterator())
        assert targets.dtype == np.float32
        assert targets.shape == (64, 4)
        assert targets.sum(1).tolist() == [1] * 64


def test_two_streams_do_not_share_their_order(train, number_of):
    # tf.data.Dataset.shuffle inside of a dataset function would repeat the first one's.
    one, other = (TrainingPipeline(train, batch_size=64, seed=seed, in_memory=False) for seed in (1, 2))
    pairs = zip(one.batches().as_numpy_iterator(), other.batches().as_numpy_iterator(), strict=True)
    assert all(number_of(a) != number_of(b) for (a, _), (b, _) in pairs)


def test_orders_of_large_sets_are_unrelated():
    # With too few rounds the permutation of 48,000 positions hardly changes from epoch to epoch.
    positions = tf.range(48_000, dtype=tf.int64)
    orders = [
        tf.raw_ops.RandomIndexShuffle(
            index=positions,
            seed=tf.constant([0, 0, epoch], tf.uint32),
            max_index=tf.constant(47_999, tf.int64),
            rounds=pipelines.SHUFFLE_ROUNDS,
        ).numpy()
        for epoch in range(4)
    ]
    correlations = np.corrcoef([*orders, np.arange(48_000)])
    assert np.abs(correlations - np.eye(5)).max() < 0.03
    assert abs(np.corrcoef(orders[0][1:], orders[0][:-1])[0, 1]) < 0.03


@pytest.mark.parametrize(("available", "fits"), [(300 * 28 * 10, True), (300 * 28, False)])
def test_fits_in_memory_states_its_numbers(train, monkeypatch, available, fits):
    monkeypatch.setattr(pipelines.devices, "available_memory", lambda: available)
    answer, reason = fits_in_memory([train])
    assert answer is fits
    assert "40%" in reason
    assert ("within" if fits else "more than") in reason


def test_available_memory_is_plausible():
    assert 2**26 < pipelines.devices.available_memory() < 2**50


TWO_DEVICES = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
from bigmodel_cli.data import sklearn_sets
from bigmodel_cli.data.pipeline import TrainingPipeline
from bigmodel_cli.data.splits import split
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
digits = sklearn_sets.digits(0)
train = split(digits, splits=None, validation_fraction=0.1, test_fraction=0.1, limit=150, seed=0)["train"]
for in_memory in (True, False):
    pipeline = TrainingPipeline(train, batch_size=64, seed=1, in_memory=in_memory)
    shared = strategy.experimental_distribute_dataset(pipeline.batches())
    for epoch in (0, 1):
        pipeline.epoch.assign(epoch)
        alone = [inputs for inputs, _ in pipeline.batches().as_numpy_iterator()]
        parts = [strategy.experimental_local_results(inputs) for inputs, _ in shared]
        halves = [[half.numpy() for half in pair] for pair in parts]
        assert [[len(part) for part in pair] for pair in halves] == [[32, 32], [32, 32], [11, 11]], halves
        for batch, pair in zip(alone, halves, strict=True):
            np.testing.assert_array_equal(batch, np.concatenate(pair))
print("same batches")
"""


@pytest.mark.slow
def test_two_devices_share_the_same_batches():
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "same batches", done.stderr[-2000:]
