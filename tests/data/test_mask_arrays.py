"""Arrays of masks beside arrays of images."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.data.array_meaning import interpret
from bigmodel_cli.errors import DataError

IMAGES = np.zeros((5, 4, 6, 3), np.uint8)


def meaning(masks, images=IMAGES, **settings):
    settings.setdefault("task", "segmentation")
    return interpret({"all": (images, masks)}, name="t", origin="", places={"all": "t.npz"}, **settings)


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 4, 6, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_masks(shape, dtype):
    masks = np.random.default_rng(0).integers(0, 3, shape).astype(dtype)
    masks[0, 0] = IGNORED
    found = meaning(masks)
    assert found.spec.task == "segmentation"
    assert found.spec.target.shape == (4, 6)
    assert found.spec.target.names == ("0", "1", "2")
    assert found.bases["all"][1].dtype == np.uint8
    assert (found.bases["all"][1] == masks.reshape(5, 4, 6)).all()
    assert meaning(masks, class_names=["a", "b", "c", "d"]).spec.target.names == ("a", "b", "c", "d")


def test_booleans_are_two_classes():
    assert meaning(np.ones((5, 4, 6), bool)).spec.target.names == ("0", "1")


@pytest.mark.parametrize(
    ("masks", "images", "message"),
    [
        (np.zeros((5, 4, 5), int), IMAGES, r"needs whole numbers \(examples, 4, 6\)"),
        (np.zeros((5, 4, 6)), IMAGES, "the targets are float64"),
        (np.zeros((5, 4, 6), int), IMAGES, "all masks are empty"),
        (np.full((5, 4, 6), -1), IMAGES, "mask of example 0 has the value -1 at row 0, column 0"),
        (np.full((5, 4, 6), 256), IMAGES, "has the value 256"),
        (np.zeros((5, 4, 6), int), np.zeros((5, 7), np.float32), "needs images"),
    ],
)
def test_mistakes(masks, images, message):
    with pytest.raises(DataError, match=message):
        meaning(masks, images)


def test_a_value_beyond_the_names():
    masks = np.zeros((5, 4, 6), int)
    masks[3, 2, 1] = 2
    with pytest.raises(DataError, match=r"mask of example 3 has the value 2 at row 2, column 1.* 0 to 1"):
        meaning(masks, class_names=["a", "b"])


def test_the_task_must_be_asked_for():
    with pytest.raises(DataError, match=r"masks of images with dataset.task: segmentation"):
        meaning(np.zeros((5, 4, 6), int), task="auto")
