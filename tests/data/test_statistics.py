import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.columns import MISSING_DATE, Column
from bigmodel_cli.config.schema import Prepare
from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec
from bigmodel_cli.data import statistics
from bigmodel_cli.data.arrays import ArraySource
from bigmodel_cli.data.division import split
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.statistics import describe, learn_columns
from bigmodel_cli.errors import DataError


class TableArrays:
    """A table in memory, given out in batches of 7 rows."""

    def __init__(self, columns, cells):
        self.cells = cells
        size = len(next(iter(cells.values())))
        self.sizes = {"all": size}
        target = TargetSpec((1,), "float32", ("y",))
        self.spec = DataSpec(
            "rows", "test", "regression", InputSpec((len(cells),), "", "table", tuple(cells), columns), target
        )

    def targets(self, part):
        return part.indices[:, np.newaxis].astype(np.float32)

    def batches(self, part, key=None):
        cells = {name: values[part.indices] for name, values in self.cells.items()}
        return tf.data.Dataset.from_tensor_slices((cells, self.targets(part))).batch(7)


def learn(kind, cells, rows=None, **prepare):
    column = Column("c", kind)
    source = TableArrays((column,), {"c": np.asarray(cells)})
    rows = range(len(cells)) if rows is None else rows
    train = SplitData("train", source, (Part("all", np.asarray(rows)),), "some")
    (learned,) = learn_columns((column,), train, Prepare.model_validate(prepare))
    return learned


NAN = np.nan
NUMBERS = np.array([1, 2, NAN, 3, 100, 2], np.float32)


@pytest.mark.parametrize(
    ("missing", "fill"), [("median", 2.0), ("mean", 21.6), ("mode", 2.0), ("constant", -7.0)]
)
def test_numbers_are_filled(missing, fill):
    learned = learn("numeric", NUMBERS, numeric={"missing": missing, **({"fill": fill} if fill < 0 else {})})
    assert learned.fill == pytest.approx(fill, rel=1e-6)
    assert learned.missing == 1


def test_statistics_are_of_the_training_rows_alone():
    learned = learn("numeric", NUMBERS, rows=[0, 1, 3])
    assert (learned.fill, learned.missing) == (2.0, 0)
    assert learned.shift == 2.0
    assert learned.factor == pytest.approx(1 / np.std([1, 2, 3]))


def test_standardizing_counts_what_is_filled_in():
    learned = learn("numeric", NUMBERS)
    filled = np.array([1, 2, 2, 3, 100, 2])
    assert learned.shift == pytest.approx(filled.mean())
    assert learned.factor == pytest.approx(1 / filled.std())


def test_features_of_sequences_are_those_of_all_steps():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(50, 6, 2)) * [1, 100] + [5, 1e6]).astype(np.float32)
    spec = DataSpec(
        "s",
        "here",
        "regression",
        InputSpec((6, 2), "float32", "tabular"),
        TargetSpec((1,), "float32", ("y",)),
    )
    source = ArraySource(
        spec, {"train": (x, np.zeros((50, 1), np.float32)), "test": (x, np.ones((50, 1), np.float32))}
    )
    splits = split(source, splits={}, validation_fraction=0.2, test_fraction=0.2, limit=None, seed=0)
    found = describe(source, splits).input
    seen = splits["train"].arrays()[0].astype(np.float64).reshape(-1, 2)
    assert 0 < len(seen) < 300
    np.testing.assert_allclose(found.mean, seen.mean(axis=0))
    np.testing.assert_allclose(found.variance, seen.var(axis=0))


def test_min_max():
    learned = learn("numeric", NUMBERS, numeric={"scale": "min_max"})
    assert (learned.shift, learned.factor) == (1.0, pytest.approx(1 / 99))


def test_clipping_before_scaling():
    learned = learn(
        "numeric", np.arange(101, dtype=np.float32), numeric={"clip": [0.1, 0.9], "scale": "min_max"}
    )
    assert (learned.low, learned.high) == (10.0, 90.0)
    assert (learned.shift, learned.factor) == (10.0, pytest.approx(1 / 80))


def test_logarithm():
    learned = learn("numeric", np.array([0, 9, 99, -9], np.float32), numeric={"scale": "log"})
    logs = np.array([0, np.log(10), np.log(100), -np.log(10)])
    assert learned.log
    assert learned.shift == pytest.approx(logs.mean())
    assert learned.factor == pytest.approx(1 / logs.std())


def test_a_constant_is_only_shifted():
    learned = learn("numeric", np.full(10, 5e6, np.float32))
    assert (learned.shift, learned.factor) == (5e6, 1.0)


def test_many_rows_are_sampled(monkeypatch):
    monkeypatch.setattr(statistics, "SAMPLE_ROWS", 2000)
    values = np.random.default_rng(0).normal(5, 2, 10_000).astype(np.float32)
    values[::10] = NAN
    learned = learn("numeric", values)
    assert learned.missing == 1000
    assert learned.shift == pytest.approx(5, abs=0.2)
    assert 1 / learned.factor == pytest.approx(2 * np.sqrt(0.9), abs=0.15)


WORDS = np.array([b"b", b"a", b"", b"b", b"c", b"c", b"b"], object)


def test_the_vocabulary_is_by_frequency():
    learned = learn("categorical", WORDS)
    assert learned.vocabulary == ("b", "c", "a")
    assert (learned.encoding, learned.missing, learned.fill_category) == ("one_hot", 1, "")
    assert learned.ids == 5


def test_rare_categories_are_left_out():
    assert learn("categorical", WORDS, categorical={"min_count": 2}).vocabulary == ("b", "c")
    assert learn("categorical", WORDS, categorical={"max_categories": 1}).vocabulary == ("b",)


def test_missing_categories_are_filled():
    assert learn("categorical", WORDS, categorical={"missing": "mode"}).fill_category == "b"
    given = learn("categorical", WORDS, categorical={"missing": "constant", "fill": "none"})
    assert (given.fill_category, given.vocabulary[-1]) == ("none", "none")


def test_a_column_leaves_behind_what_its_kind_fills_in():
    learned = learn(
        "numeric", NUMBERS, numeric={"missing": "constant", "fill": 9.0}, columns={"c": {"missing": "mode"}}
    )
    assert learned.fill == 2.0


def test_many_categories_are_embedded():
    learned = learn("categorical", np.array([f"k{i}".encode() for i in range(100)], object))
    assert (learned.encoding, learned.dimension) == ("embedding", round(1.6 * 100**0.56))


def test_hashing_needs_no_vocabulary():
    learned = learn("categorical", WORDS, categorical={"encode": "hash", "hash_buckets": 50, "dimension": 4})
    assert (learned.encoding, learned.vocabulary, learned.ids, learned.dimension) == ("hash", (), 50, 4)


def test_dates_are_measured_in_years():
    year = statistics.SECONDS_A_YEAR
    learned = learn("date", np.array([0, 2 * year, MISSING_DATE, 4 * year]).astype(np.int64))
    assert learned.parts == ("elapsed", "month", "weekday")
    assert (learned.missing, learned.shift) == (1, pytest.approx(2))
    assert learned.factor == pytest.approx(1 / np.std([0, 2, 4]))


def test_tokens_are_counted_over_all_batches():
    texts = np.array([b"The cat, the dog", b"a CAT", b"", *[b"dog dog dog dog"] * 10], object)
    learned = learn("text", texts, text={"dimension": 8})
    assert learned.vocabulary == ("dog", "the", "cat", "a")
    assert (learned.length, learned.missing, learned.dimension) == (4, 1, 8)
    short = learn("text", texts, text={"max_tokens": 4, "length": 3})
    assert (short.vocabulary, short.length) == (("dog", "the"), 3)


def test_a_column_may_differ_from_its_kind():
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
def test_wrong_columns(columns, message):
    with pytest.raises(DataError, match=message):
        learn("numeric", NUMBERS, columns=columns)


def test_a_column_without_values_is_refused():
    with pytest.raises(DataError, match="`c` has no value at all in the training split"):
        learn("numeric", np.full(5, NAN, np.float32))


def test_known_columns_are_not_learned_again():
    source = TableArrays((Column("c", "numeric"),), {"c": NUMBERS})
    splits = {name: SplitData(name, source, (Part.range("all", 0, 6),), "") for name in ("train", "test")}
    first = describe(source, splits)
    source.batches = None
    assert describe(source, splits, known=first) == first


@pytest.mark.parametrize("scale", ["standardize", "log"])
def test_targets_are_scaled(scale):
    source = TableArrays((Column("c", "numeric"),), {"c": NUMBERS})
    splits = {"train": SplitData("train", source, (Part.range("all", 0, 6),), "")}
    target = describe(source, splits, Prepare.model_validate({"target": {"scale": scale}})).target
    values = np.arange(6) if scale == "standardize" else np.log1p(np.arange(6))
    assert target.scaling == scale
    assert target.shift == (pytest.approx(values.mean()),)
    assert target.factor == (pytest.approx(1 / values.std()),)
    assert target.mean == (2.5,)


def divide(source, splits=None):
    return split(source, splits=splits, validation_fraction=0.2, test_fraction=0.1, limit=None, seed=0)


def labelled(labels):
    inputs = np.arange(len(labels), dtype=np.float32)[:, np.newaxis]
    target = TargetSpec((), "int32", tuple(map(str, range(max(labels) + 1))))
    spec = DataSpec(
        "labelled", "test", "classification", InputSpec((1,), "float32", "tabular", ("x",)), target
    )
    return ArraySource(spec, {"all": (inputs, np.asarray(labels, np.int32))})


def test_preparation_is_for_tables():
    source = labelled([0, 1] * 20)
    with pytest.raises(
        DataError, match=r"dataset.prepare.numeric: is for tables, but labelled gives tabular"
    ):
        describe(source, divide(source), Prepare.model_validate({"numeric": {"missing": "mean"}}))
    with pytest.raises(DataError, match=r"prepare.target.scale: `log` is for regression"):
        describe(source, divide(source), Prepare.model_validate({"target": {"scale": "log"}}))


def test_describe_counts_classes_of_the_training_split(numbered_images):
    source = numbered_images({"train": 102, "test": 20})
    data = divide(source, {"train": "train[:10]", "validation": "train[10:]", "test": "test"})
    spec = describe(source, data)
    assert spec.sizes == {"train": 10, "validation": 92, "test": 20}
    assert spec.target.counts == (3, 3, 2, 2)
    assert spec.input.mean == ()


def test_describe_measures_tables_over_the_training_split_alone():
    inputs = np.array([[1e8, 5], [1e8 + 8, 5], [0, 0], [0, 0]], np.float32)
    targets = np.array([[1], [2], [100], [100]], np.float32)
    spec = DataSpec(
        "table",
        "test",
        "regression",
        InputSpec((2,), "float32", "tabular", ("a", "b")),
        TargetSpec((1,), "float32", ("y",)),
    )
    source = ArraySource(spec, {"all": (inputs, targets)})
    full = describe(source, divide(source, {"train": "all[:2]", "validation": "all[2:3]", "test": "all[3:]"}))
    assert full.input.mean == (1e8 + 4, 5)
    assert full.input.variance == (16, 0)
    assert full.target.mean == (1.5,)


def test_describe_refuses_numbers_that_are_not_finite():
    source = labelled([0, 1] * 20)
    source.arrays(Part.range("all", 0, 40))[0][:] = np.nan
    with pytest.raises(DataError, match=r"not finite .* feature x; fill or drop them"):
        describe(source, divide(source))
