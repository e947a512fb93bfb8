from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics import Interval, classification_metrics, regression_metrics


def classifier(n: int, k: int, skill: float = 0.6, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(k, size=n)
    probabilities = rng.random((n, k)) + 0.01
    probabilities[np.arange(n), targets] += skill
    return targets, probabilities / probabilities.sum(axis=1, keepdims=True)


def names(k: int) -> list[str]:
    return [f"class {i}" for i in range(k)]


def test_classification_equals_scikit_learn() -> None:
    targets, probabilities = classifier(2000, 8)
    report = classification_metrics(targets, probabilities, names(8), train_counts=[250] * 8, seed=0)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = sk.precision_recall_fscore_support(targets, predicted, zero_division=0)
    macro = sk.precision_recall_fscore_support(targets, predicted, average="macro", zero_division=0)
    expected = {
        "loss": sk.log_loss(targets, probabilities),
        "accuracy": sk.accuracy_score(targets, predicted),
        "top_5_accuracy": sk.top_k_accuracy_score(targets, probabilities, k=5),
        "macro_precision": macro[0],
        "macro_recall": macro[1],
        "macro_f1": macro[2],
    }
    assert {name: score.value for name, score in report.scores.items()} == pytest.approx(expected, abs=1e-9)
    assert [c.precision.value for c in report.classes] == pytest.approx(precision, abs=1e-9)
    assert [c.recall.value for c in report.classes if c.recall] == pytest.approx(recall, abs=1e-9)
    assert [c.f1.value for c in report.classes if c.f1] == pytest.approx(f1, abs=1e-9)
    assert [c.support for c in report.classes] == list(support)
    assert np.array_equal(report.confusion, sk.confusion_matrix(targets, predicted))


def test_absent_and_never_predicted_classes() -> None:
    # Class 1 is never predicted, class 3 has no examples but is predicted once.
    targets, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 0, 2, 3])
    report = classification_metrics(
        targets, np.eye(4)[predicted], names(4), train_counts=[2, 1, 2, 0], seed=0
    )
    expected = sk.precision_recall_fscore_support(
        targets, predicted, labels=[0, 1, 2], average="macro", zero_division=0
    )
    scores = report.scores
    assert scores["macro_precision"].value == pytest.approx(expected[0], abs=1e-9)
    assert scores["macro_recall"].value == pytest.approx(expected[1], abs=1e-9)
    assert scores["macro_f1"].value == pytest.approx(expected[2], abs=1e-9)
    assert report.classes[1].precision.value == 0
    assert report.classes[3].precision.value == 0
    assert (report.classes[3].support, report.classes[3].recall, report.classes[3].f1) == (0, None, None)
    assert "top_5_accuracy" not in scores
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["classes"][3]["recall"] is None


def test_loss_equals_keras_also_where_it_clips() -> None:
    import keras

    targets, probabilities = classifier(500, 4)
    probabilities[:50] = np.eye(4)[(targets[:50] + np.arange(50) % 2) % 4]
    single = probabilities.astype(np.float32)
    report = classification_metrics(targets, single, names(4), train_counts=[1] * 4, seed=0)
    expected = np.mean(keras.losses.sparse_categorical_crossentropy(targets, single))
    assert report.scores["loss"].value == pytest.approx(float(expected), abs=1e-5)
    assert report.scores["loss"].value > 25 / 500 * 16


def test_ties_favour_the_lower_index_in_prediction_and_top_5() -> None:
    targets = np.arange(8)
    report = classification_metrics(targets, np.full((8, 8), 1 / 8), names(8), train_counts=[1] * 8, seed=0)
    assert report.scores["accuracy"].value == 1 / 8
    assert report.scores["top_5_accuracy"].value == 5 / 8


def test_intervals_agree_with_a_plain_bootstrap() -> None:
    targets, probabilities = classifier(300, 6, skill=0.4)
    report = classification_metrics(
        targets, probabilities, names(6), train_counts=[1] * 6, seed=0, resamples=4000
    )
    predicted, rng = probabilities.argmax(axis=1), np.random.default_rng(1)
    losses = -np.log(probabilities[np.arange(300), targets])
    drawn: dict[str, list[float]] = {"accuracy": [], "macro_f1": [], "loss": [], "recall": []}
    for _ in range(1500):
        rows = rng.integers(300, size=300)
        drawn["accuracy"].append(np.mean(targets[rows] == predicted[rows]))
        table = np.bincount(targets[rows] * 6 + predicted[rows], minlength=36).reshape(6, 6)
        drawn["macro_f1"].append(np.mean(2 * np.diag(table) / (table.sum(axis=0) + table.sum(axis=1))))
        drawn["loss"].append(losses[rows].mean())
        drawn["recall"].append(np.mean(predicted[rows][targets[rows] == 2] == 2))
    recall = report.classes[2].recall
    assert recall is not None
    for name, values in drawn.items():
        ours = recall if name == "recall" else report.scores[name]
        low, high = np.percentile(values, [2.5, 97.5])
        assert [ours.low, ours.high] == pytest.approx([low, high], abs=0.12 * (high - low)), name


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng, truth, inside = np.random.default_rng(0), 0.8, 0
    for trial in range(200):
        targets = np.zeros(200, np.int64)
        predicted = (rng.random(200) > truth).astype(int)
        accuracy = classification_metrics(
            targets, np.eye(2)[predicted], names(2), train_counts=[1, 1], seed=trial, resamples=400
        ).scores["accuracy"]
        inside += accuracy.low <= truth <= accuracy.high
    assert 178 <= inside <= 199  # 0.95 within 3.5 standard errors


def test_grouping_of_many_rows_keeps_the_width_of_the_interval() -> None:
    rng = np.random.default_rng(0)
    targets, n = rng.normal(size=(100_000, 1)), 100_000
    # Sorted, so that groups of neighbours would be far too alike.
    predictions = targets - np.sort(rng.exponential(size=(n, 1)), axis=0)
    mae = regression_metrics(targets, predictions, ["y"], train_mean=[0], seed=0).scores["mae"]
    assert mae is not None
    assert mae.high - mae.low == pytest.approx(2 * 1.96 / np.sqrt(n), rel=0.12)


def test_the_same_seed_gives_the_same_report() -> None:
    targets, probabilities = classifier(200, 4)

    def report(seed: int) -> dict[str, Any]:
        return classification_metrics(
            targets, probabilities, names(4), train_counts=[1] * 4, seed=seed
        ).to_json()

    assert report(3) == report(3)
    assert report(3)["scores"] != report(4)["scores"]


def test_classification_baseline_is_the_majority_of_the_training_split() -> None:
    targets, probabilities = classifier(1000, 3)
    report = classification_metrics(targets, probabilities, names(3), train_counts=[10, 60, 30], seed=0)
    constant = np.full(1000, 1)
    scores = report.baseline.scores
    assert "class 1" in report.baseline.description
    assert scores["accuracy"] == pytest.approx(np.mean(targets == 1))
    assert scores["loss"] == pytest.approx(sk.log_loss(targets, np.tile([0.1, 0.6, 0.3], (1000, 1))))
    assert scores["macro_f1"] == pytest.approx(
        sk.f1_score(targets, constant, average="macro", zero_division=0)
    )
    assert set(scores) == set(report.scores)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_examples(n: int) -> None:
    targets, probabilities = classifier(n, 7)
    classes = classification_metrics(targets, probabilities, names(7), train_counts=[1] * 7, seed=0)
    values = np.arange(n, dtype=np.float32)[:, None]
    numbers = regression_metrics(values, values + 0.5, ["y"], train_mean=[0.0], seed=0)
    for report in (classes, numbers):
        json.dumps(report.to_json(), allow_nan=False)
        assert report.examples == n
    assert (numbers.scores["r2"] is None) == (n == 1)


def test_mistakes_in_the_input_name_the_row() -> None:
    targets, probabilities = classifier(10, 3)
    probabilities[4, 1], probabilities[7, 0] = np.nan, np.inf
    with pytest.raises(DataError, match=r"2 of 10 rows of probabilities are not finite, the first is row 4"):
        classification_metrics(targets, probabilities, names(3), train_counts=[1] * 3, seed=0)
    with pytest.raises(DataError, match="example 9 has class index 3, but the 3 classes are 0 to 2"):
        classification_metrics(
            np.r_[targets[:9], 3], np.ones((10, 3)), names(3), train_counts=[1] * 3, seed=0
        )
    with pytest.raises(DataError, match="0 examples"):
        classification_metrics(targets[:0], probabilities[:0], names(3), train_counts=[1] * 3, seed=0)
    values = np.ones((3, 1))
    with pytest.raises(DataError, match="1 of 3 rows of predictions are not finite, the first is row 2"):
        regression_metrics(values, np.array([[0], [1], [np.nan]]), ["y"], train_mean=[0], seed=0)
    with pytest.raises(DataError, match="rows of targets"):
        regression_metrics(values * np.nan, values, ["y"], train_mean=[0], seed=0)


def test_many_classes_take_little_memory() -> None:
    targets, probabilities = classifier(5000, 1000, skill=1.0)
    single = probabilities.astype(np.float32)
    tracemalloc.start()
    report = classification_metrics(targets, single, names(1000), train_counts=[5] * 1000, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
    assert len(report.classes) == 1000


def test_regression_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(500, 3)) * [1, 10, 100] + 1e4
    predictions = targets + rng.normal(size=(500, 3))
    train_mean = [1e4, 1e4 + 1, 1e4 - 1]
    report = regression_metrics(targets, predictions, ["a", "b", "c"], train_mean=train_mean, seed=0)

    def scores(predicted: Any) -> dict[str, float]:
        mse = sk.mean_squared_error(targets, predicted)
        mae, r2 = sk.mean_absolute_error(targets, predicted), sk.r2_score(targets, predicted)
        return {"loss": mse, "mse": mse, "rmse": mse**0.5, "mae": mae, "r2": r2}

    values = {name: score.value for name, score in report.scores.items() if score}
    assert values == pytest.approx(scores(predictions), abs=1e-9)
    assert report.baseline.scores == pytest.approx(scores(np.tile(train_mean, (500, 1))), rel=1e-9, abs=1e-9)
    for name, function in (
        ("mse", sk.mean_squared_error),
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
    ):
        each = [target.scores[name] for target in report.targets]
        expected = function(targets, predictions, multioutput="raw_values")
        assert [score.value for score in each if score] == pytest.approx(expected, abs=1e-9)
        assert all(score and score.low < score.value < score.high for score in each)


def test_regression_interval_agrees_with_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(80, 1))
    predictions = targets + 0.5 * rng.normal(size=(80, 1))
    report = regression_metrics(targets, predictions, ["y"], train_mean=[0], seed=0, resamples=4000)
    drawn = [
        1 - np.mean((targets[rows] - predictions[rows]) ** 2) / np.var(targets[rows])
        for rows in rng.integers(80, size=(2000, 80))
    ]
    r2, (low, high) = report.scores["r2"], np.percentile(drawn, [2.5, 97.5])
    assert isinstance(r2, Interval)
    assert [r2.low, r2.high] == pytest.approx([low, high], abs=0.12 * (high - low))


def test_r2_of_a_constant_target_is_null_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    targets = np.column_stack([rng.normal(size=50), np.full(50, 0.1)])
    predictions = targets + 0.1 * rng.normal(size=(50, 2))
    report = regression_metrics(targets, predictions, ["a", "b"], train_mean=[0, 0], seed=0)
    assert report.targets[1].scores["r2"] is None
    overall, first = report.scores["r2"], report.targets[0].scores["r2"]
    assert overall == first
    assert report.notes[0] == "r2 of b is undefined: all its values are the same"
    assert "leaves out b" in report.notes[1]
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["targets"][1]["scores"]["r2"] is None
