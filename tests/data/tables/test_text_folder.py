import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.tables import text_folder as module
from bigmodel_cli.data.tables.text_folder import text_folder
from bigmodel_cli.errors import DataError


@pytest.fixture
def folder(write, tmp_path):
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            for number in range(3):
                write(f"rev iews/{split}/{label}/{number}.txt", f"{split} {label} {number} ß\n")
    return tmp_path / "rev iews"


def test_texts_and_classes(folder, monkeypatch):
    monkeypatch.setattr(module, "BATCH_FILES", 2)
    source = text_folder(0, path=str(folder))
    assert source.spec.name == "rev iews"
    assert source.spec.target.names == ("neg", "pos")
    assert [(column.name, column.kind) for column in source.spec.input.columns] == [("text", "text")]
    assert source.sizes == {"train": 6, "test": 6}
    inputs, targets = source.arrays(Part.range("test", 2, 5))
    assert inputs["text"].tolist() == [f"test {text} ß\n".encode() for text in ("neg 2", "pos 0", "pos 1")]
    assert targets.tolist() == [0, 1, 1]


def test_without_splits(folder):
    source = text_folder(0, path=str(folder / "train"))
    assert source.sizes == {"all": 6}
    assert source.values("all", "class").tolist() == ["neg"] * 3 + ["pos"] * 3


def test_no_text_stands_for_a_missing_one(folder):
    (folder / "train" / "pos" / "0.txt").write_text("NA")
    assert text_folder(0, path=str(folder)).values("train", "text")[3] == "NA"


def test_some_classes_only(folder, write):
    write("rev iews/train/unsup/0.txt", "x")
    write("rev iews/test/urls.html", "x")
    write("rev iews/test/pos/urls.html", "x")
    assert text_folder(0, path=str(folder)).spec.target.names == ("neg", "pos", "unsup")
    source = text_folder(0, path=str(folder), classes=["pos", "neg"])
    assert source.spec.target.names == ("neg", "pos")
    assert "1 files, such as urls.html" in source.notes[-1]
    with pytest.raises(DataError, match=r"has no folder `poz`; did you mean `pos`\?"):
        text_folder(0, path=str(folder), classes=["poz", "neg"])


def test_the_fingerprint_follows_every_file(folder):
    source = text_folder(0, path=str(folder))
    before = source.fingerprint()
    assert text_folder(0, path=str(folder)).fingerprint() == before
    (folder / "test" / "neg" / "1.txt").write_text("another text")
    assert source.fingerprint() != before


def test_bad_folders(folder, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        text_folder(0, path=str(tmp_path / "no"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no folders"):
        text_folder(0, path=str(tmp_path / "empty"))
    (tmp_path / "empty" / "pos").mkdir()
    with pytest.raises(DataError, match=r"the class holds no \.txt files"):
        text_folder(0, path=str(tmp_path / "empty"))


def test_other_encodings(folder):
    path = folder / "train" / "neg" / "1.txt"
    path.write_bytes("eins\nzwölf".encode("latin-1"))
    with pytest.raises(DataError, match=r"1\.txt:2: the byte 0xf6 is not utf-8"):
        text_folder(0, path=str(folder))
    for other in folder.rglob("*.txt"):
        other.write_bytes(f"zwölf {other.stem}".encode("latin-1"))
    assert text_folder(0, path=str(folder), encoding="latin-1").values("test", "text")[0] == "zwölf 0"
    with pytest.raises(DataError, match="there is no `latin-99`"):
        text_folder(0, path=str(folder), encoding="latin-99")


def test_files_that_vanish(folder):
    source = text_folder(0, path=str(folder))
    (folder / "train" / "neg" / "1.txt").unlink()
    with pytest.raises(DataError, match="has changed"):
        source.arrays(Part.range("train", 0, 6))
