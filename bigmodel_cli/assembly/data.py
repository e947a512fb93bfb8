"""From a config to its data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from bigmodel_cli import components, presets, rundir, validation
from bigmodel_cli.assembly import demands
from bigmodel_cli.columns import Column
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, Source, SplitName
from bigmodel_cli.data import statistics
from bigmodel_cli.data.class_selection import SelectedClasses
from bigmodel_cli.data.disk_cache import DiskCache, default_folder
from bigmodel_cli.data.division import split
from bigmodel_cli.data.pipeline import Keeping, Storage, fits_in_memory
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.devices import Choice
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.models.preparation_graph import in_tf_data
from bigmodel_cli.models.table import text_columns
from bigmodel_cli.reconstruction import is_self_supervised, reconstructed
from bigmodel_cli.token_targets import counted, deriving, described, text_column

if TYPE_CHECKING:
    import tensorflow as tf


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
        demands.reconstructable(config, source.spec)
    demands.one_text(config, source.spec)
    splits = divide(config, source)
    with data_errors_told():
        spec = statistics.describe(
            source, splits, dataset.prepare, known=known, texts=_earlier_texts(config), preset=preset
        )
    spec = replace(spec, name=dataset.name)
    if self_supervised:
        spec = reconstructed(spec, config.model.name)
    demands.targets_that_follow(config, spec)
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


def _preset(config: Config) -> str:
    """What of the model's KerasHub preset is no weight; empty for other models."""
    return presets.read(config.model.parameters["preset"]) if config.model.name == presets.MODEL else ""


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


def _prepared_bytes(prepare: keras.Model, spec: DataSpec) -> int:
    """Memory of one prepared example; numbers, ids and tokens have 4 bytes each, pixels one."""
    inputs: int = sum(
        math.prod(tensor.shape[1:]) * np.dtype(tensor.dtype).itemsize for tensor in prepare.outputs
    )
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
