"""From the examples of a split to the batches that `model.fit` takes.

Order of the training pipeline, and why:

1. read    Images stay uint8 until the model casts them on the device: a quarter of the memory and of the
           transfer of float32. What fits in memory is decoded once and kept there, since decoding is by far
           the slowest step; what does not is read as a stream.
2. shuffle Before batching, so that batches differ between epochs. The order of an epoch is a function of
           (seed, epoch) alone, so a resumed run goes on with the very batches it would have seen. In memory
           each position is mapped by a stateless permutation (no buffer, any step is reached at once); a
           stream goes through a buffer of `SHUFFLE_BUFFER_BYTES`.
3. batch   Before augmentation, because one call for a whole batch is several times faster than one call an
           image. The last, smaller batch is kept: every example is seen once an epoch.
4. augment On the host, not in the model: random layers inside a model stay active when it is exported. The
           draw is a function of (seed, epoch, step), and of the augmentation's place in the list.
5. encode  Targets become one-hot only where the loss asks for it; last, because it is the larger form.
6. prefetch The host prepares the next batches while the device works on this one.

Evaluation reads in storage order, without shuffling and augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bigmodel_cli import devices

if TYPE_CHECKING:
    import tensorflow as tf

    from bigmodel_cli.contracts import Augmentation
    from bigmodel_cli.data.splits import SplitData

SHUFFLE_BUFFER_BYTES = 512 * 2**20
"""Decoded examples that the shuffle buffer of a stream may hold. A constant, because the order of the
examples depends on it: the same config must give the same order on a machine with more memory."""

SHUFFLE_ROUNDS = 12
"""Of the cipher that permutes the positions. With TensorFlow's default of 4 the orders of successive epochs
of 48,000 examples have a correlation of 0.7; from 8 on it is that of random permutations."""

PREFETCHED_BATCHES = 4
"""Batches that wait for the device: enough to even out the host's hiccups."""

MEMORY_SHARE = 0.4
"""Of the available memory, what decoded data may take. The rest is for TensorFlow, the model and the copy
that reading needs for a moment."""


def fits_in_memory(splits: Sequence[SplitData]) -> tuple[bool, str]:
    """Whether these splits should be decoded once and kept in memory, and why."""
    needed = sum(split.size * split.source.example_bytes for split in splits)
    available = devices.available_memory()
    fits = needed <= MEMORY_SHARE * available
    return fits, (
        f"{_gigabytes(needed)} decoded, {'within' if fits else 'more than'} {MEMORY_SHARE:.0%} of the "
        f"{_gigabytes(available)} of memory available"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


class TrainingPipeline:
    """Shuffled, augmented batches of a split, in an order that depends on (seed, epoch) alone.

    The data in memory is loaded once, here, however many datasets are made of it. Build it outside of a
    distribution strategy's scope.

    Attributes:
        epoch: the epoch whose order the next iteration gives; assign to it before each epoch.
        steps: batches in a whole epoch.
    """

    def __init__(
        self,
        split: SplitData,
        *,
        batch_size: int,
        seed: int,
        augmentations: Sequence[Augmentation] = (),
        in_memory: bool,
        one_hot: int | None = None,
    ):
        """Prepare the pipeline.

        Args:
            split: the examples.
            batch_size: examples a step; the last batch of an epoch may be smaller.
            seed: of the order and of the augmentations.
            augmentations: applied to the inputs in this order.
            in_memory: decode once and keep in memory, else stream.
            one_hot: number of classes, if targets are to be one-hot float32 (batch, classes).
        """
        import tensorflow as tf

        self.steps = math.ceil(split.size / batch_size)
        self._size = split.size
        self._batch_size = batch_size
        self._seed = seed
        self._augmentations = tuple(augmentations)
        self._one_hot = one_hot
        # tf.data reads it on the host; an int64 variable would otherwise be placed on the GPU.
        with tf.device("CPU:0"):
            self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        if in_memory:
            self._arrays = _on_host(split)
            self._raw_batches = self._gathered
        else:
            self._examples = split.examples()
            self._buffer = min(split.size, max(1, SHUFFLE_BUFFER_BYTES // split.source.example_bytes))
            self._raw_batches = self._streamed

    def batches(self, start_step: int = 0) -> tf.data.Dataset:
        """Batches (inputs, targets) of one epoch, from `start_step` on, with exact cardinality.

        Iterating again gives the epoch that `self.epoch` then says. With `start_step` the tail of an epoch is
        the same to the bit as in the whole epoch; a stream has to decode what it skips.
        """

        batches = self._raw_batches(start_step)
        if self._augmentations:
            batches = batches.map(
                _as_written(self._augmented), num_parallel_calls=devices.cpu_cores(), deterministic=True
            )
        else:
            batches = batches.map(_as_written(lambda _, inputs, targets: (inputs, targets)))
        return _finished(batches, self._one_hot)

    def _gathered(self, start_step: int) -> tf.data.Dataset:
        import tensorflow as tf

        inputs, targets = self._arrays
        # The permutation's key is 3 words of 32 bits.
        low, high = self._seed & 0xFFFFFFFF, self._seed >> 32

        def gather(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            start = step * self._batch_size
            positions = tf.range(start, tf.minimum(start + self._batch_size, self._size))
            key = tf.stack([tf.constant(low, tf.int64), tf.constant(high, tf.int64), self.epoch])
            indices = tf.raw_ops.RandomIndexShuffle(
                index=positions,
                seed=tf.cast(key, tf.uint32),
                max_index=tf.constant(self._size - 1, tf.int64),
                rounds=SHUFFLE_ROUNDS,
            )
            return step, tf.gather(inputs, indices), tf.gather(targets, indices)

        return tf.data.Dataset.range(start_step, self.steps).map(
            _as_written(gather), num_parallel_calls=devices.cpu_cores(), deterministic=True
        )

    def _streamed(self, start_step: int) -> tf.data.Dataset:
        import tensorflow as tf

        def epoch_batches(_: tf.Tensor) -> tf.data.Dataset:
            shuffled = _shuffled(self._examples, self._buffer, self._key(self.epoch))
            return shuffled.batch(self._batch_size).enumerate().skip(start_step)

        batches = tf.data.Dataset.range(1).flat_map(_as_written(epoch_batches))
        return batches.map(_as_written(lambda step, example: (step, *example))).apply(
            tf.data.experimental.assert_cardinality(self.steps - start_step)
        )

    def _augmented(
        self, step: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        for place, augmentation in enumerate(self._augmentations):
            inputs = augmentation(inputs, self._key(self.epoch, step, place))
        return inputs, targets

    def _key(self, *words: tf.Tensor | int) -> tf.Tensor:
        """A stateless random key, (2,) int32, of the seed and these numbers."""
        import tensorflow as tf

        key = tf.bitcast(tf.constant([self._seed], tf.int64), tf.int32)[0]
        for word in words:
            key = tf.random.fold_in(key, word)
        return key


def _shuffled(examples: tf.data.Dataset, buffer: int, key: tf.Tensor) -> tf.data.Dataset:
    """`examples.shuffle` with a seed that is only known when the iteration starts.

    The method itself keeps its seed in a resource that all shuffles made inside of a dataset function share,
    and so repeats the order of whichever came first.
    """
    import tensorflow as tf

    spec = examples.element_spec
    seeds = tf.cast(key, tf.int64)
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(examples),
        buffer_size=tf.constant(buffer, tf.int64),
        seed=seeds[0],
        seed2=seeds[1],
        output_types=[part.dtype for part in tf.nest.flatten(spec)],
        output_shapes=[part.shape for part in tf.nest.flatten(spec)],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(shuffled, spec)


def evaluation_batches(
    split: SplitData, *, batch_size: int, in_memory: bool, one_hot: int | None = None
) -> tf.data.Dataset:
    """Batches (inputs, targets) in storage order, unshuffled and not augmented.

    Args:
        split: the examples.
        batch_size: examples a batch; the last one may be smaller.
        in_memory: decode once and keep in memory, else stream.
        one_hot: number of classes, if targets are to be one-hot float32 (batch, classes).
    """
    import tensorflow as tf

    if in_memory:
        size = split.size
        inputs, targets = _on_host(split)

        def cut(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start = step * batch_size
            stop = tf.minimum(start + batch_size, size)
            return inputs[start:stop], targets[start:stop]

        batches = tf.data.Dataset.range(math.ceil(size / batch_size)).map(
            _as_written(cut), num_parallel_calls=devices.cpu_cores(), deterministic=True
        )
    else:
        batches = split.examples().batch(batch_size)
    return _finished(batches, one_hot)


def _on_host(split: SplitData) -> tuple[tf.Tensor, tf.Tensor]:
    """The decoded split as tensors that datasets capture: as constants they would be copied into the graph,
    which holds 2 GB at most."""
    import tensorflow as tf

    with tf.device("CPU:0"):
        inputs, targets = (tf.convert_to_tensor(array) for array in split.arrays())
    return inputs, targets


def _finished(batches: tf.data.Dataset, one_hot: int | None) -> tf.data.Dataset:
    """Steps 5 and 6.

    tf.data's own tuning is off: with it the end of an iterator was held up by seconds, now and then, and
    without it never. The parallel calls are as many as there are cores.
    """
    import tensorflow as tf

    if one_hot is not None:
        batches = batches.map(_as_written(lambda inputs, targets: (inputs, tf.one_hot(targets, one_hot))))
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(PREFETCHED_BATCHES).with_options(options)


def _as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without AutoGraph, which rewrites Python control flow: there is none here that depends on
    tensors, and looking for it takes a second or two at every start."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)
