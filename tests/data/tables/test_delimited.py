import gzip

import pytest

from bigmodel_cli.data.tables import delimited
from bigmodel_cli.data.tables.delimited import Delimited
from bigmodel_cli.errors import DataError


@pytest.fixture
def put(tmp_path):
    def write(content: str | bytes, name: str = "a.csv"):
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def rows(path, wanted=None, **options):
    table = Delimited(**options)
    return [
        tuple(row.values())
        for batch in table.batches(path, wanted or list(table.head(path)))
        for row in batch.to_pylist()
    ]


def test_cells_are_texts_or_missing(put):
    assert rows(put('a,b\n1,NA\n\n"x\ny",""\n')) == [("1", None), ("x\ny", None)]


def test_columns_in_the_order_asked_for(put):
    assert rows(put("a,b,c\n1,2,3\n"), ["c", "a"]) == [("3", "1")]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("a;b\n1,5;2\n", "a.csv", ("1,5", "2")),
        ("a|b\n1|2\n", "a.csv", ("1", "2")),
        ("a\tb\n1\t2\n", "a.txt", ("1", "2")),
        ("a,b\tc,d\n1,x\t2,y\n", "a.tsv", ("1,x", "2,y")),
        ('a,b\n"x;y",2\n"u;v",3\n', "a.csv", ("x;y", "2")),
    ],
)
def test_the_delimiter_is_seen(put, text, name, expected):
    assert rows(put(text, name))[0] == expected


def test_quotes_that_are_plain_characters(put):
    text = 'he said\t1\n"bad start\t0\nok\t1\n"other\t0\n'
    options = {"header": False, "names": ("text", "label")}
    assert rows(put(text, "a.tsv"), **options)[1] == ('"bad start', "0")
    # And those that surround cells.
    assert rows(put('t\tl\n"x\ty"\t1\nok\t0\n', "b.tsv")) == [("x\ty", "1"), ("ok", "0")]


def test_blank_lines_byte_order_mark_line_ends_and_compression(put):
    assert rows(put("\n\n a , b\n1,2\n")) == [("1", "2")]
    assert list(Delimited().head(put("\ufeffa,b\r\n1,2\r\n", "b.csv.gz"))) == ["a", "b"]
    assert rows(put("a,b\r1,2\r3,4\r", "c.csv")) == [("1", "2"), ("3", "4")]
    assert rows(put("a,b\n1,2", "d.csv")) == [("1", "2")]


def test_names_without_a_header(put):
    path = put("1,2\n3,4\n")
    assert list(Delimited(header=False).head(path)) == ["column_1", "column_2"]
    assert rows(path, header=False) == [("1", "2"), ("3", "4")]
    assert list(Delimited().head(put(",a\n0,1\n", "b.csv"))) == ["unnamed_1", "a"]
    with pytest.raises(DataError, match=r"has 2 cells, and dataset\.names gives 1"):
        Delimited(header=False, names=("a",)).head(path)
    with pytest.raises(DataError, match="header: false"):
        Delimited(names=("a", "b"))


def test_other_encodings(put):
    path = put("a,b\nx,1\nMünchen,2\n".encode("cp1252"))
    with pytest.raises(
        DataError, match=r"a\.csv:3: the byte 0xfc is not utf-8; .*encoding: latin-1 or cp1252"
    ):
        rows(path)
    assert rows(path, encoding="cp1252")[1] == ("München", "2")
    wide = put("a,b\nü,1\n".encode("utf-16"), "b.csv")
    with pytest.raises(DataError, match="encoding: utf-16"):
        rows(wide)
    assert rows(wide, encoding="utf-16") == [("ü", "1")]
    with pytest.raises(DataError, match="there is no `utf-9`"):
        Delimited(encoding="utf-9")


def test_the_line_of_bytes_far_down_is_found(put):
    path = put(b"a,b\n" + b"x,1\n" * 100_000 + b"\xff,1\n")
    with pytest.raises(DataError, match=r"a\.csv:100002: the byte 0xff"):
        rows(path)


def test_rows_of_another_length_name_their_line(put):
    with pytest.raises(DataError, match=r"a\.csv:5: 3 cells, where the first row has 2"):
        rows(put('a,b\n"x\ny",1\n3,4\n1,2,3\n'))


def test_empty_files(put):
    for text in ("", "\n\n"):
        with pytest.raises(DataError, match="is empty"):
            rows(put(text))
    with pytest.raises(DataError, match="one line and no rows"):
        rows(put("a,b"))


def test_damaged_and_missing_files(put, tmp_path):
    path = put("junk", "a.csv")
    with pytest.raises(DataError, match=r"b\.csv\.gz: cannot be read"):
        rows(path.rename(tmp_path / "b.csv.gz"))
    with pytest.raises(DataError, match=r"c\.csv: cannot be read: No such file"):
        rows(tmp_path / "c.csv")


def test_a_cell_larger_than_a_block(put, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1000)
    text = "a,b\n" + "1,2\n" * 1000 + f'"{"y" * 5000}",3\n' + "4,5\n" * 1000
    found = rows(put(text))
    assert len(found) == 2001
    assert found[1000] == ("y" * 5000, "3")
    monkeypatch.setattr(delimited, "LARGE_BLOCK_BYTES", 2000)
    with pytest.raises(DataError, match=r"dataset\.quote: none"):
        rows(put(text))


def test_places_are_lines_as_an_editor_shows_them(put):
    table, path = Delimited(), put('\na,b\n1,2\n\n"x\ny",3\n4,5\n')
    assert [table.place(path, row).rpartition(":")[2] for row in range(3)] == ["3", "5", "7"]
