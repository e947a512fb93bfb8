import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.contracts import Mixing
from bigmodel_cli.data import disk_cache, shuffling
from bigmodel_cli.data import pipeline as pipelines
from bigmodel_cli.data.augment import random_crop, random_flip
from bigmodel_cli.data.division import split
from bigmodel_cli.data.pipeline import (
    Keeping,
    Scheduled,
    TrainingPipeline,
    evaluation_batches,
    fits_in_memory,
)
from bigmodel_cli.data.splits import resampled_counts

STORAGES = ("memory", "disk", "files", "stream")
EVERY_WAY = pytest.mark.parametrize("storage", STORAGES)


class InOrderOnly:
    """A source without access by position, as TFRecord files are; its shards are 50 examples each."""

    def __init__(self, source):
        self._source = source
        self.spec, self.sizes, self.example_bytes = source.spec, source.sizes, source.example_bytes
        self.fingerprint, self.targets = source.fingerprint, source.targets
        self.arrays, self.notes = source.arrays, ()

    def lookup(self, base):
        return None

    def batches(self, part, key=None):
        parts = [part.indices[start : start + 50] for start in range(0, part.size, 50)]
        table = tf.ragged.constant([p.tolist() for p in parts], tf.int64)
        order = tf.range(len(parts))
        if key is not None:
            order = tf.random.experimental.stateless_shuffle(order, key)
        look_up = self._source.lookup(part.base)
        return tf.data.Dataset.from_tensor_slices(order).map(lambda shard: look_up(table[shard]))


@pytest.fixture
def numbered(numbered_images):
    source = numbered_images({"train": 300, "test": 50})

    def build(storage):
        held = InOrderOnly(source) if storage == "stream" else source
        return split(held, splits=None, validation_fraction=0.1, test_fraction=0.1, limit=None, seed=0)[
            "train"
        ]

    return build


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Keeps examples in each of the ways, with windows of 128 and blocks of 10 examples."""
    monkeypatch.setattr(shuffling, "WINDOW_BYTES", 128 * 28)
    monkeypatch.setattr(shuffling, "BLOCK_BYTES", 10 * 28)
    monkeypatch.setattr(pipelines, "STREAM_WINDOW_BYTES", 128 * 28)

    def build(storage, **options):
        kind = storage if storage in ("memory", "disk") else "none"
        return Keeping(kind, cache_dir=tmp_path / "cache", **options)

    return build


def batches(pipeline, epoch, start_step=0):
    pipeline.epoch.assign(epoch)
    return list(pipeline.batches(start_step).as_numpy_iterator())


def same(some, others):
    return len(some) == len(others) and all(
        np.array_equal(a, b) for pair in zip(some, others, strict=True) for a, b in zip(*pair, strict=True)
    )


@EVERY_WAY
def test_every_example_once_an_epoch_in_another_order(numbered, keep, number_of, storage):
    train = numbered(storage)
    pipeline = TrainingPipeline(train, batch_size=64, seed=1, keeping=keep(storage))
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


@EVERY_WAY
def test_the_order_depends_on_the_seed_and_the_epoch_alone(numbered, keep, storage):
    train = numbered(storage)

    def build(seed):
        return TrainingPipeline(
            train,
            batch_size=64,
            seed=seed,
            augmentations=[Scheduled(random_flip()), Scheduled(random_crop(padding=1))],
            keeping=keep(storage),
        )

    first = build(2**40 + 1)
    epoch_5 = batches(first, 5)
    batches(first, 6)
    assert same(epoch_5, batches(first, 5))
    assert same(epoch_5, batches(build(2**40 + 1), 5))
    assert not same(epoch_5, batches(build(1), 5))


@EVERY_WAY
@pytest.mark.parametrize("start_step", [1, 4])
def test_starting_within_an_epoch_gives_its_tail_to_the_bit(numbered, keep, storage, start_step):
    train = numbered(storage)
    pipeline = TrainingPipeline(
        train,
        batch_size=64,
        seed=3,
        augmentations=[Scheduled(random_flip()), Scheduled(random_crop(padding=1))],
        keeping=keep(storage),
    )
    tail = pipeline.batches(start_step)
    assert tail.cardinality().numpy() == pipeline.steps - start_step
    assert same(batches(pipeline, 2)[start_step:], batches(pipeline, 2, start_step))


@EVERY_WAY
def test_augmentations_change_between_steps_and_epochs(numbered, keep, storage):
    train = numbered(storage)
    seeds = []

    def record(images, seed):
        tf.py_function(lambda s: seeds.append(tuple(s.numpy())), [seed], [])
        return images

    pipeline = TrainingPipeline(
        train,
        batch_size=64,
        seed=3,
        augmentations=[Scheduled(record), Scheduled(record)],
        keeping=keep(storage),
    )
    batches(pipeline, 0)
    batches(pipeline, 1)
    assert len(set(seeds)) == len(seeds) == 2 * 2 * pipeline.steps


@EVERY_WAY
def test_images_stay_uint8_and_the_cardinality_is_exact(numbered, keep, storage):
    train = numbered(storage)
    pipeline = TrainingPipeline(
        train, batch_size=64, seed=1, augmentations=[Scheduled(random_flip())], keeping=keep(storage)
    )
    dataset = pipeline.batches()
    inputs, targets = dataset.element_spec
    assert (inputs.dtype, inputs.shape.as_list()) == (tf.uint8, [None, 4, 6, 1])
    assert (targets.dtype, targets.shape.as_list()) == (tf.int32, [None])
    assert dataset.cardinality().numpy() == pipeline.steps == 5


@EVERY_WAY
def test_evaluation_is_in_storage_order(numbered, keep, number_of, storage):
    train = numbered(storage)
    dataset = evaluation_batches(train, batch_size=64, keeping=keep(storage))
    assert dataset.cardinality().numpy() == 5
    read = [n for inputs, _ in dataset.as_numpy_iterator() for n in number_of(inputs)]
    assert read == number_of(train.arrays()[0]) == sorted(read)


@EVERY_WAY
def test_one_hot(numbered, keep, storage):
    train = numbered(storage)
    training = TrainingPipeline(
        train, batch_size=64, seed=1, keeping=keep(storage), encode=lambda y: tf.one_hot(y, 4)
    ).batches()
    for dataset in (
        training,
        evaluation_batches(train, batch_size=64, keeping=keep(storage), encode=lambda y: tf.one_hot(y, 4)),
    ):
        _, targets = next(dataset.as_numpy_iterator())
        assert targets.dtype == np.float32
        assert targets.shape == (64, 4)
        assert targets.sum(1).tolist() == [1] * 64


def test_two_streams_do_not_share_their_order(numbered, keep, number_of):
    train = numbered("stream")
    # tf.data.Dataset.shuffle inside of a dataset function would repeat the first one's.
    one, other = (
        TrainingPipeline(train, batch_size=64, seed=seed, keeping=keep("stream")) for seed in (1, 2)
    )
    pairs = zip(one.batches().as_numpy_iterator(), other.batches().as_numpy_iterator(), strict=True)
    assert all(number_of(a) != number_of(b) for (a, _), (b, _) in pairs)


@pytest.mark.parametrize(("available", "fits"), [(1000, True), (999, False)])
def test_fits_in_memory_states_its_numbers(monkeypatch, available, fits):
    monkeypatch.setattr(pipelines.devices, "available_memory", lambda: available)
    answer, reason = fits_in_memory(400)
    assert answer is fits
    assert "40%" in reason
    assert ("within" if fits else "more than") in reason


def test_available_memory_is_plausible():
    assert 2**26 < pipelines.devices.available_memory() < 2**50


@EVERY_WAY
def test_resampled_classes_have_the_same_number(numbered, keep, number_of, storage):
    train = numbered(storage).first(101)
    counts = resampled_counts(np.minimum(train.targets(), 2), "oversample", seed=1)
    pipeline = TrainingPipeline(train, batch_size=16, seed=1, keeping=keep(storage), counts=counts)
    first, second = ([n for x, _ in batches(pipeline, e) for n in number_of(x)] for e in (0, 1))
    expected = np.repeat(number_of(train.arrays()[0]), counts).tolist()
    assert sorted(first) == sorted(second) == expected
    assert first != second
    assert pipeline.size == len(expected)


def test_windows_mix_blocks_from_everywhere(numbered, keep, number_of):
    train = numbered("disk")
    pipeline = TrainingPipeline(train, batch_size=32, seed=1, keeping=keep("disk"))
    window = [n for x, _ in batches(pipeline, 0)[:4] for n in number_of(x)]
    assert len(set(window)) == 128
    assert min(window) < 60
    assert max(window) > 240
    assert "windows of 128 examples" in pipeline.shuffle


def test_a_stream_reads_its_shards_in_another_order(numbered, keep, number_of):
    pipeline = TrainingPipeline(numbered("stream"), batch_size=32, seed=1, keeping=keep("stream"))
    windows = [{n // 55 for x, _ in batches(pipeline, e)[:4] for n in number_of(x)} for e in range(4)]
    assert len({tuple(sorted(w)) for w in windows}) > 1


def test_the_disk_is_read_the_second_time(numbered, keep, monkeypatch):
    train = numbered("disk")
    first = batches(TrainingPipeline(train, batch_size=32, seed=1, keeping=keep("disk")), 0)
    monkeypatch.setattr(disk_cache.DiskCache, "_write", None)
    again = batches(TrainingPipeline(train, batch_size=32, seed=1, keeping=keep("disk")), 0)
    assert same(first, again)


def scheduled(numbered, keep, epoch=0, **options):
    train = numbered("memory")
    augmentation = Scheduled(lambda images, key: 255 - images, **options)
    pipeline = TrainingPipeline(
        train, batch_size=270, seed=1, keeping=keep("memory"), augmentations=[augmentation]
    )
    ((images, _),) = batches(pipeline, epoch)
    return float((images[:, 3, 3, 0] == 255).mean())


def test_probability_is_the_share_of_changed_images(numbered, keep):
    assert scheduled(numbered, keep, probability=0.0) == 0
    assert 0.2 < scheduled(numbered, keep, probability=0.3) < 0.4
    assert scheduled(numbered, keep, probability=1.0) == 1


@pytest.mark.parametrize(
    ("epoch", "low", "high"), [(0, 0, 0), (2, 0.4, 0.6), (4, 1, 1), (5, 1, 1), (6, 0, 0)]
)
def test_probability_follows_its_schedule(numbered, keep, epoch, low, high):
    assert low <= scheduled(numbered, keep, epoch, ramp_epochs=4, until_epoch=6) <= high


def test_mixing_gets_encoded_targets(numbered, keep):
    def swap(images, targets, key):
        return tf.reverse(images, [0]), (targets + tf.reverse(targets, [0])) / 2

    pipeline = TrainingPipeline(
        numbered("memory"),
        batch_size=64,
        seed=1,
        keeping=keep("memory"),
        augmentations=[Scheduled(Mixing(swap))],
        encode=lambda y: tf.one_hot(y, 4),
    )
    images, targets = batches(pipeline, 0)[0]
    plain = TrainingPipeline(numbered("memory"), batch_size=64, seed=1, keeping=keep("memory"))
    before, labels = batches(plain, 0)[0]
    assert (images == before[::-1]).all()
    assert targets.sum(1).tolist() == [1] * 64
    assert (targets[np.arange(64), labels] >= 0.5).all()


def test_waiting_is_measured(numbered, keep):
    def slow(images, key):
        return tf.numpy_function(lambda x: (time.sleep(0.05), x)[1], [images], tf.uint8)

    train = numbered("memory").first(160)
    pipeline = TrainingPipeline(
        train, batch_size=2, seed=1, keeping=keep("memory"), augmentations=[Scheduled(slow)]
    )
    batches(pipeline, 0)
    # Two workers make 80 batches in two seconds, some before they are asked for the first; nothing is done
    # between two of them but waiting.
    waiting = float(pipeline.waited)
    assert waiting > 0.5
    pipeline.waited.assign(0)
    for _ in pipeline.batches().take(20):
        time.sleep(0.08)
    assert float(pipeline.waited) < 0.4


DETERMINISTIC = """
import sys
from pathlib import Path
import numpy as np, tensorflow as tf
from bigmodel_cli.data import sklearn_sets
from bigmodel_cli.data.augment import random_crop
from bigmodel_cli.data.division import split
from bigmodel_cli.data.pipeline import Keeping, Scheduled, TrainingPipeline
tf.config.experimental.enable_op_determinism()
digits = sklearn_sets.digits(0)
train = split(digits, splits=None, validation_fraction=0.1, test_fraction=0.1, limit=150, seed=0)["train"]
for storage in ("memory", "disk", "none"):
    keeping = Keeping(storage, cache_dir=Path(sys.argv[1]))
    augment = [Scheduled(random_crop(padding=1), probability=0.5)]
    options = {"keeping": keeping, "augmentations": augment, "timed": False}
    pipeline = TrainingPipeline(train, batch_size=64, seed=1, **options)
    assert sum(len(targets) for _, targets in pipeline.batches()) == 150
print("deterministic")
"""


@pytest.mark.slow
def test_deterministic_operations(tmp_path):
    command = [sys.executable, "-c", DETERMINISTIC, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "deterministic", done.stderr[-2000:]


TWO_DEVICES = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
from bigmodel_cli.data import sklearn_sets
from bigmodel_cli.data.division import split
from bigmodel_cli.data.pipeline import Keeping, TrainingPipeline
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
digits = sklearn_sets.digits(0)
train = split(digits, splits=None, validation_fraction=0.1, test_fraction=0.1, limit=150, seed=0)["train"]
for storage in ("memory", "none"):
    pipeline = TrainingPipeline(train, batch_size=64, seed=1, keeping=Keeping(storage))
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
