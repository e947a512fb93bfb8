import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.splits import SplitData, resampled_counts


@pytest.fixture
def train(numbered_images):
    source = numbered_images({"train": 100, "test": 20})
    parts = (Part("test", np.array([1, 5, 7])), Part.range("train", 10, 40))
    return SplitData("train", source, parts, "some")


def test_parts_are_joined_in_their_order(train, number_of):
    inputs, targets = train.arrays()
    assert number_of(inputs) == [1, 5, 7, *range(10, 40)]
    assert targets.tolist() == train.targets().tolist() == [n % 4 for n in number_of(inputs)]
    assert [n for x, _ in train.batches() for n in number_of(x.numpy())] == number_of(inputs)


def test_first_cuts_across_parts(train, number_of):
    assert number_of(train.first(5).arrays()[0]) == [1, 5, 7, 10, 11]
    assert number_of(train.first(2).arrays()[0]) == [1, 5]
    assert train.first(99) is train


def test_the_fingerprint_tells_which_examples_these_are(train):
    assert train.fingerprint() == train.first(99).fingerprint() != train.first(5).fingerprint()


def test_look_up_is_by_position_in_the_split(numbered_images, number_of):
    source = numbered_images({"train": 100})
    data = SplitData("train", source, (Part("train", np.arange(0, 100, 3)),), "thirds")
    look_up = data.lookup()
    assert number_of(look_up(np.array([2, 0, 5]))[0].numpy()) == [6, 0, 15]


def test_oversampling_takes_every_example_equally_often():
    targets = np.array([0] * 10 + [1] * 3 + [3] * 4)
    counts = resampled_counts(targets, "oversample", seed=0)
    assert [int(counts[targets == c].sum()) for c in (0, 1, 3)] == [10, 10, 10]
    assert set(counts[targets == 0]) == {1}
    assert set(counts[targets == 1]) == {3, 4}
    assert set(counts[targets == 3]) == {2, 3}


def test_undersampling_draws_by_the_seed():
    targets = np.array([0] * 50 + [1] * 5)
    first, again, other = (resampled_counts(targets, "undersample", seed=s) for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert first[targets == 0].sum() == first[targets == 1].sum() == 5
    assert first.max() == 1
