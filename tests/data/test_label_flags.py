import numpy as np
import pytest

from bigmodel_cli.data.array_meaning import learn
from bigmodel_cli.errors import DataError

PLACES = {"train": "x.npz (y_train)", "test": "x.npz (y_test)"}
ROWS = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1]], np.int64)


def labels(*arrays, task="multi_label", names=None):
    return learn(dict(zip(PLACES, arrays, strict=False)), places=PLACES, task=task, class_names=names)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float64"])
def test_rows_of_zeros_and_ones(dtype):
    found = labels(ROWS.astype(dtype), ROWS[:2].astype(dtype))
    assert found.task == "multi_label"
    assert found.spec.shape == (3,)
    assert found.spec.dtype == found.targets["train"].dtype == "float32"
    assert found.spec.names == ("0", "1", "2")
    assert (found.targets["train"] == ROWS).all()
    assert found.targets["test"].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_names_are_given():
    assert labels(ROWS, names=["a", "b", "c"]).spec.names == ("a", "b", "c")


def test_what_auto_takes():
    flags = labels(ROWS.astype(bool), task="auto")
    assert flags.task == "multi_label"
    assert "set dataset.task to change it" in flags.notes[0]
    values = labels(ROWS, task="auto")
    assert values.task == "regression"
    assert "for labels: dataset.task: multi_label" in values.notes[0]
    assert labels(np.eye(3, dtype=bool), task="auto").task == "classification"


@pytest.mark.parametrize(
    ("array", "names", "message"),
    [
        (
            ROWS * 2,
            ["a", "b", "c"],
            r"x.npz \(y_train\): the target of example 0 is 2 for the label `b` \(column 1\)",
        ),
        (ROWS[:, 0], None, "the targets are int64 .3,., but `multi_label` needs .*; for one class"),
        (ROWS.astype(str), None, "the targets are <U21 .3, 3., but `multi_label` needs"),
        (ROWS, ["a", "b"], "dataset.class_names: 2 names for the 3 labels"),
        (ROWS, ["a", "b", "a"], "dataset.class_names: `a` is there twice"),
    ],
)
def test_what_are_no_labels(array, names, message):
    with pytest.raises(DataError, match=message):
        labels(array, names=names)
