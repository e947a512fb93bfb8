"""TensorFlow brought up without its start-up chatter."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from bigmodel_cli.errors import UsageError


def start() -> ModuleType:
    """Import TensorFlow and Keras once, look for devices, and return TensorFlow.

    No environment variable silences the import: what it writes to standard error is held back and shown
    only when the import fails.

    Raises:
        UsageError: TensorFlow is not installed or does not load.
    """
    if "tensorflow" in sys.modules and "keras" in sys.modules:
        import tensorflow as tf

        return tf  # type: ignore[no-any-return]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with _held_back():
            import keras  # noqa: F401
            import tensorflow as tf

            tf.config.list_physical_devices()
    except ImportError as error:
        raise UsageError(
            f"TensorFlow does not load: {error}; reinstall with `pip install bigmodel-cli`"
        ) from error
    return tf  # type: ignore[no-any-return]


@contextmanager
def _held_back() -> Iterator[None]:
    """Collect what C++ and Python write to standard error; show it when the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
