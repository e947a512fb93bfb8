import sys

import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.own_function import function
from bigmodel_cli.errors import DataError

MODULE = """
import numpy as np

x = np.arange(12.0).reshape(6, 2)
y = np.array([0, 1, 2, 0, 1, 2])

def pair(scale=1):
    return x * scale, y

def lists():
    return [[1, 2], [3, 4], [5, 6]], ["b", "a", "b"]

def splits():
    return {"train": (x, y), "test": (x[:3], y[:3])}

def keras_form():
    return (x, y), (x[:3], y[:3])

def pictures():
    return np.zeros((4, 5, 6), np.uint8), np.array([0, 1, 0, 1])

def source():
    from bigmodel_cli.data.sklearn_sets import iris
    return iris(0)

class Half:
    spec = None
    def batches(self): ...

def nothing(): ...
def one_array(): return x
def three(): return x, y, y
def text(): return "data.csv"
def mapping(): return {"train": x}
def text_inputs(): return "abc", y
def ragged(): return [[1], [1, 2]], y
def no_lengths(): return x, y[:4]
def frame():
    import pandas
    return pandas.DataFrame({"a": [1, 2], "b": [0, 1]})
def twice():
    import pandas
    return pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
def arrow_twice():
    import pyarrow
    return pyarrow.table([[1, 2], [3, 4]], names=["a", "a"])
def other_columns():
    import pyarrow
    return {"train": pyarrow.table({"a": [1], "b": [2]}), "test": pyarrow.table({"a": [1], "c": [2]})}
def other_types():
    import pyarrow
    return {"train": pyarrow.table({"a": [1], "b": [2]}), "test": pyarrow.table({"a": [1], "b": ["x"]})}
def frames():
    import pandas, pyarrow
    rows = {"size": [1.5, 2, None, 4] * 3, "kind": ["b", "a", "NA", "b"] * 3, "price": [1, 2, 3, 4] * 3}
    return {"train": pandas.DataFrame(rows, index=range(5, 17)), "test": pyarrow.table(rows)}
def broken(path):
    return np.load(path)
constant = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """`own("pair", ...)` builds the dataset from a function of a module in the current folder."""
    name = f"my_data_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda fn, **parameters: function(0, function=f"{name}:{fn}", **parameters)
    sys.modules.pop(name, None)


def everything(source, base="all"):
    return source.arrays(Part.range(base, 0, source.sizes[base]))


def test_two_arrays(own):
    source = own("pair", arguments={"scale": 2})
    inputs, labels = everything(source)
    assert inputs.tolist() == (np.arange(12).reshape(6, 2) * 2).tolist()
    assert inputs.dtype == np.float32
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert source.spec.name == "pair"
    assert source.spec.origin.endswith(":pair")
    assert "3 distinct whole numbers as targets are taken as classes" in source.notes[0]


def test_lists(own):
    source = own("lists")
    assert source.spec.target.names == ("a", "b")
    assert everything(source)[1].tolist() == [1, 0, 1]


@pytest.mark.parametrize("name", ["splits", "keras_form"])
def test_several_splits(own, name):
    source = own(name)
    assert source.sizes == {"train": 6, "test": 3}
    assert everything(source, "test")[1].tolist() == [0, 1, 2]


def test_images_and_what_the_config_says_of_them(own):
    assert own("pictures").spec.input.shape == (5, 6, 1)
    source = own("pictures", kind="tabular", task="regression")
    assert source.spec.input.shape == (5, 6)
    assert source.spec.task == "regression"
    assert own("pictures", class_names=["cat", "dog"]).spec.target.names == ("cat", "dog")


def test_a_source_is_taken_as_it_is(own):
    source = own("source")
    assert source.spec.name == "iris"
    with pytest.raises(DataError, match=r"dataset.task: .* returns a source, which says that itself"):
        own("source", task="regression")


@pytest.mark.parametrize(
    ("name", "returned"),
    [
        ("nothing", r"nothing \(None\)"),
        ("one_array", r"ndarray float64 \(6, 2\)"),
        ("three", r"a tuple of 3 \(ndarray float64 \(6, 2\), ndarray int64 \(6,\), ndarray int64 \(6,\)\)"),
        ("text", "str"),
        ("mapping", r"\{'train': ndarray float64 \(6, 2\)\}"),
        ("text_inputs", "str"),
    ],
)
def test_anything_else_is_refused(own, name, returned):
    with pytest.raises(DataError, match=rf"`my_data_.*:{name}` returned {returned}; expected are "):
        own(name)


def test_tables(own):
    source = own("frames", target="price", task="regression")
    assert source.sizes == {"train": 12, "test": 12}
    assert [(column.name, column.kind) for column in source.spec.input.columns] == [
        ("size", "numeric"),
        ("kind", "categorical"),
    ]
    for base in ("train", "test"):
        cells, prices = everything(source, base)
        # Null is missing; the text NA is not.
        assert cells["size"][:2].tolist() == [1.5, 2]
        assert np.isnan(cells["size"][2])
        assert cells["kind"][:4].tolist() == [b"b", b"a", b"NA", b"b"]
        assert prices[:4].tolist() == [[1], [2], [3], [4]]
    assert own("frames", target="kind").spec.target.names == ("NA", "a", "b")
    changed = own("frames", target="price", columns={"size": "ignore"})
    assert changed.spec.input.names == ("kind",)
    assert changed.fingerprint() != own("frames", target="price").fingerprint()
    assert own("frames", target="price").fingerprint() == own("frames", target="price").fingerprint()


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("frame", {}, "dataset.target: .* returns a table; name the column to predict, one of a, b"),
        ("frame", {"target": "a", "kind": "image"}, "dataset.kind: .* returns a table; leave it out"),
        ("twice", {"target": "a"}, "the data frame cannot be read: Duplicate column names"),
        ("arrow_twice", {"target": "a"}, "two columns are called `a`"),
        ("other_columns", {"target": "a"}, "different columns: train has a, b, test a, c"),
        ("other_types", {"target": "a"}, "returns tables whose columns differ in type: "),
        ("pair", {"target": "a"}, "dataset.target: only a table has columns"),
    ],
)
def test_what_is_only_for_tables_or_arrays(own, name, asked, message):
    with pytest.raises(DataError, match=message):
        own(name, **asked)


def test_half_a_source(own):
    with pytest.raises(DataError, match=r"a Half that is no whole source .* it lacks sizes, example_bytes"):
        own("Half")


def test_lists_that_are_no_arrays(own):
    with pytest.raises(DataError, match=r"returned a list that is no array: .*inhomogeneous"):
        own("ragged")


def test_arrays_that_do_not_fit_name_the_function(own):
    with pytest.raises(DataError, match=r"`my_data_\w+:no_lengths`: 6 inputs and 4 targets"):
        own("no_lengths")


def test_names_and_arguments_that_are_not_there(own):
    with pytest.raises(DataError, match=r"dataset.function: module `my_data_.*no `pear`; did you mean"):
        own("pear")
    with pytest.raises(DataError, match=r"dataset.arguments: .* takes \(scale=1\), but: .*'factor'"):
        own("pair", arguments={"factor": 2})
    with pytest.raises(DataError, match="is a int, not a function"):
        own("constant")
    with pytest.raises(DataError, match="`my_data` is not of the form package"):
        function(0, function="my_data")


def test_an_error_inside_of_the_function_has_its_place(own):
    with pytest.raises(DataError, match=r"failed in .*my_data_\w+\.py:58: FileNotFoundError: .*absent"):
        own("broken", arguments={"path": "absent"})
