"""The pictures of a config's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from bigmodel_cli import assembly, plots
from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import LANGUAGE_TASKS, Mixing
from bigmodel_cli.data import contents
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data_report.description import Description, Sample, cells_of, imbalance
from bigmodel_cli.data_report.speed import settled
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.plots import Array, ColumnPanel
from bigmodel_cli.single_tasks import data_of
from bigmodel_cli.targets import LABEL_SEPARATOR, joined_labels

COLUMNS_DRAWN = 24
AUGMENTED, FORMS = 8, 5
"""Images of which augmented forms are drawn, and how many of each."""

GRID = 5
"""Rows and columns of the images that are drawn without augmentation."""


def draw(config: Config, data: Data, report: Description, sampled: Sample, folder: Path) -> tuple[Path, ...]:
    """Draw samples of images, the balance of classes or the targets, and the columns of a table.

    Raises:
        UsageError: the folder cannot be written to.
        DataError: augmentations that do not fit the data.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        if data.spec.input.kind == "image":
            pictures.append(_draw_samples(config, data, folder / "samples.png"))
        for place, task in enumerate(report.tasks):
            alone = replace(report, task=task.task, names=task.names, splits=task.splits)
            pictures.append(_draw_target(data_of(data, place), alone, folder, f"_{task.key}"))
        if not report.tasks:
            pictures.append(_draw_target(data, report, folder, ""))
        if report.columns:
            pictures.append(_draw_columns(data, report, sampled, folder / "columns.png"))
    except OSError as error:
        raise UsageError(
            f"--output {folder}: cannot be written to ({error.strerror}); name another folder"
        ) from None
    return tuple(pictures)


def _draw_samples(config: Config, data: Data, path: Path) -> Path:
    augmentations = [settled(item) for item in assembly.augmentations(config)]
    mixing = any(isinstance(item.function, Mixing) for item in augmentations)
    if mixing and data.spec.task != "classification":
        raise DataError("dataset.augment: images are mixed for classification only")
    train = data.splits["train"]
    images, targets = _varied(data, train, AUGMENTED if augmentations else GRID**2, config.seed)
    name = _title(config.name, data.spec.name)
    if not augmentations:
        images = _with_masks(data, images, targets)
        columns = min(GRID, len(images))
        rows = len(images) // columns
        captions = _captions(data, targets)
        return plots.sample_grid(
            images[: rows * columns].reshape(rows, columns, *images.shape[1:]),
            [captions[row * columns : (row + 1) * columns] for row in range(rows)],
            path,
            title=f"{name}: training images",
        )
    encoded = np.eye(data.spec.outputs, dtype=np.float32)[targets] if mixing else targets
    rows_drawn, captions_drawn = [_with_masks(data, images, targets)], [_captions(data, targets)]
    with tf.device("CPU:0"):
        for form in range(FORMS):
            changed, mixed = tf.constant(images), tf.constant(encoded)
            for place, item in enumerate(augmentations):
                key = tf.random.fold_in(tf.constant([config.seed, form], tf.int32), place)
                changed, mixed = item(changed, mixed, tf.constant(0, tf.int64), key)
            if changed.shape != images.shape:
                raise DataError(
                    f"dataset.augment: gives inputs of shape {tuple(changed.shape[1:])} instead of "
                    f"{images.shape[1:]}"
                )
            rows_drawn.append(_with_masks(data, changed.numpy(), mixed.numpy()))
            # The class of an image that is not mixed stands above its column.
            captions_drawn.append(_captions(data, mixed.numpy()) if mixing else [""] * len(images))
    names = ", ".join(item.name for item in config.dataset.augment)
    return plots.sample_grid(
        np.stack(rows_drawn),
        captions_drawn,
        path,
        title=f"{name}: training images, and {FORMS} forms of each by {names}",
        row_names=("original", *["augmented"] * FORMS),
    )


def _with_masks(data: Data, images: Array, targets: Array) -> Array:
    """Images, with their masks laid over them where they have any."""
    return plots.overlaid(images, targets, data.spec.outputs) if data.spec.task == "segmentation" else images


def _title(config: str, dataset: str) -> str:
    return config if config == dataset else f"{config}, {dataset}"


def _varied(data: Data, split: SplitData, count: int, seed: int) -> tuple[Array, Array]:
    """Random examples, as many of one class as of another while there are any, in the order of classes."""
    order = np.random.default_rng([seed, 4]).permutation(split.size)
    if data.spec.task == "classification":
        drawn = split.targets()[order]
        sorted_by_class = np.argsort(drawn, kind="stable")
        # How many of its class were drawn before each.
        begins = np.searchsorted(drawn[sorted_by_class], drawn[sorted_by_class])
        rank = np.empty(len(drawn), np.int64)
        rank[sorted_by_class] = np.arange(len(drawn)) - begins
        order = order[np.argsort(rank, kind="stable")]
    positions = np.sort(order[:count])
    images, targets = contents.picked(split, positions).arrays()
    by_class = np.argsort(targets, kind="stable") if data.spec.task == "classification" else slice(None)
    return images[by_class], targets[by_class]


def _captions(data: Data, targets: Array) -> list[str]:
    """Class names, shares of several classes, labels, or values."""
    names = data.spec.target.names
    if data.spec.task == "segmentation":
        return [""] * len(targets)
    if data.spec.task == "regression":
        return [", ".join(f"{value:.4g}" for value in row) for row in targets]
    if data.spec.task == "multi_label":
        return [text.replace(LABEL_SEPARATOR, "\n") or "no label" for text in joined_labels(targets, names)]
    if targets.ndim == 1:
        return [names[index] for index in targets]
    found = []
    for row in targets:
        ranked = [(row[index], names[index]) for index in np.argsort(-row, kind="stable")[:2]]
        rest = 1 - sum(share for share, _ in ranked)
        shares = [*ranked, (rest, "others")]
        found.append("\n".join(f"{share:.0%} {name}" for share, name in shares if share >= 0.005))
    return found


def _draw_target(data: Data, report: Description, folder: Path, suffix: str) -> Path:
    if data.spec.task != "regression":
        return _draw_classes(report, folder / f"classes{suffix}.png")
    return _draw_targets(data, report, folder / f"targets{suffix}.png")


def _draw_classes(report: Description, path: Path) -> Path:
    ratio = imbalance(report.splits[0].counts)
    what = "labels" if report.task == "multi_label" else "classes"
    if report.task in LANGUAGE_TASKS:
        what = "tokens"
    balance = "balanced" if ratio < 1.5 else f"the largest {ratio:,.1f} times the smallest"
    return plots.class_balance(
        {split.name: split.counts for split in report.splits},
        report.names,
        path,
        title=f"{_title(report.config, report.dataset)}: {len(report.names)} {what}, {balance} in train",
    )


def _draw_targets(data: Data, report: Description, path: Path) -> Path:
    what = report.names[0] if len(report.names) == 1 else f"{len(report.names)} targets"
    return plots.target_distributions(
        {name: split.targets() for name, split in data.splits.items()},
        report.names,
        path,
        title=f"{_title(report.config, report.dataset)}: distribution of {what}",
    )


def _draw_columns(data: Data, report: Description, sampled: Sample, path: Path) -> Path:
    panels = []
    for (column, cells), item in zip(cells_of(data, sampled), report.columns[:COLUMNS_DRAWN], strict=False):
        found, missing = item.contents, ""
        if found.missing:
            missing = (
                f", {item.missing_share:.1%} missing" if item.missing_share >= 0.001 else ", some missing"
            )
        kind = {"text": "words of a text", "image": "mean pixel of an image"}.get(column.kind, column.kind)
        values: Array | None = None
        bars: Sequence[tuple[str, int]] = ()
        present = contents.present(column, cells)
        if found.frequent:
            bars = found.frequent
            rest = found.distinct - len(bars)
            if column.kind == "categorical" and rest:
                bars = (*bars, (f"({rest:,} others)", len(present) - sum(count for _, count in bars)))
        elif column.kind == "text":
            values = contents.words(present)
        elif column.kind == "image":
            values = present.mean(axis=(1, 2, 3))
        elif column.kind == "date":
            values = present.astype("datetime64[s]")
        elif column.kind != "categorical":
            values = present
        panels.append(ColumnPanel(column.name, kind + missing, values, bars))
    one = f"the column {report.columns[0].contents.name}"
    what = f"{len(report.columns):,} columns" if len(report.columns) > 1 else one
    some = "" if sampled.size == report.splits[0].examples else f" (a sample of {sampled.size:,} examples)"
    return plots.column_grid(
        panels,
        path,
        title=f"{_title(report.config, report.dataset)}: {what} in train{some}",
        left_out=[column.contents.name for column in report.columns[COLUMNS_DRAWN:]],
    )
