"""The synthetic shapes: seeded, all classes, and masks that fit the images."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.images.shapes import CLASSES, shapes
from bigmodel_cli.errors import DataError

WHOLE = Part.range("all", 0, 40)


def test_seeded_and_with_all_classes():
    images, masks = shapes(0, examples=40, image_size=(24, 32)).arrays(WHOLE)
    assert images.shape == (40, 24, 32, 3)
    assert masks.shape == (40, 24, 32)
    assert np.unique(masks).tolist() == list(range(len(CLASSES)))
    again = shapes(0, examples=60, image_size=(24, 32)).arrays(WHOLE)
    assert (again[0] == images).all()
    assert (again[1] == masks).all()
    assert (shapes(1, examples=40, image_size=(24, 32)).arrays(WHOLE)[0] != images).any()


@pytest.mark.parametrize("turned", [False, True])
def test_shapes_stand_out(turned):
    images, masks = shapes(0, examples=40, most_shapes=1, noise=0, turned=turned).arrays(WHOLE)
    for image, mask in zip(images, masks, strict=True):
        colors = [np.unique(image[mask == index], axis=0) for index in np.unique(mask)]
        assert all(len(color) == 1 for color in colors), "one colour each"
        if len(colors) == 2:
            assert np.abs(colors[0].astype(int) - colors[1]).max() >= 75
    areas = {kind: (masks == kind).sum(axis=(1, 2)) for kind in (1, 2, 3)}
    whole = {kind: found[found > 0].max() for kind, found in areas.items()}
    assert whole[1] > whole[2] > whole[3], "of one outer radius"


def test_too_many_for_the_memory(monkeypatch):
    monkeypatch.setattr("bigmodel_cli.devices.available_memory", lambda: 1000)
    with pytest.raises(DataError, match="fewer examples or a smaller image_size"):
        shapes(0)
