from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.errors import UsageError
from bigmodel_cli.evaluation.grouping import of_values


def named(by: str, values: np.ndarray) -> list[str]:
    """The name of each example's group."""
    names, membership = of_values(by, values)
    return [names[index] for index in membership]


def test_texts_and_few_numbers_are_groups_of_their_own() -> None:
    assert named("sex", np.array(["f", "m", "", "f"], object)) == ["sex f", "sex m", "sex missing", "sex f"]
    assert named("island", np.array([b"Biscoe"], object)) == ["island Biscoe"]
    assert named("year", np.array([2007, 2009, 2007])) == ["year 2007", "year 2009", "year 2007"]
    assert named("old", np.array([True, False])) == ["old True", "old False"]


def test_many_numbers_become_quartiles() -> None:
    values = np.random.default_rng(0).permutation(np.arange(21, 101)).astype(np.float64)
    found = named("age", np.r_[values, np.nan])
    assert sorted(set(found)) == [
        "age 21 to 40",
        "age 41 to 60",
        "age 61 to 80",
        "age 81 to 100",
        "age missing",
    ]
    assert all(found.count(name) == 20 for name in set(found) - {"age missing"})
    assert found[-1] == "age missing"


def test_equal_numbers_stay_together() -> None:
    values = np.r_[np.zeros(90), np.arange(1, 31)]
    assert set(named("debt", values)) == {"debt 0 to 0", "debt 1 to 30"}


def test_a_missing_date_is_no_number() -> None:
    assert named("day", np.array([86_400, MISSING_DATE], np.int64)) == ["day 86400", "day missing"]


def test_too_many_texts() -> None:
    with pytest.raises(UsageError, match=r"--by name: has 201 different values in 201 examples"):
        of_values("name", np.array([str(index) for index in range(201)], object))
