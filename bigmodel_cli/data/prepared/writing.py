"""Writing a data set as shards, in constant memory."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.prepared.layout import (
    FORMAT,
    INDEX,
    Shard,
    first_line,
    input_storage,
    join,
    read_index,
    stored_features,
)  # fmt: skip
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np

SHARD_BYTES = 128 * 2**20

_WRITING = ".writing-"


def write(
    source_splits: Mapping[str, Iterable[tuple[Any, Any]]],
    spec: DataSpec,
    sizes: Mapping[str, int],
    folder: str,
    *,
    shard_bytes: int = SHARD_BYTES,
    report: Callable[[str, int], None],
) -> None:
    """Write a data set, in constant memory.

    The shards get their names when all are written, and `prepared.json` last, so that nothing half-written
    is taken for a data set. There may be one writer to a folder at a time.

    Args:
        source_splits: split -> batches (inputs, targets) as a `contracts.Source` gives them; arrays or
            tensors.
        spec: what they hold.
        sizes: split -> examples, to check them against.
        folder: local or gs://; it is made.
        shard_bytes: a shard is closed when it has reached them.
        report: called with the split and its examples written so far, after every batch.

    Raises:
        DataError: the folder holds another prepared data set, or cannot be written to.
        ValueError: batches that contradict the spec or the sizes.
    """
    import tensorflow as tf

    document: dict[str, Any] = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "inputs": input_storage(spec),
        "splits": {name: {"examples": sizes[name]} for name in source_splits},
    }
    existing = _existing(folder, document)
    written: dict[str, list[Shard]] = {}
    total = 0
    with _writing(folder):
        tf.io.gfile.makedirs(folder)
        _remove_unfinished(folder)
    try:
        for name, batches in source_splits.items():
            shards, size = _write_split(name, batches, spec, sizes[name], folder, shard_bytes, report)
            written[name] = shards
            total += size
        splits: dict[str, Any] = {
            name: {
                "examples": sizes[name],
                "shards": [
                    {**vars(shard), "file": f"{name}-{number:05d}-of-{len(shards):05d}.tfrecord"}
                    for number, shard in enumerate(shards)
                ],
            }
            for name, shards in written.items()
        }
        document |= {
            "example_bytes": -(-total // max(1, sum(sizes[name] for name in written))),
            "splits": splits,
        }
        # As it will be read: tuples are lists.
        document = json.loads(json.dumps(document))
        if existing is not None:
            if existing != document:
                raise _occupied(folder)
            return
        for name, shards in written.items():
            for shard, entry in zip(shards, splits[name]["shards"], strict=True):
                with _writing(folder):
                    tf.io.gfile.rename(join(folder, shard.file), join(folder, entry["file"]), overwrite=True)
        with _writing(folder):
            with tf.io.gfile.GFile(join(folder, f"{_WRITING}{INDEX}"), "w") as file:
                file.write(json.dumps(document, indent=1))
            tf.io.gfile.rename(join(folder, f"{_WRITING}{INDEX}"), join(folder, INDEX), overwrite=True)
    finally:
        _remove_unfinished(folder)


@contextmanager
def _writing(folder: str) -> Iterator[None]:
    """Errors of writing are told from those of reading the data that is written."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise DataError(f"{folder}: cannot be written to: {first_line(error)}") from error


def _existing(folder: str, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The index that lies in the folder, if what it describes may be the same.

    Raises:
        DataError: it is another.
    """
    import tensorflow as tf

    if not tf.io.gfile.exists(join(folder, INDEX)):
        return None
    existing = read_index(folder)
    sizes = {name: {"examples": split["examples"]} for name, split in existing["splits"].items()}
    same = {**{key: existing[key] for key in ("format", "spec", "inputs")}, "splits": sizes}
    if same != json.loads(json.dumps(document)):
        raise _occupied(folder)
    return existing


def _occupied(folder: str) -> DataError:
    return DataError(f"{folder}: holds another prepared data set; give another folder, or remove that one")


def _remove_unfinished(folder: str) -> None:
    import tensorflow as tf

    for name in tf.io.gfile.listdir(folder):
        if name.startswith(_WRITING):
            tf.io.gfile.remove(join(folder, name))


def _write_split(
    name: str,
    batches: Iterable[tuple[Any, Any]],
    spec: DataSpec,
    size: int,
    folder: str,
    shard_bytes: int,
    report: Callable[[str, int], None],
) -> tuple[list[Shard], int]:
    """Shards of a split, under names for the time being, and the bytes that its examples take when
    decoded."""
    done = total = 0
    shards = _Shards(folder, name, shard_bytes)
    try:
        for records, decoded_bytes in _encoded(batches, spec):
            shards.write(records)
            done, total = done + len(records), total + decoded_bytes
            report(name, done)
    finally:
        shards.close()
    if done != size:
        raise ValueError(f"the split `{name}` has {done:,} examples, not {size:,}")
    return shards.closed, total


class _Shards:
    """Writes records to one shard after the other.

    Attributes:
        closed: the shards that are complete.
    """

    def __init__(self, folder: str, split: str, shard_bytes: int):
        self.closed: list[Shard] = []
        self._folder, self._split, self._limit = folder, split, shard_bytes
        self._writer: Any = None

    def write(self, records: Sequence[bytes]) -> None:
        for record in records:
            with _writing(self._folder):
                if self._writer is None:
                    self._open()
                self._writer.write(record)
            self._digest.update(struct.pack("<Q", len(record)))
            self._digest.update(record)
            self._examples += 1
            self._bytes += len(record) + 16  # length and check sums
            if self._bytes >= self._limit:
                self.close()

    def _open(self) -> None:
        import tensorflow as tf

        self._file = f"{_WRITING}{self._split}-{len(self.closed):05d}.tfrecord"
        self._writer = tf.io.TFRecordWriter(join(self._folder, self._file))
        self._digest = hashlib.sha256()
        self._examples = self._bytes = 0

    def close(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        with _writing(self._folder):
            writer.close()
        self.closed.append(Shard(self._file, self._examples, self._bytes, self._digest.hexdigest()))


def _encoded(batches: Iterable[tuple[Any, Any]], spec: DataSpec) -> Iterator[tuple[list[bytes], int]]:
    """Serialized examples of each batch and the bytes of its decoded examples, in order.

    Batches are encoded in threads, a few ahead: compressing PNGs needs no Python.
    """
    cores = cpu_cores()
    waiting = iter(batches)
    with ThreadPoolExecutor(cores) as threads:
        ahead: deque[Future[tuple[list[bytes], int]]] = deque(
            threads.submit(_encode, batch, spec) for batch in islice(waiting, cores + 1)
        )
        try:
            while ahead:
                encoded = ahead.popleft().result()
                ahead.extend(threads.submit(_encode, batch, spec) for batch in islice(waiting, 1))
                yield encoded
        finally:
            for future in ahead:
                future.cancel()


def _encode(batch: tuple[Any, Any], spec: DataSpec) -> tuple[list[bytes], int]:
    """Serialized examples of a batch, and the bytes of its decoded examples.

    Raises:
        ValueError: the batch contradicts the spec.
    """
    import numpy as np
    import tensorflow as tf

    inputs, targets = batch
    count = len(targets)
    if not count:
        return [], 0
    columns, size = [], 0
    wanted = stored_features(spec, input_storage(spec))
    for name, (kind, shape, dtype) in wanted.items():
        column = name.removeprefix("input/")
        array = np.asarray(targets if name == "target" else inputs if name == "input" else inputs[column])
        if array.shape != (count, *shape) or (array.dtype != dtype and dtype != "string"):
            raise ValueError(
                f"`{name}` is {array.dtype} {array.shape}, the spec says {dtype} {(count, *shape)}"
            )
        size += sum(map(len, array)) + 24 * count if dtype == "string" else array.nbytes
        columns.append((name, _feature_values(kind, array)))
    kinds = [kind for kind, _, _ in wanted.values()]
    makers = {"int": _int_feature, "float": _float_feature}
    records = []
    for index in range(count):
        features = {
            name: makers.get(kind, _bytes_feature)(values[index])
            for kind, (name, values) in zip(kinds, columns, strict=True)
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        # In the order of the names: the same examples give the same bytes.
        records.append(example.SerializeToString(deterministic=True))
    return records, size


def _feature_values(kind: str, array: np.ndarray) -> Sequence[Any]:
    """What the protocol buffer takes for each example."""
    import tensorflow as tf

    if kind == "png":
        with tf.device("CPU:0"):
            return cast(Sequence[Any], tf.io.encode_png(array).numpy())
    if kind == "raw":
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return [row.tobytes() for row in little]
    if kind == "bytes":
        return cast(Sequence[Any], array)
    return cast(Sequence[Any], array.reshape(len(array), -1))


def _int_feature(values: Any) -> Any:
    import tensorflow as tf

    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _float_feature(values: Any) -> Any:
    import tensorflow as tf

    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _bytes_feature(value: bytes) -> Any:
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
