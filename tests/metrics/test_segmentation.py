"""Metrics of masks, held against scikit-learn on flattened pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics import (
    PixelCounts,
    mask_columns,
    scores_of_masks,
    segmentation_metrics,
    shares_of_pixels,
)
from bigmodel_cli.metrics.groups import group_scores

NAMES = ("ground", "road", "car", "sky")


@pytest.fixture(scope="module")
def seen():
    """Masks with ignored pixels, predictions that are right in about 70%, and probabilities."""
    random = np.random.default_rng(0)
    masks = random.choice(3, (40, 6, 5), p=(0.6, 0.3, 0.1)).astype(np.uint8)
    predicted = np.where(random.random(masks.shape) < 0.7, masks, random.integers(0, 3, masks.shape))
    masks[random.random(masks.shape) < 0.1] = IGNORED
    return masks, predicted, random.uniform(0.2, 0.9, masks.shape)


@pytest.fixture(scope="module")
def counts(seen):
    masks, predicted, own = seen
    halves = [
        PixelCounts.of(masks[part], predicted[part], own[part], 4) for part in (slice(25), slice(25, 40))
    ]
    return PixelCounts.joined(halves)


@pytest.fixture(scope="module")
def report(counts):
    return segmentation_metrics(counts, NAMES, train_counts=(60, 30, 10, 5), seed=1)


def test_equal_to_scikit_learn(seen, counts, report):
    masks, predicted, own = seen
    known = masks != IGNORED
    true, found = masks[known], predicted[known]
    scores = {name: interval.value for name, interval in report.scores.items()}
    expected = {
        "mean_iou": sklearn.jaccard_score(true, found, average="macro"),
        "mean_dice": sklearn.f1_score(true, found, average="macro"),
        "pixel_accuracy": sklearn.accuracy_score(true, found),
        "frequency_weighted_iou": sklearn.jaccard_score(true, found, average="weighted"),
        "loss": -np.log(own[known]).mean(),
    }
    assert scores == pytest.approx(expected, abs=1e-6)
    each = sklearn.jaccard_score(true, found, average=None)
    assert [item.iou.value for item in report.classes[:3]] == pytest.approx(list(each), abs=1e-6)
    dice = sklearn.f1_score(true, found, average=None)
    assert [item.dice.value for item in report.classes[:3]] == pytest.approx(list(dice), abs=1e-6)
    for name in ("precision", "recall"):
        values = getattr(sklearn, f"{name}_score")(true, found, average=None)
        assert [getattr(item, name).value for item in report.classes[:3]] == pytest.approx(list(values))
    assert (report.confusion[:3, :3] == sklearn.confusion_matrix(true, found)).all()
    assert report.pixels == known.sum() == report.confusion.sum()


def test_a_class_that_is_nowhere_is_undefined(report):
    absent = report.classes[3]
    assert (absent.support, absent.iou, absent.dice, absent.recall) == (0, None, None, None)
    assert "no pixel is or is taken for sky: undefined" in report.notes[0]
    assert "NaN" not in json.dumps(report.to_json())


def test_a_class_that_is_only_predicted_counts_as_zero(seen):
    masks, predicted, own = seen
    some = np.where(predicted == 2, 3, predicted)
    report = segmentation_metrics(
        PixelCounts.of(masks, some, own, 4), NAMES, train_counts=(1, 1, 1, 1), seed=0
    )
    known = masks != IGNORED
    expected = sklearn.jaccard_score(masks[known], some[known], average="macro", zero_division=0)
    assert report.scores["mean_iou"].value == pytest.approx(expected)
    assert report.classes[3].iou.value == 0
    assert any("no pixel is sky, but some are taken for it" in note for note in report.notes)
    assert any("never predicted: car" in note for note in report.notes)


def test_the_interval_is_over_images(seen):
    """Images that are right or wrong as a whole: the interval is that of a mean of so many coin tosses."""
    masks = np.zeros((50, 20, 20), np.uint8)
    masks[:, :10] = 1
    predicted = masks.copy()
    predicted[:25] = 1 - predicted[:25]
    counts = PixelCounts.of(masks, predicted, np.full(masks.shape, 0.5), 2)
    accuracy = segmentation_metrics(counts, "ab", train_counts=(1, 2), seed=3).scores["pixel_accuracy"]
    assert accuracy.value == 0.5
    assert accuracy.high - accuracy.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 50), rel=0.2)
    again = segmentation_metrics(counts, "ab", train_counts=(1, 2), seed=3).scores["pixel_accuracy"]
    assert again == accuracy


def test_the_baseline_is_the_most_frequent_class(seen, report):
    masks = seen[0]
    known = masks[masks != IGNORED]
    assert report.baseline.description.startswith("ground everywhere")
    assert report.baseline.scores["pixel_accuracy"] == pytest.approx((known == 0).mean())
    expected = sklearn.jaccard_score(known, np.zeros_like(known), average="macro", zero_division=0)
    assert report.baseline.scores["mean_iou"] == pytest.approx(expected)
    shares = np.array([60, 30, 10, 5]) / 105
    assert report.baseline.scores["loss"] == pytest.approx(-np.log(shares[known]).mean())


def test_images_one_by_one_and_in_groups(seen, counts):
    masks, predicted, _ = seen
    found = scores_of_masks(masks, predicted.astype(np.uint8), 4)
    assert found["mean_iou"] == pytest.approx(counts.of_images()["mean_iou"])
    known = masks[7] != IGNORED
    assert found["mean_iou"][7] == pytest.approx(
        sklearn.jaccard_score(masks[7][known], predicted[7][known], average="macro", zero_division=0)
    )
    groups = group_scores("day", ["mon", "tue"], np.arange(40) % 2, mask_columns(counts), seed=0)
    assert groups.metric == "mean_iou"
    first = PixelCounts.of(masks[::2], predicted[::2], np.ones(masks[::2].shape), 4)
    value = segmentation_metrics(first, NAMES, train_counts=(1, 1, 1, 1), seed=0).scores["mean_iou"].value
    assert groups.groups[0].scores["mean_iou"].value == pytest.approx(value)


def test_ignored_images_and_shares():
    masks = np.full((2, 3, 3), IGNORED, np.uint8)
    assert np.isnan(scores_of_masks(masks, np.zeros_like(masks), 2)["mean_iou"]).all()
    with pytest.raises(DataError, match="every pixel of these masks is ignored"):
        segmentation_metrics(
            PixelCounts.of(masks, np.zeros(masks.shape, int), np.ones(masks.shape), 2), "ab",
            train_counts=(1, 1), seed=0,
        )  # fmt: skip
    assert shares_of_pixels(np.array([[[0, 1], [1, 1]]], np.uint8), 3).tolist() == [[0.25, 0.75, 0]]
