"""Mask files: indices, palettes and colours, resized to the nearest pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.contracts import IGNORED
from bigmodel_cli.data.images.masks import Coding, read_mask
from bigmodel_cli.errors import DataError

MASK = np.array([[0, 1, 1], [2, 2, 7]], np.uint8)
PLAIN = Coding(3, {}, 7)
COLORS = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 0, 255): 2, (9, 9, 9): IGNORED}
EXPECTED = np.where(MASK == 7, IGNORED, MASK)


def saved(path, image):
    image.save(path)
    return str(path)


class TestIndices:
    def test_grey(self, tmp_path):
        assert (read_mask(saved(tmp_path / "m.png", Image.fromarray(MASK)), PLAIN) == EXPECTED).all()

    def test_palette(self, tmp_path):
        image = Image.fromarray(MASK)
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        path = saved(tmp_path / "m.png", image)
        with Image.open(path) as stored:
            assert stored.mode == "P"
        assert (read_mask(path, PLAIN) == EXPECTED).all()

    def test_one_bit_and_sixteen(self, tmp_path):
        bits = Image.fromarray((MASK > 0).astype(np.uint8) * 255).convert("1")
        found = read_mask(saved(tmp_path / "1.png", bits), Coding(2, {}, None))
        assert (found == (MASK > 0)).all()
        deep = Image.fromarray(np.where(MASK == 7, 4000, MASK.astype(np.uint16)))
        assert (read_mask(saved(tmp_path / "16.png", deep), Coding(3, {}, 4000)) == EXPECTED).all()

    def test_a_value_that_is_no_class(self, tmp_path):
        path = saved(tmp_path / "m.png", Image.fromarray(MASK))
        message = r"m\.png has the value 7 at row 1, column 2, but the classes are 0 to 2"
        with pytest.raises(DataError, match=message):
            read_mask(path, Coding(3, {}, None))

    def test_colours_where_indices_are_wanted(self, tmp_path):
        path = saved(tmp_path / "m.png", Image.fromarray(MASK).convert("RGB"))
        with pytest.raises(DataError, match=r"has colours .RGB., not indices of classes"):
            read_mask(path, PLAIN)


class TestColors:
    def test_each_is_a_class(self, tmp_path):
        table = np.array([*(color for color, _ in COLORS.items())], np.uint8)
        image = Image.fromarray(table[np.where(MASK == 7, 3, MASK)])
        assert (read_mask(saved(tmp_path / "m.png", image), Coding(3, COLORS, 255)) == EXPECTED).all()

    def test_an_unknown_one(self, tmp_path):
        path = saved(tmp_path / "m.png", Image.new("RGB", (2, 2), (1, 2, 3)))
        with pytest.raises(DataError, match=r"m.png has the colour \[1, 2, 3\] at row 0, column 0"):
            read_mask(path, Coding(3, COLORS, 255))


class TestSize:
    def test_no_class_is_made_up(self, tmp_path):
        big = np.kron(np.array([[0, 2], [2, 0]]), np.ones((20, 30))).astype(np.uint8)
        path = saved(tmp_path / "m.png", Image.fromarray(big))
        found = read_mask(path, PLAIN, (4, 6))
        assert (found == np.kron([[0, 2], [2, 0]], np.ones((2, 3)))).all()

    def test_padding_is_ignored(self, tmp_path):
        path = saved(tmp_path / "m.png", Image.fromarray(np.ones((4, 8), np.uint8)))
        found = read_mask(path, PLAIN, (8, 8), "pad")
        assert (found[2:6] == 1).all()
        assert (found[[0, 1, 6, 7]] == IGNORED).all()

    def test_crop_takes_the_middle(self, tmp_path):
        wide = np.zeros((4, 8), np.uint8)
        wide[:, 2:6] = 1
        path = saved(tmp_path / "m.png", Image.fromarray(wide))
        assert (read_mask(path, PLAIN, (4, 4), "crop") == 1).all()


def test_broken_files(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataError, match=r"m.png cannot be read as a mask"):
        read_mask(str(path), PLAIN)
