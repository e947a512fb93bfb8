from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigmodel_cli.columns import MISSING_DATE
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.explanation.partial_dependence import CATEGORIES, POINTS, dependences, grid


def test_of_a_linear_model_it_is_the_line() -> None:
    spec = DataSpec(
        "linear",
        "",
        "regression",
        InputSpec((3,), "float32", "tabular", names=("a", "b", "c"), mean=(0, 0, 0), variance=(1, 1, 1)),
        TargetSpec((1,), "float32", ("y",)),
    )
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    slopes = {"a": 2.0, "b": 0.0, "c": -5.0}
    found = dependences(lambda rows: (rows @ list(slopes.values()) + 1)[:, None], x, spec)
    assert [item.name for item in found] == ["c", "a", "b"]
    for item in found:
        assert item.lines.shape == (300, POINTS, 1)
        others = sum(slopes[name] * x[:, "abc".index(name)].mean() for name in "abc" if name != item.name)
        np.testing.assert_allclose(item.mean[:, 0], slopes[item.name] * item.grid + others + 1, atol=1e-5)
    assert found[0].grid[[0, -1]] == pytest.approx(np.quantile(x[:, 2], [0.05, 0.95]))


def test_of_trees_it_is_scikit_learns(iris: Any, examples: Any) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.inspection import partial_dependence

    rows, targets = examples(iris)
    forest = RandomForestClassifier(10, random_state=0).fit(rows, targets)
    found = {item.name: item for item in dependences(forest.predict_proba, rows, iris.spec)}
    item = found["petal length (cm)"]
    expected = partial_dependence(
        forest, rows, [2], kind="both", method="brute", custom_values={2: item.grid.astype(np.float32)}
    )
    np.testing.assert_allclose(item.mean.T, expected["average"], atol=1e-6)
    np.testing.assert_allclose(item.lines.transpose(2, 0, 1), expected["individual"], atol=1e-6)


def test_columns_of_every_kind(reviews: Any, examples: Any) -> None:
    values, _ = examples(reviews)
    found = {item.name: item for item in dependences(reviews.predict, values, reviews.spec)}
    # A text has no values to go through.
    assert set(found) == {"price", "shop"}
    assert found["shop"].kind == "category"
    assert found["shop"].grid.tolist() == ["a", "b", "c"]
    given = {**values, "shop": np.array([b"b"] * len(values["shop"]), object)}
    np.testing.assert_allclose(found["shop"].mean[1], reviews.predict(given).mean(axis=0), atol=1e-6)
    means = found["shop"].mean
    assert found["shop"].spread(0) == pytest.approx(float(np.ptp(means[:, 0])) / 4)


def test_grids() -> None:
    assert grid(np.array([3.0, np.nan, 1.0, 3.0]), "numeric").tolist() == [1, 3]
    assert grid(np.array([5, MISSING_DATE, 2]), "date").tolist() == [2, 5]
    assert grid(np.array([b"10", b"", b"9", b"x"], object), "categorical").tolist() == [b"9", b"10", b"x"]
    many = np.array([str(number % 20).encode() for number in range(50)], object)
    assert len(grid(many, "categorical")) == CATEGORIES
    assert len(grid(np.array([np.nan]), "numeric")) == 0
