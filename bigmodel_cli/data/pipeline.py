"""From the examples of a split to the batches that `model.fit` takes.

Order of the training pipeline, and why:

1. read    Images stay uint8 until the model casts them on the device: a quarter of the memory and of the
           transfer of float32. Decoding is by far the slowest step, so it is done once where that is
           possible: what fits in memory is kept there, what fits on the disk is kept there as fixed-size
           records; the rest is read at every epoch.
2. prepare A table's columns become numbers by the very layers that are saved in the model. Before the
           examples are kept, so it is done once, too.
3. shuffle Before batching, so that batches differ between epochs. The order of an epoch is a function of
           (seed, epoch) alone, so a resumed run goes on with the very batches it would have seen: see
           shuffling.py.
4. batch   Before augmentation, because one call for a whole batch is several times faster than one call an
           image. The last, smaller batch is kept: every example is seen once an epoch.
5. encode  Targets become one-hot only where the loss or an augmentation asks for it.
6. augment On the host, not in the model: random layers inside a model stay active when it is exported. The
           draw is a function of (seed, epoch, step), and of the augmentation's place in the list. After
           them tokens are hidden, or inputs become the targets, for the models that learn these.
7. cut     Of several processes each takes its rows of the batch (sharing.py). Already when reading where the
           examples are had by their position and nothing is augmented; after augmentation otherwise, whose
           draws are for the whole batch: the same numbers come out with any number of processes.
8. prefetch The host prepares the next batches while the device works on this one.

Evaluation reads in storage order, without shuffling and augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli import devices
from bigmodel_cli.contracts import Mixing, Moving
from bigmodel_cli.data import shuffling
from bigmodel_cli.data.disk_cache import DiskCache, Records
from bigmodel_cli.data.masking import Masking
from bigmodel_cli.data.reading import collect
from bigmodel_cli.data.sharing import Share

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import Augmentation
    from bigmodel_cli.data.splits import SplitData

Storage = Literal["memory", "disk", "none"]

STREAM_WINDOW_BYTES = 256 * 2**20
"""Decoded examples of a stream that are permuted together. A constant, because the order of the examples
depends on it: the same config must give the same order on a machine with more memory."""

PREFETCHED_BATCHES = 4
"""Batches that wait for the device: enough to even out the host's hiccups."""

MEMORY_SHARE = 0.4
"""Of the available memory, what decoded data may take. The rest is for TensorFlow, the model and the copy
that reading needs for a moment."""


def fits_in_memory(needed: int) -> tuple[bool, str]:
    """Whether so many bytes of decoded examples should be kept in memory, and why."""
    available = devices.available_memory()
    fits = needed <= MEMORY_SHARE * available
    return fits, (
        f"{_gigabytes(needed)} decoded, {'within' if fits else 'more than'} {MEMORY_SHARE:.0%} of the "
        f"{_gigabytes(available)} of memory available"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


@dataclass(frozen=True)
class Keeping:
    """Where decoded examples stay between epochs, and how they are prepared before.

    Attributes:
        storage: in memory, on disk, or nowhere.
        prepare: raw inputs (n, ...) -> what the model takes; None where that is the same.
        preparation: a text that tells `prepare` from others; part of the key of the disk cache.
        cache_dir: of the disk cache.
        cache_limit: bytes that all entries of the disk cache together may have.
        derive: prepared inputs -> targets, where these are made of the inputs; None where the source has
            them.
    """

    storage: Storage
    prepare: Callable[[Any], Any] | None = None
    preparation: str = ""
    cache_dir: Path | None = None
    cache_limit: float = math.inf
    derive: Callable[[Any], Any] | None = None

    def pair(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """Step 2 on one batch of raw examples."""
        prepared = self.prepare(inputs) if self.prepare else inputs
        return prepared, self.derive(prepared) if self.derive else targets

    def prepared(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Step 2 on batches of raw examples."""
        if self.prepare is None:
            return batches
        return batches.map(
            _as_written(self.pair),
            num_parallel_calls=devices.cpu_cores(),
            deterministic=True,
        )

    def arrays(self, split: SplitData) -> tuple[Any, np.ndarray]:
        """A whole split in memory, prepared."""
        if self.prepare is None:
            return split.arrays()
        inputs, targets = collect(self.prepared(split.batches()), split.size)
        return inputs, targets

    def records(self, split: SplitData, counts: np.ndarray | None = None) -> Records:
        """A whole split on disk, prepared; with `counts` each example as often as they say."""
        assert self.cache_dir is not None
        batches = self.prepared(split.batches())
        size = split.size
        content = [split.source.fingerprint(), split.fingerprint(), self.preparation]
        if counts is not None:
            size = int(counts.sum())
            content.append(_digest(counts))
            batches = _repeated(batches, counts)
        return DiskCache(self.cache_dir, self.cache_limit).records(content, batches, size)


@dataclass(frozen=True)
class Scheduled:
    """An augmentation, and how often it happens.

    Attributes:
        function: what it does.
        probability: share of the images (of the batches, for `Mixing`) that it changes.
        ramp_epochs: epochs over which the probability grows linearly from 0.
        until_epoch: the last epoch, from 1, in which it happens; None for no end.
    """

    function: Augmentation | Moving | Mixing
    probability: float = 1.0
    ramp_epochs: int = 0
    until_epoch: int | None = None

    @property
    def always(self) -> bool:
        """Whether it happens to every image of every epoch."""
        return self.probability == 1 and not self.ramp_epochs and self.until_epoch is None

    def probability_at(self, epoch: tf.Tensor) -> tf.Tensor:
        """In an epoch (from 0), () float32."""
        import tensorflow as tf

        probability = tf.constant(self.probability, tf.float32)
        if self.ramp_epochs:
            probability *= tf.minimum(1.0, tf.cast(epoch, tf.float32) / self.ramp_epochs)
        if self.until_epoch is not None:
            probability *= tf.cast(epoch < self.until_epoch, tf.float32)
        return probability

    def __call__(
        self, images: tf.Tensor, targets: tf.Tensor, epoch: tf.Tensor, key: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A batch, augmented: images (n, h, w, c) and targets of the same shapes and dtypes.

        Targets (n, h, w) uint8 are masks, which move with their images.
        """
        import tensorflow as tf

        move = self.function.masks if isinstance(self.function, Moving) and len(targets.shape) == 3 else None

        def change() -> tuple[tf.Tensor, tf.Tensor]:
            if isinstance(self.function, Mixing):
                return self.function.function(images, targets, key)
            changed = self.function(images, key)
            return changed, targets if move is None else move(targets[..., None], key)[..., 0]

        if self.always:
            return change()
        probability = self.probability_at(epoch)
        coin = tf.random.fold_in(key, 1)
        if isinstance(self.function, Mixing):
            drawn = tf.random.stateless_uniform([], coin) < probability
            return tf.cond(drawn, change, lambda: (images, targets))

        def change_some() -> tuple[tf.Tensor, tf.Tensor]:
            draws = tf.random.stateless_uniform([tf.shape(images)[0]], coin)
            chosen = draws[:, tf.newaxis, tf.newaxis, tf.newaxis] < probability
            changed, moved = change()
            if move is not None:
                moved = tf.where(chosen[..., 0], moved, targets)
            return tf.where(chosen, changed, images), moved

        return tf.cond(probability > 0, change_some, lambda: (images, targets))


class TrainingPipeline:
    """Shuffled, augmented batches of a split, in an order that depends on (seed, epoch) alone.

    The data in memory or on disk is loaded once, here, however many datasets are made of it. Build it outside
    of a distribution strategy's scope.

    Attributes:
        epoch: the epoch whose order the next iteration gives; assign to it before each epoch.
        size: examples in an epoch.
        batch_size: examples in a step.
        steps: batches in a whole epoch.
        waited: seconds that the consumer has waited for batches, since it was last set to 0.
        timed: whether that is measured.
        shuffle: how the examples are shuffled, for the user's eyes.
        remedy: what to change where training waits for data.
    """

    def __init__(
        self,
        split: SplitData,
        *,
        batch_size: int,
        seed: int,
        keeping: Keeping,
        augmentations: Sequence[Scheduled] = (),
        encode: Callable[[tf.Tensor], tf.Tensor] | None = None,
        counts: np.ndarray | None = None,
        timed: bool = True,
        share: Share | None = None,
        last: Masking | None = None,
    ):
        """Prepare the pipeline.

        Args:
            split: the examples.
            batch_size: examples a step; the last batch of an epoch may be smaller.
            seed: of the order and of the augmentations.
            keeping: where decoded examples stay between epochs.
            augmentations: applied to the inputs in this order.
            encode: targets of a batch -> what the loss takes; None where that is the same.
            counts: how often each example is taken in an epoch, (split.size,); None for once.
            timed: measure the waiting; off where operations must be deterministic, since TensorFlow has no
                clock there.
            share: this process's part of each batch; None for all of it.
            last: what changes a batch after the augmentations: hides tokens of a text, or makes the inputs
                targets; None for nothing.
        """
        import tensorflow as tf

        self.size = split.size if counts is None else int(counts.sum())
        self.steps = math.ceil(self.size / batch_size)
        self.batch_size = batch_size
        self._seed = seed
        self._augmentations = tuple(augmentations)
        self._encode = encode
        self._last = last
        self._cut = share.cut(self.size, batch_size) if share else None
        self._cut_when_read = False
        # tf.data reads them on the host; an int64 variable would otherwise be placed on the GPU.
        with tf.device("CPU:0"):
            self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
            self.waited = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="waited")
        self.timed = timed
        self._raw_batches, self.shuffle = self._reader(split, keeping, counts)
        self.remedy = _remedy(keeping.storage, bool(self._augmentations))

    def batches(self, start_step: int = 0) -> tf.data.Dataset:
        """Batches (inputs, targets) of one epoch, from `start_step` on, with exact cardinality.

        Iterating again gives the epoch that `self.epoch` then says. With `start_step` the tail of an epoch is
        the same to the bit as in the whole epoch; a stream has to decode what it skips.
        """
        import tensorflow as tf

        count = self.steps - start_step
        numbered = tf.data.Dataset.zip(
            (tf.data.Dataset.range(start_step, self.steps), self._raw_batches(start_step))
        )
        batches = numbered.map(
            _as_written(lambda step, example: self._finished(step, *example)),
            num_parallel_calls=devices.cpu_cores(),
            deterministic=True,
        )
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
        batches = batches.prefetch(PREFETCHED_BATCHES)
        return _options(self._clocked(batches, count) if self.timed else batches)

    def _clocked(self, batches: tf.data.Dataset, count: int) -> tf.data.Dataset:
        """Adds to `waited` how long each batch was waited for.

        `zip` asks its parts one after the other, in the thread of whoever asks it: the clock first, then the
        batches, which keep it waiting when none is ready.
        """
        import tensorflow as tf

        def note(asked: tf.Tensor, batch: Any) -> Any:
            with tf.control_dependencies([self.waited.assign_add(tf.timestamp() - asked)]):
                return tf.nest.map_structure(tf.identity, batch)

        clock = tf.data.Dataset.range(count).map(_as_written(lambda _: tf.timestamp()))
        return tf.data.Dataset.zip((clock, batches)).map(_as_written(note))

    def _reader(
        self, split: SplitData, keeping: Keeping, counts: np.ndarray | None
    ) -> tuple[Callable[[int], tf.data.Dataset], str]:
        """A function of the first step that gives one epoch's batches (inputs, targets), shuffled."""
        import tensorflow as tf

        if keeping.storage == "memory":
            kept = _on_host(keeping.arrays(split))
            fetch = _as_written(lambda indices: tf.nest.map_structure(lambda a: tf.gather(a, indices), kept))
            return lambda start: self._by_position(fetch, counts, start), "a permutation of all examples"
        if keeping.storage == "disk":
            windows = shuffling.Windows(keeping.records(split, counts), self.batch_size, self._seed)
            structure = keeping.prepared(split.batches()).element_spec
            return lambda start: self._by_window(windows, structure, start), (
                f"blocks of {shuffling.BLOCK_BYTES >> 10} KiB in random order, permuted in windows of "
                f"{windows.rows:,} examples"
            )
        look_up = split.lookup()
        if look_up is not None:

            def read(indices: tf.Tensor) -> tuple[Any, tf.Tensor]:
                return keeping.pair(*look_up(indices))

            return lambda start: self._by_position(read, counts, start), "a permutation of all examples"
        rows = max(1, STREAM_WINDOW_BYTES // split.source.example_bytes // self.batch_size) * self.batch_size
        return lambda start: self._streamed(split, keeping, counts, rows, start), (
            f"shards in random order, permuted in windows of {rows:,} examples"
        )

    def _by_position(
        self, fetch: Callable[[tf.Tensor], Any], counts: np.ndarray | None, start_step: int
    ) -> tf.data.Dataset:
        import numpy as np
        import tensorflow as tf

        taken = None
        # What is drawn for a batch is drawn for all of it.
        cut = None if self._augmentations or self._last else self._cut
        self._cut_when_read = cut is not None
        if counts is not None:
            with tf.device("CPU:0"):
                taken = tf.constant(np.repeat(np.arange(len(counts), dtype=np.int64), counts))

        def read(step: tf.Tensor) -> Any:
            start = step * self.batch_size
            positions = tf.range(start, tf.minimum(start + self.batch_size, self.size))
            if cut is not None:
                positions = start + cut.rows(tf.shape(positions)[0])
            low, high = self._seed & 0xFFFFFFFF, self._seed >> 32
            indices = shuffling.permuted(positions, self.size, low, high, self.epoch)
            return fetch(indices if taken is None else tf.gather(taken, indices))

        return tf.data.Dataset.range(start_step, self.steps).map(
            _as_written(read), num_parallel_calls=devices.cpu_cores(), deterministic=True
        )

    def _by_window(self, windows: shuffling.Windows, structure: Any, start_step: int) -> tf.data.Dataset:
        import tensorflow as tf

        steps = windows.rows // self.batch_size
        specs = tf.nest.flatten(structure)

        def read(number: tf.Tensor) -> Any:
            parts = tf.numpy_function(
                lambda epoch, window: windows.read(int(epoch), int(window)),
                [self.epoch, number],
                [spec.dtype for spec in specs],
            )
            for part, spec in zip(parts, specs, strict=True):
                part.set_shape([None, *spec.shape[1:]])
            first = tf.maximum(start_step - number * steps, 0)
            return first, tf.nest.pack_sequence_as(structure, parts)

        numbers = tf.data.Dataset.range(start_step // steps, windows.count)
        read_ahead = numbers.map(_as_written(read)).prefetch(1)
        return read_ahead.flat_map(
            _as_written(lambda first, window: shuffling.cut(window, self.batch_size, first))
        )

    def _streamed(
        self, split: SplitData, keeping: Keeping, counts: np.ndarray | None, rows: int, start_step: int
    ) -> tf.data.Dataset:
        import tensorflow as tf

        steps = rows // self.batch_size

        def epoch_windows(_: tf.Tensor) -> tf.data.Dataset:
            # Counts are known by position, which only the order of storage keeps.
            key = self._key(self.epoch) if counts is None else None
            examples = keeping.prepared(split.batches(key))
            if counts is not None:
                examples = _repeated(examples, counts)
            return examples.rebatch(rows).enumerate().skip(start_step // steps)

        def mixed(number: tf.Tensor, window: Any) -> tuple[tf.Tensor, Any]:
            count = tf.shape(tf.nest.flatten(window)[0], tf.int64)[0]
            words = self._key(self.epoch, number)
            order = shuffling.permuted(tf.range(count), count, words[0], words[1])
            first = tf.maximum(start_step - number * steps, 0)
            return first, tf.nest.map_structure(lambda part: tf.gather(part, order), window)

        windows = tf.data.Dataset.range(1).flat_map(_as_written(epoch_windows)).map(_as_written(mixed))
        return windows.prefetch(1).flat_map(
            _as_written(lambda first, window: shuffling.cut(window, self.batch_size, first))
        )

    def _finished(self, step: tf.Tensor, inputs: Any, targets: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Steps 5 to 7."""
        if self._encode is not None:
            targets = self._encode(targets)
        for place, augmentation in enumerate(self._augmentations):
            key = self._key(self.epoch, step, place)
            inputs, targets = augmentation(inputs, targets, self.epoch, key)
        if self._last is not None:
            inputs, targets = self._last(
                inputs, targets, self._key(self.epoch, step, len(self._augmentations))
            )
        if self._cut is not None and not self._cut_when_read:
            inputs, targets = self._cut((inputs, targets))
        return inputs, targets

    def _key(self, *words: tf.Tensor | int) -> tf.Tensor:
        """A stateless random key, (2,) int32, of the seed and these numbers."""
        import tensorflow as tf

        key = tf.bitcast(tf.constant([self._seed], tf.int64), tf.int32)[0]
        for word in words:
            key = tf.random.fold_in(key, word)
        return key


def _remedy(storage: Storage, augmented: bool) -> str:
    if storage == "none":
        return (
            "the examples are decoded anew in every epoch: keep them with `dataset.cache: memory` or `disk`, "
            "or take smaller ones (image_size)"
        )
    if augmented:
        return (
            "augmentation on the host is slower than the model: take cheaper ones in dataset.augment "
            "(`bigmodel "
            "data CONFIG` times them), or a machine with more cores"
        )
    if storage == "disk":
        return "the disk is slower than the model: put dataset.cache_dir on a faster one"
    return "the model is small: a larger training.batch_size gives it more to do at a time"


def evaluation_batches(
    split: SplitData,
    *,
    batch_size: int,
    keeping: Keeping,
    encode: Callable[[tf.Tensor], tf.Tensor] | None = None,
    share: Share | None = None,
    hide: Masking | None = None,
) -> tf.data.Dataset:
    """Batches (inputs, targets) in storage order, unshuffled and not augmented.

    Args:
        split: the examples.
        batch_size: examples a batch; the last one may be smaller.
        keeping: where decoded examples stay between epochs.
        encode: targets of a batch -> what the loss takes; None where that is the same.
        share: this process's part of each batch; None for all of it.
        hide: what changes a batch last, the same of each batch every time: hides tokens of a text, or makes
            the inputs targets; None for nothing.
    """
    import tensorflow as tf

    if keeping.storage == "memory":
        batches = shuffling.cut(_on_host(keeping.arrays(split)), batch_size)
    elif keeping.storage == "disk":
        batches = _in_order(
            keeping.records(split), keeping.prepared(split.batches()).element_spec, batch_size
        )
    else:
        batches = keeping.prepared(split.batches()).rebatch(batch_size)
    if encode is not None:
        batches = batches.map(_as_written(lambda inputs, targets: (inputs, encode(targets))))
    if hide is not None:
        key = tf.constant([0, 0])
        batches = batches.enumerate().map(
            _as_written(lambda index, batch: hide(batch[0], batch[1], tf.random.fold_in(key, index)))
        )
    cut = share.cut(split.size, batch_size) if share else None
    if cut is not None:
        batches = batches.map(_as_written(lambda inputs, targets: cut((inputs, targets))))
    count = math.ceil(split.size / batch_size)
    return _options(
        batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(PREFETCHED_BATCHES)
    )


def _in_order(records: Records, structure: Any, batch_size: int) -> tf.data.Dataset:
    import tensorflow as tf

    specs = tf.nest.flatten(structure)

    def read(step: tf.Tensor) -> Any:
        first = step * batch_size
        last = tf.minimum(first + batch_size, records.size)
        parts = tf.numpy_function(
            lambda start, stop: records.read(int(start), int(stop)),
            [first, last],
            [spec.dtype for spec in specs],
        )
        for part, spec in zip(parts, specs, strict=True):
            part.set_shape([None, *spec.shape[1:]])
        return tf.nest.pack_sequence_as(structure, parts)

    return tf.data.Dataset.range(math.ceil(records.size / batch_size)).map(_as_written(read))


def _repeated(batches: tf.data.Dataset, counts: np.ndarray) -> tf.data.Dataset:
    """Batches in which each example stands as often as `counts` says, in the order of storage."""
    import tensorflow as tf

    with tf.device("CPU:0"):
        times = tf.constant(counts)

    def advance(start: tf.Tensor, batch: Any) -> tuple[tf.Tensor, Any]:
        stop = start + tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]
        taken = times[start:stop]
        return stop, tf.nest.map_structure(lambda part: tf.repeat(part, taken, axis=0), batch)

    return batches.scan(tf.constant(0, tf.int64), _as_written(advance))


def _digest(counts: np.ndarray) -> str:
    import hashlib

    return hashlib.sha256(counts.tobytes()).hexdigest()


def _on_host(arrays: Any) -> Any:
    """Arrays as tensors that datasets capture: as constants they would be copied into the graph, which holds
    2 GB at most."""
    import tensorflow as tf

    with tf.device("CPU:0"):
        return tf.nest.map_structure(tf.convert_to_tensor, arrays)


def _options(batches: tf.data.Dataset) -> tf.data.Dataset:
    """tf.data's own tuning is off: with it the end of an iterator was held up by seconds, now and then, and
    without it never. The parallel calls are as many as there are cores."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without AutoGraph, which rewrites Python control flow: there is none here that depends on
    tensors, and looking for it takes a second or two at every start."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)
