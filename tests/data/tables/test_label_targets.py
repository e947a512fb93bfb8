import numpy as np
import pyarrow as pa
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.tables import label_targets
from bigmodel_cli.data.tables.csv_files import csv
from bigmodel_cli.data.tables.label_targets import FlagTargets, LabelSetTargets
from bigmodel_cli.data.tables.parquet_files import parquet
from bigmodel_cli.errors import DataError

FILMS = """\
length,year,comedy,drama,war
90,1950,1,0,0
100,1960,1,1,0
110,1970,0,0,0
120,1980,0,1,1
"""
GENRES = """\
length,year,genres
90,1950,comedy
100,1960,drama | comedy
110,1970,
120,1980,war|drama
"""


def sets(*cells, separator="|", kept=None):
    targets = LabelSetTargets("y", separator)
    targets.start("all")
    for part in cells:
        targets.add({"y": pa.array(part, pa.string())})
    return targets.finish({"all": kept})


def everything(source):
    return source.targets(Part.range("all", 0, source.sizes["all"]))


def test_flags_stay_as_they_are():
    targets = FlagTargets(["a", "b"])
    targets.start("all")
    for part in ([1.0, 0.0], [0.0]):
        targets.add({name: pa.array(part, pa.float64()) for name in "ab"})
    found = targets.finish({"all": np.array([0, 2])})
    assert found.task == "multi_label"
    assert found.names == ("a", "b")
    assert found.values["all"].dtype == np.float32
    assert found.values["all"].tolist() == [[1, 1], [0, 0]]


def test_sets_of_labels_in_cells():
    found = sets(["b|a", None], ["c", " a |a|", "b|a"])
    assert found.names == ("a", "b", "c")
    assert found.values["all"].tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0]]
    assert found.remark == "target: `y` holds 3 different labels, `|` between them; 1 rows have none"


def test_a_label_of_dropped_rows_alone_is_none():
    found = sets(["b|a", "c"], kept=np.array([0]))
    assert found.names == ("a", "b")
    assert found.values["all"].tolist() == [[1, 1]]


def test_another_separator_and_none_at_all(monkeypatch):
    assert sets(["a, b", "b"], separator=",").names == ("a", "b")
    with pytest.raises(DataError, match=r"dataset.label_separator: no cell of `y` .* `\|` between"):
        sets(["a, b", "b"])
    monkeypatch.setattr(label_targets, "MOST_LABELS", 1)
    with pytest.raises(DataError, match="2 different labels, more than 1"):
        sets(["a|b"])


def test_a_csv_file_with_a_column_for_each_label(write):
    source = csv(
        0, path=str(write("films.csv", FILMS)), target=["comedy", "drama", "war"], task="multi_label"
    )
    assert source.spec.task == "multi_label"
    assert source.spec.target.names == ("comedy", "drama", "war")
    assert source.spec.target.shape == (3,)
    assert [column.name for column in source.spec.input.columns] == ["length", "year"]
    expected = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert everything(source).tolist() == expected
    yes = FILMS.replace(",1", ",yes").replace(",0", ",no").replace(",yes9", ",19")
    other = csv(0, path=str(write("yes.csv", yes)), target=["comedy", "drama", "war"], task="multi_label")
    assert everything(other).tolist() == expected


def test_a_column_with_several_labels_in_its_cells(write, tmp_path):
    path = write("films.csv", GENRES)
    source = csv(0, path=str(path), target="genres", task="multi_label")
    assert source.spec.target.names == ("comedy", "drama", "war")
    expected = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert everything(source).tolist() == expected
    assert any("1 rows have none" in note for note in source.notes)
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.csv.read_csv(path)
    texts = [text and text.replace("|", ";") for text in table["genres"].to_pylist()]
    table = table.set_column(2, "genres", pa.array(texts, pa.string()))
    pyarrow.parquet.write_table(table, tmp_path / "films.parquet")
    stored = parquet(
        0, path=str(tmp_path / "films.parquet"), target="genres", task="multi_label", label_separator=";"
    )
    assert everything(stored).tolist() == expected


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            FILMS.replace("1,1,0", "1,2,0"),
            {},
            "films.csv:3: column `drama`: `2` is not true or false; mend it",
        ),
        (FILMS.replace("1,1,0", "1,,0"), {}, "`drama` is missing in 1 of 4 rows"),
        (FILMS, {"task": "classification"}, "or labels with dataset.task: multi_label"),
        (FILMS, {"label_separator": ";"}, "dataset.label_separator: is for one column"),
        (FILMS, {"columns": {"war": "numeric"}}, "`war` is declared numeric, .* for which it is boolean"),
        (GENRES, {"target": "genres", "task": "classification", "label_separator": "|"}, "leave it out"),
        (GENRES, {"target": "genres", "columns": {"genres": "boolean"}}, "for which it is categorical"),
    ],
)
def test_what_are_no_labels(write, text, options, message):
    path = str(write("films.csv", text))
    given = {"target": ["comedy", "drama", "war"], "task": "multi_label", **options}
    with pytest.raises(DataError, match=message):
        csv(0, path=path, **given)
