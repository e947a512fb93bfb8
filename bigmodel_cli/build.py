"""From a config to its data and model, and from a run to its restored model: the only restore path."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np

from bigmodel_cli import components, validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import Augmentation, DataSpec, SplitName
from bigmodel_cli.data import splits as splitting
from bigmodel_cli.data.pipeline import fits_in_memory
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.devices import Choice
from bigmodel_cli.errors import DataError, ModelError, UsageError
from bigmodel_cli.rundir import Run

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Data:
    """A config's data.

    Attributes:
        spec: what it holds, with the statistics of the training split.
        splits: train, validation and test.
        in_memory: whether the examples are decoded once and kept, and why.
    """

    spec: DataSpec
    splits: Mapping[SplitName, SplitData]
    in_memory: Choice


def load_data(config: Config) -> Data:
    """Find a config's dataset and divide it.

    Raises:
        DataError: it is not there, cannot be read, or does not give the splits asked for.
    """
    dataset = config.dataset
    definition, given = validation.dataset_definition(dataset.name, dataset.parameters.get("data_dir"))
    assert definition.builder is not None
    source = definition.builder(config.seed, **dataset.parameters, **given)
    splits = splitting.split(
        source,
        splits={name: text for name, text in dataset.splits.model_dump().items() if text is not None},
        validation_fraction=dataset.validation_fraction,
        test_fraction=dataset.test_fraction,
        limit=dataset.limit,
        seed=config.seed,
    )
    spec = replace(splitting.describe(source, splits), name=dataset.name)
    return Data(spec, splits, _in_memory(dataset.cache, splits))


def _in_memory(cache: str, splits: Mapping[SplitName, SplitData]) -> Choice:
    if cache == "auto":
        fits, reason = fits_in_memory([splits["train"], splits["validation"]])
        return Choice(fits, f"auto: {reason}")
    return Choice(cache == "memory", f"dataset.cache: {cache}")


def augmentations(config: Config) -> list[Augmentation]:
    """The functions that `dataset.augment` names, in order."""
    found = []
    for item in config.dataset.augment:
        definition = components.find("augmentations", item.name)
        assert definition.builder is not None
        found.append(definition.builder(**item.parameters))
    return found


def build_model(
    config: Config,
    data: DataSpec,
    precision: Precision = "float32",
    scope: AbstractContextManager[Any] | None = None,
) -> keras.Model:
    """The config's model: raw inputs to logits (classification) or values (regression).

    Weights depend on the config's seed alone, not on the precision.

    Raises:
        ModelError: it does not fit the data, or does not keep the contract of `ModelBuilder`.
    """
    definition = components.find("models", config.model.name)
    assert definition.builder is not None
    # Layer names begin anew, so that every build of a config gives the same ones.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(config.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        with scope or nullcontext():
            model = definition.builder(data, **config.model.parameters)
    except ValueError as error:
        shape = "x".join(map(str, data.input.shape))
        raise ModelError(
            f"model: `{config.model.name}` cannot be built on inputs of shape {shape}: {error}"
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"model.name: `{config.model.name}` gave a {type(model).__name__}, not a keras.Model"
        )
    try:
        (output,) = (tensor.shape for tensor in model.outputs)
    except (AttributeError, TypeError, ValueError):
        raise ModelError(
            f"model.name: `{config.model.name}` gave a {type(model).__name__} without known "
            "inputs and outputs; return keras.Model(inputs, outputs)"
        ) from None
    if output != (None, data.outputs):
        raise ModelError(
            f"model.name: `{config.model.name}` gives outputs of shape {output}, but {data.name} needs "
            f"(None, {data.outputs})"
        )
    return model


def serving_model(model: keras.Model, data: DataSpec) -> keras.Model:
    """The model as it is used afterwards: probabilities for classification, values for regression.

    It shares its weights with the model it is made of.
    """
    (inputs,), (outputs,) = model.inputs, model.outputs
    if data.task == "classification":
        outputs = keras.layers.Softmax(dtype="float32", name="probabilities")(outputs)
    return keras.Model(inputs, outputs, name=model.name)


@dataclass(frozen=True)
class Restored:
    """A run brought back.

    Attributes:
        run: where it lies.
        config: complete.
        spec: the data that it was trained on.
        model: float32; raw inputs to probabilities or values.
    """

    run: Run
    config: Config
    spec: DataSpec
    model: keras.Model

    def predict(self, batches: Any) -> np.ndarray:
        """Probabilities or values (n, outputs), float32, of batched inputs, in their order."""
        predictions = self.model.predict(batches, verbose=0)
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


def restored_data(restored: Restored) -> Data:
    """The data that a run was trained on.

    Raises:
        DataError: it is not there, or has changed: with other sizes the splits hold other examples, and
            training examples would be among those held out.
    """
    data = load_data(restored.config)
    then, now = restored.spec, data.spec
    if (
        dict(then.sizes) != dict(now.sizes)
        or then.input.shape != now.input.shape
        or then.target != now.target
    ):
        raise DataError(
            f"dataset {now.name}: is not what {restored.run} was trained on (then {_sizes(then.sizes)}, now "
            f"{_sizes(now.sizes)}{_other(then, now)}); bring the data back, or train again"
        )
    return data


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size:,} {name}" for name, size in sizes.items())


def _other(then: DataSpec, now: DataSpec) -> str:
    """What differs where the sizes do not tell."""
    if dict(then.sizes) != dict(now.sizes):
        return ""
    return ", of another shape" if then.input.shape != now.input.shape else ", with other targets"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
