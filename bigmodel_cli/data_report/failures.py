"""Errors of reading that come through TensorFlow, as messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from bigmodel_cli.build import Data
from bigmodel_cli.errors import DataError


@contextmanager
def reading(data: Data) -> Iterator[None]:
    """What fails while examples are streamed is told in one line."""
    try:
        yield
    except tf.errors.OpError as error:
        message = str(error.message or error)
        # Readers written in Python send their own message through TensorFlow, within a traceback.
        own = re.search(r"DataError: (.+)", message)
        line = own.group(1) if own else message.strip().splitlines()[0]
        raise DataError(f"dataset: {data.spec.name} cannot be read: {line}") from None
