"""From a config to its data and model, and from a run to its restored model: the only restore path."""

from __future__ import annotations

import json
import math
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli import components, presets, rundir, validation
from bigmodel_cli.columns import Column
from bigmodel_cli.config.document import Document, KeyPath, dotted
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, Mixing, Moving, OneOfSeveral, Source, SplitName
from bigmodel_cli.data import statistics
from bigmodel_cli.data.class_selection import SelectedClasses
from bigmodel_cli.data.disk_cache import DiskCache, default_folder
from bigmodel_cli.data.division import split
from bigmodel_cli.data.masking import Masking, masking
from bigmodel_cli.data.pipeline import Keeping, Scheduled, Storage, fits_in_memory
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.data.splits import SplitData, resampled_counts
from bigmodel_cli.devices import Choice
from bigmodel_cli.errors import ConfigError, DataError, LayerError, ModelError, UsageError
from bigmodel_cli.models import pretrained
from bigmodel_cli.models.layers import input_variance
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.models.preparation_graph import in_tf_data
from bigmodel_cli.models.table import text_columns
from bigmodel_cli.reconstruction import (
    DRAW,
    LATENT,
    inputs_as_targets,
    is_self_supervised,
    reconstructed,
)
from bigmodel_cli.rundir import Run
from bigmodel_cli.targets import original_units
from bigmodel_cli.token_targets import counted, deriving, described, is_language, text_column

BATCH_SIZE = 256
"""Examples in a batch of evaluation and prediction."""

_SEVERAL_LABELS = (
    "an example has several labels, rare and frequent ones, so no weight or number of copies of it evens "
    "them out; for rare labels use the loss binary_focal_crossentropy with apply_class_balancing and alpha"
)

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Data:
    """A config's data.

    Attributes:
        spec: what it holds, with the statistics of the training split.
        splits: train, validation and test.
        storage: where decoded examples stay between epochs, and why.
        keeping: the same, with the preparation of what is kept.
        notes: of the source, a line each.
    """

    spec: DataSpec
    splits: Mapping[SplitName, SplitData]
    storage: Choice
    keeping: Keeping
    notes: tuple[str, ...]

    @property
    def raw(self) -> Keeping:
        """For raw examples, such as a restored model takes: of a table they are not kept."""
        if self.keeping.prepare is None:
            return self.keeping
        return Keeping("none")


def load_data(config: Config, known: DataSpec | None = None) -> Data:
    """Find a config's dataset, divide it and learn its preparation.

    Args:
        config: complete.
        known: an earlier result, whose preparation is taken instead of being learned again.

    Raises:
        DataError: it is not there, cannot be read, or does not give the splits asked for.
    """
    dataset = config.dataset
    # First, for it takes less time than data, and may not be there.
    preset = _preset(config) if known is None else ""
    source = open_source(config)
    self_supervised = is_self_supervised(components.find("models", config.model.name))
    if self_supervised:
        _require_reconstructable(config, source.spec)
    _require_text(config, source.spec)
    splits = divide(config, source)
    with data_errors_told():
        spec = statistics.describe(
            source, splits, dataset.prepare, known=known, texts=_earlier_texts(config), preset=preset
        )
    spec = replace(spec, name=dataset.name)
    if self_supervised:
        spec = reconstructed(spec, config.model.name)
    _require_followed(config, spec)
    prepare = preparation(spec.input.columns) if spec.input.kind == "table" else None
    run = in_tf_data(prepare, spec) if prepare else None
    derive = deriving(spec)
    if derive is not None:
        spec = _with_tokens(spec, Keeping("none", run, derive=derive).prepared(splits["train"].batches()))
    kept = [splits["train"], splits["validation"]]
    example = _prepared_bytes(prepare, spec) if prepare else source.example_bytes
    cache_dir = Path(dataset.cache_dir) if dataset.cache_dir else default_folder()
    limit = dataset.cache_limit_gb * 2**30
    storage = _storage(dataset.cache, example * sum(part.size for part in kept), cache_dir, limit)
    keeping = Keeping(
        storage.value,
        run,
        json.dumps([spec.task, spec.to_json()["input"]]) if prepare else "",
        cache_dir,
        limit,
        derive,
    )
    return Data(spec, splits, storage, keeping, (*source.notes, *_labels_note(spec), *_units_note(spec)))


def _require_reconstructable(config: Config, spec: DataSpec) -> None:
    """Make sure, before anything is read, that a model can learn the inputs of a dataset.

    Raises:
        DataError, ModelError: it cannot, or targets are scaled that are not learned.
    """
    reconstructed(spec, config.model.name)
    if (prepare := config.dataset.prepare) is not None and prepare.target.scale != "none":
        raise DataError(
            f"dataset.prepare.target.scale: `{prepare.target.scale}` scales targets, and model "
            f"`{config.model.name}` learns the inputs; leave it `none`"
        )


def _preset(config: Config) -> str:
    """What of the model's KerasHub preset is no weight; empty for other models."""
    return presets.read(config.model.parameters["preset"]) if config.model.name == presets.MODEL else ""


def _require_text(config: Config, spec: DataSpec) -> None:
    """Refuse data that a KerasHub preset cannot take, before it is read.

    Raises:
        ModelError: there is no column of text, or several, or the tokens themselves are to be learned.
    """
    if config.model.name != presets.MODEL:
        return
    texts = text_columns(spec)
    if len(texts) != 1:
        named = ", ".join(column.name for column in texts) if texts else "none"
        raise ModelError(
            f"model.name: `{presets.MODEL}` takes one column of text, but dataset `{config.dataset.name}` "
            f"has {named}; name it with dataset.columns: {{NAME: text}}, and leave others out with "
            "{NAME: ignore}"
        )
    if is_language(spec):
        raise ModelError(
            f"model.name: `{presets.MODEL}` is for classification, labels and regression, but dataset "
            f"`{config.dataset.name}` is for {spec.task}; use `gpt` or `transformer`, or another dataset.task"
        )


def _earlier_texts(config: Config) -> list[Column]:
    """The columns of text of the run that training begins with: its weights belong to their tokens."""
    if config.initialize is None:
        return []
    path = Path(config.initialize.weights)
    if path.name == "model.keras":
        path = path.parent
    # What is no run has no vocabulary; what is not there is told by `training.beginning`.
    if path.suffix == ".keras" or not path.exists():
        return []
    return text_columns(rundir.find(path).read_data())


def _with_tokens(spec: DataSpec, train: tf.data.Dataset) -> DataSpec:
    """A language model's data, with its tokens as targets, counted in the training split."""
    column = text_column(spec)
    with data_errors_told():
        counts = sum(counted(targets, column.ids) for _, targets in train)
    return described(spec, np.asarray(counts).tolist())


def _labels_note(spec: DataSpec) -> list[str]:
    """What a model cannot learn of labels."""
    absent = [
        f"`{name}`" for name, count in zip(spec.target.names, spec.target.counts, strict=False) if not count
    ]
    if spec.task != "multi_label" or not absent:
        return []
    more = f" and {len(absent) - 10} others" if len(absent) > 10 else ""
    return [
        f"no example of the training split has the label {', '.join(absent[:10])}{more}: the model will "
        "learn that none ever has"
    ]


def _units_note(spec: DataSpec) -> list[str]:
    """What may go wrong with the sum of several losses."""
    parts = zip(spec.target.tasks, spec.parts, strict=True)
    plain = [f"`{one.name}`" for one, part in parts if part.target.mean and part.target.scaling == "none"]
    if not plain:
        return []
    return [
        f"the loss of {', '.join(plain)} is in units of the target, and may outweigh the others in the sum; "
        "dataset.prepare.target.scale: standardize brings targets to one scale"
    ]


def open_source(config: Config) -> Source:
    """A config's dataset before it is divided.

    Raises:
        DataError: it is not there or cannot be read.
    """
    dataset = config.dataset
    definition, given = validation.dataset_definition(dataset.name, dataset.parameters.get("data_dir"))
    assert definition.builder is not None
    source: Source = definition.builder(config.data_seed, **dataset.parameters, **given)
    if dataset.only_classes is not None:
        return SelectedClasses(source, dataset.only_classes)
    return source


def divide(config: Config, source: Source) -> dict[SplitName, SplitData]:
    """A source's examples as the config divides them.

    Args:
        config: complete.
        source: from `open_source` of a config with the same dataset.

    Raises:
        DataError: the source does not give the splits asked for.
    """
    dataset = config.dataset
    return split(
        source,
        splits={name: text for name, text in dataset.splits.model_dump().items() if text is not None},
        validation_fraction=dataset.validation_fraction,
        test_fraction=dataset.test_fraction,
        limit=dataset.limit,
        seed=config.data_seed,
        split_by=dataset.split_by.choice if dataset.split_by else None,
        stratify=dataset.stratify,
        fold=dataset.fold,
    )


def _prepared_bytes(prepare: keras.Model, spec: DataSpec) -> int:
    """Memory of one prepared example; numbers, ids and tokens have 4 bytes each, pixels one."""
    inputs = sum(math.prod(tensor.shape[1:]) * np.dtype(tensor.dtype).itemsize for tensor in prepare.outputs)
    return inputs + 4 * math.prod(spec.target.shape)


def _storage(asked: str, needed: int, cache_dir: Path, limit: float) -> Choice:
    storages: Mapping[str, Storage] = {"memory": "memory", "disk": "disk", "none": "none"}
    if asked != "auto":
        return Choice(storages[asked], f"dataset.cache: {asked}")
    fits, reason = fits_in_memory(needed)
    if fits:
        return Choice("memory", f"auto: {reason}")
    if obstacle := DiskCache(cache_dir, limit).obstacle(needed):
        return Choice("none", f"auto: {reason}; on disk, {obstacle}")
    return Choice("disk", f"auto: {reason}")


def augmentations(config: Config) -> list[Scheduled]:
    """What `dataset.augment` names, in order."""
    found = []
    for item in config.dataset.augment:
        definition = components.find("augmentations", item.name)
        assert definition.builder is not None
        function = definition.builder(**item.parameters)
        found.append(Scheduled(function, item.probability, item.ramp_epochs, item.until_epoch))
    return found


def hiding(spec: DataSpec) -> Masking | None:
    """What hides tokens from a masked language model; None for other tasks."""
    return masking(text_column(spec)) if spec.task == "masked_language_model" else None


def last_step(spec: DataSpec) -> Masking | None:
    """What the pipeline does with a batch after everything else: hides tokens, or takes inputs as targets."""
    return inputs_as_targets if spec.task == "reconstruction" else hiding(spec)


def _require_followed(config: Config, spec: DataSpec) -> None:
    """Make sure that the targets can follow the augmentations.

    Raises:
        DataError: images are mixed, or moved in a way that is not known for masks.
    """
    if spec.task not in ("segmentation", "reconstruction"):
        return
    if spec.task == "reconstruction":
        for number, item in enumerate(config.dataset.augment):
            if isinstance(augmentations(config)[number].function, Mixing):
                raise DataError(
                    f"dataset.augment[{number}]: `{item.name}` mixes images and their classes, and model "
                    f"`{config.model.name}` learns images without classes; leave it out"
                )
        return
    functions = [scheduled.function for scheduled in augmentations(config)]
    for number, (item, function) in enumerate(zip(config.dataset.augment, functions, strict=True)):
        if isinstance(function, Mixing):
            why = "mixes images, whose pixels would then have two classes"
        elif isinstance(function, Moving) and function.masks is None:
            why = "draws what it moves for the image alone, so that the mask would stay behind"
        else:
            continue
        raise DataError(
            f"dataset.augment[{number}]: `{item.name}` {why}; for segmentation take random_flip, "
            "random_crop, random_translation, random_rotation, random_zoom, or what changes colours"
        )


def resampling(config: Config, train: SplitData, spec: DataSpec) -> np.ndarray | None:
    """How often each training example is taken, as `dataset.resample` asks; None for once.

    Raises:
        DataError: the task has no classes to balance.
    """
    how = config.dataset.resample
    if how is None:
        return None
    if spec.task != "classification":
        raise DataError(
            f"dataset.resample: `{how}` is for classification, but {spec.name} is for {spec.task}; leave it "
            "out" + (f": {_SEVERAL_LABELS}" if spec.task == "multi_label" else "")
        )
    return resampled_counts(train.targets(), how, config.seed)


def class_weights(config: Config, spec: DataSpec) -> dict[int, float] | None:
    """Weight of each class in the loss, by index; None for equal ones.

    `balanced` is n / (classes * count) (King and Zeng 2001), as in scikit-learn.

    Raises:
        DataError: no classes, or weights for others than there are.
    """
    asked = config.dataset.class_weights
    if asked is None:
        return None
    if spec.task != "classification":
        raise DataError(
            f"dataset.class_weights: are for classification, but {spec.name} is for {spec.task}; leave them "
            "out" + (f": {_SEVERAL_LABELS}" if spec.task == "multi_label" else "")
        )
    if asked == "balanced":
        total = sum(spec.target.counts)
        return {
            index: total / (spec.outputs * count) if count else 0.0
            for index, count in enumerate(spec.target.counts)
        }
    unknown = [name for name in asked if name not in spec.target.names]
    missing = [name for name in spec.target.names if name not in asked]
    if unknown or missing:
        raise DataError(
            "dataset.class_weights: "
            + (f"there is no class {', '.join(map(repr, unknown))}; " if unknown else "")
            + (f"no weight is given for {', '.join(missing[:10])}; " if missing else "")
            + f"the classes are {', '.join(spec.target.names[:20])}"
        )
    return {index: asked[name] for index, name in enumerate(spec.target.names)}


def build_model(
    config: Config,
    data: DataSpec,
    precision: Precision = "float32",
    scope: AbstractContextManager[Any] | None = None,
) -> keras.Model:
    """The config's model: raw inputs to logits (of classes or labels) or values (regression).

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
    except LayerError as error:
        raise _placed(error, config.document) from error
    except ValueError as error:
        shape = "x".join(map(str, data.input.shape))
        raise ModelError(
            f"model: `{config.model.name}` cannot be built on {data.input.kind} inputs of shape {shape}: "
            f"{error}"
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"model.name: `{config.model.name}` gave a {type(model).__name__}, not a keras.Model"
        )
    if data.target.tasks:
        return _with_named_outputs(model, config.model.name, data)
    try:
        (output,) = (tensor.shape for tensor in model.outputs)
    except (AttributeError, TypeError, ValueError):
        raise ModelError(
            f"model.name: `{config.model.name}` gave a {type(model).__name__} without known "
            "inputs and outputs; return keras.Model(inputs, outputs)"
        ) from None
    if output != (None, *data.output_shape):
        instead = "; use `unet`, or another dataset" if data.task == "segmentation" else ""
        raise ModelError(
            f"model.name: `{config.model.name}` gives outputs of shape {output}, but {data.name} needs "
            f"{(None, *data.output_shape)}{instead}"
        )
    return model


def _with_named_outputs(model: keras.Model, name: str, data: DataSpec) -> keras.Model:
    """The model of several tasks: its output is a dict, in the order of the tasks.

    Raises:
        ModelError: it gives neither an output for each task nor one tensor with all of them.
    """
    wanted = {one.key: part.outputs for one, part in zip(data.target.tasks, data.parts, strict=True)}
    output: Any = getattr(model, "output", None)
    if isinstance(output, dict):
        if {key: tensor.shape for key, tensor in output.items()} == {
            key: (None, width) for key, width in wanted.items()
        }:
            return keras.Model(model.input, {key: output[key] for key in wanted}, name=model.name)
    elif getattr(output, "shape", None) == (None, data.outputs):
        ends = np.cumsum([*wanted.values()])
        cut = zip(wanted, ends - [*wanted.values()], ends, strict=True)
        outputs = {key: output[:, int(start) : int(end)] for key, start, end in cut}
        return keras.Model(model.input, outputs, name=model.name)
    needed = ", ".join(f"{key} (None, {width})" for key, width in wanted.items())
    given = "unknown" if output is None else keras.tree.map_structure(lambda tensor: tensor.shape, output)
    raise ModelError(
        f"model.name: `{name}` gives outputs of shape {given}, but {data.name} has {len(wanted)} targets, "
        f"which need a dict of {needed}, or one tensor (None, {data.outputs}); use another model, or one "
        "target"
    )


def _placed(error: LayerError, document: Document) -> ConfigError:
    """The error with the lines of the config that it is about."""
    here = document.mistake(error.path, "")

    def place(path: KeyPath) -> str:
        there = document.mistake(path, "")
        if not there.line:
            return dotted(path)
        return f"line {there.line}" if there.file == here.file else f"{there.file}:{there.line}"

    message = "".join(part if isinstance(part, str) else place(part) for part in error.parts)
    return ConfigError(document.name, [replace(here, message=message)], error.details)


def serving_model(model: keras.Model, data: DataSpec) -> keras.Model:
    """The model as it is used afterwards: raw inputs to probabilities, or to values in their original units,
    which for a reconstruction are those of the input.

    It shares its weights with the model it is made of.
    """
    inputs, outputs = model.input, model.output if data.target.tasks else model.outputs[0]
    if data.input.kind == "table":
        prepare = preparation(data.input.columns)
        # A copy that is never compiled: the file would hold the optimizer of a nested model.
        core = keras.Model(inputs, outputs, name=model.name)
        inputs, outputs = prepare.input, core(prepare.output)
    if data.target.tasks:
        each = zip(data.target.tasks, data.parts, strict=True)
        served = {one.key: _served(outputs[one.key], part, f"_{one.key}") for one, part in each}
        return keras.Model(inputs, served, name=model.name)
    if data.task == "reconstruction":
        return keras.Model(inputs, _in_units_of_input(model, data), name=model.name)
    return keras.Model(inputs, _served(outputs, data, ""), name=model.name)


def _served(outputs: Any, data: DataSpec, suffix: str) -> Any:
    """Logits as probabilities, values in their original units."""
    if data.task in ("classification", "segmentation") or is_language(data):
        return keras.layers.Softmax(dtype="float32", name=f"probabilities{suffix}")(outputs)
    if data.task == "multi_label":
        # Each label on its own: their probabilities do not sum to 1.
        layer = keras.layers.Activation("sigmoid", dtype="float32", name=f"probabilities{suffix}")
        return layer(outputs)
    return outputs if data.target.scaling == "none" else original_units(outputs, data.target)


def _in_units_of_input(model: keras.Model, data: DataSpec) -> Any:
    """A reconstruction as what it reconstructs: pixels from 0 to 255, features in their own units."""
    (outputs,) = model.outputs
    if any(layer.name == DRAW for layer in model.layers):
        # Drawing belongs to training, and so does what it adds to the loss.
        decoder = keras.Model(model.get_layer(DRAW).output, outputs, name="decoder")
        outputs = decoder(model.get_layer(LATENT).output)
    if data.input.kind == "image":
        outputs = keras.layers.Activation("sigmoid", dtype="float32", name="intensities")(outputs)
        return keras.layers.Rescaling(255.0, dtype="float32", name="pixels")(outputs)
    mean, variance = list(data.input.mean), input_variance(data)
    return keras.layers.Normalization(
        mean=mean, variance=variance, invert=True, dtype="float32", name="original_units"
    )(outputs)


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


def restored_data(restored: Restored) -> Data:
    """The data that a run was trained on.

    Raises:
        DataError: it is not there, or has changed: with other examples in the splits, training examples would
            be among those held out.
    """
    return recorded_data(restored.run, restored.config, restored.spec)


def recorded_data(run: Run, config: Config, then: DataSpec) -> Data:
    """The data of a run, held against what was recorded of it.

    Args:
        run: where that was.
        config: of the run.
        then: what the data was, whose preparation is taken instead of being learned again.

    Raises:
        DataError: it is not there, or has changed.
    """
    data = load_data(config, then)
    now = data.spec
    recorded = run.read_splits()
    moved = [name for name, part in data.splits.items() if recorded.get(name, {}) != split_record(part)]
    if not _alike(then, now) or (recorded and moved):
        raise DataError(
            f"dataset {now.name}: is not what {run} was trained on (then {_sizes(then.sizes)}, now "
            f"{_sizes(now.sizes)}{_other(then, now, moved if recorded else [])}); bring the data back, or "
            "train "
            "again"
        )
    return data


def split_record(split: SplitData) -> dict[str, Any]:
    """What a run keeps of a split, to tell later whether it still is the same: see `rundir.Run.splits`."""
    return {"examples": split.size, "describe": split.describe, "sha256": split.fingerprint()}


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size:,} {name}" for name, size in sizes.items())


def _alike(then: DataSpec, now: DataSpec) -> bool:
    return (
        dict(then.sizes) == dict(now.sizes)
        and (then.input.shape, then.input.names) == (now.input.shape, now.input.names)
        and _alike_targets(then, now)
    )


def _alike_targets(then: DataSpec, now: DataSpec) -> bool:
    return (
        (then.task, then.target.names, then.target.counts) == (now.task, now.target.names, now.target.counts)
        # Sums may differ in their last digits from machine to machine.
        and np.allclose(then.target.mean, now.target.mean, rtol=1e-6)
        and len(then.parts) == len(now.parts)
        and all(map(_alike_targets, then.parts, now.parts))
    )


def _other(then: DataSpec, now: DataSpec, moved: Sequence[str]) -> str:
    """What differs where the sizes do not tell."""
    if dict(then.sizes) != dict(now.sizes):
        return ""
    if then.input.shape != now.input.shape:
        return ", of another shape"
    if then.input.names != now.input.names:
        return ", with other columns"
    if not _alike_targets(then, now):
        return ", with other targets"
    return f", other examples in {' and '.join(moved)}" if moved else ", with other targets"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
