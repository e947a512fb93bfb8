from __future__ import annotations

import math

import numpy as np
import pytest

from bigmodel_cli.columns import MISSING_DATE, Column
from bigmodel_cli.contracts import Part
from bigmodel_cli.data import contents
from bigmodel_cli.data.contents import Numbers, column_contents
from bigmodel_cli.data.splits import SplitData


@pytest.fixture
def split(numbered_images):
    source = numbered_images({"train": 50, "extra": 20})
    parts = (Part("train", np.arange(10, 50)), Part("extra", np.array([3, 5, 7, 9])))
    return SplitData("train", source, parts, "")


class TestSamples:
    def test_picked_across_parts(self, split, number_of):
        picked = contents.picked(split, np.array([0, 39, 40, 43]))
        assert number_of(picked.arrays()[0]) == [10, 49, 3, 9]

    def test_a_part_without_any_is_left_out(self, split):
        assert [part.base for part in contents.picked(split, np.array([41])).parts] == ["extra"]

    def test_evenly_spread(self, split, number_of):
        assert number_of(contents.sample(split, 4).arrays()[0]) == [10, 21, 32, 43]
        assert contents.sample(split, 44) is split

    @pytest.mark.parametrize(
        ("position", "place"), [(0, "train[10]"), (39, "train[49]"), (40, "extra[3]"), (43, "extra[9]")]
    )
    def test_where_an_example_is_stored(self, split, position, place):
        assert contents.place(split, position) == place

    def test_beyond_the_end(self, split):
        with pytest.raises(IndexError, match="44 examples"):
            contents.place(split, 44)


class TestNumbers:
    def test_of_bytes_without_overflow(self):
        values = np.full((3, 5), 200, np.uint8)
        values[0] = 100
        assert Numbers.of(values) == Numbers(
            pytest.approx(500 / 3), pytest.approx(np.std([100, 200, 200])), 100, 200
        )

    def test_only_finite_ones_count(self):
        assert Numbers.of(np.array([1, math.nan, 3, math.inf])) == Numbers(2, 1, 1, 3)

    def test_none(self):
        assert math.isnan(Numbers.of(np.array([math.nan])).mean)


class TestColumnContents:
    def test_numbers(self):
        found = column_contents(Column("x", "numeric"), np.array([1, math.nan, 3, 3], np.float32))
        assert (found.missing, found.distinct) == (1, 2)
        assert found.numbers == Numbers(pytest.approx(7 / 3), pytest.approx(np.std([1, 3, 3])), 1, 3)
        assert found.frequent == ()

    def test_booleans(self):
        found = column_contents(Column("x", "boolean"), np.array([0, 1, 1, math.nan], np.float32))
        assert (found.missing, found.distinct) == (1, 2)
        assert found.frequent == (("true", 2), ("false", 1))

    def test_categories_the_most_frequent_first_then_by_the_alphabet(self):
        cells = np.array([b"c", b"b", b"", b"b", b"a", *[f"rare {i}".encode() for i in range(9)]], object)
        found = column_contents(Column("x", "categorical"), cells)
        assert (found.missing, found.distinct) == (1, 12)
        assert found.frequent[:3] == (("b", 2), ("a", 1), ("c", 1))
        assert len(found.frequent) == contents.FREQUENT

    def test_texts_are_counted_in_words(self):
        cells = np.array([b"one two  three", b"one", b"", b"one"], object)
        found = column_contents(Column("x", "text"), cells)
        assert (found.missing, found.distinct) == (1, 2)
        assert (found.numbers.low, found.numbers.high) == (1, 3)

    def test_dates(self):
        cells = np.array([86_400, MISSING_DATE, -86_400, 3_661], np.int64)
        found = column_contents(Column("x", "date"), cells)
        assert (found.missing, found.distinct) == (1, 3)
        assert (found.earliest, found.latest) == ("1969-12-31", "1970-01-02")
        assert contents.iso_date(3_661) == "1970-01-01 01:01:01"
        assert contents.iso_date(10**15) == "1,000,000,000,000,000 s since 1970"

    @pytest.mark.parametrize(
        ("kind", "cells"),
        [
            ("numeric", np.array([math.nan], np.float32)),
            ("date", np.array([MISSING_DATE])),
            ("categorical", np.array([b""], object)),
            ("text", np.array([b""], object)),
        ],
    )
    def test_nothing_but_missing_cells(self, kind, cells):
        found = column_contents(Column("x", kind), cells)
        assert (found.missing, found.distinct, found.frequent, found.earliest) == (1, 0, (), "")
