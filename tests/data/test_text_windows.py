from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.text_windows import python_reference, text_file
from bigmodel_cli.errors import DataError

TEXT = "Die Katze läuft.\n" * 20


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cat.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def whole(source, base):
    inputs, targets = source.arrays(Part.range(base, 0, source.sizes[base]))
    assert targets.tolist() == [0] * source.sizes[base]
    return b"".join(inputs["text"]).decode()


def test_splits_are_the_text_in_order(file):
    source = text_file(0, path=str(file), window=7, validation=0.2, test=0.1)
    parts = [whole(source, base) for base in ("train", "validation", "test")]
    assert "".join(parts) == TEXT
    assert [len(part) for part in parts] == [238, 68, 34]
    assert source.sizes == {"train": 34, "validation": 10, "test": 5}
    (window,) = source.arrays(Part("train", np.array([2])))[0]["text"]
    assert window.decode() == TEXT[14:21]
    assert source.notes == ("text: 340 characters, 14 different ones, in windows of 7",)


def test_a_stream_and_a_lookup_give_the_same(file):
    source = text_file(0, path=str(file), window=7)
    part = Part("train", np.array([1, 4, 5]))
    inputs, _ = source.arrays(part)
    streamed = [cell for some, _ in source.batches(part) for cell in some["text"].numpy()]
    assert streamed == inputs["text"].tolist()
    looked_up, zeros = source.lookup("train")(np.array([5, 1]))
    assert looked_up["text"].numpy().tolist() == [inputs["text"][2], inputs["text"][0]]
    assert zeros.numpy().tolist() == [0, 0]


def test_no_shares_leave_the_division_to_the_config(file):
    assert list(text_file(0, path=str(file), window=7, validation=0.0, test=0.0).sizes) == ["train"]


def test_fingerprint_tells_texts_and_windows_apart(file):
    first = text_file(0, path=str(file), window=7).fingerprint()
    assert first == text_file(0, path=str(file), window=7).fingerprint()
    assert first != text_file(0, path=str(file), window=8).fingerprint()
    file.write_text(TEXT.replace("K", "k", 1), encoding="utf-8")
    assert first != text_file(0, path=str(file), window=7).fingerprint()


def test_windows_can_be_divided_by_their_position(file):
    source = text_file(0, path=str(file), window=7)
    assert source.values("train", "position").tolist() == list(range(source.sizes["train"]))
    assert source.values("train", "text")[0] == TEXT[:7]
    with pytest.raises(DataError, match="has no column `x` to divide by; it has text and position"):
        source.values("train", "x")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, {}, r"dataset.path: .*cat.txt: cannot be read: No such file"),
        (b"ab\n\xff", {}, r"cat.txt:2: the byte 0xff is not utf-8; .*latin-1"),
        (b"abc", {"encoding": "utf-9"}, "there is no `utf-9`"),
        (b"", {}, "has 0 characters, too few for a train split"),
        (b"abc", {"validation": 0.6, "test": 0.4}, "leave nothing to train on"),
    ],
)
def test_what_cannot_be_cut_is_refused(tmp_path, content, options, message):
    path = tmp_path / "cat.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        text_file(0, path=str(path), **options)


def test_python_reference_is_english():
    source = python_reference(0, window=1000)
    assert sum(source.sizes.values()) > 300
    assert 'The "if" statement is used for conditional execution' in whole(source, "train") + whole(
        source, "validation"
    ) + whole(source, "test")
