"""Weights that a model begins with: read only where it begins, not where a run is brought back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from bigmodel_cli.errors import ModelError

if TYPE_CHECKING:
    import keras

_WANTED: ContextVar[bool] = ContextVar("pretrained_weights_wanted", default=True)


@contextmanager
def left_out() -> Iterator[None]:
    """Build models without the weights that they would begin with: others will take their place."""
    token = _WANTED.set(False)
    try:
        yield
    finally:
        _WANTED.reset(token)


def wanted() -> bool:
    """Whether a model that is built now shall read its pretrained weights."""
    return _WANTED.get()


def read_into(model: keras.Model, path: Path, key: str) -> None:
    """Read weights of a file into a model of the same layers.

    Args:
        model: built.
        path: a .weights.h5, .h5 or .keras file.
        key: of the config that names it, for messages.

    Raises:
        ModelError: it is not there, is no such file, or its weights do not fit.
    """
    import warnings

    if not path.is_file():
        raise ModelError(f"{key}: there is no file {path}")
    try:
        with warnings.catch_warnings(action="error"):
            model.load_weights(path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{key}: the weights in {path} are not those of {model.name} with its input of "
            f"{model.input_shape[1:]} ({first})"
        ) from None
