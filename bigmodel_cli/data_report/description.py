"""What a split and its columns hold, and what in it is likely to be trouble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from bigmodel_cli.assembly import Data
from bigmodel_cli.columns import Column
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, Inputs
from bigmodel_cli.data import contents
from bigmodel_cli.data.contents import ColumnContents, Numbers
from bigmodel_cli.data.pipeline import Keeping
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.statistics import pixel_counts, target_counts
from bigmodel_cli.plots import Array
from bigmodel_cli.single_tasks import data_of
from bigmodel_cli.token_targets import counted, is_language

SAMPLE_BYTES = 128 * 2**20
"""Of decoded training examples from which figures and pictures are made."""

IMBALANCE = 10
"""Times the smallest class that the largest may be without a warning."""

FEW_EXAMPLES, FEW_IN_A_CLASS = 100, 10
"""Fewer examples in a split, or in a class of the training split, are worth a warning."""


@dataclass(frozen=True)
class SplitReport:
    """One split.

    Attributes:
        name: train, validation or test.
        examples: how many.
        describe: where they come from.
        counts: of each class or label, in order; empty for regression and for several tasks.
        targets: of each target; regression only, else empty.
    """

    name: str
    examples: int
    describe: str
    counts: tuple[int, ...]
    targets: tuple[Numbers, ...]


@dataclass(frozen=True)
class TargetReport:
    """One of several targets, each with a task of its own.

    Attributes:
        name: of the target.
        key: of the model's output.
        task: classification or regression.
        names: of the classes, or of the value.
        splits: what each split holds of it.
    """

    name: str
    key: str
    task: str
    names: tuple[str, ...]
    splits: tuple[SplitReport, ...]


@dataclass(frozen=True)
class ColumnReport:
    """A column of a table, or a feature, of the training split.

    Attributes:
        contents: what it holds; missing cells of the whole split, the rest of a sample.
        missing_share: of all cells, 0 to 1.
        prepared: what the model gets of it.
    """

    contents: ColumnContents
    missing_share: float
    prepared: str

    def to_json(self) -> dict[str, Any]:
        """Flat."""
        rest = {"missing_share": self.missing_share, "prepared": self.prepared}
        return {**asdict(self.contents), **rest}


@dataclass(frozen=True)
class Description:
    """What a config's data is.

    Attributes:
        config: name of the config.
        dataset: name of the data.
        origin: where it comes from.
        task: classification, multi_label, segmentation, regression, language_model or multi_task.
        notes: of how the source was read.
        splits: train, validation and test.
        names: of the classes, of the labels, or of the regression targets.
        kind: of the input: image, tabular or table.
        shape: of one input.
        dtype: of an input; empty for a table.
        sampled: training examples that the figures of the inputs are made from.
        channels: of images; of arrays that are neither images nor vectors, one for all numbers.
        columns: of a table, or the features of a vector; else empty.
        warnings: what is likely to be a mistake or a trouble.
        tasks: of several tasks each one; else empty.
    """

    config: str
    dataset: str
    origin: str
    task: str
    notes: tuple[str, ...]
    splits: tuple[SplitReport, ...]
    names: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    dtype: str
    sampled: int
    channels: tuple[Numbers, ...]
    columns: tuple[ColumnReport, ...]
    warnings: tuple[str, ...]
    tasks: tuple[TargetReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings."""
        return {**asdict(self), "columns": [column.to_json() for column in self.columns]}


@dataclass(frozen=True)
class Sample:
    """Training examples, evenly spread: inputs (n, ...) or a dict of columns, and their number."""

    inputs: Inputs
    size: int


def sample(data: Data) -> Sample:
    """As many training examples as `SAMPLE_BYTES` hold, of all parts of the split."""
    train = data.splits["train"]
    split = contents.sample(train, max(1, SAMPLE_BYTES // train.source.example_bytes))
    return Sample(split.arrays()[0], split.size)


def describe(config: Config, data: Data, sampled: Sample) -> Description:
    """What the splits hold, and the inputs of a sample."""
    spec = data.spec
    splits = tuple(_split_report(data, split) for split in data.splits.values())
    columns = tuple(_columns(config, data, sampled))
    tasks = tuple(_target_report(data, place) for place in range(len(spec.target.tasks)))
    channels: tuple[Numbers, ...] = ()
    if not columns:
        inputs = sampled.inputs
        parts = np.moveaxis(inputs, -1, 0) if spec.input.kind == "image" else [inputs]
        channels = tuple(Numbers.of(part) for part in parts)
    return Description(
        config=config.name,
        dataset=spec.name,
        origin=spec.origin,
        task=spec.task,
        notes=data.notes,
        splits=splits,
        names=spec.target.names,
        kind=spec.input.kind,
        shape=spec.input.shape,
        dtype=spec.input.dtype,
        sampled=sampled.size,
        channels=channels,
        columns=columns,
        warnings=tuple(_warnings(data, splits, columns, tasks)),
        tasks=tasks,
    )


def _target_report(data: Data, place: int) -> TargetReport:
    one, alone = data.spec.target.tasks[place], data_of(data, place)
    splits = tuple(_split_report(alone, split) for split in alone.splits.values())
    return TargetReport(one.name, one.key, one.task, one.target.names, splits)


def _split_report(data: Data, split: SplitData) -> SplitReport:
    targets = np.empty(0) if data.spec.task == "segmentation" else split.targets()
    counts: tuple[int, ...] = ()
    numbers: tuple[Numbers, ...] = ()
    if data.spec.task == "segmentation":
        counts = pixel_counts(data.spec, split)
    elif is_language(data.spec):
        counts = _token_counts(data, split)
    # Of several tasks each is reported on its own.
    elif data.spec.task not in ("regression", "multi_task"):
        counts = target_counts(data.spec, targets)
    elif data.spec.task == "regression":
        numbers = tuple(Numbers.of(targets[:, index]) for index in range(data.spec.outputs))
    return SplitReport(split.name, split.size, split.describe, counts, numbers)


def _token_counts(data: Data, split: SplitData) -> tuple[int, ...]:
    """How often each token is learned, or foreseen, in a split."""
    batches = Keeping("none", data.keeping.prepare, derive=data.keeping.derive).prepared(split.batches())
    counts = sum(counted(targets, data.spec.outputs) for _, targets in batches)
    return tuple(np.asarray(counts).tolist())


def _columns(config: Config, data: Data, sampled: Sample) -> Iterator[ColumnReport]:
    spec, size = data.spec, data.splits["train"].size
    for column, cells in cells_of(data, sampled):
        found = contents.column_contents(column, cells)
        how = "standardized by the model"
        if spec.input.kind == "table":
            found = replace(found, missing=column.missing)
            how = _preparation(config, column)
        yield ColumnReport(found, found.missing / size, how)


def cells_of(data: Data, sampled: Sample) -> Iterator[tuple[Column, Array]]:
    """Columns of a table, or features of a vector, with their cells in the sample; of others none."""
    spec = data.spec.input
    if spec.kind == "table":
        for column in spec.columns:
            yield column, sampled.inputs[column.key]
    elif spec.kind == "tabular" and len(spec.shape) == 1:
        names = spec.names or tuple(f"x{index}" for index in range(spec.shape[0]))
        for index, name in enumerate(names):
            yield Column(name, "numeric"), sampled.inputs[:, index]


def _preparation(config: Config, column: Column) -> str:
    """`fill 3750, standardize`, `one_hot 3`, `embedding 40x9`, `hash 1024x16`, `tokens 16,382x64`."""
    parts = []
    if column.kind in ("numeric", "boolean"):
        if column.missing:
            parts.append(f"fill {column.fill:.6g}")
        if column.low is not None and column.high is not None:
            parts.append(f"clip {column.low:.4g} to {column.high:.4g}")
        options = config.dataset.prepare
        scale = options.columns.get(column.name, {}).get("scale", options.numeric.scale)
        parts.append("as it is" if scale == "none" else str(scale))
    elif column.kind == "date":
        parts.append(" ".join(column.parts))
    elif column.kind == "text":
        parts.append(f"tokens {len(column.vocabulary):,}x{column.dimension}, first {column.length}")
    elif column.kind == "image":
        parts.append(f"{'x'.join(map(str, column.shape))} pixels")
    else:
        if column.fill_category:
            parts.append(f"fill {column.fill_category}")
        count = column.buckets if column.encoding == "hash" else len(column.vocabulary)
        size = "" if column.encoding == "one_hot" else f"x{column.dimension}"
        parts.append(f"{column.encoding} {count:,}{size}")
    if column.indicator:
        parts.append("indicator")
    return ", ".join(parts)


def imbalance(counts: Sequence[int]) -> float:
    """Times the smallest class that the largest is; classes without examples do not count."""
    present = [count for count in counts if count]
    return max(present) / min(present) if present else 1.0


def _warnings(
    data: Data,
    splits: Sequence[SplitReport],
    columns: Sequence[ColumnReport],
    tasks: Sequence[TargetReport],
) -> Iterator[str]:
    for split in splits:
        if split.examples < FEW_EXAMPLES:
            worth = ""
            if split.name != "train" and data.spec.task == "classification":
                worth = f"; each is {100 / split.examples:.2g}% of its accuracy"
            yield f"{split.name} has very few examples: {split.examples}{worth}"
    # Most tokens of a vocabulary are rare, and some stand in one split only.
    if not is_language(data.spec) and not tasks:
        yield from _target_warnings(data.spec, splits)
    for part, task in zip(data.spec.parts, tasks, strict=True):
        yield from (f"{task.name}: {text}" for text in _target_warnings(part, task.splits))
    constant = [
        column.contents.name
        for column in columns
        if column.contents.distinct == 1 and not column.contents.missing
    ]
    if constant:
        table = data.spec.input.kind == "table"
        remedy = f"; leave out with dataset.columns: {{{constant[0]}: ignore}}" if table else ""
        yield f"constant in train, so of no use: {_listed(constant)}{remedy}"
    mostly = [column.contents.name for column in columns if column.missing_share > 0.5]
    if mostly:
        yield f"more than half of the cells are missing: {_listed(mostly)}"


def _target_warnings(spec: DataSpec, splits: Sequence[SplitReport]) -> Iterator[str]:
    """What is likely to be a trouble with classes, labels or values."""
    names = spec.target.names
    unit = "pixel" if spec.task == "segmentation" else "example"
    for split in splits:
        absent = [name for name, count in zip(names, split.counts, strict=False) if not count]
        if absent:
            yield f"{split.name} has no {unit} of {_listed(absent)}"
    train = splits[0]
    if names and (ratio := imbalance(train.counts)) > IMBALANCE:
        if spec.task == "segmentation":
            what, remedy = "class", "the loss dice weighs all classes alike"
        elif spec.task == "multi_label":
            what, remedy = "label", "the loss binary_focal_crossentropy gives rare labels more weight"
        else:
            what, remedy = "class", "dataset.class_weights: balanced or dataset.resample even this out"
        yield f"the largest {what} of train is {ratio:,.0f} times the smallest; {remedy}"
    few = [name for name, count in zip(names, train.counts, strict=False) if 0 < count < FEW_IN_A_CLASS]
    if few:
        yield f"train has fewer than {FEW_IN_A_CLASS} {unit}s of {_listed(few)}"
    for name, target in zip(names, train.targets, strict=False):
        if target.low == target.high:
            yield f"the target {name} is constant in train"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} others" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
