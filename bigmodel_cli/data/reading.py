"""A stream of decoded batches brought into arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


def collect(batches: tf.data.Dataset, size: int) -> Any:
    """All batches in one array for each tensor, in the structure of the batches.

    Args:
        batches: of tensors whose first axis is the batch; strings become arrays of `bytes` objects.
        size: examples to expect; memory for them is taken at once, so nothing is held twice.

    Raises:
        ValueError: the stream holds more or fewer.
        tf.errors.OpError: it cannot be read.
    """
    import numpy as np
    import tensorflow as tf

    specs = tf.nest.flatten(batches.element_spec)
    arrays = [np.empty((size, *spec.shape[1:]), spec.dtype.as_numpy_dtype) for spec in specs]
    done = 0
    for batch in batches:
        parts = tf.nest.flatten(batch)
        stop = done + int(parts[0].shape[0])
        if stop > size:
            raise ValueError(f"the stream holds more than the {size:,} examples expected")
        for array, part in zip(arrays, parts, strict=True):
            array[done:stop] = part.numpy()
        done = stop
    if done < size:
        raise ValueError(f"the stream ends after {done:,} of {size:,} examples")
    return tf.nest.pack_sequence_as(batches.element_spec, arrays)
