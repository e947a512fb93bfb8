from collections import Counter

import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, Piece, TargetSpec
from bigmodel_cli.data.arrays import ArraySource
from bigmodel_cli.data.splits import describe, split
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
    """A source that records which pieces are decoded."""

    def __init__(self, source):
        self.spec, self.sizes, self.example_bytes = source.spec, source.sizes, source.example_bytes
        self._source, self.decoded = source, []

    def arrays(self, piece):
        self.decoded.append(piece)
        return self._source.arrays(piece)

    def targets(self, piece):
        return self._source.targets(piece)


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
    stream = data["train"].examples()
    assert stream.cardinality().numpy() == 5
    assert [y for _, y in stream.as_numpy_iterator()] == [0, 1, 0, 1, 2]


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
    assert max(piece.size for piece in source.decoded) < 200
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
    stream = validation.examples()
    assert stream.cardinality().numpy() == 20
    read = np.stack([x for x, _ in stream.as_numpy_iterator()])
    assert number_of(read) == number_of(validation.arrays()[0])


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
    source.arrays(Piece("all", 0, 40))[0][:] = np.nan
    with pytest.raises(DataError, match=r"not finite .* feature x; fill or drop them"):
        describe(source, divide(source))
