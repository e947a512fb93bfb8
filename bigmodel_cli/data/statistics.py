"""What is learned of the training split before any model is: sizes, class counts, means and deviations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bigmodel_cli.columns import Column
from bigmodel_cli.config.schema import (
    Prepare,
)
from bigmodel_cli.contracts import LANGUAGE_TASKS, DataSpec, Part, Source, SplitName, TargetSpec
from bigmodel_cli.data.column_statistics import learn_columns
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError
from bigmodel_cli.targets import one_target

if TYPE_CHECKING:
    import numpy as np

MASK_BYTES = 256 * 2**20
"""Of the masks that are read at a time to count their pixels."""


def describe(
    source: Source,
    splits: Mapping[SplitName, SplitData],
    prepare: Prepare | None = None,
    *,
    known: DataSpec | None = None,
    texts: Sequence[Column] = (),
    preset: str = "",
) -> DataSpec:
    """The full description: sizes, and the statistics of the training split alone.

    Args:
        source: what was divided.
        splits: into what.
        prepare: how a table's columns are to become numbers.
        known: an earlier result, from which a table's columns are taken instead of being learned.
        texts: columns of text of an earlier training, whose tokens are taken where the names are the same.
        preset: from `presets.read`, whose tokens texts become; empty for none.

    Raises:
        DataError: numbers that are not finite, or a preparation that does not fit the columns.
    """
    import numpy as np

    spec, prepare = source.spec, prepare or Prepare()
    sizes: dict[str, int] = {name: data.size for name, data in splits.items()}
    train = splits["train"]
    data_input, target = spec.input, spec.target
    if data_input.kind != "table":
        _refuse_preparation(spec, prepare)
    _refuse_hidden(spec, prepare)
    if data_input.kind == "tabular" and len(data_input.shape) == 1:
        inputs, targets = train.arrays()
        mean = _finite_mean(inputs, spec, "feature", data_input.names)
        variance = np.var(inputs, axis=0, dtype=np.float64)
        data_input = replace(data_input, mean=mean, variance=tuple(map(float, variance)))
    elif data_input.kind == "tabular":
        means, variance = _over_time(train, data_input.shape[-1])
        mean = _finite_mean(means[None], spec, "feature", [str(feature) for feature in range(len(means))])
        data_input = replace(data_input, mean=mean, variance=tuple(map(float, variance)))
        targets = train.targets()
    elif data_input.kind == "table":
        columns = (
            known.input.columns if known else learn_columns(data_input.columns, train, prepare, texts, preset)
        )
        data_input, targets = replace(data_input, columns=columns), train.targets()
    elif spec.task != "segmentation":
        targets = train.targets()
    if spec.task in LANGUAGE_TASKS:
        # Its targets are the tokens of its input: `token_targets.described` adds them.
        _refuse_target_scale(spec, prepare)
        return replace(spec, input=data_input, sizes=sizes)
    if spec.target.tasks:
        target = _several(spec, targets, prepare)
        return replace(spec, input=data_input, target=target, sizes=sizes)
    if spec.task != "regression":
        _refuse_target_scale(spec, prepare)
        counts = pixel_counts(spec, train) if spec.task == "segmentation" else target_counts(spec, targets)
        target = replace(target, counts=counts)
        if spec.task == "segmentation" and not any(target.counts):
            raise DataError(
                f"dataset: every pixel of the training masks of {spec.name} is ignored; there is nothing to "
                "learn, mend the masks or `ignore`"
            )
        if not any(target.counts):
            raise DataError(
                f"dataset: no example of the training split of {spec.name} has any label; there is nothing "
                "to learn, take other examples"
            )
    else:
        target = replace(target, mean=_finite_mean(targets, spec, "target", target.names))
        target = _scaled_target(target, targets, prepare.target.scale)
    return replace(spec, input=data_input, target=target, sizes=sizes)


def _several(spec: DataSpec, targets: np.ndarray, prepare: Prepare) -> TargetSpec:
    """The statistics of several tasks, of each as if it were the only one."""
    if all(part.task != "regression" for part in spec.parts):
        _refuse_target_scale(spec, prepare)
    tasks = []
    for place, (one, part) in enumerate(zip(spec.target.tasks, spec.parts, strict=True)):
        own, target = one_target(part, targets, place), part.target
        if part.task == "regression":
            target = replace(target, mean=_finite_mean(own, spec, "target", target.names))
            target = _scaled_target(target, own, prepare.target.scale)
        else:
            target = replace(target, counts=target_counts(part, own))
        tasks.append(replace(one, target=target))
    return replace(spec.target, tasks=tuple(tasks))


def _refuse_target_scale(spec: DataSpec, prepare: Prepare) -> None:
    if prepare.target.scale != "none":
        raise DataError(
            f"dataset.prepare.target.scale: `{prepare.target.scale}` is for regression, but {spec.name} "
            f"is for {spec.task}; leave it `none`"
        )


def target_counts(spec: DataSpec, targets: np.ndarray) -> tuple[int, ...]:
    """Examples of each class, or with each label.

    Args:
        spec: of a classification or of labels.
        targets: class indices (n,), or (n, labels) of 0 and 1.
    """
    import numpy as np

    if spec.task == "classification":
        return tuple(np.bincount(targets, minlength=spec.outputs).tolist())
    return tuple(np.count_nonzero(targets, axis=0).tolist())


def pixel_counts(spec: DataSpec, split: SplitData) -> tuple[int, ...]:
    """Pixels of each class in the masks of a split, without those that are ignored."""
    import numpy as np

    counts = np.zeros(256, np.int64)
    for masks in mask_batches(split):
        counts += sum(np.bincount(mask.ravel(), minlength=256) for mask in masks)
    return tuple(counts[: spec.outputs].tolist())


def mask_batches(split: SplitData) -> Iterator[np.ndarray]:
    """The masks of a split (m, height, width) uint8, some at a time: all may be too many for the memory."""
    size = max(1, MASK_BYTES // math.prod(split.source.spec.target.shape))
    for part in split.parts:
        for start in range(0, part.size, size):
            yield split.source.targets(Part(part.base, part.indices[start : start + size]))


def _refuse_preparation(spec: DataSpec, prepare: Prepare) -> None:
    for name in sorted(prepare.model_fields_set - {"target"}):
        if getattr(prepare, name) != Prepare.model_fields[name].default:
            raise DataError(
                f"dataset.prepare.{name}: is for tables, but {spec.name} gives {spec.input.kind} inputs, "
                "which "
                "the model scales itself; leave it out"
            )


def _over_time(train: SplitData, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (features,) float64 of sequences, over their steps, too: of the last axis.

    Batch by batch, for sequences may not fit in memory (Chan, Golub and LeVeque 1983, equation 1.5).
    """
    import numpy as np

    count, mean, squares = 0, np.zeros(features), np.zeros(features)
    for inputs, _ in train.batches():
        rows = np.asarray(inputs, np.float64).reshape(-1, features)
        change = rows.mean(axis=0) - mean
        whole = count + len(rows)
        squares += rows.var(axis=0) * len(rows) + change**2 * count * len(rows) / whole
        mean = mean + change * len(rows) / whole
        count = whole
    return mean, squares / count


def _finite_mean(array: np.ndarray, spec: DataSpec, what: str, names: Sequence[str]) -> tuple[float, ...]:
    mean = tuple(map(float, array.mean(axis=0, dtype="float64")))
    wrong = [names[i] for i, value in enumerate(mean) if not math.isfinite(value)]
    if wrong:
        raise DataError(
            f"dataset: {spec.name} holds numbers that are not finite (NaN or infinity) in the training "
            f"split, {what} {', '.join(wrong[:5])}{' and others' if len(wrong) > 5 else ''}; fill or drop "
            "them"
        )
    return mean


def _scaled_target(target: TargetSpec, targets: np.ndarray, scale: str) -> TargetSpec:
    import numpy as np

    if scale == "none":
        return target
    values = targets.astype(np.float64)
    if scale == "log":
        values = np.sign(values) * np.log1p(np.abs(values))
    deviation = values.std(axis=0)
    factor = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 1.0)
    return replace(
        target,
        scaling="log" if scale == "log" else "standardize",
        shift=tuple(map(float, values.mean(axis=0))),
        factor=tuple(map(float, factor)),
    )


def _refuse_hidden(spec: DataSpec, prepare: Prepare) -> None:
    asked = {"text": prepare.text.hidden} | {
        f"columns.{name}": keys.get("hidden") for name, keys in prepare.columns.items()
    }
    for place, share in asked.items():
        if share is not None and spec.task != "masked_language_model":
            raise DataError(
                f"dataset.prepare.{place}.hidden: {share} is the share of the tokens that a "
                f"masked_language_model has to find, but {spec.name} is for {spec.task}; leave it out"
            )
