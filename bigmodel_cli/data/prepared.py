"""A data set written once as TFRecord shards, and read fast by many workers, from a local folder or gs://.

    FOLDER/prepared.json                      what it holds; written last
    FOLDER/train-00000-of-00012.tfrecord      one tf.train.Example for each example

An example has `target`, and either `input` or, of a table, `input/COLUMN` for every column. `input` is a PNG
for images of more than `RAW_BYTES`, else the bytes of the array in little-endian order.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, cast

from bigmodel_cli.columns import RAW_DTYPES, Column
from bigmodel_cli.contracts import DataSpec, PathText
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import Part

FORMAT = 1
"""Version of the layout; a reader refuses others."""

INDEX = "prepared.json"
SHARD_BYTES = 128 * 2**20
BATCH_BYTES = 16 * 2**20
"""Of the decoded examples that are read at once."""

RAW_BYTES = 16 * 2**10
"""Images of up to as many bytes are not compressed: decoding PNGs takes nearly all of the time of reading
them (28 x 28 pixels: 77,000 images/s as they are, 20,000 as PNG, on 2 cores)."""

SHARDS_AT_ONCE = 4
"""How many shards are read side by side when their order is drawn: neighbours in a shard come apart, and a
slow storage is asked for several at a time."""

BUFFER_BYTES = 8 * 2**20
"""Of a shard that are read at once."""

_WRITING = ".writing-"
_REMEDY = "write the data set again"


@dataclass(frozen=True)
class Shard:
    """One file.

    Attributes:
        file: its name.
        examples: how many it holds.
        bytes: its size.
        sha256: of its records: of each the length as 8 bytes, little-endian, then the record.
    """

    file: str
    examples: int
    bytes: int
    sha256: str


Storage = Literal["png", "raw", "float", "int", "bytes"]


def _input_storage(spec: DataSpec) -> Storage:
    """How the input of one example is best stored, unless it is a row of a table."""
    image = spec.input.kind == "image" and spec.input.dtype == "uint8" and spec.input.shape[-1] <= 4
    return _image_storage(spec.input.shape) if image else "raw"


def _image_storage(shape: Sequence[int]) -> Storage:
    return "png" if math.prod(shape) > RAW_BYTES else "raw"


def _features(spec: DataSpec, inputs: Storage) -> dict[str, tuple[Storage, tuple[int, ...], str]]:
    """Name of a feature -> how it is stored, shape of one example, numpy dtype; the target first."""
    target = spec.target
    # A mask has thousands of small numbers, which as protocol buffers take several times their memory.
    ways: dict[str, Storage] = {"int32": "int", "uint8": "raw"}
    features: dict[str, tuple[Storage, tuple[int, ...], str]] = {
        "target": (ways.get(target.dtype, "float"), target.shape, target.dtype)
    }
    if spec.input.kind != "table":
        return features | {"input": (inputs, spec.input.shape, spec.input.dtype)}
    kinds: dict[str, Storage] = {"float32": "float", "int64": "int", "string": "bytes"}
    for column in spec.input.columns:
        dtype = RAW_DTYPES[column.kind]
        way = _image_storage(column.shape) if column.kind == "image" else kinds[dtype]
        features[f"input/{column.key}"] = (way, column.shape, dtype)
    return features


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
        "inputs": _input_storage(spec),
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
                    tf.io.gfile.rename(
                        _join(folder, shard.file), _join(folder, entry["file"]), overwrite=True
                    )
        with _writing(folder):
            with tf.io.gfile.GFile(_join(folder, f"{_WRITING}{INDEX}"), "w") as file:
                file.write(json.dumps(document, indent=1))
            tf.io.gfile.rename(_join(folder, f"{_WRITING}{INDEX}"), _join(folder, INDEX), overwrite=True)
    finally:
        _remove_unfinished(folder)


@contextmanager
def _writing(folder: str) -> Iterator[None]:
    """Errors of writing are told from those of reading the data that is written."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise DataError(f"{folder}: cannot be written to: {_first_line(error)}") from error


def _existing(folder: str, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The index that lies in the folder, if what it describes may be the same.

    Raises:
        DataError: it is another.
    """
    import tensorflow as tf

    if not tf.io.gfile.exists(_join(folder, INDEX)):
        return None
    existing = _read_index(folder)
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
            tf.io.gfile.remove(_join(folder, name))


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _first_line(error: Any) -> str:
    return (str(getattr(error, "message", "") or error).strip().splitlines() or [type(error).__name__])[0]


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
        self._writer = tf.io.TFRecordWriter(_join(self._folder, self._file))
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
    wanted = _features(spec, _input_storage(spec))
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


def prepared(seed: int, *, path: PathText) -> PreparedSource:
    """A data set that `bigmodel data CONFIG --prepare FOLDER` wrote: quick to read, by many workers.

    Its splits are those that were written.

    Args:
        path: its folder, local or gs://.
    """
    return PreparedSource(path)


def _read_index(folder: str) -> dict[str, Any]:
    """The checked content of `prepared.json`.

    Raises:
        DataError: it is not there, not what `write` writes, or of another version.
    """
    import tensorflow as tf

    name = _join(folder, INDEX)
    try:
        with tf.io.gfile.GFile(name, "r") as file:
            document = json.loads(file.read())
        version = document["format"]
        if version != FORMAT:
            raise DataError(
                f"{name}: has the format {version}, this version of bigmodel reads {FORMAT}; {_REMEDY}, or "
                "use the version of bigmodel that wrote it"
            )
        DataSpec.from_json(document["spec"])
        for split in document["splits"].values():
            shards = [Shard(**shard) for shard in split["shards"]]
            if sum(shard.examples for shard in shards) != split["examples"]:
                raise ValueError("its counts of examples contradict each other")
        if document["inputs"] not in ("png", "raw") or not isinstance(document["example_bytes"], int):
            raise ValueError("its values are of another kind")
    except tf.errors.NotFoundError:
        what = "holds no prepared data set" if tf.io.gfile.isdir(folder) else "there is no such folder"
        raise DataError(
            f"dataset.path: {folder}: {what} (no {INDEX}); write one with `bigmodel data CONFIG --prepare "
            "FOLDER`"
        ) from None
    except tf.errors.OpError as error:
        raise DataError(f"dataset.path: {name}: cannot be read: {_first_line(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise DataError(
            f"dataset.path: {name}: is damaged ({type(error).__name__}: {error}); {_REMEDY}"
        ) from None
    return cast(dict[str, Any], document)


def _raw(spec: DataSpec) -> DataSpec:
    """Without what is learned on a training split."""
    columns = tuple(
        Column(column.name, column.kind, shape=column.shape, resize=column.resize)
        for column in spec.input.columns
    )
    return replace(
        spec,
        origin=f"prepared from {spec.origin}",
        input=replace(spec.input, mean=(), variance=(), columns=columns),
        target=replace(spec.target, counts=(), mean=(), scaling="none", shift=(), factor=()),
        sizes={},
    )


class PreparedSource:
    """A `contracts.Source` over what `write` wrote.

    Attributes:
        spec: what it holds.
        sizes: examples in each split that was written.
        example_bytes: memory of one decoded example, on average.
        notes: none.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: str):
        document = _read_index(path)
        self._path = path
        self.spec = _raw(DataSpec.from_json(document["spec"]))
        self._shards = {
            base: [Shard(**shard) for shard in split["shards"]] for base, split in document["splits"].items()
        }
        self.sizes: Mapping[str, int] = {
            base: sum(shard.examples for shard in shards) for base, shards in self._shards.items()
        }
        self.example_bytes = max(1, document["example_bytes"])
        self._identity = json.dumps([document["spec"], document["splits"]], sort_keys=True)
        self._features = _features(self.spec, document["inputs"])
        self._check_files()

    def _check_files(self) -> None:
        """All shards must be there, whole: what is missing must not show in the middle of training."""
        import tensorflow as tf

        def problem(shard: Shard) -> str:
            name = _join(self._path, shard.file)
            try:
                size = tf.io.gfile.stat(name).length
            except tf.errors.OpError:
                return f"{name}: is not there"
            if size != shard.bytes:
                return f"{name}: is damaged: it has {size:,} bytes, not {shard.bytes:,}"
            return ""

        shards = [shard for part in self._shards.values() for shard in part]
        with ThreadPoolExecutor(16) as threads:
            problems = list(filter(None, threads.map(problem, shards)))
        if problems:
            more = f" (and {len(problems) - 1:,} more shards)" if len(problems) > 1 else ""
            raise DataError(f"dataset.path: {problems[0]}{more}; copy it again, or {_REMEDY}")

    def fingerprint(self) -> str:
        """A hash of the description and of the check sums of all shards."""
        return hashlib.sha256(self._identity.encode()).hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part, (n, *target.shape), without decoding inputs.

        Raises:
            DataError: a damaged shard.
        """
        return cast("np.ndarray", self._collected(part, ("target",))["target"])

    def arrays(self, part: Part) -> tuple[Any, np.ndarray]:
        """Inputs and targets of a part.

        Raises:
            DataError: a damaged shard.
        """
        return cast("tuple[Any, np.ndarray]", self._pair(self._collected(part, tuple(self._features))))

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (inputs, targets) of a part.

        In storage order; with `key` the shards are read in an order drawn from it, a few side by side.
        """
        import tensorflow as tf

        pair = tf.autograph.experimental.do_not_convert(self._pair)
        return self._parsed(part, tuple(self._features), key).map(pair).prefetch(2)

    def lookup(self, base: str) -> None:
        """None: the examples are read in order."""
        return

    def values(self, base: str, name: str) -> np.ndarray:
        """A column of a table, (n,).

        Raises:
            DataError: there is none of that name.
        """
        from bigmodel_cli.contracts import Part

        names = [column.key for column in self.spec.input.columns]
        if name not in names:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no column `{name}` to divide by; it has "
                f"{', '.join(names[:20]) or 'none'}"
            )
        feature = f"input/{name}"
        return cast("np.ndarray", self._collected(Part.range(base, 0, self.sizes[base]), (feature,))[feature])

    def _pair(self, features: Mapping[str, Any]) -> tuple[Any, Any]:
        if self.spec.input.kind != "table":
            return features["input"], features["target"]
        names = [column.key for column in self.spec.input.columns]
        return {name: features[f"input/{name}"] for name in names}, features["target"]

    def _parsed(self, part: Part, names: Sequence[str], key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches of these features of a part, as a dict."""
        import tensorflow as tf

        stored = {"int": tf.int64, "float": tf.float32}
        features = {name: self._features[name] for name in names}
        wanted = {
            name: tf.io.FixedLenFeature(shape, stored[kind])
            if kind in stored
            else tf.io.FixedLenFeature((), tf.string)
            for name, (kind, shape, _) in features.items()
        }

        def decode(value: tf.Tensor, kind: str, shape: tuple[int, ...], dtype: str) -> tf.Tensor:
            if kind == "png":
                signature = tf.TensorSpec(shape, tf.uint8)
                return tf.map_fn(
                    lambda png: tf.ensure_shape(tf.io.decode_png(png, shape[-1]), shape),
                    value,
                    fn_output_signature=signature,
                )
            if kind == "raw":
                flat = tf.io.decode_raw(value, tf.dtypes.as_dtype(dtype))
                return tf.reshape(flat, (-1, *shape))
            return value if kind == "bytes" else tf.cast(value, dtype)

        def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = tf.io.parse_example(records, wanted)
            return {name: decode(parsed[name], *features[name]) for name in names}

        as_written = tf.autograph.experimental.do_not_convert
        return self._records(part, key).map(as_written(parse), num_parallel_calls=cpu_cores())

    def _records(self, part: Part, key: tf.Tensor | None) -> tf.data.Dataset:
        """Serialized examples of a part, in batches (n,) of strings; what is not in the part is not
        decoded."""
        import numpy as np
        import tensorflow as tf

        shards = self._shards[part.base]
        ends = np.cumsum([0, *(shard.examples for shard in shards)])
        cuts = np.searchsorted(part.indices, ends)
        # Shards without any example of the part are not even opened.
        used = [number for number in range(len(shards)) if cuts[number] < cuts[number + 1]]
        size = max(1, min(512, BATCH_BYTES // self.example_bytes))
        with tf.device("CPU:0"):
            names = tf.constant([_join(self._path, shards[number].file) for number in used], tf.string)
            counts = tf.constant([shards[number].examples for number in used], tf.int64)
            starts = tf.constant([ends[number] for number in used], tf.int64)
            indices = tf.constant(part.indices, tf.int64)

        def read(shard: tf.Tensor) -> tf.data.Dataset:
            name, count, start = names[shard], counts[shard], starts[shard]
            # An empty batch at the end, by which a shard that ends too early shows.
            end = tf.data.Dataset.from_tensors(tf.constant([], tf.string))
            batches = tf.data.TFRecordDataset(name, buffer_size=BUFFER_BYTES).batch(size).concatenate(end)
            firsts = tf.data.Dataset.range(0, count + size, size)

            def chosen(records: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
                held = tf.shape(records, tf.int64)[0]
                intact = tf.equal(held, tf.clip_by_value(count - first, 0, size))
                message = tf.strings.join(["DataError: ", name, " is damaged: it ends too early"])
                with tf.control_dependencies([tf.debugging.Assert(intact, [message])]):
                    bounds = tf.searchsorted(indices, start + tf.stack([first, first + held]))
                return tf.gather(records, indices[bounds[0] : bounds[1]] - (start + first))

            return tf.data.Dataset.zip(batches, firsts).map(as_written(chosen))

        as_written = tf.autograph.experimental.do_not_convert
        if key is None:
            records = tf.data.Dataset.range(len(used)).flat_map(as_written(read))
        else:
            order = tf.random.experimental.stateless_shuffle(tf.range(len(used), dtype=tf.int64), seed=key)
            records = tf.data.Dataset.from_tensor_slices(order).interleave(
                as_written(read),
                cycle_length=SHARDS_AT_ONCE,
                num_parallel_calls=SHARDS_AT_ONCE,
                deterministic=True,
            )
        return records.filter(as_written(lambda some: tf.size(some) > 0))

    def _collected(self, part: Part, names: Sequence[str]) -> dict[str, Any]:
        """These features of a part, as arrays.

        Raises:
            DataError: a damaged shard.
        """
        import tensorflow as tf

        from bigmodel_cli.data.reading import collect

        try:
            return cast(dict[str, Any], collect(self._parsed(part, names), part.size))
        except tf.errors.OpError as error:
            name = next((shard.file for shard in self._shards[part.base] if not self._intact(shard)), None)
            place = self._path if name is None else _join(self._path, name)
            raise DataError(
                f"dataset.path: {place}: is damaged: {_first_line(error)}; copy it again, or {_REMEDY}"
            ) from None

    def _intact(self, shard: Shard) -> bool:
        """Whether a file holds what was written."""
        import tensorflow as tf

        digest = hashlib.sha256()
        try:
            for record in tf.data.TFRecordDataset(_join(self._path, shard.file)).as_numpy_iterator():
                digest.update(struct.pack("<Q", len(record)))
                digest.update(record)
        except tf.errors.OpError:
            return False
        return digest.hexdigest() == shard.sha256
