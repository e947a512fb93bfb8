import pytest

from bigmodel_cli.components import find
from bigmodel_cli.data.tables.csv_files import csv
from bigmodel_cli.errors import DataError


def test_a_table_as_people_have_it(write):
    rows = "".join(
        f"{18 + i % 9}.5,{4 + 2 * (i % 3)},{'usa' if i % 2 else 'japan'},car of type {i}\n" for i in range(40)
    )
    path = write("my cars/ölwagen.csv", f"mpg,cylinders,origin,name\n{rows}")
    source = csv(0, path=str(path), target="mpg")
    assert source.spec.name == "ölwagen.csv"
    assert source.spec.task == "regression"
    assert source.spec.target.shape == (1,)
    assert [column.kind for column in source.spec.input.columns] == ["numeric", "categorical", "text"]
    assert csv(0, path=str(path), target="cylinders").spec.target.names == ("4", "6", "8")
    assert csv(0, path=str(path), target="cylinders", task="regression").spec.target.dtype == "float32"
    assert csv(0, path=str(path), target=["mpg", "cylinders"]).spec.target.names == ("mpg", "cylinders")


def test_sentences_and_labels_without_header_or_quoting(write):
    lines = ['"a fine film\t1\n', "no fun at all\t0\n", '"well\t1\n', "the end of it\t0\n"]
    for split in ("train", "dev", "test"):
        path = write(f"sst/{split}.tsv", "".join(lines))
    source = csv(0, path=str(path.parent), target="label", header=False, names=["sentence", "label"])
    assert source.spec.name == "sst"
    assert source.sizes == {"train": 4, "validation": 4, "test": 4}
    assert source.values("test", "sentence")[0] == '"a fine film'
    assert source.notes[-1] == (
        "seen in train.tsv: tabs between cells, quotes are plain characters; otherwise: dataset.delimiter, "
        "dataset.quote"
    )


def test_a_forgotten_header_option_is_hinted_at(write):
    with pytest.raises(DataError, match=r"if the file has no header line, set dataset\.header: false"):
        csv(0, path=str(write("a.csv", "1,2\n3,4\n")), target="y")


def test_how_text_is_written_can_be_said(write):
    path = write("a.csv", "a;b;y\n1,5;'x;y';no\n2,5;z;yes\n")
    source = csv(0, path=str(path), target="y", decimal=",", quote="'", delimiter=";")
    assert source.values("all", "a").tolist() == [1.5, 2.5]
    assert source.values("all", "b").tolist() == ["x;y", "z"]
    assert not [note for note in source.notes if note.startswith("seen")]
    path = write("b.csv", "d,y\n03/04/2024,no\n04/04/2024,yes\n")
    source = csv(0, path=str(path), target="y", date_order="day_first")
    assert source.values("all", "d").tolist() == [1712102400, 1712188800]


def test_its_parameters_are_checked():
    parameters = find("datasets", "csv").parameters
    for path in ("a.csv", ["a.csv", "b.csv"], {"train": "a.csv", "test": ["b.csv"]}):
        assert parameters(path=path, target="y").path == path
    for wrong in (
        {"columns": {"a": "number"}},
        {"delimiter": "ab"},
        {"drop_missing": "some"},
        {"task": "ranking"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            parameters(path="a.csv", target="y", **wrong)
