"""Predicted masks in the size of their images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.data.images.decoding import resized
from bigmodel_cli.prediction.masks import clear, folder_of, in_size

QUARTERS = np.kron([[1, 2], [3, 0]], np.ones((12, 20))).astype(np.uint8)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(16, 16), (8, 32), (24, 10)])
def test_the_way_back(resize, size):
    """A mask that went the way of the images, and back, lies where it was."""
    seen = np.asarray(resized(Image.fromarray(QUARTERS), size, resize, IGNORED))
    back = in_size(seen, (40, 24), resize)
    assert back.shape == QUARTERS.shape
    known = back != IGNORED
    # To the nearest pixel of the smaller one of both.
    assert (back == QUARTERS)[known].mean() > 0.9
    if resize == "crop":
        rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
        assert abs(rows[0] - (23 - rows[-1])) <= 1
        assert abs(columns[0] - (39 - columns[-1])) <= 1
        assert not known.all()
    else:
        assert known.all()


def test_equal_sizes_stay():
    assert in_size(QUARTERS, (40, 24), "pad") is QUARTERS


def test_the_folder_beside_the_file(tmp_path):
    assert folder_of(tmp_path / "p.csv") == tmp_path / "p_masks"


def test_only_earlier_masks_are_cleared(tmp_path):
    for name in ("000001_x.png", "mine.png", "000002_x.txt"):
        (tmp_path / name).touch()
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000002_x.txt", "mine.png"]
    clear(tmp_path / "absent")
