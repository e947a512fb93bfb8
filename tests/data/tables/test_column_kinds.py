import pyarrow as pa
import pytest

from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.data.tables.column_kinds import infer


def inferred(cells, name="x", reader=None):
    return infer(name, pa.array(cells), reader or CellReader())


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "", "1"], "numeric"),
        (["True", "false", "yes"], "boolean"),
        (["2024-01-31", "2023-05-01"], "date"),
        (["31.01.2024", "1.5.2023"], "date"),
        (["red", "green", "red", "blue"] * 5, "categorical"),
        (["03901", "10115", "20095"], "categorical"),
        ([f"this is sentence {i}" for i in range(30)], "text"),
        ([f"我喜欢这部电影非常好看{chr(0x4E00 + i)}" for i in range(30)], "text"),
        ([None, None], "categorical"),
        ([1, 2, 5], "numeric"),
        ([True, None], "boolean"),
    ],
)
def test_kinds(cells, kind):
    found = inferred(cells)
    assert found.kind == kind
    assert not found.ignored


def test_codes_that_hardly_repeat_are_left_out():
    assert inferred([f"user-{i}" for i in range(50)]).ignored
    assert inferred([f"c0ffee-{i * 7919:032x}" for i in range(50)]).ignored
    # With a few rows there is no telling.
    assert not inferred(["alice", "bob", "carol"]).ignored


def test_mostly_distinct_strings_of_one_word_stay_categories():
    cells = [f"C{i % 40}" for i in range(50)]
    assert inferred(cells) == inferred(cells[:1])


def test_whole_numbers_are_told_from_others():
    assert inferred(["1", "2"]).whole
    assert not inferred(["1.0", "2.0"]).whole
    assert inferred([1, 2]).whole


def test_row_numbers_get_a_remark():
    counted = [str(i) for i in range(10)]
    assert "dataset.columns: {n: ignore}" in inferred(counted, "n").remark
    assert inferred(["5", "3", "9", "7"], "user_id").remark
    assert inferred(["5", "3", "9", "7"], "PassengerId").remark
    assert not inferred(["5", "3", "9", "7"], "paid").remark
    assert not inferred(["5", "5", "9", "9"], "user_id").remark


def test_slashed_dates_get_a_remark_until_their_order_is_known():
    cells = ["03/04/2024", "03/04/2024", "05/06/2024", "05/06/2024"]
    assert "dataset.date_order" in inferred(cells).remark
    assert inferred(cells, reader=CellReader(date_order="day_first")).kind == "date"
