"""The slicing syntax of TensorFlow Datasets, read without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bigmodel_cli.config.slicing import parse_instruction


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("train", [("train", 0, 1003)]),
        ("train[:80%]", [("train", 0, 802)]),
        ("train[80%:]", [("train", 802, 1003)]),
        ("train[100:200]", [("train", 100, 200)]),
        ("train[-50:]", [("train", 953, 1003)]),
        ("train[:-10%]", [("train", 0, 903)]),
        ("train[1_000:]", [("train", 1000, 1003)]),
        ("train[33.3%:50%]", [("train", 334, 502)]),
        (" test + train[ :10% ] ", [("test", 0, 10), ("train", 0, 100)]),
        ("train[90%:10%]", [("train", 903, 903)]),
    ],
)
def test_slicing_syntax(text, pieces):
    sizes = {"train": 1003, "test": 10}
    found = [(part.base, part.positions(sizes[part.base])) for part in parse_instruction(text)]
    assert found == [(base, range(start, stop)) for base, start, stop in pieces]


@pytest.mark.parametrize("size", [1, 7, 150, 999, 1003, 60_000])
def test_rounding_is_that_of_tfds(size):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.splits import SplitInfo

    info = {"train": SplitInfo(name="train", shard_lengths=[size], num_bytes=0)}
    for bound in ("0%", "1%", "10%", "12.5%", "33%", "50%", "80%", "99%", "100%", "-1%", "-20%", "-100%"):
        for text in (f"train[:{bound}]", f"train[{bound}:]"):
            (ours,) = parse_instruction(text)
            (theirs,) = tfds.core.ReadInstruction.from_spec(text).to_absolute(info)
            start, stop = theirs.from_ or 0, size if theirs.to is None else theirs.to
            assert ours.positions(size) == range(start, stop), text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read the split"),
        ("train[", "cannot read the split"),
        ("train[5]", "cannot read the split"),
        ("train[:1:2]", "cannot read the split"),
        ("train+", "cannot read the split"),
        ("train[:a%]", "`a%` in the split"),
        ("train[:10.5]", "`10.5` in the split"),
        ("train[:2shard]", "`2shard` in the split"),
        ("train[:1__0]", "`1__0` in the split"),
        ("train[:" + "9" * 400 + "]", "is more than any dataset has"),
        ("train[" + " " * 100_000, "cannot read the split"),
        ("train[:120%]", "`120%` in the split .* is beyond 100%"),
    ],
)
def test_unreadable_instructions(text, message):
    with pytest.raises(ValueError, match=message):
        parse_instruction(text)


def test_the_parser_needs_neither_numpy_nor_tensorflow():
    code = (
        "import sys; from bigmodel_cli.config.slicing import parse_instruction; "
        "parse_instruction('train[:80%]'); "
        "print(sorted({'numpy', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
