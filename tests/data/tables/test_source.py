import numpy as np
import pytest

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.contracts import Part
from bigmodel_cli.data.tables import delimited
from bigmodel_cli.data.tables import source as table
from bigmodel_cli.data.tables.csv_files import csv
from bigmodel_cli.errors import DataError

TEXT = "n,c,d,t,id,y\n" + "".join(
    f"{i / 4},{'uvw'[i % 3]},2024-01-{i % 28 + 1:02},some words of row {i},k{i},{'no' if i % 2 else 'yes'}\n"
    for i in range(100)
)


@pytest.fixture
def path(write):
    return write("t.csv", TEXT)


@pytest.fixture
def source(path):
    return csv(0, path=str(path), target="y")


def collected(source, part):
    batches = list(source.batches(part))
    inputs = {
        name: np.concatenate([batch[0][name].numpy() for batch in batches])
        for name in source.spec.input.names
    }
    return inputs, np.concatenate([batch[1].numpy() for batch in batches])


def test_spec(source):
    spec = source.spec
    assert (spec.name, spec.origin, spec.task) == ("t.csv", "CSV", "classification")
    assert spec.input.kind == "table"
    assert spec.input.shape == (4,)
    assert [(column.name, column.kind) for column in spec.input.columns] == [
        ("n", "numeric"),
        ("c", "categorical"),
        ("d", "date"),
        ("t", "text"),
    ]
    assert (spec.target.shape, spec.target.dtype, spec.target.names) == ((), "int32", ("no", "yes"))
    assert source.sizes == {"all": 100}
    # A number, a date, two strings of 1 and about 20 characters, a class.
    assert source.example_bytes == 4 + 8 + 16 + 1 + 16 + 20 + 4
    assert source.lookup("all") is None


def test_arrays_are_raw_cells(source):
    inputs, targets = source.arrays(Part("all", np.array([0, 5, 99])))
    assert inputs["n"].dtype == np.float32
    assert inputs["n"].tolist() == [0, 1.25, 24.75]
    assert inputs["c"].tolist() == [b"u", b"w", b"u"]
    assert inputs["d"].tolist() == [1704067200, 1704067200 + 5 * 86400, 1704067200 + 15 * 86400]
    assert inputs["t"].tolist() == [b"some words of row 0", b"some words of row 5", b"some words of row 99"]
    assert targets.dtype == np.int32
    assert targets.tolist() == [1, 0, 0]
    assert source.targets(Part("all", np.array([5]))).tolist() == [0]


def test_missing_cells(write):
    text = "n,b,c,d,t,y\n1,yes,u,2024-01-01,a b c,0\n,,,,,1\n"
    inputs, _ = csv(0, path=str(write("m.csv", text)), target="y").arrays(Part.range("all", 0, 2))
    assert np.isnan(inputs["n"][1])
    assert inputs["b"][0] == 1
    assert np.isnan(inputs["b"][1])
    assert (inputs["c"][1], inputs["d"][1], inputs["t"][1]) == (b"", MISSING_DATE, b"")


@pytest.mark.parametrize("indices", [np.arange(100), np.arange(30, 60), np.array([0, 7, 98])])
def test_the_stream_holds_the_same_as_the_arrays(source, indices, monkeypatch):
    # Several blocks of the file, and several batches of the stream.
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 500)
    monkeypatch.setattr(table, "BATCH_ROWS", 20)
    part = Part("all", indices)
    arrays, targets = source.arrays(part)
    streamed, streamed_targets = collected(source, part)
    for name, values in arrays.items():
        assert streamed[name].tolist() == values.tolist()
        assert len(values) == len(indices)
    assert streamed_targets.tolist() == targets.tolist()
    assert arrays["n"].tolist() == (indices / 4).tolist()


def test_the_stream_can_be_read_again(source):
    stream = source.batches(Part.range("all", 0, 10))
    assert len(list(stream)) == len(list(stream)) == 1
    assert stream.element_spec[1].dtype == "int32"


def test_positions_count_the_rows_kept(path):
    path.write_text("n,y\n1,0\n,1\n3,0\n3,0\n5,1\n")
    source = csv(0, path=str(path), target="y", drop_missing="any", drop_duplicates=True)
    assert source.sizes == {"all": 3}
    assert source.arrays(Part.range("all", 0, 3))[0]["n"].tolist() == [1, 3, 5]
    inputs, targets = source.arrays(Part("all", np.array([0, 2])))
    assert (inputs["n"].tolist(), targets.tolist()) == ([1, 5], [0, 1])
    assert source.values("all", "n").tolist() == [1, 3, 5]


def test_several_files_are_one_base_split(write):
    for number in range(3):
        path = write(f"d/{number}.csv", "n,y\n" + "".join(f"{10 * number + i},{i % 2}\n" for i in range(4)))
    source = csv(0, path=str(path.parent), target="y")
    inputs, targets = source.arrays(Part("all", np.array([1, 2, 9])))
    assert (inputs["n"].tolist(), targets.tolist()) == ([1, 2, 21], [1, 0, 1])


def test_values_of_any_column(source):
    assert source.values("all", "id")[:2].tolist() == ["k0", "k1"]
    assert source.values("all", "y")[:2].tolist() == ["yes", "no"]
    assert source.values("all", "n").dtype == np.float64
    assert source.values("all", "d").dtype == np.int64
    with pytest.raises(DataError, match=r"t\.csv has no column `x` to divide by; there are `n`"):
        source.values("all", "x")


def test_an_ignored_column_of_mixed_cells_is_texts(write):
    path = write("t.csv", "g,n,y\n1,5,0\n2,6,1\n")
    source = csv(0, path=str(path), target="y", columns={"g": "ignore"})
    assert source.values("all", "g").tolist() == [1, 2]
    path.write_text("g,n,y\n1,5,0\nx,6,1\n")
    assert source.values("all", "g").tolist() == ["1", "x"]


def test_the_fingerprint_follows_files_and_options(path):
    def fingerprint(**options):
        return csv(0, path=str(path), target="y", **options).fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint(columns={"n": "ignore"}) != first
    assert fingerprint(missing_values=["k5"]) != first
    path.write_text(TEXT + "1,u,2024-01-01,more words,k,no\n")
    assert fingerprint() != first


def test_files_that_change_or_vanish(source, path):
    import tensorflow as tf

    part, stream = Part.range("all", 0, 100), source.batches(Part.range("all", 0, 100))
    for text in (TEXT + "1,u,2024-01-01,more words,k,no\n", TEXT[: len(TEXT) // 2].rpartition("\n")[0]):
        path.write_text(text)
        with pytest.raises(DataError, match=r"t\.csv: has changed"):
            source.arrays(part)
    path.unlink()
    with pytest.raises(DataError, match=r"t\.csv: cannot be read: No such file"):
        source.arrays(part)
    with pytest.raises(DataError, match="cannot be read"):
        source.fingerprint()
    with pytest.raises(tf.errors.OpError, match=r"DataError: .*t\.csv: cannot be read: No such file"):
        list(stream)
