import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.disk_cache import DiskCache, default_folder
from bigmodel_cli.errors import DataError

SIZE = 100


def batches(fill=0):
    inputs = (np.arange(SIZE * 6).reshape(SIZE, 2, 3) + fill).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices(({"x": inputs}, np.arange(SIZE, dtype=np.int32))).batch(7)


def test_what_was_written_is_read(tmp_path):
    records = DiskCache(tmp_path, 1e9).records(["a"], batches(), SIZE)
    inputs, targets = records.read(10, 13)
    assert targets.tolist() == [10, 11, 12]
    assert inputs.tolist() == np.arange(60, 78).reshape(3, 2, 3).tolist()
    assert inputs.dtype == np.float32
    assert records.row_bytes == 28
    assert records.read(99, 100)[1].tolist() == [99]


def test_the_same_content_is_written_once(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path, 1e9)
    first = cache.records(["a", "b"], batches(), SIZE)
    monkeypatch.setattr(DiskCache, "_write", None)
    assert cache.records(["a", "b"], batches(), SIZE).folder == first.folder


def test_other_content_is_another_entry(tmp_path):
    cache = DiskCache(tmp_path, 1e9)
    first, other = cache.records(["a"], batches(), SIZE), cache.records(["b"], batches(fill=1), SIZE)
    assert first.folder != other.folder
    assert first.read(0, 1)[0][0, 0, 0] == 0
    assert other.read(0, 1)[0][0, 0, 0] == 1


def test_the_least_recently_used_goes_first_and_those_in_use_stay(tmp_path):
    cache = DiskCache(tmp_path, 3 * 28 * SIZE)
    held = cache.records(["held"], batches(), SIZE)
    old = cache.records(["old"], batches(), SIZE)
    new = cache.records(["new"], batches(), SIZE)
    for age, records in ((300, held), (200, old), (100, new)):
        os.utime(records.folder, (time.time() - age,) * 2)
    old.lock.close()
    new.lock.close()
    cache.records(["newest"], batches(), SIZE)
    assert held.folder.is_dir()
    assert not old.folder.exists()
    assert new.folder.is_dir()


def test_no_room(tmp_path):
    with pytest.raises(DataError, match=r"more than dataset.cache_limit_gb allows"):
        DiskCache(tmp_path, 100).records(["a"], batches(), SIZE)
    assert DiskCache(tmp_path, 1e18).obstacle(2**60).endswith("GiB)")
    assert DiskCache(tmp_path / "not" / "there", 1e9).obstacle(1000) == ""


def test_a_stream_of_another_length_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="101 examples were expected and 100 were read"):
        DiskCache(tmp_path, 1e9).records(["a"], batches(), SIZE + 1)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_files_that_are_gone(tmp_path):
    records = DiskCache(tmp_path, 1e9).records(["a"], batches(), SIZE)
    (records.folder / "1").write_bytes(b"1234")
    with pytest.raises(DataError, match="the cached examples cannot be read"):
        records.read(0, 10)


WRITER = """
import sys, time
import tensorflow as tf
from pathlib import Path
from bigmodel_cli.data.disk_cache import DiskCache
def slow(i):
    print("writing", flush=True)
    time.sleep(float(sys.argv[2]))
    return i
data = tf.data.Dataset.range(4).map(lambda i: tf.numpy_function(slow, [i], tf.int64))
data = data.map(lambda i: tf.ensure_shape(i, [])).batch(1)
records = DiskCache(Path(sys.argv[1]), 1e9).records(["shared"], data, 4)
print(records.read(0, 4)[0].tolist(), flush=True)
"""


@contextmanager
def writer(folder, seconds):
    """Another process that has begun to write what `records` asks for."""
    arguments = [sys.executable, "-c", WRITER, str(folder), str(seconds)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def records(folder):
    """What this process reads of the same, and how many examples it wrote for that."""
    written = []
    data = tf.data.Dataset.range(4).map(
        lambda i: tf.ensure_shape(tf.numpy_function(lambda x: (written.append(x), x)[1], [i], tf.int64), [])
    )
    found = DiskCache(folder, 1e9).records(["shared"], data.batch(1), 4)
    return found.read(0, 4)[0].tolist(), len(written)


@pytest.mark.slow
def test_a_second_process_waits_for_the_first(tmp_path):
    with writer(tmp_path, 0.3) as first:
        assert records(tmp_path) == ([0, 1, 2, 3], 0)
        assert "[0, 1, 2, 3]" in first.communicate(timeout=60)[0]


@pytest.mark.slow
def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(tmp_path):
    with writer(tmp_path, 30) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
        assert records(tmp_path) == ([0, 1, 2, 3], 4)
    assert not list(tmp_path.glob("*.writing"))


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BIGMODEL_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("BIGMODEL_CACHE")
    assert default_folder().parts[-2:] == (".cache", "bigmodel")
