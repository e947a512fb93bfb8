from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec


def _linear() -> DataSpec:
    return DataSpec(
        "linear",
        "",
        "regression",
        InputSpec((3,), "float32", "tabular", names=("a", "b", "c"), mean=(0, 0, 0), variance=(1, 1, 1)),
        TargetSpec((1,), "float32", ("y",)),
    )


def test_it_is_scikit_learns_of_the_same_model_and_seed() -> None:
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LinearRegression

    from bigmodel_cli.explanation.permutation_importance import importance

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = (x @ [3.0, 0.0, -1.0])[:, None] + rng.normal(size=(200, 1)) * 0.1
    model = LinearRegression().fit(x, y)
    found = importance(model.predict, x, y, _linear(), seed=5)
    expected = permutation_importance(
        model, x, y, scoring="neg_root_mean_squared_error", n_repeats=10, random_state=5
    )
    np.testing.assert_allclose(found.losses, expected.importances, rtol=1e-6)
    assert found.names == ("a", "b", "c")
    assert found.losses.mean(axis=1).argsort().tolist() == [1, 2, 0]
    assert found.measure == "rmse"
    assert found.score == pytest.approx(float(np.sqrt(np.mean((model.predict(x) - y) ** 2))))


def test_columns_of_every_kind(reviews: Any, examples: Any) -> None:
    from bigmodel_cli.explanation.permutation_importance import importance

    values, targets = examples(reviews)
    found = importance(reviews.predict, values, targets, reviews.spec)
    assert found.measure == "accuracy"
    assert found.score == pytest.approx(float((reviews.predict(values).argmax(axis=1) == targets).mean()))
    assert found.names == ("text", "price", "shop")
    assert found.losses.mean(axis=1).argmax() == 0
    assert found.losses.shape == (3, 10)


def test_scores_of_several_labels() -> None:
    from types import SimpleNamespace

    from bigmodel_cli.explanation.permutation_importance import score

    spec: Any = SimpleNamespace(task="multi_label")
    assert score(np.array([[0.9, 0.2], [0.1, 0.6]]), np.array([[1.0, 0.0], [1.0, 1.0]]), spec) == 0.75
