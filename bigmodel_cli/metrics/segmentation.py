"""Metrics of a model that says of each pixel which class it belongs to.

The intersection over union of a class is that of Jaccard (1912), its Dice that of Dice (1945) and Sorensen
(1948), which is F1; the mean and frequency-weighted IoU are those of Long, Shelhamer and Darrell, Fully
Convolutional Networks for Semantic Segmentation, 2015, section 5. All pixels of a split count together, as in
Keras' MeanIoU and scikit-learn on flattened masks; ignored pixels do not count. A class that is neither there
nor predicted has no score, and the means leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics.baseline import Baseline
from bigmodel_cli.metrics.checks import listed, require_examples
from bigmodel_cli.metrics.groups import Columns
from bigmodel_cli.metrics.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    Ints,
    bounds,
    interval_or_none,
    mean_of_defined,
    or_none,
    resampled_means,
)
from bigmodel_cli.metrics.measured import EPSILON

_OF_EACH = ("iou", "dice", "precision", "recall")


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """What masks and predictions come down to, image by image.

    Attributes:
        right: pixels of each class that are found (n, classes).
        true: pixels of each class (n, classes).
        predicted: counted pixels that each class is predicted for (n, classes).
        losses: cross-entropy, summed over the counted pixels, nats (n,).
        confusion: of all pixels together (classes, classes), rows the true class.
    """

    right: Ints
    true: Ints
    predicted: Ints
    losses: Floats
    confusion: Ints

    @classmethod
    def of(
        cls, masks: NDArray[np.uint8], predicted: NDArray[np.integer[Any]], own: Floats, classes: int
    ) -> PixelCounts:
        """Count some images.

        Args:
            masks: true classes (n, height, width); `IGNORED` pixels do not count.
            predicted: classes (n, height, width).
            own: probability of the true class of each pixel (n, height, width); of ignored ones anything.
            classes: how many.
        """
        counted = masks != IGNORED
        # A cell for each image and pair of classes; those of ignored pixels are left out.
        image = np.arange(len(masks))[:, None, None]
        cells = ((image * classes + masks) * classes + predicted)[counted]
        tables = np.bincount(cells, minlength=len(masks) * classes**2)
        tables = tables.reshape(len(masks), classes, classes)
        logs = -np.log(np.clip(own, EPSILON, 1 - EPSILON, dtype=np.float64))
        return cls(
            np.diagonal(tables, axis1=1, axis2=2),
            tables.sum(axis=2),
            tables.sum(axis=1),
            np.where(counted, logs, 0).sum(axis=(1, 2)),
            tables.sum(axis=0),
        )

    @classmethod
    def joined(cls, parts: Sequence[PixelCounts]) -> PixelCounts:
        """Those of several parts, at least one, in order."""
        right, true, predicted, losses = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("right", "true", "predicted", "losses")
        )
        confusion = np.sum([part.confusion for part in parts], axis=0)
        return cls(right, true, predicted, losses, confusion)

    def __len__(self) -> int:
        return len(self.losses)

    def columns(self) -> Floats:
        """What the scores are made of, as means over images: (n, 1 + 3 * classes)."""
        return np.concatenate([self.losses[:, None], self.right, self.true, self.predicted], axis=1)

    def of_images(self) -> dict[str, Floats]:
        """`mean_iou`, `pixel_accuracy` and `loss` of each image (n,); NaN where no pixel counts."""
        found = mask_scores(self.columns())
        return {name: found[name] for name in ("mean_iou", "pixel_accuracy", "loss")}


@dataclass(frozen=True)
class ClassOfPixels:
    """How well one class is found.

    Attributes:
        name: of the class.
        support: its pixels.
        predicted: pixels that it is predicted for.
        iou: intersection over union; None where the class is neither there nor predicted.
        dice: twice the intersection over the sum of both; None as before.
        precision: right share of `predicted`; None for a class that is never predicted.
        recall: right share of `support`; None for a class without pixels.
    """

    name: str
    support: int
    predicted: int
    iou: Interval | None
    dice: Interval | None
    precision: Interval | None
    recall: Interval | None


@dataclass(frozen=True, eq=False)
class SegmentationReport:
    """Metrics of masks.

    Attributes:
        examples: number of images.
        pixels: that are counted.
        resamples: bootstrap resamples of the images behind the intervals.
        seed: of the resampling.
        scores: mean_iou and mean_dice (means over the classes that have one), pixel_accuracy (right share of
            all pixels), frequency_weighted_iou (mean weighted by the pixels of each class), loss
            (cross-entropy in nats, mean over the pixels).
        classes: each class on its own, in order.
        confusion: pixels (classes, classes), rows the true class.
        baseline: the most frequent class of the training pixels, everywhere.
        notes: what could not be computed, and why.
    """

    examples: int
    pixels: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    classes: tuple[ClassOfPixels, ...]
    confusion: Ints
    baseline: Baseline
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        document = {"task": "segmentation", "confidence": CONFIDENCE, **asdict(self)}
        document |= {"classes": list(document["classes"]), "notes": list(self.notes)}
        return {**document, "confusion": self.confusion.tolist()}


def segmentation_metrics(
    counts: PixelCounts,
    class_names: Sequence[str],
    *,
    train_counts: Sequence[int],
    seed: int,
    resamples: int = 1000,
) -> SegmentationReport:
    """Judge predicted masks; the intervals are over images, whose pixels are not independent.

    Args:
        counts: of the held-out images.
        class_names: in index order.
        train_counts: pixels of each class in the training split, for the baseline.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no images, or no pixel that counts.
    """
    require_examples(len(counts))
    pixels = int(counts.true.sum())
    if not pixels:
        raise DataError(
            "every pixel of these masks is ignored: there is nothing to measure; take other masks"
        )
    columns = counts.columns()
    value = mask_scores(columns.mean(axis=0, keepdims=True))
    drawn = mask_scores(resampled_means(np.random.default_rng(seed), columns, resamples))
    scores = {name: interval_or_none(value[name][0], drawn[name]) for name in value if name not in _OF_EACH}
    classes = _classes(counts, class_names, value, drawn)
    return SegmentationReport(
        len(counts),
        pixels,
        resamples,
        seed,
        scores,
        classes,
        counts.confusion,
        _most_frequent(counts, class_names, np.asarray(train_counts, np.int64)),
        tuple(_notes(classes)),
    )


def scores_of_masks(true: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> dict[str, Floats]:
    """`mean_iou` and `pixel_accuracy` of each image (n,); NaN where every pixel is ignored.

    Args:
        true: masks (n, height, width).
        predicted: likewise.
        classes: how many.
    """
    found = PixelCounts.of(true, predicted, np.ones(true.shape), classes).of_images()
    return {name: found[name] for name in ("mean_iou", "pixel_accuracy")}


def shares_of_pixels(masks: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """Share of the pixels of each class (n, classes) in predicted masks (n, height, width)."""
    pixels = PixelCounts.of(masks, masks, np.ones(masks.shape), classes).true
    return (pixels / masks[0].size).astype(np.float32) if len(masks) else np.zeros((0, classes), np.float32)


def mask_columns(counts: PixelCounts) -> Columns:
    """What the scores of groups of images are made of."""

    def scores(means: Floats) -> dict[str, Floats]:
        found = mask_scores(means)
        return {name: found[name] for name in ("mean_iou", "pixel_accuracy", "loss")}

    return counts.columns(), scores


def mask_scores(means: Floats) -> dict[str, Floats]:
    """Scores (resamples,), and of each class (resamples, classes); what is undefined is NaN.

    Args:
        means: of `PixelCounts.columns`, (resamples, 1 + 3 * classes).
    """
    right, true, predicted = np.split(means[:, 1:], 3, axis=1)
    pixels, union = true.sum(axis=1), true + predicted - right
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, dice = right / union, 2 * right / (true + predicted)
        weighted = np.where(true > 0, true * iou, 0).sum(axis=1) / pixels
        return {
            "mean_iou": mean_of_defined(iou),
            "mean_dice": mean_of_defined(dice),
            "pixel_accuracy": right.sum(axis=1) / pixels,
            "frequency_weighted_iou": weighted,
            "loss": means[:, 0] / pixels,
            "iou": iou,
            "dice": dice,
            "precision": right / predicted,
            "recall": right / true,
        }


def _classes(
    counts: PixelCounts, names: Sequence[str], value: Mapping[str, Floats], drawn: Mapping[str, Floats]
) -> tuple[ClassOfPixels, ...]:
    limits = {name: np.atleast_2d(bounds(drawn[name])) for name in _OF_EACH}
    support, predicted = counts.true.sum(axis=0), counts.predicted.sum(axis=0)

    def score(name: str, index: int) -> Interval | None:
        found, (low, high) = value[name][0, index], limits[name][:, index]
        return None if np.isnan(found) else Interval(float(found), float(low), float(high))

    return tuple(
        ClassOfPixels(
            name, int(support[index]), int(predicted[index]), *(score(key, index) for key in _OF_EACH)
        )
        for index, name in enumerate(names)
    )


def _most_frequent(counts: PixelCounts, names: Sequence[str], train_counts: Ints) -> Baseline:
    """What the most frequent class of the training pixels reaches everywhere, and the loss of the shares."""
    most, support = int(train_counts.argmax()), counts.true.sum(axis=0)
    there = np.arange(len(names)) == most
    shares = np.clip(train_counts / train_counts.sum(), EPSILON, 1 - EPSILON)
    loss = -(support * np.log(shares)).sum()
    right, predicted = np.where(there, support, 0), np.where(there, support.sum(), 0)
    found = mask_scores(np.concatenate([[loss], right, support, predicted])[None])
    return Baseline(
        f"{names[most]} everywhere, the most frequent class of the training pixels; loss of their shares",
        {name: or_none(values[0]) for name, values in found.items() if name not in _OF_EACH},
    )


def _notes(classes: Sequence[ClassOfPixels]) -> list[str]:
    notes = []
    if nowhere := [item.name for item in classes if not item.support and not item.predicted]:
        notes.append(f"no pixel is or is taken for {listed(nowhere)}: undefined, and left out of the means")
    if absent := [item.name for item in classes if not item.support and item.predicted]:
        notes.append(
            f"no pixel is {listed(absent)}, but some are taken for it: its IoU is 0 and counts in the means"
        )
    if never := [item.name for item in classes if item.support and not item.predicted]:
        notes.append(f"never predicted: {listed(never)}")
    return notes
