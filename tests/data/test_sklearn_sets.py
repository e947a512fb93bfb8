import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data import sklearn_sets


def everything(source):
    return source.arrays(Part.range("all", 0, source.sizes["all"]))


def test_digits_are_images_over_the_whole_grey_range():
    source = sklearn_sets.digits(0)
    images, labels = everything(source)
    assert images.shape == (1797, 8, 8, 1)
    assert images.dtype == np.uint8
    # 0 to 16 in steps of one, spread over 0 to 255.
    assert np.unique(images).tolist() == [round(v * 255 / 16) for v in range(17)]
    assert source.spec.input.kind == "image"
    assert source.spec.target.names == tuple("0123456789")
    assert labels[:10].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("name", "examples", "features", "classes"),
    [
        ("iris", 150, 4, ("setosa", "versicolor", "virginica")),
        ("wine", 178, 13, ("class_0", "class_1", "class_2")),
        ("breast_cancer", 569, 30, ("malignant", "benign")),
    ],
)
def test_tables_of_classes(name, examples, features, classes):
    source = getattr(sklearn_sets, name)(0)
    inputs, labels = everything(source)
    assert inputs.shape == (examples, features)
    assert inputs.dtype == np.float32
    assert len(source.spec.input.names) == features
    assert source.spec.target.names == classes
    assert all(type(text) is str for text in (*source.spec.input.names, *source.spec.target.names))
    assert set(labels.tolist()) == set(range(len(classes)))


def test_diabetes_is_a_regression_in_raw_units():
    source = sklearn_sets.diabetes(0)
    inputs, targets = everything(source)
    assert source.spec.task == "regression"
    assert source.spec.target.names == ("disease_progression",)
    assert targets.shape == (442, 1)
    assert (targets.min(), targets.max()) == (25, 346)
    ages = inputs[:, source.spec.input.names.index("age")]
    assert (ages.min(), ages.max()) == (19, 79)
