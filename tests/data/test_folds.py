"""What each fold of a cross-validation holds out."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.config.schema import Fold
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.data.arrays import ArraySource
from bigmodel_cli.data.division import split
from bigmodel_cli.data.folds import held_out
from bigmodel_cli.errors import DataError

NAMES = ("a", "b", "c")


def fold(index=0, of=3, scheme="plain", by=None):
    return Fold(index=index, of=of, scheme=scheme, by=by)


def folds(of=3, scheme="plain", *, size=30, classes=None, values=None, seed=0):
    """All folds, each held out and what it learns from."""
    by = None if values is None else "x"
    size = size if classes is None and values is None else len(classes if classes is not None else values)
    return [held_out(fold(index, of, scheme, by), size, classes, values, NAMES, seed) for index in range(of)]


def test_plain_folds_hold_every_example_out_once():
    found = folds(4, size=30)
    assert np.sum([item.test for item in found], axis=0).tolist() == [1] * 30
    assert [item.test.sum() for item in found] == [8, 8, 7, 7]
    assert all((item.rest == ~item.test).all() for item in found)


@pytest.mark.parametrize("scheme", ["plain", "stratified", "grouped"])
def test_the_seed_decides(scheme):
    classes, values = np.arange(90) % 3, np.arange(90) // 3 if scheme == "grouped" else None
    first, again, other = (
        folds(3, scheme, classes=classes, values=values, seed=seed)[0].test for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_stratified_folds_have_the_same_share_of_every_class():
    classes = np.repeat([0, 1, 2], [60, 30, 9])
    for item in folds(3, "stratified", classes=classes):
        assert np.bincount(classes[item.test]).tolist() == [20, 10, 3]


def test_no_group_lies_in_two_folds():
    groups = np.random.default_rng(0).integers(0, 20, 300)
    for classes in (None, np.arange(300) % 3):
        found = folds(5, "grouped", classes=classes, values=groups)
        assert np.sum([item.test for item in found], axis=0).tolist() == [1] * 300
        for item in found:
            assert not set(groups[item.test]) & set(groups[item.rest])


def test_a_class_rarer_than_the_folds_does_not_stop_groups():
    classes = np.array([0] * 39 + [1])
    found = folds(4, "grouped", classes=classes, values=np.arange(40) // 2)
    assert sum(item.test.sum() for item in found) == 40


def test_time_learns_from_what_lies_before():
    times = np.random.default_rng(0).permutation(40)
    found = folds(3, "time", values=times)
    # scikit-learn's TimeSeriesSplit: 10 a fold, the window before grows.
    for index, item in enumerate(found):
        assert sorted(times[item.test]) == [*range(10 * (index + 1), 10 * (index + 2))]
        assert sorted(times[item.rest]) == [*range(10 * (index + 1))]


def test_examples_of_one_time_stay_together():
    years = np.repeat(np.arange(70, 83), 9)
    for item in folds(5, "time", values=years):
        assert max(years[item.rest]) < min(years[item.test])
        assert item.test.sum() % 9 == 0


def test_dates_are_times():
    days = np.datetime64("2026-01-01") + np.arange(12)
    assert folds(2, "time", values=days)[1].rest.sum() == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": 9, "size": 8}, r"9 folds of 8 training and validation examples .* use at most 8"),
        (
            {"of": 4, "scheme": "stratified", "classes": np.array([0] * 9 + [1] * 3 + [2] * 4)},
            r"4 folds need .* but `b` has 3; use fewer folds, or the scheme `plain`",
        ),
        ({"of": 3, "scheme": "stratified"}, r"`stratified` is for examples of one class each; use `plain`"),
        (
            {"of": 4, "scheme": "grouped", "values": np.arange(30) % 3},
            r"x has 3 groups in training and validation, too few for 4 folds; use at most 3",
        ),
        ({"of": 2, "scheme": "grouped", "values": np.ones(9)}, r"one group only \(`1.0`\)"),
        ({"of": 2, "scheme": "grouped", "values": np.arange(30) % 2}, r"one group of x only.*more folds"),
        (
            {"of": 4, "scheme": "time", "values": np.arange(30) % 5},
            r"x has 5 distinct times .* too few for 4 folds .* use at most 3",
        ),
        ({"of": 2, "scheme": "time", "values": np.arange(30) % 3}, r"use another column or scheme"),
        ({"scheme": "time", "values": np.array(["a", "b"] * 5, object)}, r"dataset.fold.by: `x` holds texts"),
        (
            {"scheme": "time", "values": np.array([1.0, np.nan] * 9)},
            r"dataset.fold.by: `x` is missing in 9 rows; drop them with dataset.drop_missing: \[x\]",
        ),
    ],
)
def test_examples_that_cannot_be_divided(arguments, message):
    with pytest.raises(DataError, match=message):
        folds(**arguments)


def source(labels, values=None):
    labels = np.asarray(labels)
    inputs = np.arange(len(labels), dtype=np.float32) if values is None else np.asarray(values, np.float32)
    spec = DataSpec(
        "labelled", "test", "classification", InputSpec((1,), "float32", "tabular", ("x",)),
        TargetSpec((), "int32", NAMES),
    )  # fmt: skip
    return ArraySource(spec, {"all": (inputs[:, np.newaxis], labels.astype(np.int32))})


def divide(data, which=None, **options):
    arguments = {
        "splits": None, "validation_fraction": 0.25, "test_fraction": 0.2, "limit": None, "seed": 0, **options
    }  # fmt: skip
    return split(data, **arguments, fold=which)


def positions(parts):
    return {
        name: set(np.concatenate([item.indices for item in part.parts]).tolist())
        for name, part in parts.items()
    }


def test_folds_leave_the_test_split_alone():
    data = source(np.arange(150) % 3)
    whole = positions(divide(data))
    found = [divide(data, fold(index, 4, "stratified")) for index in range(4)]
    held = [positions(item)["test"] for item in found]
    assert set.union(*held) == whole["train"] | whole["validation"]
    assert sum(map(len, held)) == 120
    for parts in map(positions, found):
        assert not parts["train"] & parts["validation"]
        assert parts["train"] | parts["validation"] | parts["test"] == whole["train"] | whole["validation"]
    assert {name: part.size for name, part in found[0].items()} == {"train": 68, "validation": 22, "test": 30}
    assert found[1]["test"].describe == "fold 2 of 4 of train and validation, stratified by class, seed 0"
    assert found[1]["train"].describe == "the rest of train and validation without fold 2 of 4"


def test_a_limit_is_one_of_the_examples_that_are_divided():
    data = source(np.arange(300) % 3)
    limited = positions(divide(data, limit=40))
    held = [positions(divide(data, fold(index), limit=40))["test"] for index in range(3)]
    assert set.union(*held) == limited["train"] | limited["validation"]


def test_validation_keeps_groups_and_time_apart_too():
    values = np.random.default_rng(0).integers(0, 30, 600)
    for scheme in ("grouped", "time"):
        found = {
            name: set(part.arrays()[0][:, 0].tolist())
            for name, part in divide(source(np.arange(600) % 3, values), fold(1, 4, scheme, "x")).items()
        }
        assert not found["train"] & found["validation"]
        assert not found["test"] & (found["train"] | found["validation"])
        if scheme == "time":
            assert max(found["train"]) < min(found["validation"])
            assert max(found["validation"]) < min(found["test"])


def test_base_splits_are_joined():
    pools = {"train": 60, "validation": 30, "test": 20}
    spec = source([0, 1, 2]).spec
    bases = {
        name: (np.zeros((size, 1), np.float32), np.arange(size, dtype=np.int32) % 3)
        for name, size in pools.items()
    }
    data = ArraySource(spec, bases)
    found = [divide(data, fold(index)) for index in range(3)]
    assert {part.base for item in found for part in item["test"].parts} == {"train", "validation"}
    assert sum(item["test"].size for item in found) == 90


def test_a_column_that_is_not_there_names_the_key():
    with pytest.raises(DataError, match=r"^dataset.fold.by: labelled has no column `nope`"):
        divide(source(np.arange(30) % 3), fold(0, 3, "grouped", "nope"))
