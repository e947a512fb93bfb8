import gzip
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bigmodel_cli.columns import Column
from bigmodel_cli.data.tables import delimited, new_rows
from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.data.tables.delimited import Delimited
from bigmodel_cli.data.tables.new_rows import read_rows
from bigmodel_cli.errors import DataError

COLUMNS = (Column("n", "numeric"), Column("c", "categorical"))


def joined(rows):
    """All batches as one: ids, errors, cells."""
    batches = list(rows)
    cells = {
        name: np.concatenate([batch.cells[name] for batch in batches]).tolist() for name in batches[0].cells
    }
    return [i for batch in batches for i in batch.ids], [e for batch in batches for e in batch.errors], cells


def test_columns_in_any_order_and_others_beside(write):
    path = write("new.csv", "x,c,y,n\n9,u,1, 2.5\n9,,0,\n")
    rows = read_rows(path, COLUMNS)
    assert rows.extra == ("x", "y")
    ids, errors, cells = joined(rows)
    assert ids == [f"{path}:2", f"{path}:3"]
    assert errors == ["", ""]
    assert cells["c"] == [b"u", b""]
    assert cells["n"][0] == 2.5
    assert np.isnan(cells["n"][1])


def test_a_row_that_cannot_be_read_does_not_cost_the_others(tmp_path):
    path = tmp_path / "new.csv"
    path.write_bytes(b'n,c\n1,u\nabc,v\n"\n",w\n4,x,5\n\n6,\xff\n7,z\n')
    ids, errors, cells = joined(read_rows(path, COLUMNS))
    assert [place.rpartition(":")[2] for place in ids] == ["2", "3", "4", "6", "8", "9"]
    assert errors[1] == f"{path}:3: column `n`: `abc` is not a finite number; correct it"
    assert errors[3] == f"{path}:6: 3 cells, where the first row has 2"
    assert "not utf-8" in errors[4]
    assert [bool(error) for error in errors] == [False, True, False, True, True, False]
    assert cells["c"] == [b"u", b"w", b"z"]


def test_a_missing_column(write):
    with pytest.raises(
        DataError, match=r"new\.csv: has no column `c`, which the model needs; there are `n`, `x`"
    ):
        read_rows(write("new.csv", "n,x\n1,2\n"), COLUMNS)


def test_a_stream_of_text(monkeypatch):
    monkeypatch.setattr(delimited, "LOOK_BYTES", 40)
    monkeypatch.setattr(new_rows, "BATCH_ROWS", 100)
    text = "n;c\r\n" + "".join(f'{i};"a\r\nb{i}"\r\n' for i in range(250))
    rows = read_rows(io.StringIO(text, newline=""), COLUMNS)
    ids, errors, cells = joined(rows)
    assert ids[1] == "standard input:4"
    assert not any(errors)
    assert cells["n"] == list(range(250))
    assert cells["c"][249] == b"a\r\nb249"


def test_long_cells_and_compressed_files(tmp_path):
    path = tmp_path / "new.csv.gz"
    path.write_bytes(gzip.compress(f"n,c\n1,{'x' * 200_000}\n".encode()))
    assert joined(read_rows(path, COLUMNS))[2]["c"] == [b"x" * 200_000]


def test_files_without_a_header_may_lack_the_target(write):
    text = Delimited(header=False, names=("n", "c", "y"))
    for content in ("1,u,0\n", "1,u\n"):
        rows = read_rows(write("new.csv", content), COLUMNS, text=text, target=["y"])
        assert joined(rows)[2] == {"n": [1], "c": [b"u"]}
    with pytest.raises(DataError, match="has 1 cells"):
        read_rows(write("new.csv", "1\n"), COLUMNS, text=text, target=["y"])


def test_cells_are_read_as_in_training(write):
    rows = read_rows(write("new.csv", "n;c\n1,5;-\n"), COLUMNS, reader=CellReader(("-",), ","))
    assert joined(rows)[2] == {"n": [1.5], "c": [b""]}


def test_parquet(tmp_path):
    path = tmp_path / "new.parquet"
    parquet.write_table(pa.table({"c": [1.0, None], "n": [3, 4], "extra": ["p", "q"]}), path)
    rows = read_rows(path, COLUMNS)
    assert rows.extra == ("extra",)
    assert joined(rows) == ([f"{path}:1", f"{path}:2"], ["", ""], {"n": [3, 4], "c": [b"1", b""]})
    with pytest.raises(DataError, match="column `c` is double, and the model takes date cells"):
        read_rows(path, [Column("c", "date")])


def test_json_lines(write):
    lines = [
        json.dumps({"n": 1.5, "c": 2.0, "more": []}),
        json.dumps({"c": None, "n": None}),
        "{oops",
        json.dumps({"n": 1}),
        json.dumps({"n": [1], "c": "u"}),
        "[1]",
        "",
        json.dumps({"n": "7", "c": True}),
    ]
    path = write("new.jsonl", "\n".join(lines))
    # Numbers of JSON have a point, whatever was trained on.
    rows = read_rows(path, COLUMNS, reader=CellReader(decimal=","))
    assert rows.extra == ("more",)
    ids, errors, cells = joined(rows)
    assert ids[-1] == f"{path}:8"
    assert cells["c"] == [b"2", b"", b"true"]
    assert cells["n"][::2] == [1.5, 7]
    assert [error.removeprefix(f"{path}:")[:22] for error in errors if error] == [
        "3: is not JSON: Expect",
        "4: has no `c`; a missi",
        "5: column `n`: holds a",
        "6: holds list, not an ",
    ]
    with pytest.raises(DataError, match="has no column `c`"):
        read_rows(write("b.jsonl", '{"n": 1}\n'), COLUMNS)
    with pytest.raises(DataError, match="is empty"):
        read_rows(write("c.jsonl", "\n"), COLUMNS)


def test_what_is_no_table(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_rows(tmp_path / "no.csv", COLUMNS)
    with pytest.raises(DataError, match="is a folder"):
        read_rows(tmp_path, COLUMNS)
