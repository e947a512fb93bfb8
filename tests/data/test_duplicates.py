from __future__ import annotations

import math

import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec
from bigmodel_cli.data.arrays import ArraySource, in_batches
from bigmodel_cli.data.duplicates import content_hashes, repeated, shared
from bigmodel_cli.data.splits import SplitData


def vectors(*rows):
    """A split over float32 vectors."""
    inputs = np.array(rows, np.float32)
    spec = DataSpec(
        "vectors",
        "test",
        "classification",
        InputSpec(inputs.shape[1:], "float32", "tabular"),
        TargetSpec((), "int32", ("a",)),
    )
    source = ArraySource(spec, {"all": (inputs, np.zeros(len(inputs), np.int32))})
    return SplitData("train", source, (Part.range("all", 0, len(inputs)),), "all")


class TableSource:
    """As much of a source of tables as is streamed."""

    def __init__(self, **columns):
        self.columns = columns
        self.size = len(next(iter(columns.values())))

    def batches(self, part, key=None):
        import tensorflow as tf

        cells = {name: tf.constant(values) for name, values in self.columns.items()}

        def look_up(positions):
            return {name: tf.gather(values, positions) for name, values in cells.items()}, positions

        return in_batches(part, look_up, 8)

    def split(self):
        return SplitData("train", self, (Part.range("all", 0, self.size),), "all")


class TestContentHashes:
    def test_equal_examples_and_no_others_have_equal_hashes(self):
        hashes = content_hashes(vectors([1, 2], [2, 1], [1, 2], [1, 2.0000002]))
        assert hashes.dtype == np.uint64
        assert hashes[0] == hashes[2]
        assert len(set(hashes.tolist())) == 3

    def test_numbers_that_are_equal_in_different_bytes(self):
        negative_nan = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
        hashes = content_hashes(vectors([0.0, math.nan], [-0.0, negative_nan], [0.0, 0.0]))
        assert hashes[0] == hashes[1] != hashes[2]

    def test_images_of_a_part(self, numbered_images):
        source = numbered_images({"train": 600})
        whole = SplitData("train", source, (Part.range("train", 0, 600),), "")
        some = SplitData("train", source, (Part("train", np.array([3, 599])), Part.range("train", 0, 1)), "")
        hashes = content_hashes(whole)
        assert len(set(hashes.tolist())) == 600
        assert content_hashes(some).tolist() == hashes[[3, 599, 0]].tolist()

    def test_cells_of_a_table_do_not_run_into_their_neighbours(self):
        source = TableSource(
            first=[b"ab", b"a", b"ab", b""], second=[b"c", b"bc", b"c", b"abc"], third=[1.0, 1.0, 1.0, 1.0]
        )
        hashes = content_hashes(source.split())
        assert hashes[0] == hashes[2]
        assert len(set(hashes.tolist())) == 3

    def test_every_column_counts(self):
        source = TableSource(**{Column("a/b", "text").key: [b"x", b"x"]}, when=[1, 2])
        assert len(set(content_hashes(source.split()).tolist())) == 2


class TestRepeated:
    def test_later_ones_with_the_first_of_their_kind(self):
        found = repeated(np.array([7, 5, 7, 9, 5, 7], np.uint64))
        assert found.positions.tolist() == [2, 4, 5]
        assert found.originals.tolist() == [0, 1, 0]
        assert found.count == 3

    @pytest.mark.parametrize("hashes", [[], [1], [2**64 - 1, 0, 2**63]])
    def test_none(self, hashes):
        assert repeated(np.array(hashes, np.uint64)).count == 0


class TestShared:
    def test_positions_in_both(self):
        found = shared(np.array([9, 4, 6, 4], np.uint64), np.array([4, 1, 9, 4, 2**64 - 1], np.uint64))
        assert found.positions.tolist() == [0, 2, 3]
        assert found.originals.tolist() == [1, 0, 1]

    def test_agrees_with_a_plain_search(self):
        generator = np.random.default_rng(0)
        known, others = (generator.integers(0, 300, size).astype(np.uint64) for size in (200, 150))
        found = shared(known, others)
        expected = [(known.tolist().index(h), p) for p, h in enumerate(others.tolist()) if h in known]
        assert list(zip(found.originals.tolist(), found.positions.tolist(), strict=True)) == expected
