import numpy as np
import pytest

from bigmodel_cli.columns import MISSING_DATE, Column
from bigmodel_cli.config.schema import Prepare
from bigmodel_cli.contracts import Part
from bigmodel_cli.data import column_statistics
from bigmodel_cli.data.column_statistics import learn_columns
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError


@pytest.fixture
def learn(table_arrays):
    """Learns the one column of a table."""

    def learned(kind, cells, rows=None, **prepare):
        column = Column("c", kind)
        source = table_arrays((column,), {"c": np.asarray(cells)})
        rows = range(len(cells)) if rows is None else rows
        train = SplitData("train", source, (Part("all", np.asarray(rows)),), "some")
        (found,) = learn_columns((column,), train, Prepare.model_validate(prepare))
        return found

    return learned


NAN = np.nan
NUMBERS = np.array([1, 2, NAN, 3, 100, 2], np.float32)


@pytest.mark.parametrize(
    ("missing", "fill"), [("median", 2.0), ("mean", 21.6), ("mode", 2.0), ("constant", -7.0)]
)
def test_numbers_are_filled(learn, missing, fill):
    learned = learn("numeric", NUMBERS, numeric={"missing": missing, **({"fill": fill} if fill < 0 else {})})
    assert learned.fill == pytest.approx(fill, rel=1e-6)
    assert learned.missing == 1


def test_statistics_are_of_the_training_rows_alone(learn):
    learned = learn("numeric", NUMBERS, rows=[0, 1, 3])
    assert (learned.fill, learned.missing) == (2.0, 0)
    assert learned.shift == 2.0
    assert learned.factor == pytest.approx(1 / np.std([1, 2, 3]))


def test_standardizing_counts_what_is_filled_in(learn):
    learned = learn("numeric", NUMBERS)
    filled = np.array([1, 2, 2, 3, 100, 2])
    assert learned.shift == pytest.approx(filled.mean())
    assert learned.factor == pytest.approx(1 / filled.std())


def test_min_max(learn):
    learned = learn("numeric", NUMBERS, numeric={"scale": "min_max"})
    assert (learned.shift, learned.factor) == (1.0, pytest.approx(1 / 99))


def test_clipping_before_scaling(learn):
    learned = learn(
        "numeric", np.arange(101, dtype=np.float32), numeric={"clip": [0.1, 0.9], "scale": "min_max"}
    )
    assert (learned.low, learned.high) == (10.0, 90.0)
    assert (learned.shift, learned.factor) == (10.0, pytest.approx(1 / 80))


def test_logarithm(learn):
    learned = learn("numeric", np.array([0, 9, 99, -9], np.float32), numeric={"scale": "log"})
    logs = np.array([0, np.log(10), np.log(100), -np.log(10)])
    assert learned.log
    assert learned.shift == pytest.approx(logs.mean())
    assert learned.factor == pytest.approx(1 / logs.std())


def test_a_constant_is_only_shifted(learn):
    learned = learn("numeric", np.full(10, 5e6, np.float32))
    assert (learned.shift, learned.factor) == (5e6, 1.0)


def test_many_rows_are_sampled(learn, monkeypatch):
    monkeypatch.setattr(column_statistics, "SAMPLE_ROWS", 2000)
    values = np.random.default_rng(0).normal(5, 2, 10_000).astype(np.float32)
    values[::10] = NAN
    learned = learn("numeric", values)
    assert learned.missing == 1000
    assert learned.shift == pytest.approx(5, abs=0.2)
    assert 1 / learned.factor == pytest.approx(2 * np.sqrt(0.9), abs=0.15)


WORDS = np.array([b"b", b"a", b"", b"b", b"c", b"c", b"b"], object)


def test_the_vocabulary_is_by_frequency(learn):
    learned = learn("categorical", WORDS)
    assert learned.vocabulary == ("b", "c", "a")
    assert (learned.encoding, learned.missing, learned.fill_category) == ("one_hot", 1, "")
    assert learned.ids == 5


def test_rare_categories_are_left_out(learn):
    assert learn("categorical", WORDS, categorical={"min_count": 2}).vocabulary == ("b", "c")
    assert learn("categorical", WORDS, categorical={"max_categories": 1}).vocabulary == ("b",)


def test_missing_categories_are_filled(learn):
    assert learn("categorical", WORDS, categorical={"missing": "mode"}).fill_category == "b"
    given = learn("categorical", WORDS, categorical={"missing": "constant", "fill": "none"})
    assert (given.fill_category, given.vocabulary[-1]) == ("none", "none")


def test_a_column_leaves_behind_what_its_kind_fills_in(learn):
    learned = learn(
        "numeric", NUMBERS, numeric={"missing": "constant", "fill": 9.0}, columns={"c": {"missing": "mode"}}
    )
    assert learned.fill == 2.0


def test_many_categories_are_embedded(learn):
    learned = learn("categorical", np.array([f"k{i}".encode() for i in range(100)], object))
    assert (learned.encoding, learned.dimension) == ("embedding", round(1.6 * 100**0.56))


def test_hashing_needs_no_vocabulary(learn):
    learned = learn("categorical", WORDS, categorical={"encode": "hash", "hash_buckets": 50, "dimension": 4})
    assert (learned.encoding, learned.vocabulary, learned.ids, learned.dimension) == ("hash", (), 50, 4)


def test_dates_are_measured_in_years(learn):
    year = column_statistics.SECONDS_A_YEAR
    learned = learn("date", np.array([0, 2 * year, MISSING_DATE, 4 * year]).astype(np.int64))
    assert learned.parts == ("elapsed", "month", "weekday")
    assert (learned.missing, learned.shift) == (1, pytest.approx(2))
    assert learned.factor == pytest.approx(1 / np.std([0, 2, 4]))


def test_tokens_are_counted_over_all_batches(learn):
    texts = np.array([b"The cat, the dog", b"a CAT", b"", *[b"dog dog dog dog"] * 10], object)
    learned = learn("text", texts, text={"dimension": 8})
    assert learned.vocabulary == ("dog", "the", "cat", "a")
    assert (learned.length, learned.missing, learned.dimension) == (4, 1, 8)
    short = learn("text", texts, text={"max_tokens": 4, "length": 3})
    assert (short.vocabulary, short.length) == (("dog", "the"), 3)


def test_a_column_may_differ_from_its_kind(learn):
    learned = learn("numeric", NUMBERS, columns={"c": {"missing": "mean"}}, numeric={"indicator": True})
    assert learned.fill == pytest.approx(21.6)
    assert learned.indicator


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"cc": {}}, "there is no column `cc` to prepare; did you mean `c`"),
        ({"c": {"encode": "hash"}}, r"columns\.c\.encode: numeric columns have missing, fill"),
        ({"c": {"missing": "drop"}}, r"columns\.c\.missing: Input should be 'median'"),
    ],
)
def test_wrong_columns(learn, columns, message):
    with pytest.raises(DataError, match=message):
        learn("numeric", NUMBERS, columns=columns)


def test_a_column_without_values_is_refused(learn):
    with pytest.raises(DataError, match="`c` has no value at all in the training split"):
        learn("numeric", np.full(5, NAN, np.float32))
