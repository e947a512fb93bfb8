import datetime

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.tables import parquet_reading
from bigmodel_cli.data.tables.parquet_files import parquet
from bigmodel_cli.errors import DataError

N = 40
TABLE = pa.table(
    {
        "i": pa.array([i % 7 for i in range(N)], pa.int8()),
        "b": [i % 2 == 0 if i else None for i in range(N)],
        "d": [datetime.date(2024, 1, 1 + i % 28) for i in range(N)],
        "c": pa.array([f"k{i}" for i in range(N)]).dictionary_encode(),
        "t": [f"words of row {i}" for i in range(N)],
        "l": [[i] for i in range(N)],
        "a.b": [i / 4 if i else None for i in range(N)],
        "y": [i * 0.5 for i in range(N)],
    }
)


@pytest.fixture
def put(tmp_path):
    def write(table=TABLE, name="t.parquet", **options):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path, **options)
        return path

    return write


def test_kinds_follow_from_the_types(put):
    source = parquet(0, path=str(put()), target="y")
    assert {column.name: column.kind for column in source.spec.input.columns} == {
        "i": "numeric",
        "b": "boolean",
        "d": "date",
        "c": "categorical",
        "t": "text",
        "a.b": "numeric",
    }
    assert (source.spec.origin, source.spec.task) == ("Parquet", "regression")
    assert any("`l`: holds list" in note for note in source.notes)


def test_raw_cells(put, monkeypatch):
    monkeypatch.setattr(parquet_reading, "BATCH_ROWS", 7)
    source = parquet(0, path=str(put(row_group_size=15)), target="y")
    inputs, targets = source.arrays(Part("all", np.array([0, 1, 39])))
    assert inputs["i"].tolist() == [0, 1, 4]
    assert np.isnan(inputs["b"][0])
    assert inputs["b"][1:].tolist() == [0, 0]
    assert inputs["d"][1] == 1704067200 + 86400
    assert inputs["c"].tolist() == [b"k0", b"k1", b"k39"]
    assert inputs["a.b"][1:].tolist() == [0.25, 9.75]
    assert targets.tolist() == [[0], [0.5], [19.5]]
    (batch,) = source.batches(Part("all", np.array([0, 1, 39])))
    assert batch[0]["t"].numpy().tolist() == inputs["t"].tolist()


def test_declared_kinds(put):
    path = str(put())
    source = parquet(0, path=path, target="y", columns={"i": "categorical", "b": "categorical"})
    inputs, _ = source.arrays(Part.range("all", 0, 3))
    assert inputs["i"].tolist() == [b"0", b"1", b"2"]
    assert inputs["b"].tolist() == [b"", b"false", b"true"]
    with pytest.raises(
        DataError, match=r"`i` is declared date, and the file holds int8; it can be numeric or"
    ):
        parquet(0, path=path, target="y", columns={"i": "date"})
    with pytest.raises(
        DataError, match=r"t\.parquet, row 1: column `t`: `words of row 0` is not a finite number"
    ):
        parquet(0, path=path, target="y", columns={"t": "numeric"})


def test_classes(put):
    path = str(put())
    assert parquet(0, path=path, target="i").spec.target.names == ("0", "1", "2", "3", "4", "5", "6")
    source = parquet(0, path=path, target="b", drop_missing="target")
    assert source.spec.target.names == ("false", "true")
    assert source.sizes == {"all": N - 1}
    with pytest.raises(DataError, match="`l` holds list"):
        parquet(0, path=path, target="l")


def test_strings_that_stand_for_missing(put):
    path = str(put(pa.table({"s": ["u", "NA", "v", "u"], "n": ["1", "?", "2", "3"], "y": [0, 1, 0, 1]})))
    source = parquet(0, path=path, target="y", drop_missing=["s"])
    assert source.sizes == {"all": 3}
    assert source.values("all", "n").tolist() == [1, 2, 3]


def test_files_of_different_types(put):
    put(pa.table({"n": [1, 2], "y": [0, 1]}), "d/1.parquet")
    path = put(pa.table({"n": [0.5], "y": [1]}), "d/2.parquet")
    assert parquet(0, path=str(path.parent), target="y").values("all", "n").tolist() == [1, 2, 0.5]
    put(pa.table({"n": ["a"], "y": [1]}), "d/2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: column `n` is string, in .*1\.parquet it is int64"):
        parquet(0, path=str(path.parent), target="y")
    # A column without any value has no type of its own.
    put(pa.table({"n": pa.nulls(1), "y": [1]}), "d/2.parquet")
    assert np.isnan(parquet(0, path=str(path.parent), target="y").values("all", "n")[2])


def test_what_is_no_parquet(write, put):
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read as Parquet"):
        parquet(0, path=str(write("a.parquet", "a,b\n1,2\n")), target="y")
    with pytest.raises(DataError, match="has no rows"):
        parquet(0, path=str(put(TABLE.slice(0, 0))), target="y")
