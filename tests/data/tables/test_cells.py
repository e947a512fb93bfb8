import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.data.tables.cells import CellReader, hashes, kinds_of, raw

READER = CellReader()


def seconds(*date: int) -> int:
    return int(datetime.datetime(*date, tzinfo=datetime.UTC).timestamp())


def read(cells, kind, reader=READER):
    values, bad = reader.read(cells if isinstance(cells, pa.Array) else pa.array(cells, pa.string()), kind)
    return values.to_pylist(), [] if bad is None else np.flatnonzero(bad).tolist()


def test_numbers_as_people_write_them():
    cells = ["1", " 2 ", "+3", "-4.5e1", "?", " NA", None, "nan"]
    assert read(cells, "numeric") == ([1, 2, 3, -45, None, None, None, None], [])


def test_what_is_no_finite_number_is_found():
    assert read(["1", "x", "1,5", "inf", "1e39", "0x1"], "numeric")[1] == [1, 2, 3, 4, 5]


def test_decimal_comma_leaves_no_room_for_a_point():
    assert read(["1,5", "2", "1.234"], "numeric", CellReader(decimal=",")) == ([1.5, 2, None], [2])


def test_booleans():
    assert read(["True", " no", "YES", "0", "maybe", ""], "boolean") == ([1, 0, 1, 0, None, None], [4])


def test_categories_lose_white_space_and_needless_decimals():
    assert read([" usa", "usa ", "1.0", "1.50", "?", "  "], "categorical") == (
        ["usa", "usa", "1", "1.50", None, None],
        [],
    )


def test_texts_stay_as_they_are():
    assert read([" a  b ", "", "NA"], "text") == ([" a  b ", None, None], [])
    assert read(["NA"], "text", CellReader(missing_values=())) == (["NA"], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31", seconds(2024, 1, 31)),
        ("2024/1/3", seconds(2024, 1, 3)),
        ("31.1.2024", seconds(2024, 1, 31)),
        ("20240131", seconds(2024, 1, 31)),
        ("3 Jan 2024", seconds(2024, 1, 3)),
        ("December 3, 2024", seconds(2024, 12, 3)),
        ("2024-01", seconds(2024, 1, 1)),
        ("2024-01-31 9:05", seconds(2024, 1, 31, 9, 5)),
        ("2024-01-31T12:30:45.123456789", seconds(2024, 1, 31, 12, 30, 45)),
        ("2024-01-31T12:30:45Z", seconds(2024, 1, 31, 12, 30, 45)),
        ("2024-01-31 12:30:00+02:00", seconds(2024, 1, 31, 10, 30)),
        ("1969-12-31 23:59:59.5", -1),
    ],
)
def test_dates(text, expected):
    assert read([text, "?"], "date") == ([expected, None], [])


def test_dates_that_are_none_or_doubtful():
    assert read(["2024-02-30", "31.02.2024", "03/04/2024", "soon", "2024-01-01"], "date")[1] == [0, 1, 2, 3]


def test_the_order_of_day_and_month():
    assert read(["03/04/2024"], "date", CellReader(date_order="day_first"))[0] == [seconds(2024, 4, 3)]
    assert read(["03/04/2024", "13/04/2024"], "date", CellReader(date_order="month_first")) == (
        [seconds(2024, 3, 4), None],
        [1],
    )


def test_typed_columns():
    assert read(pa.array([1.0, 2.5, None]), "categorical")[0] == ["1", "2.5", None]
    assert read(pa.array([0, 2, None]), "boolean") == ([0, 2, None], [1])
    assert read(pa.array([True, None]), "numeric")[0] == [1, None]
    assert read(pa.array([True, False]), "categorical")[0] == ["true", "false"]
    assert read(pa.array([decimal.Decimal("1.5")]), "numeric")[0] == [1.5]
    assert read(pa.array([datetime.date(2024, 1, 31), None]), "date")[0] == [seconds(2024, 1, 31), None]
    berlin = pa.array([0], pa.timestamp("ns", tz="Europe/Berlin"))
    assert read(berlin, "date")[0] == [0]
    assert read(pa.array(["a", None, "5"]).dictionary_encode(), "numeric") == ([None, None, 5], [0])
    assert read(pa.nulls(2), "numeric") == ([None, None], [])


def test_kinds_of_types():
    assert kinds_of(pa.int8())[0] == "numeric"
    assert kinds_of(pa.bool_())[0] == "boolean"
    assert kinds_of(pa.date32())[0] == "date"
    assert "date" not in kinds_of(pa.float64())
    assert kinds_of(pa.list_(pa.int8())) == ()


def test_raw_cells():
    numbers = raw(pa.array([1.5, None], pa.float64()), "numeric")
    assert numbers.dtype == np.float32
    assert numbers[0] == 1.5
    assert np.isnan(numbers[1])
    assert raw(pa.array([3, None], pa.int64()), "date").tolist() == [3, MISSING_DATE]
    for kind in ("categorical", "text"):
        texts = raw(pa.array(["é", None, "é"]), kind)
        assert texts.dtype == object
        assert texts.tolist() == ["é".encode(), b"", "é".encode()]


def test_hashes_tell_texts_apart():
    texts = pa.array(["", *("x" * n for n in range(1, 30)), "ab", "ba", "abcdefghi", "iabcdefgh"])
    found = hashes(texts)
    assert len(set(found.tolist())) == len(texts)
    # A slice shares the buffers of the whole.
    assert (hashes(texts.slice(5)) == found[5:]).all()
    assert hashes(pa.array([None], pa.string()))[0] == found[0]


def test_hashes_of_numbers():
    found = hashes(pa.array([0.0, -0.0, 1.0, None]))
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 3
