import numpy as np
import pyarrow as pa
import pytest

from bigmodel_cli.data.tables import targets as table_targets
from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.data.tables.targets import LabelTargets, NumberTargets
from bigmodel_cli.errors import DataError

ALL = {"all": None}


def labels(*cells, kept=None):
    targets = LabelTargets("y", CellReader())
    targets.start("all")
    for part in cells:
        targets.add({"y": pa.array(part, pa.string())})
    return targets.finish({"all": kept})


def numbers(columns, classes=False):
    targets = NumberTargets(list(columns), classes)
    targets.start("all")
    targets.add({name: pa.array(cells, pa.float64()) for name, cells in columns.items()})
    return targets.finish(ALL)


def test_classes_are_sorted_over_all_batches():
    found = labels(["pear", "apple"], ["fig", "pear"])
    assert found.task == "classification"
    assert found.names == ("apple", "fig", "pear")
    assert found.values["all"].dtype == np.int32
    assert found.values["all"].tolist() == [2, 0, 1, 2]


def test_classes_that_are_numbers_are_sorted_as_such():
    found = labels(["10", "9", "9.0", "-1"])
    assert found.names == ("-1", "9", "10")
    assert found.values["all"].tolist() == [2, 1, 1, 0]
    # A leading zero makes a code of it.
    assert labels(["010", "9", "9"]).names == ("010", "9")


def test_a_class_of_dropped_rows_alone_is_none():
    found = labels(["a", "b", "c", "a"], kept=np.array([0, 2, 3]))
    assert found.names == ("a", "c")
    assert found.values["all"].tolist() == [0, 1, 0]


def test_missing_and_useless_labels():
    with pytest.raises(DataError, match="missing in 1 of 3 rows"):
        labels(["a", None, "b"])
    with pytest.raises(DataError, match="is `a` in every row"):
        labels(["a", "a"])
    with pytest.raises(DataError, match="all 3 values of `y` are different"):
        labels(["a", "b", "c"])


def test_too_many_classes(monkeypatch):
    monkeypatch.setattr(table_targets, "MOST_CLASSES", 2)
    with pytest.raises(DataError, match="more than 2 different values"):
        labels(["a", "b"], ["c"])


def test_few_whole_numbers_are_classes():
    found = numbers({"y": [3, 1, 3]}, classes=True)
    assert found.task == "classification"
    assert found.names == ("1", "3")
    assert found.values["all"].tolist() == [1, 0, 1]
    assert "dataset.task: regression" in found.remark


def test_many_or_broken_numbers_are_a_regression():
    many = numbers({"y": list(range(21))}, classes=True)
    assert many.task == "regression"
    assert "dataset.task: classification" in many.remark
    assert numbers({"y": [0.5, 1]}, classes=True).task == "regression"


def test_several_targets():
    found = numbers({"y": [0.5, 1], "z": [2, 3]})
    assert found.names == ("y", "z")
    assert found.values["all"].dtype == np.float32
    assert found.values["all"].tolist() == [[0.5, 2], [1, 3]]
    with pytest.raises(DataError, match="`z` is `2` in every row"):
        numbers({"y": [0.5, 1], "z": [2, 2]})
    with pytest.raises(DataError, match="`z` is missing in 1 of 2 rows"):
        numbers({"y": [0.5, 1], "z": [2, None]})
