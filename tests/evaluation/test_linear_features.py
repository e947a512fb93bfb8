from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.evaluation.linear_features import WIDEST, Features


def spec(**parts: object) -> DataSpec:
    given = InputSpec(**{"shape": (4,), "dtype": "float32", "kind": "tabular", **parts})  # type: ignore[arg-type]
    return DataSpec("mine", "here", "classification", given, TargetSpec((), "int32", ("a", "b")))


def test_numbers_are_standardized_and_constant_ones_left_out() -> None:
    rows = np.random.default_rng(0).normal(3, 5, size=(200, 4)).astype(np.float32)
    rows[:, 2] = 7
    features = Features(spec(), 0, examples=200)
    found = features.fit([rows[:100], rows[100:]])
    assert found.shape == (200, 3)
    assert found.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-5)
    assert found.std(axis=0) == pytest.approx([1, 1, 1], abs=1e-5)
    np.testing.assert_allclose(features(rows[:5]), found[:5], rtol=1e-5)
    assert np.isfinite(features(np.full((1, 4), np.nan, np.float32))).all()


def test_large_images_are_made_smaller() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(30, 80, 90, 3)).astype(np.uint8)
    features = Features(spec(shape=(80, 90, 3), dtype="uint8", kind="image"), 0, examples=30)
    assert 0.9 * WIDEST < features.fit([images]).shape[1] <= WIDEST
    assert "pixels of smaller images" in features.describe


def test_much_work_becomes_principal_components() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32)
    features = Features(spec(shape=(400,)), 0, examples=10_000_000)
    assert features.fit([rows]).shape == (300, 100)
    assert features(rows[:7]).shape == (7, 100)
    assert features.describe == "100 principal components of 400 standardized numbers"


def test_a_table_has_categories_one_hot_and_texts_as_weighed_words() -> None:
    columns = (
        Column("size", "numeric"),
        Column("color", "categorical", vocabulary=("red", "blue")),
        Column("note", "text", vocabulary=("good", "bad"), length=3),
    )
    batch = {
        "numbers": np.array([[1.0], [3.0]], np.float32),
        "categories": np.array([[2], [3]], np.int32),
        "tokens_0": np.array([[2, 2, 0], [3, 0, 0]], np.int32),
    }
    features = Features(spec(shape=(3,), dtype="", kind="table", columns=columns), 0, examples=2)
    found = features.fit([batch]).toarray()
    assert found.tolist() == [[-1, 1, 0, 0, 0, 1, 0], [1, 0, 1, 0, 0, 0, 1]]
    assert features.describe == "1 standardized number, 1 one-hot category and TF-IDF of the text"
    # A category that was not seen in training is none of them.
    other = {**batch, "categories": np.array([[1], [2]], np.int32)}
    assert features(other).toarray()[0, 1:3].tolist() == [0, 0]
