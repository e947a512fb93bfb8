"""Streams of decoded batches: brought into arrays, and their errors brought back to words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bigmodel_cli.errors import DataError

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


_TOLD = re.compile(r"\bDataError: (.+?)(?=\nTraceback|\n\n|\n\t|\Z)", re.S)


def data_error(error: Exception) -> DataError | None:
    """The data error behind an error of a TensorFlow operation; None where the data is not at fault.

    A source that fails inside of tf.data can only hand its message on as text.
    """
    import tensorflow as tf

    if not isinstance(error, tf.errors.OpError):
        return None
    message = str(error.message)
    if (told := _TOLD.search(message)) is not None:
        return DataError(" ".join(told[1].split()))
    first = message.splitlines()[0] if message else type(error).__name__
    if isinstance(error, tf.errors.DataLossError):
        return DataError(f"dataset: is damaged: {first}; prepare it again")
    # Other files, such as those of TensorBoard, are not the data's.
    gone = isinstance(error, (tf.errors.NotFoundError, tf.errors.PermissionDeniedError))
    if gone and "Iterator" in message:
        return DataError(f"dataset: a file cannot be read any more: {first}")
    return None


@contextmanager
def data_errors_told() -> Iterator[None]:
    """Raise what lies behind an error of a TensorFlow operation, where it is the data's.

    Raises:
        DataError: see `data_error`.
    """
    try:
        yield
    except Exception as error:
        if (found := data_error(error)) is None:
            raise
        raise found from None
