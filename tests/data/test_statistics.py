import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.config.schema import Prepare
from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec
from bigmodel_cli.data.arrays import ArraySource
from bigmodel_cli.data.division import split
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.statistics import describe
from bigmodel_cli.errors import DataError


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


NUMBERS = np.array([1, 2, np.nan, 3, 100, 2], np.float32)


def test_known_columns_are_not_learned_again(table_arrays):
    source = table_arrays((Column("c", "numeric"),), {"c": NUMBERS})
    splits = {name: SplitData(name, source, (Part.range("all", 0, 6),), "") for name in ("train", "test")}
    first = describe(source, splits)
    source.batches = None
    assert describe(source, splits, known=first) == first


@pytest.mark.parametrize("scale", ["standardize", "log"])
def test_targets_are_scaled(table_arrays, scale):
    source = table_arrays((Column("c", "numeric"),), {"c": NUMBERS})
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
