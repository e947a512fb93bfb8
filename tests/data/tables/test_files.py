from pathlib import Path

import pytest

from bigmodel_cli.data.tables.files import find_tables, require_distinct, suggest
from bigmodel_cli.errors import DataError

SUFFIXES, PLAIN = (".csv", ".tsv"), (".txt",)


@pytest.fixture
def folder(tmp_path):
    def make(*names: str) -> Path:
        root = tmp_path / "my dätä"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        return root

    return make


def found(given):
    files, notes = find_tables(given, SUFFIXES, PLAIN)
    return {base: [path.name for path in paths] for base, paths in files.items()}, notes


def test_one_file_is_one_base_split_whatever_its_name(folder):
    assert found(str(folder("train.csv") / "train.csv")) == ({"all": ["train.csv"]}, [])


def test_a_folder_without_splits(folder):
    root = folder("b.csv", "a.csv.gz", ".hidden.csv", "_SUCCESS", "readme.txt")
    assert found(str(root))[0] == {"all": ["a.csv.gz", "b.csv"]}


def test_text_files_count_where_there_are_no_others(folder):
    assert found(str(folder("a.txt")))[0] == {"all": ["a.txt"]}


def test_split_files_and_folders(folder):
    root = folder("test.csv", "Train.csv", "dev/1.tsv", "dev/2.tsv", "sample.csv")
    bases, notes = found(str(root))
    assert list(bases.items()) == [
        ("train", ["Train.csv"]),
        ("validation", ["1.tsv", "2.tsv"]),
        ("test", ["test.csv"]),
    ]
    assert notes == ["not read, since my dätä is divided into splits: sample.csv"]


def test_two_files_for_one_split(folder):
    with pytest.raises(DataError, match=r"`dev\.csv` and `val\.csv` are both the validation split"):
        found(str(folder("val.csv", "dev.csv")))
    with pytest.raises(DataError, match=r"`test/a\.csv` and `test\.csv` are both the test split"):
        found(str(folder("test.csv", "test/a.csv")))


def test_globs_and_lists(folder):
    root = folder("x1.csv", "x2.csv", "y.csv", "train.csv", "test.csv")
    assert found(str(root / "x*.csv"))[0] == {"all": ["x1.csv", "x2.csv"]}
    assert found([str(root / "y.csv"), str(root / "x*.csv")])[0] == {"all": ["y.csv", "x1.csv", "x2.csv"]}
    assert found(str(root / "t*.csv"))[0] == {"train": ["train.csv"], "test": ["test.csv"]}


def test_a_name_with_brackets_is_a_file(folder):
    assert found(str(folder("a[1].csv") / "a[1].csv"))[0] == {"all": ["a[1].csv"]}


def test_a_mapping_names_the_splits(folder):
    root = folder("a.tsv", "b.tsv")
    assert found({"dev": str(root / "b.tsv"), "train": [str(root / "a.tsv")], "extra": str(root / "b.tsv")})[
        0
    ] == {
        "train": ["a.tsv"],
        "validation": ["b.tsv"],
        "extra": ["b.tsv"],
    }
    with pytest.raises(DataError, match="validation split, which is named twice"):
        found({"dev": str(root), "val": str(root)})
    with pytest.raises(DataError, match="`a b` cannot name a split"):
        found({"a b": str(root)})


def test_what_is_not_there(folder):
    root = folder("cars.csv", "empty/readme.md")
    with pytest.raises(DataError, match=r"there is no .*carz\.csv; did you mean `.*cars\.csv`\?"):
        found(str(root / "carz.csv"))
    with pytest.raises(DataError, match=r"no file matches .*; .* holds cars\.csv, empty"):
        found(str(root / "?.parquet"))
    with pytest.raises(DataError, match=r"folder .*/no is not there, .*my dätä is"):
        found(str(root / "no" / "a.csv"))
    with pytest.raises(DataError, match=r"empty holds no file that ends in \.csv, \.tsv, \.txt"):
        found(str(root / "empty"))


def test_names():
    assert suggest("Horsepowr", ["horsepower", "mpg"]) == "did you mean `horsepower`?"
    assert suggest("zzz", ["a", "b"]) == "there are `a`, `b`"
    with pytest.raises(DataError, match="`a` stands at 1 and 3"):
        require_distinct(["a", "b", "a"], "t.csv")
