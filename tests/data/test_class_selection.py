"""Some classes of a dataset, by every way of access."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.class_selection import SelectedClasses
from bigmodel_cli.data.sklearn_sets import diabetes, digits
from bigmodel_cli.errors import DataError

NAMES = ["7", "2", "4"]


@pytest.fixture(scope="module")
def pair():
    whole = digits(0)
    return whole, SelectedClasses(whole, NAMES)


def test_only_these_classes_in_the_order_given(pair) -> None:
    whole, some = pair
    (base,) = whole.sizes
    inputs, targets = whole.arrays(Part.range(base, 0, whole.sizes[base]))
    kept = np.isin(targets, [7, 2, 4])
    assert some.sizes == {base: kept.sum()}
    assert some.spec.target.names == ("7", "2", "4")
    found_inputs, found = some.arrays(Part.range(base, 0, some.sizes[base]))
    np.testing.assert_array_equal(found_inputs, inputs[kept])
    np.testing.assert_array_equal(np.array([7, 2, 4])[found], targets[kept])
    assert f"3 of 10 are kept, {kept.sum()} of 1,797 examples" in some.notes[-1]


def test_every_access_gives_the_same(pair) -> None:
    _, some = pair
    (base,) = some.sizes
    part = Part(base, np.array([3, 10, 11, 400]))
    inputs, targets = some.arrays(part)
    np.testing.assert_array_equal(some.targets(part), targets)
    (streamed,) = list(some.batches(part).as_numpy_iterator())
    looked_up = some.lookup(base)(part.indices)
    for found_inputs, found in (streamed, looked_up):
        np.testing.assert_array_equal(found_inputs, inputs)
        np.testing.assert_array_equal(found, targets)


def test_other_classes_are_other_data(pair) -> None:
    whole, some = pair
    prints = {whole.fingerprint(), some.fingerprint(), SelectedClasses(whole, ["2", "7", "4"]).fingerprint()}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["7", "12"], "has no class `12`"),
        (["7", "7"], "named twice"),
        (["7"], "at least two"),
    ],
)
def test_refused(pair, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=f"dataset.only_classes.*{message}"):
        SelectedClasses(pair[0], names)


def test_a_regression_has_none() -> None:
    with pytest.raises(DataError, match="is for classification"):
        SelectedClasses(diabetes(0), ["a", "b"])
