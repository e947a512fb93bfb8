from collections import Counter

import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.data import division
from bigmodel_cli.data.arrays import ArraySource
from bigmodel_cli.data.division import split
from bigmodel_cli.errors import DataError


def divide(source, splits=None, *, validation_fraction=0.2, test_fraction=0.1, limit=None, seed=0):
    return split(
        source,
        splits=splits,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        limit=limit,
        seed=seed,
    )


def labelled(labels, task="classification"):
    labels = np.asarray(labels)
    inputs = np.arange(len(labels), dtype=np.float32)[:, np.newaxis]
    if task == "classification":
        names = tuple(map(str, range(int(labels.max()) + 1)))
        target, targets = TargetSpec((), "int32", names), labels.astype(np.int32)
    else:
        target, targets = TargetSpec((1,), "float32", ("y",)), labels.astype(np.float32)[:, np.newaxis]
    spec = DataSpec("labelled", "test", task, InputSpec((1,), "float32", "tabular", ("x",)), target)
    return ArraySource(spec, {"all": (inputs, targets)})


class Counting:
    """A source that records which parts are decoded."""

    def __init__(self, source):
        self.spec, self.sizes, self.example_bytes = source.spec, source.sizes, source.example_bytes
        self._source, self.decoded = source, []

    def arrays(self, part):
        self.decoded.append(part)
        return self._source.arrays(part)

    def targets(self, part):
        return self._source.targets(part)


def test_given_splits(numbered_images, number_of):
    given = {"train": "train[:80%]", "validation": "train[80%:]", "test": "test"}
    data = divide(numbered_images({"train": 100, "test": 20}), given)
    read = {name: number_of(part.arrays()[0]) for name, part in data.items()}
    assert read == {"train": [*range(80)], "validation": [*range(80, 100)], "test": [*range(20)]}
    assert {name: part.describe for name, part in data.items()} == given


def test_a_sum_of_slices_is_read_in_its_order(numbered_images, number_of):
    data = divide(
        numbered_images({"train": 100, "test": 20}),
        {"train": "test[:2]+train[:3]", "validation": "train[3:]", "test": "test[2:]"},
    )
    assert number_of(data["train"].arrays()[0]) == [*range(2), *range(3)]
    assert data["train"].targets().tolist() == [0, 1, 0, 1, 2]
    assert [label for _, y in data["train"].batches() for label in y.numpy()] == [0, 1, 0, 1, 2]


def test_without_splits_the_test_base_is_the_test_and_validation_comes_out_of_train(
    numbered_images, number_of
):
    data = divide(numbered_images({"train": 100, "test": 20}))
    train, validation = (number_of(data[name].arrays()[0]) for name in ("train", "validation"))
    assert sorted(train + validation) == [*range(100)]
    assert (train, validation) == (sorted(train), sorted(validation))
    assert np.bincount(data["validation"].targets()).tolist() == [5] * 4
    assert number_of(data["test"].arrays()[0]) == [*range(20)]
    assert data["validation"].describe == "0.2 of train, held out stratified by class, seed 0"


def test_a_validation_base_is_used(numbered_images):
    data = divide(numbered_images({"train": 100, "validation": 30, "test": 20}))
    assert {name: part.size for name, part in data.items()} == {"train": 100, "validation": 30, "test": 20}


def test_one_pool_gives_all_three(numbered_images, number_of):
    data = divide(numbered_images({"all": 200}))
    assert {name: part.size for name, part in data.items()} == {"train": 144, "validation": 36, "test": 20}
    assert sorted(n for part in data.values() for n in number_of(part.arrays()[0])) == [*range(200)]


def test_the_test_split_does_not_move_with_the_validation_fraction(numbered_images, number_of):
    tests = [
        number_of(divide(numbered_images({"all": 200}), validation_fraction=f)["test"].arrays()[0])
        for f in (0.1, 0.5)
    ]
    assert tests[0] == tests[1]


def test_given_train_and_test_get_a_validation_out_of_train(numbered_images, number_of):
    data = divide(numbered_images({"train": 100, "test": 20}), {"train": "train[:50]", "test": "train[50:]"})
    assert {name: part.size for name, part in data.items()} == {"train": 40, "validation": 10, "test": 50}
    assert set(number_of(data["validation"].arrays()[0])) < set(range(50))


def test_given_validation_is_taken_out_of_train(numbered_images, number_of):
    data = divide(numbered_images({"train": 100, "test": 20}), {"validation": "train[90:]"})
    assert number_of(data["train"].arrays()[0]) == [*range(90)]
    assert data["train"].describe == "train without the given splits"


def test_a_test_base_given_for_validation_is_not_the_test_again(numbered_images):
    data = divide(numbered_images({"train": 100, "test": 20}), {"validation": "test"})
    assert {name: part.size for name, part in data.items()} == {"train": 90, "validation": 20, "test": 10}
    assert data["test"].describe.startswith("0.1 of train, held out")


def test_the_seed_decides_what_is_held_out(numbered_images, number_of):
    source = numbered_images({"all": 200})
    first, again, other = (number_of(divide(source, seed=s)["validation"].arrays()[0]) for s in (0, 0, 1))
    assert first == again != other


def test_regression_is_held_out_at_random():
    data = divide(labelled(np.linspace(0, 1, 200), "regression"))
    assert {name: part.size for name, part in data.items()} == {"train": 144, "validation": 36, "test": 20}
    assert data["test"].describe == "0.1 of all, held out at random, seed 0"
    assert 0.3 < data["test"].targets().mean() < 0.7


def test_rare_classes_keep_an_example_for_training():
    labels = [0] * 90 + [1] * 7 + [2] * 2 + [3]
    data = divide(labelled(labels), test_fraction=0.3, validation_fraction=0.3)
    counts = {name: Counter(part.targets().tolist()) for name, part in data.items()}
    assert sum(counts.values(), Counter()) == Counter(labels)
    assert set(counts["train"]) == {0, 1, 2, 3}
    assert counts["test"][0] == 27
    assert counts["test"][1] == 2


def test_only_singletons_leave_nothing_to_hold_out():
    with pytest.raises(DataError, match=r"split .* of labelled holds no examples"):
        divide(labelled(np.arange(10)))


def test_limit_is_the_first_n_of_each_split_and_decodes_no_more(numbered_images, number_of):
    source = Counting(numbered_images({"train": 1000, "test": 200}))
    data = divide(source, limit=16)
    assert {part.size for part in data.values()} == {16}
    full = divide(numbered_images({"train": 1000, "test": 200}))
    for name in full:
        assert number_of(data[name].arrays()[0]) == number_of(full[name].arrays()[0])[:16]
    assert {part.size for part in source.decoded} == {16}
    assert data["test"].describe == "test, the first 16"


def test_limit_across_a_sum(numbered_images, number_of):
    data = divide(
        numbered_images({"train": 100, "test": 20}),
        {"train": "test[:5]+train[:50]", "validation": "train[50:]", "test": "test[5:]"},
        limit=8,
    )
    assert number_of(data["train"].arrays()[0]) == [0, 1, 2, 3, 4, 0, 1, 2]


def test_a_held_out_split_streams_its_own_examples(numbered_images, number_of):
    validation = divide(numbered_images({"train": 100, "test": 20}))["validation"]
    read = [n for x, _ in validation.batches() for n in number_of(x.numpy())]
    assert read == number_of(validation.arrays()[0])
    assert len(read) == 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": "trian"}, "names the split `trian`, which numbered does not have; it has `train`"),
        (
            {"train": "train[:80]", "validation": "train[70:]"},
            "train `train.:80.` and validation .* share 10 examples",
        ),
        ({"test": "train[:10]", "train": "train"}, "share 10 examples"),
        ({"train": "train[:500]"}, "500 is outside of its 100 examples"),
        ({"test": "test[50%:50%]"}, "the test split .* holds no examples"),
        ({"validation": "train"}, "the train split .* holds no examples"),
    ],
)
def test_splits_that_cannot_be(numbered_images, given, message):
    with pytest.raises(DataError, match=message):
        divide(numbered_images({"train": 100, "test": 20}), given)


def test_nothing_to_train_on(numbered_images):
    with pytest.raises(DataError, match=r"has no split `train`; it has `unlabelled` \(100 examples\)"):
        divide(numbered_images({"unlabelled": 100}))


def test_no_validation_fraction(numbered_images):
    with pytest.raises(DataError, match=r"the validation split .* holds no examples"):
        divide(numbered_images({"train": 100, "test": 20}), validation_fraction=0.0)


def by_column(values, labels=None, **options):
    """A pool whose only feature is the column `x`, divided by it."""
    labels = np.zeros(len(values)) if labels is None else labels
    source = labelled(np.asarray(labels, int))
    source._bases["all"][0][:, 0] = values
    arguments = {"validation_fraction": 0.2, "test_fraction": 0.2, "limit": None, "seed": 0, **options}
    data = split(source, splits=None, **arguments)
    return {name: part.arrays()[0][:, 0].tolist() for name, part in data.items()}


def test_groups_stay_together():
    groups = np.random.default_rng(0).integers(0, 30, 600)
    found = by_column(groups, split_by=("group", "x"))
    members = {name: set(values) for name, values in found.items()}
    assert not members["train"] & members["validation"]
    assert not members["train"] & members["test"]
    assert not members["validation"] & members["test"]
    assert 80 < len(found["test"]) < 160
    assert sum(map(len, found.values())) == 600


def test_one_group_cannot_be_divided():
    with pytest.raises(DataError, match=r"dataset.split_by.group: there is one group only"):
        by_column(np.ones(50), split_by=("group", "x"))


def test_given_splits_must_not_divide_a_group():
    source = labelled(np.zeros(100, int))
    source._bases["all"][0][:, 0] = np.arange(100) // 30
    with pytest.raises(DataError, match=r"of x lies in validation and in test"):
        split(
            source, splits={"test": "all[80:]", "validation": "all[60:80]"}, validation_fraction=0.2,
            test_fraction=0.2, limit=None, seed=0, split_by=("group", "x"),
        )  # fmt: skip


def test_the_newest_examples_are_the_test_and_those_before_validation():
    times = np.random.default_rng(0).permutation(100)
    found = by_column(times, split_by=("time", "x"))
    assert sorted(found["test"]) == [*range(80, 100)]
    assert sorted(found["validation"]) == [*range(64, 80)]
    assert len(found["train"]) == 64


def test_examples_of_one_time_are_not_divided():
    found = by_column(np.arange(100) // 7, split_by=("time", "x"))
    assert not set(found["test"]) & set(found["train"])
    assert not set(found["validation"]) & set(found["train"])


def test_the_newest_time_is_held_out_whole_even_when_it_is_more_than_asked_for():
    found = by_column(np.repeat([1, 2, 3], 30), split_by=("time", "x"), validation_fraction=0.1)
    assert {name: set(values) for name, values in found.items()} == {
        "train": {1.0}, "validation": {2.0}, "test": {3.0}
    }  # fmt: skip


class Named:
    """A source with a column of names beside its examples."""

    def __init__(self, source, names):
        self.spec, self.sizes, self.arrays, self.targets = (
            source.spec, source.sizes, source.arrays, source.targets
        )  # fmt: skip
        self._names = names

    def values(self, base, name):
        return np.asarray(self._names)


def divide_by(names, kind="column"):
    source = Named(labelled(np.arange(len(names)) % 2), names)
    return split(
        source, splits=None, validation_fraction=0.2, test_fraction=0.2, limit=None, seed=0,
        split_by=(kind, "fold"),
    )  # fmt: skip


def test_a_column_names_the_splits():
    data = divide_by(["train"] * 10 + ["Val"] * 5 + ["TEST"] * 4 + ["train"])
    assert {name: part.size for name, part in data.items()} == {"train": 11, "validation": 5, "test": 4}
    assert data["validation"].parts[0].indices.tolist() == [*range(10, 15)]
    assert data["test"].describe == "where fold says so"


def test_a_column_without_validation_leaves_it_to_be_held_out():
    data = divide_by(["train"] * 20 + ["test"] * 4)
    assert {name: part.size for name, part in data.items()} == {"train": 16, "validation": 4, "test": 4}


def test_a_column_of_other_values_is_refused():
    with pytest.raises(DataError, match=r"`fold` holds `holdout`, which names no split"):
        divide_by(["train"] * 10 + ["holdout"])


def test_times_must_be_ordered():
    with pytest.raises(DataError, match=r"split_by.time: `fold` holds texts, such as `a`"):
        divide_by(["a", "b"] * 5, "time")


def test_without_stratification_the_draw_ignores_classes():
    labels = [0] * 90 + [1] * 10
    source = labelled(labels)
    data = split(
        source, splits=None, validation_fraction=0.2, test_fraction=0.2, limit=None, seed=0, stratify=False
    )
    assert data["test"].describe == "0.2 of all, held out at random, seed 0"


@pytest.mark.parametrize(("size", "fraction"), [(10, 0.25), (101, 0.2), (3, 0.99), (7, 0.5)])
def test_one_stratum_is_drawn_as_several_would_be(size, fraction):
    general = division._drawn(np.zeros(size, int), fraction, np.random.default_rng(5))
    assert (division._drawn_evenly(size, fraction, np.random.default_rng(5)) == general).all()
