import pytest

from bigmodel_cli.data.tables import scan as table_scan
from bigmodel_cli.data.tables.csv_files import csv
from bigmodel_cli.errors import DataError


@pytest.fixture
def source(write):
    """`source("a,y\\n1,2\\n", target="y")`."""

    def make(text, name="t.csv", **options):
        return csv(0, path=str(write(name, text)), **{"target": "y", **options})

    return make


def test_a_cell_that_does_not_fit_the_sample(source, monkeypatch):
    monkeypatch.setattr(table_scan, "SAMPLE_ROWS", 3)
    text = "a,y\n1,0\n2,1\n3,0\nunknown,1\n"
    with pytest.raises(
        DataError,
        match=r"t\.csv:5: column `a`: `unknown` is not a finite number; declare the column with "
        r"dataset.columns: {a: categorical \(or ignore\)} or add `unknown` to dataset.missing_values",
    ):
        source(text)
    assert source(text, missing_values=["unknown"]).spec.input.columns[0].kind == "numeric"
    assert source(text, columns={"a": "categorical"}).spec.input.columns[0].kind == "categorical"


def test_hints_at_decimal_commas_and_slashed_dates(source):
    with pytest.raises(DataError, match=r'set dataset\.decimal: ","'):
        source("a;y\n1,5;0\n2,5;1\n", columns={"a": "numeric"})
    with pytest.raises(DataError, match=r"set dataset\.date_order"):
        source("a,y\n03/04/2024,0\n2024-01-01,1\n", columns={"a": "date"})


def test_columns_that_are_not_there(source):
    with pytest.raises(DataError, match=r"dataset.target: .*t\.csv has no column `Y`; did you mean `y`\?"):
        source("a,y\n1,2\n", target="Y")
    with pytest.raises(DataError, match=r"dataset.columns: .*no column `aa`; did you mean"):
        source("a,y\n1,2\n", columns={"aa": "text"})
    with pytest.raises(DataError, match=r"dataset.drop_missing: .*no column `zzz`; there are `a`, `y`"):
        source("a,y\n1,2\n", drop_missing=["zzz"])


def test_targets_that_cannot_be(source):
    with pytest.raises(DataError, match="names a column twice"):
        source("a,y\n1,2\n", target=["y", "y"])
    with pytest.raises(DataError, match="names no column"):
        source("a,y\n1,2\n", target=[])
    with pytest.raises(DataError, match="several columns make a regression"):
        source("a,y,z\n1,2,3\n", target=["y", "z"], task="classification")
    with pytest.raises(DataError, match="the target `y` cannot be text"):
        source("a,y\n1,2\n", columns={"y": "text"})
    with pytest.raises(DataError, match="`y` holds dates"):
        source("a,y\n1,2024-01-01\n2,2024-01-02\n")


def test_columns_that_say_nothing_are_left_out(source):
    rows = "".join(f"{i},{i % 3},same,user{i},{i % 2}\n" for i in range(40))
    made = source(f",a,b,c,y\n{rows}")
    assert made.spec.input.names == ("a",)
    (left_out,) = [note for note in made.notes if note.startswith("left out")]
    assert "`unnamed_1`: a row number without a name" in left_out
    assert "`b`: the same in every row" in left_out
    assert "`c`: nearly every row has a value of its own" in left_out
    assert source(f",a,b,c,y\n{rows}", columns={"c": "categorical"}).spec.input.names == ("a", "c")


def test_no_feature_left(source):
    with pytest.raises(DataError, match=r"no column is left as a feature .*`a`: the same in every row"):
        source("a,y\n1,0\n1,1\n")
    with pytest.raises(DataError, match="`a`: declared ignore"):
        source("a,y\n1,0\n2,1\n", columns={"a": "ignore"})


def test_a_column_that_is_there_or_missing_says_something(source):
    assert source("a,y\n1,0\n,1\n").spec.input.names == ("a",)


def test_dropping_rows(source):
    text = "a,b,y\n1,x,0\n,x,1\n3,,0\n4,z,\n1,x,0\n1,x,1\n"
    with pytest.raises(
        DataError, match=r"`y` is missing in 1 of 6 rows; to drop these rows: dataset\.drop_missing: target"
    ):
        source(text)
    sizes = {
        choice if isinstance(choice, str) else tuple(choice): source(text, drop_missing=choice).sizes["all"]
        for choice in ("target", "any", ["a", "y"])
    }
    assert sizes == {"target": 5, "any": 3, ("a", "y"): 4}
    made = source(text, drop_missing="any", drop_duplicates=True)
    assert made.sizes == {"all": 2}
    assert "dropped 4 of 6 rows: missing cells or an equal row before" in made.notes
    with pytest.raises(DataError, match="every row of the base split `all`"):
        source("a,b,y\n,1,0\n2,,1\n", drop_missing="any")


def test_files_that_do_not_belong_together(write):
    write("d/train.csv", "a,y\n1,0\n2,1\n")
    path = write("d/test.csv", "a,b\n1,0\n")
    with pytest.raises(
        DataError,
        match=r"test\.csv: has no column `y`, which .*train\.csv has; a split without targets cannot",
    ):
        csv(0, path=str(path.parent), target="y")
    write("d/test.csv", "a,y,b\n1,0,3\n")
    with pytest.raises(DataError, match=r"test\.csv: has a column `b`, which .*train\.csv has not"):
        csv(0, path=str(path.parent), target="y")


def test_files_may_order_their_columns_differently(write):
    write("d/1.csv", "a,y\n1,no\n2,yes\n")
    path = write("d/2.csv", "y,a\nno,3\n")
    made = csv(0, path=str(path.parent), target="y")
    assert made.values("all", "a").tolist() == [1, 2, 3]


def test_what_was_inferred_is_told(source):
    rows = "".join(f"{i / 7},{'uv'[i % 2]},{i % 3}\n" for i in range(30))
    assert source(f"a,b,y\n{rows}").notes[0] == (
        "columns: 1 numeric (a), 1 categorical (b); to change one: dataset.columns"
    )
