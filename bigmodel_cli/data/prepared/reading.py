"""A prepared data set as a source: read in order, by many workers, from a local folder or gs://."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, Part, PathText
from bigmodel_cli.data.prepared.layout import REMEDY, Shard, first_line, join, read_index, stored_features
from bigmodel_cli.data.reading import collect
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

BATCH_BYTES = 16 * 2**20
"""Of the decoded examples that are read at once."""

SHARDS_AT_ONCE = 4
"""How many shards are read side by side when their order is drawn: neighbours in a shard come apart, and a
slow storage is asked for several at a time."""

BUFFER_BYTES = 8 * 2**20
"""Of a shard that are read at once."""


def prepared(seed: int, *, path: PathText) -> PreparedSource:
    """A data set that `bigmodel data CONFIG --prepare FOLDER` wrote: quick to read, by many workers.

    Its splits are those that were written.

    Args:
        path: its folder, local or gs://.
    """
    return PreparedSource(path)


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
        document = read_index(path)
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
        self._features = stored_features(self.spec, document["inputs"])
        self._check_files()

    def _check_files(self) -> None:
        """All shards must be there, whole: what is missing must not show in the middle of training."""
        import tensorflow as tf

        def problem(shard: Shard) -> str:
            name = join(self._path, shard.file)
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
            raise DataError(f"dataset.path: {problems[0]}{more}; copy it again, or {REMEDY}")

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
            names = tf.constant([join(self._path, shards[number].file) for number in used], tf.string)
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

        try:
            return cast(dict[str, Any], collect(self._parsed(part, names), part.size))
        except tf.errors.OpError as error:
            name = next((shard.file for shard in self._shards[part.base] if not self._intact(shard)), None)
            place = self._path if name is None else join(self._path, name)
            raise DataError(
                f"dataset.path: {place}: is damaged: {first_line(error)}; copy it again, or {REMEDY}"
            ) from None

    def _intact(self, shard: Shard) -> bool:
        """Whether a file holds what was written."""
        import tensorflow as tf

        digest = hashlib.sha256()
        try:
            for record in tf.data.TFRecordDataset(join(self._path, shard.file)).as_numpy_iterator():
                digest.update(struct.pack("<Q", len(record)))
                digest.update(record)
        except tf.errors.OpError:
            return False
        return digest.hexdigest() == shard.sha256
