"""Folders of images and masks: pairs, splits, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bigmodel_cli.contracts import IGNORED, Part
from bigmodel_cli.data.images.segmentation_folder import segmentation_folder
from bigmodel_cli.errors import DataError

NAMES = ["ground", "road", "car"]


def fill(folder, count=6, size=(8, 10), seed=0, masks=(0, 1, 2, 255)):
    """Images and masks; the green channel of a pixel is 60 times its class."""
    random = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind / "town").mkdir(parents=True)
    for number in range(count):
        mask = np.kron(random.choice(masks, (2, 2)), np.ones((size[0] // 2, size[1] // 2))).astype(np.uint8)
        image = np.stack([mask, mask * 60, mask], axis=-1)
        Image.fromarray(image).save(folder / f"images/town/{number}.png")
        Image.fromarray(mask).save(folder / f"masks/town/{number}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "pool")


def read(source, base="all"):
    return source.arrays(Part.range(base, 0, source.sizes[base]))


class TestRead:
    def test_images_with_their_masks(self, folder):
        source = segmentation_folder(0, path=str(folder), class_names=NAMES)
        images, masks = read(source)
        assert source.spec.task == "segmentation"
        assert source.spec.input.shape == (8, 10, 3)
        assert source.spec.target.shape == (8, 10)
        assert source.spec.target.names == tuple(NAMES)
        assert (np.where(masks == IGNORED, 255, masks) == images[..., 0]).all()
        assert (source.targets(Part("all", np.array([4, 1]))) == masks[[4, 1]]).all()
        looked, found = source.lookup("all")(tf.constant([4, 1], tf.int64))
        assert (looked.numpy() == images[[4, 1]]).all()
        assert (found.numpy() == masks[[4, 1]]).all()
        assert source.values("all", "folder").tolist() == ["town"] * 6

    def test_classes_are_found(self, folder):
        source = segmentation_folder(0, path=str(folder))
        assert source.spec.target.names == ("0", "1", "2")
        assert any("dataset.class_names names them" in note for note in source.notes)

    def test_nothing_is_ignored_unless_asked_for(self, folder):
        with pytest.raises(DataError, match=r"has the value 255 at row \d+, column \d+"):
            segmentation_folder(0, path=str(folder), class_names=NAMES, ignore=None)

    def test_resized_together(self, folder):
        source = segmentation_folder(0, path=str(folder), class_names=NAMES, image_size=[4, 20], resize="pad")
        images, masks = read(source)
        assert images.shape == (6, 4, 20, 3)
        assert masks.shape == (6, 4, 20)
        # 8 x 10 becomes 4 x 5 in the middle.
        assert (masks[:, :, :7] == IGNORED).all()
        # Their corners have the values of the quarters, unblended.
        for row, column in np.ndindex(2, 2):
            place = (slice(None), 3 * row, 7 + 4 * column)
            assert (masks[place] == images[(*place, 0)]).all()

    def test_colors(self, tmp_path):
        folder = fill(tmp_path, masks=(0, 1))
        for path in folder.glob("masks/town/*.png"):
            mask = np.asarray(Image.open(path))
            Image.fromarray(np.where(mask[..., None] > 0, (200, 0, 9), (1, 1, 1)).astype(np.uint8)).save(path)
        colors = {"ignore": [1, 1, 1], "car": [200, 0, 9], "road": [0, 0, 0]}
        source = segmentation_folder(0, path=str(folder), colors=colors)
        images, masks = read(source)
        assert source.spec.target.names == ("car", "road")
        assert (masks == np.where(images[..., 1] == 60, 0, IGNORED)).all()
        assert source.notes[-1] == "no mask has the class road"

    @pytest.mark.parametrize("inside", [False, True])
    def test_splits(self, inside, tmp_path):
        for seed, name in enumerate(("train", "val")):
            fill(tmp_path / name, seed=seed)
        if inside:
            for kind in ("images", "masks"):
                (tmp_path / kind).mkdir()
                for name in ("train", "val"):
                    (tmp_path / name / kind).rename(tmp_path / kind / name)
        source = segmentation_folder(0, path=str(tmp_path), class_names=NAMES)
        assert source.sizes == {"train": 6, "validation": 6}

    def test_the_fingerprint_knows_the_masks(self, folder):
        first = segmentation_folder(0, path=str(folder), class_names=NAMES).fingerprint()
        assert segmentation_folder(0, path=str(folder), class_names=NAMES).fingerprint() == first
        Image.fromarray(np.ones((8, 10), np.uint8)).save(folder / "masks/town/0.png")
        assert segmentation_folder(0, path=str(folder), class_names=NAMES).fingerprint() != first


class TestMistakes:
    def test_an_image_without_a_mask(self, folder):
        (folder / "masks/town/3.png").unlink()
        with pytest.raises(DataError, match=r"1 image without a mask .*town/3\.png"):
            segmentation_folder(0, path=str(folder))

    def test_a_mask_without_an_image(self, folder):
        (folder / "images/town/3.png").unlink()
        with pytest.raises(DataError, match=r"1 mask without a image .*town/3\.png"):
            segmentation_folder(0, path=str(folder))

    def test_masks_as_jpeg(self, folder):
        (folder / "masks/town/3.png").rename(folder / "masks/town/3.jpg")
        with pytest.raises(DataError, match="a JPEG does not keep their values"):
            segmentation_folder(0, path=str(folder))

    def test_another_size(self, folder):
        Image.fromarray(np.zeros((8, 9), np.uint8)).save(folder / "masks/town/3.png")
        with pytest.raises(
            DataError, match=r"masks/town/3.png has 9 x 8 pixels, but its image .* has 10 x 8"
        ):
            segmentation_folder(0, path=str(folder))

    def test_a_value_beyond_the_classes(self, folder):
        with pytest.raises(DataError, match=r"town/\d.png has the value 2 at row"):
            segmentation_folder(0, path=str(folder), class_names=NAMES[:2])

    @pytest.mark.parametrize(("value", "message"), [(0, "all masks are empty"), (255, "which is ignored")])
    def test_empty_masks(self, value, message, tmp_path):
        with pytest.raises(DataError, match=message):
            segmentation_folder(0, path=str(fill(tmp_path, masks=(value,))))

    def test_no_such_folders(self, tmp_path):
        (tmp_path / "pictures").mkdir()
        with pytest.raises(DataError, match=r"needs the folders `images` and `masks`.*it has pictures"):
            segmentation_folder(0, path=str(tmp_path))

    def test_a_mask_that_vanishes(self, folder):
        source = segmentation_folder(0, path=str(folder), class_names=NAMES)
        (folder / "masks/town/3.png").unlink()
        with pytest.raises(DataError, match=r"town/3.png cannot be read as a mask"):
            read(source)

    def test_names_twice(self, folder):
        with pytest.raises(DataError, match=r"`car` is there twice"):
            segmentation_folder(0, path=str(folder), class_names=["car", "car"])
        both = {"a": [0, 0, 0], "b": [0, 0, 0]}
        with pytest.raises(DataError, match=r"colors.b: \[0, 0, 0\] is there twice"):
            segmentation_folder(0, path=str(folder), colors=both)
        with pytest.raises(DataError, match=r"leave dataset\.class_names out"):
            segmentation_folder(0, path=str(folder), colors=both, class_names=NAMES)
