import numpy as np
import pyarrow as pa
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.tables.arrow_tables import ArrowSource, ArrowTables, content
from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.data.tables.scan import TableOptions
from bigmodel_cli.errors import DataError

NUMBERS = np.arange(30)


def table(chunks=1):
    kinds = pa.DictionaryArray.from_arrays(pa.array(NUMBERS % 3, pa.int32()), pa.array(["a", "b", "c"]))
    whole = pa.table(
        {
            "size": pa.array(np.where(NUMBERS == 4, np.nan, NUMBERS / 2), from_pandas=True),
            "kind": kinds,
            "note": [f"this is the note {i}" if i != 7 else None for i in NUMBERS],
            "price": pa.array([None if i == 11 else float(i) for i in NUMBERS]),
        }
    )
    step = len(NUMBERS) // chunks
    return pa.concat_tables(whole.slice(start, step) for start in range(0, len(NUMBERS), step))


def source(**options):
    asked = TableOptions(("price",), drop_missing="target", reader=CellReader(missing_values=()), **options)
    tables = ArrowTables("a function", {"all": table(chunks=3)}, {"all": "stamp"})
    return ArrowSource("prices", "test", tables, asked)


def test_every_way_of_reading_agrees():
    prices = source()
    assert prices.sizes == {"all": 29}
    part = Part("all", np.array([0, 4, 7, 11, 12, 28]))
    cells, targets = prices.arrays(part)
    # The row without a target is dropped, so the positions behind it are one less.
    assert targets[:, 0].tolist() == [0, 4, 7, 12, 13, 29]
    assert cells["kind"].tolist() == [b"a", b"b", b"b", b"a", b"b", b"c"]
    assert cells["note"].tolist()[1:4] == [b"this is the note 4", b"", b"this is the note 12"]
    assert np.isnan(cells["size"][1])
    (streamed,) = prices.batches(part).as_numpy_iterator()
    order = np.array([3, 0, 5, 5, 1, 4, 2])
    found = prices.lookup("all")(part.indices[order])
    for name, column in cells.items():
        np.testing.assert_array_equal(streamed[0][name], column)
        np.testing.assert_array_equal(found[0][name].numpy(), column[order])
    np.testing.assert_array_equal(found[1].numpy(), targets[order])


def test_cells_that_do_not_fit_have_their_place():
    with pytest.raises(DataError, match=r"a function, all, row 0: column `note`: .* is not a finite number"):
        source(columns={"note": "numeric"})


def test_the_hash_of_a_table_is_that_of_its_cells():
    assert content(table()) == content(table(chunks=3))
    assert content(table()) != content(table().slice(1))
    assert content(table()) != content(table().rename_columns(["a", "b", "c", "d"]))
    assert source().fingerprint() == source().fingerprint()
