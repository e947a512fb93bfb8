"""How many examples a second a pipeline gives when nothing holds it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bigmodel_cli.devices import cpu_cores

if TYPE_CHECKING:
    import tensorflow as tf

    from bigmodel_cli.data.pipeline import Scheduled


def examples_per_second(batches: tf.data.Dataset, seconds: float) -> float:
    """Draw batches as fast as they come, without looking at them.

    It happens inside TensorFlow, as in `fit` with many steps an execution: a loop in Python takes longer
    than a small batch. The time until the first batch, in which functions are set up, does not count.

    Args:
        batches: of any structure, whose tensors have the batch as their first axis.
        seconds: how long to go on; the last batch may come later.
    """
    import tensorflow as tf

    def draw() -> Any:
        start = tf.timestamp()
        end = start + seconds
        iterator = iter(batches)

        def step(count: Any, lead: Any, first: Any, now: Any, more: Any) -> Any:
            batch = iterator.get_next_as_optional()
            more = batch.has_value()
            size = tf.cond(more, lambda: _examples(batch.get_value()), lambda: tf.constant(0, tf.int64))
            with tf.control_dependencies([size]):
                arrived = tf.timestamp()
            begins = tf.equal(count, 0)
            now = tf.where(more, arrived, now)
            return count + size, tf.where(begins, size, lead), tf.where(begins, now, first), now, more

        nothing = tf.constant(0, tf.int64)
        # A batch is asked for when the one before came in time: so one is, at least.
        return start, *tf.while_loop(
            lambda count, lead, first, now, more: tf.logical_and(more, now < end),
            step,
            (nothing, nothing, start, start, tf.constant(True)),
            parallel_iterations=1,
        )

    with tf.device("CPU:0"):
        start, count, lead, first, last, _ = (float(value) for value in tf.function(draw, autograph=False)())
    if count > lead:
        return (count - lead) / max(1e-9, last - first)
    return count / max(1e-9, last - start)


def _examples(batch: Any) -> tf.Tensor:
    import tensorflow as tf

    return tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]


def augmentation_milliseconds(
    item: Scheduled, images: tf.Tensor, targets: tf.Tensor, seconds: float
) -> float:
    """What one augmentation takes for a batch, with as many batches at once as the pipeline makes.

    Args:
        item: with the probability that it has after any ramp.
        images: a batch, (n, h, w, c) uint8.
        targets: of it, as the augmentation takes them.
        seconds: how long to repeat it.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        images, targets = tf.identity(images), tf.identity(targets)
        epoch = tf.constant(0, tf.int64)
        key = tf.constant([0, 1], tf.int32)

    def change(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return item(images, targets, epoch, tf.random.fold_in(key, step))

    steps = tf.data.Dataset.range(2**62).map(
        tf.autograph.experimental.do_not_convert(change), num_parallel_calls=cpu_cores(), deterministic=True
    )
    options = tf.data.Options()
    # As in the training pipeline.
    options.autotune.enabled = False
    rate = examples_per_second(steps.with_options(options), seconds)
    return 1000 * int(images.shape[0]) / rate
