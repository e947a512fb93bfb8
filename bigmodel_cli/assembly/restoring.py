"""From a run to its restored model: the only restore path."""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli import validation
from bigmodel_cli.assembly.model import build_model, serving_model
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, OneOfSeveral
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.errors import UsageError
from bigmodel_cli.models import pretrained
from bigmodel_cli.rundir import Run

BATCH_SIZE = 256
"""Examples in a batch of evaluation and prediction."""


@dataclass(frozen=True)
class Restored:
    """A run brought back.

    Attributes:
        run: where it lies.
        config: complete.
        spec: the data that it was trained on.
        model: float32; raw inputs to probabilities or values, of several tasks to a dict of these.
        one: which of the run's several tasks this is; None for all that it has.
    """

    run: Run
    config: Config
    spec: DataSpec
    model: keras.Model
    one: OneOfSeveral | None = None

    def predict(self, inputs: Any) -> np.ndarray:
        """Probabilities or values (n, *output_shape), float32, of a dataset of batches, or of arrays
        (n, ...), in order; those of several tasks side by side."""
        if isinstance(inputs, dict):
            # Keras takes no arrays of texts.
            inputs = tf.data.Dataset.from_tensor_slices(inputs).batch(BATCH_SIZE)
        batch_size = None if isinstance(inputs, tf.data.Dataset) else BATCH_SIZE
        with data_errors_told():
            predictions = self.model.predict(inputs, batch_size=batch_size, verbose=0)
        if self.spec.target.tasks:
            predictions = np.concatenate([predictions[one.key] for one in self.spec.target.tasks], axis=1)
        return np.asarray(predictions, np.float32)


def restore(run: Run) -> Restored:
    """Bring a run's best model back: rebuilt from its config, weights read from model.keras.

    The model file's own description of the model is never read, so no code in it can run.

    Raises:
        UsageError: files are missing or damaged, or the weights do not fit the config.
    """
    config = validation.load(run.config).config
    spec = run.read_data()
    if not run.model.is_file():
        raise UsageError(
            f"{run.model}: is missing; no epoch was finished; go on with `bigmodel train --resume {run}`"
        )
    with pretrained.left_out():
        model = serving_model(build_model(config, spec), spec)
    try:
        with zipfile.ZipFile(run.model) as archive:
            broken = archive.testzip()
            if broken is not None:
                raise zipfile.BadZipFile(f"{broken} fails its checksum")
            _check_count(archive, model)
        with warnings.catch_warnings(action="error"):
            model.load_weights(run.model)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise UsageError(f"{run.model}: is cut short or damaged ({error}); train again") from None
    except (ValueError, KeyError, UserWarning) as error:
        raise UsageError(
            f"{run.model}: holds other weights than {run.config} describes ({_first_line(error)})"
        ) from None
    return Restored(run, config, spec, model)


def _check_count(archive: zipfile.ZipFile, model: keras.Model) -> None:
    """Keras leaves weights that have no place in the model unread, and says nothing.

    Raises:
        ValueError: there are more or fewer than the model has.
    """
    import h5py  # type: ignore[import-untyped]

    stored = 0

    def count(name: str, item: Any) -> None:
        nonlocal stored
        stored += isinstance(item, h5py.Dataset)

    with archive.open("model.weights.h5") as file, h5py.File(file) as weights:
        weights.visititems(count)
    expected = len({id(weight) for weight in model.weights})
    if stored != expected:
        raise ValueError(f"{stored} of them instead of {expected}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
