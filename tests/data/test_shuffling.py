from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data import shuffling
from bigmodel_cli.data.disk_cache import DiskCache
from bigmodel_cli.data.shuffling import Windows, cut, permuted


def order(size, *words):
    return permuted(tf.range(size, dtype=tf.int64), size, *words).numpy()


def test_a_permutation_takes_every_position_once():
    assert sorted(order(1000, 1, 2, 3)) == [*range(1000)]
    assert (order(1000, 1, 2, 3) == order(1000, 1, 2, 3)).all()
    assert len({tuple(order(50, *words)) for words in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))}) == 4


def test_orders_of_large_sets_are_unrelated():
    # With too few rounds the permutation of 48,000 positions hardly changes from epoch to epoch.
    orders = [order(48_000, 0, 0, epoch) for epoch in range(4)]
    correlations = np.corrcoef([*orders, np.arange(48_000)])
    assert np.abs(correlations - np.eye(5)).max() < 0.03
    assert abs(np.corrcoef(orders[0][1:], orders[0][:-1])[0, 1]) < 0.03


@pytest.fixture
def records(tmp_path):
    data = tf.data.Dataset.range(1003).map(lambda n: (n, -n)).batch(100)
    return DiskCache(tmp_path, 1e9).records(["numbers"], data, 1003)


@pytest.fixture
def small(monkeypatch):
    """Blocks of 10 examples, windows of about 100."""
    monkeypatch.setattr(shuffling, "BLOCK_BYTES", 160)
    monkeypatch.setattr(shuffling, "WINDOW_BYTES", 1600)


@pytest.mark.usefixtures("small")
def test_windows_hold_every_example_once(records):
    windows = Windows(records, batch_size=7, seed=3)
    assert windows.rows % 7 == 0
    read = [windows.read(0, number) for number in range(windows.count)]
    numbers = np.concatenate([part for part, _ in read])
    assert sorted(numbers) == [*range(1003)]
    assert (np.concatenate([part for _, part in read]) == -numbers).all()
    assert [len(part) for part, _ in read[:-1]] == [windows.rows] * (windows.count - 1)


@pytest.mark.usefixtures("small")
def test_windows_depend_on_seed_and_epoch_alone(records):
    windows = Windows(records, batch_size=7, seed=3)
    first = windows.read(2, 4)[0]
    windows.read(0, 1)
    assert (first == Windows(records, batch_size=7, seed=3).read(2, 4)[0]).all()
    assert (first != windows.read(3, 4)[0]).any()
    assert (first != Windows(records, batch_size=7, seed=4).read(2, 4)[0]).any()


@pytest.mark.usefixtures("small")
def test_neighbours_in_storage_part(records):
    windows = Windows(records, batch_size=7, seed=0)
    numbers = np.concatenate([windows.read(0, number)[0] for number in range(windows.count)])
    assert np.mean(np.abs(np.diff(numbers)) == 1) < 0.03
    assert np.median(np.abs(np.diff(numbers))) > 150


def test_a_window_may_hold_everything(records):
    windows = Windows(replace(records, size=5), batch_size=2, seed=0)
    assert windows.count == 1
    assert sorted(windows.read(0, 0)[0]) == [*range(5)]


@pytest.mark.parametrize(("start", "sizes"), [(0, [4, 4, 2]), (2, [2]), (3, [])])
def test_batches_of_a_window(start, sizes):
    window = {"x": tf.range(10), "y": tf.range(20, 30)}
    batches = list(cut(window, 4, start))
    assert [len(batch["x"]) for batch in batches] == sizes
    assert all((batch["y"] - batch["x"] == 20).numpy().all() for batch in batches)
