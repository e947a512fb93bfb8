"""Evaluation of masks: image by image, so that the probabilities of all pixels never lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bigmodel_cli import assembly, plots, rundir
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import IGNORED, DataSpec
from bigmodel_cli.data import contents
from bigmodel_cli.data.pipeline import evaluation_batches
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.evaluation.grouping import TRUE_CLASS, members
from bigmodel_cli.evaluation.outcome import Evaluation, LeftOut
from bigmodel_cli.evaluation.subject import Subject
from bigmodel_cli.evaluation.worst_examples import COUNT, WorstExample
from bigmodel_cli.metrics import (
    PixelCounts,
    SegmentationReport,
    group_scores,
    mask_columns,
    segmentation_metrics,
)
from bigmodel_cli.plots import Theme
from bigmodel_cli.plots.masks import IMAGES

PROBABILITY_BYTES = 64 * 2**20
"""Of a batch's probabilities, at most, unless one image has more."""
_NAMED = 10
_NO_LINEAR = "no linear model: it gives one class for an image, and masks have one for each pixel"


@dataclass(frozen=True, eq=False)
class _Seen:
    """Images for which the model gives finite numbers.

    Attributes:
        counts: of these images.
        positions: of them in the split (n,).
        left_out: positions of the others (m,).
    """

    counts: PixelCounts
    positions: np.ndarray
    left_out: np.ndarray


def evaluate_masks(restored: Restored, subject: Subject, by: Sequence[str], theme: Theme) -> Evaluation:
    """Measure a run for segmentation; see `stage.evaluate`.

    Raises:
        UsageError: a column to group by that is not there.
        DataError: no output is finite, or no pixel counts.
    """
    spec, run, split = restored.spec, restored.run, subject.split
    if TRUE_CLASS in by:
        raise UsageError(f"--by {TRUE_CLASS}: an image has several classes; name a column")
    memberships = [(column, members(column, split, spec, np.empty(0))) for column in by]
    seen = _see(restored, subject)
    report = segmentation_metrics(
        seen.counts, spec.target.names, train_counts=spec.target.counts, seed=restored.config.seed
    )
    folder = run.evaluation(subject.name)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{restored.config.name}, {subject.title}"
    ids, scores = subject.ids[seen.positions], seen.counts.of_images()
    # An image without a pixel that counts is not a bad one.
    worst = np.argsort(np.nan_to_num(scores["mean_iou"], nan=np.inf), kind="stable")
    _write_rows(folder / "predictions.parquet", ids, seen.counts, spec)
    pictures = _pictures(restored, subject, seen, report, worst, folder, title, theme)
    left = seen.left_out
    evaluation = Evaluation(
        run, subject.name, subject.title, folder, report, None, None, None,
        tuple(
            group_scores(column, names, membership[seen.positions], mask_columns(seen.counts),
                         seed=restored.config.seed)
            for column, (names, membership) in memberships
        ),
        LeftOut(len(left), tuple(subject.ids[left[:_NAMED]].tolist())) if len(left) else None, None,
        tuple(
            WorstExample(
                ids[place].item() if hasattr(ids[place], "item") else ids[place],
                _shares(seen.counts.true[place], spec), _shares(seen.counts.predicted[place], spec),
                float(scores["mean_iou"][place]), {},
            )
            for place in worst[:COUNT] if np.isfinite(scores["mean_iou"][place])
        ),
        tuple(pictures),
        (*subject.notes, *_left_out(subject, seen), _NO_LINEAR),
        subject.record,
    )  # fmt: skip
    rundir.write_json(folder / "metrics.json", evaluation.to_json())
    return evaluation


def _see(restored: Restored, subject: Subject) -> _Seen:
    """Predict and count, batch by batch.

    Raises:
        DataError: no output is finite.
    """
    spec = restored.spec
    fits = PROBABILITY_BYTES // (4 * int(np.prod(spec.output_shape)))
    size = max(1, min(assembly.BATCH_SIZE, fits))
    parts, finite = [], []
    with data_errors_told():
        for images, masks in evaluation_batches(subject.split, batch_size=size, keeping=subject.keeping):
            probabilities = np.asarray(restored.model.predict_on_batch(images))
            good = np.isfinite(probabilities).all(axis=(1, 2, 3))
            finite.append(good)
            parts.append(_count(probabilities[good], masks.numpy()[good], spec))
    known = np.concatenate(finite)
    if not known.any():
        raise DataError(
            f"{restored.run}: none of the {len(known):,} predictions on the {subject.title} is finite: the "
            "model diverged, or the inputs are not finite; train again with a lower learning rate"
        )
    return _Seen(PixelCounts.joined(parts), np.flatnonzero(known), np.flatnonzero(~known))


def _count(probabilities: np.ndarray, masks: np.ndarray, spec: DataSpec) -> PixelCounts:
    predicted = np.asarray(keras.ops.argmax(probabilities, axis=-1))
    true = np.where(masks == IGNORED, 0, masks)[..., None]
    own = np.take_along_axis(probabilities, true, axis=-1)[..., 0]
    return PixelCounts.of(masks, predicted, own, spec.outputs)


def _left_out(subject: Subject, seen: _Seen) -> list[str]:
    if not len(seen.left_out):
        return []
    first = ", ".join(map(str, subject.ids[seen.left_out[:_NAMED]]))
    more = ", ..." if len(seen.left_out) > _NAMED else ""
    return [
        f"left out: {len(seen.left_out):,} of {subject.split.size:,} images, whose predictions are not "
        f"finite: {first}{more}"
    ]


def _shares(pixels: np.ndarray, spec: DataSpec) -> str:
    """`background 88%, circle 12%` of the pixels of each class (classes,)."""
    total = max(1, int(pixels.sum()))
    order = [index for index in np.argsort(-pixels, kind="stable") if pixels[index]]
    return ", ".join(f"{spec.target.names[index]} {pixels[index] / total:.0%}" for index in order[:5])


def _write_rows(path: Path, ids: np.ndarray, counts: PixelCounts, spec: DataSpec) -> None:
    """A row an image: its scores, and its pixels of each class, true, predicted and right."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {"id": ids, **counts.of_images(), "loss_sum": counts.losses}
    for kind, pixels in (("true", counts.true), ("predicted", counts.predicted), ("right", counts.right)):
        columns |= {f"{kind}_{name}": pixels[:, index] for index, name in enumerate(spec.target.names)}
    rundir.write_atomically(path, lambda temporary: parquet.write_table(pa.table(columns), temporary))


def _pictures(
    restored: Restored,
    subject: Subject,
    seen: _Seen,
    report: SegmentationReport,
    worst: np.ndarray,
    folder: Path,
    title: str,
    theme: Theme,
) -> list[Path]:
    names = restored.spec.target.names
    rows = [
        (item.iou.value, item.iou.low, item.iou.high) if item.iou else (np.nan,) * 3
        for item in report.classes
    ]
    scores, support = np.array(rows), np.array([item.support for item in report.classes])
    found = [
        plots.mask_bars(scores, support, names, folder / "classes.png", title=title, theme=theme),
        plots.confusion_matrix(
            report.confusion, names, folder / "confusion_matrix.png", title=title, unit="pixels", theme=theme
        ),
        plots.confusion_matrix(
            report.confusion, names, folder / "confusion_matrix_normalised.png", title=title, normalised=True,
            unit="pixels", theme=theme,
        ),
    ]  # fmt: skip
    iou = seen.counts.of_images()["mean_iou"]
    for name, chosen, what in (
        ("predictions", np.arange(min(IMAGES, len(iou))), ""),
        ("worst", worst[:IMAGES], ": the images with the lowest mean IoU"),
    ):
        images, masks, predicted = _shown(restored, subject, seen.positions[chosen])
        captions = [
            f"mean IoU {iou[place]:.2f}" if np.isfinite(iou[place]) else "all pixels ignored"
            for place in chosen
        ]
        found.append(
            plots.mask_grid(
                images, predicted, folder / f"{name}.png",
                class_names=names, title=f"{title}{what}", true=masks, captions=captions, theme=theme,
            )
        )  # fmt: skip
    return found


def _shown(
    restored: Restored, subject: Subject, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, true and predicted masks at positions of the split, in their order."""
    order = np.argsort(positions)
    images, masks = contents.picked(subject.split, positions[order]).arrays()
    back = np.argsort(order)
    predicted = [restored.model.predict_on_batch(image[None])[0].argmax(axis=-1) for image in images]
    return images[back], masks[back], np.array(predicted)[back]
