"""TFDS sets whose target is a mask, as that of oxford_iiit_pet."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.contracts import IGNORED, Part
from bigmodel_cli.data.tfds import tfds
from bigmodel_cli.errors import DataError

CLASSES = {"pet": 1, "background": 2, "border": 3}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """`pets`: images of varying sizes, whose red channel is their mask; `named`: masks with names."""
    import tensorflow as tf
    import tensorflow_datasets as real

    folder = tmp_path_factory.mktemp("tfds")
    features, random = real.features, np.random.default_rng(0)

    def store(name, sizes, mask):
        masks = [
            np.kron(random.integers(1, 4, (2, 2)), np.ones(size))[..., None].astype(np.uint8)
            for size in sizes
        ]
        channels = {"image": 3, "mask": 1}
        signature = {key: tf.TensorSpec((None, None, count), tf.uint8) for key, count in channels.items()}
        data = tf.data.Dataset.from_generator(
            lambda: ({"image": np.repeat(m, 3, -1), "mask": m} for m in masks), output_signature=signature
        )
        image = features.Image(shape=(*mask.shape[:2], 3))
        real.dataset_builders.store_as_tfds_dataset(
            name=name, version="1.0.0", features=features.FeaturesDict({"image": image, "mask": mask}),
            split_datasets={"train": data}, data_dir=folder,
        )  # fmt: skip

    store("pets", [(4, 5), (3, 3), (6, 2)], features.Image(shape=(None, None, 1), use_colormap=True))
    store("named", [(4, 4)] * 3, features.LabeledImage(labels=["a", "b", "c", "d"], shape=(8, 8, 1)))
    return str(folder)


def test_a_mask_is_resized_with_its_image(data_dir):
    source = tfds(
        0, dataset="pets", data_dir=data_dir, inputs="image", target="mask", image_size=[8, 8],
        mask_classes=CLASSES,
    )  # fmt: skip
    images, masks = source.arrays(Part.range("train", 0, 3))
    assert source.spec.task == "segmentation"
    assert source.spec.target.names == tuple(CLASSES)
    assert masks.shape == (3, 8, 8)
    # The corners keep the values of the quarters.
    for row, column in ((0, 0), (0, 7), (7, 0), (7, 7)):
        assert (images[:, row, column, 0] == masks[:, row, column] + 1).all()
    assert (source.targets(Part.range("train", 0, 3)) == masks).all()


def test_255_is_ignored_and_another_value_an_error(data_dir):
    some = {"pet": 1, "background": 2}
    with pytest.raises(Exception, match=r"a mask of `pets` has the value 3, which is none of pet: 1"):
        tfds(
            0, dataset="pets", data_dir=data_dir, inputs="image", target="mask", image_size=[8, 8],
            mask_classes=some,
        ).targets(Part.range("train", 0, 3))  # fmt: skip
    from bigmodel_cli.data.tfds_features import classes_of_values

    read = classes_of_values({"a": 4, "b": 0}, "t", "mask")
    assert read(np.array([0, 4, 255])).tolist() == [1, 0, IGNORED]


def test_names_of_the_set(data_dir):
    source = tfds(0, dataset="named", data_dir=data_dir, inputs="image", target="mask")
    images, masks = source.arrays(Part.range("train", 0, 3))
    assert source.spec.target.names == ("a", "b", "c", "d")
    assert (images[..., 0] == masks).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"dataset": "pets", "image_size": [8, 8]},
            "dataset.mask_classes: the target `mask` of `pets` is an image",
        ),
        ({"dataset": "pets", "mask_classes": CLASSES}, "vary in size"),
        ({"dataset": "named", "mask_classes": {"a": 1, "b": 1}}, "say which, each once"),
    ],
)
def test_mistakes(settings, message, data_dir):
    with pytest.raises(DataError, match=message):
        tfds(0, data_dir=data_dir, inputs="image", target="mask", **settings)
