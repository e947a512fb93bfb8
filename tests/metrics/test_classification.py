from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics import classification_metrics, classification_values, regression_metrics


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
        "brier_score": np.mean(((np.eye(8)[targets] - probabilities) ** 2).sum(axis=1)),
        "macro_roc_auc": sk.roc_auc_score(targets, probabilities, multi_class="ovr"),
        "cohen_kappa": sk.cohen_kappa_score(targets, predicted),
        "matthews_correlation": sk.matthews_corrcoef(targets, predicted),
    }
    assert values(report) == pytest.approx(expected, abs=1e-9)
    assert report.notes == ()
    assert [c.precision.value for c in report.classes] == pytest.approx(precision, abs=1e-9)
    assert [c.recall.value for c in report.classes if c.recall] == pytest.approx(recall, abs=1e-9)
    assert [c.f1.value for c in report.classes if c.f1] == pytest.approx(f1, abs=1e-9)
    assert [c.support for c in report.classes] == list(support)
    assert np.array_equal(report.confusion, sk.confusion_matrix(targets, predicted))


def test_two_classes_equal_scikit_learn() -> None:
    targets, probabilities = classifier(2000, 2, skill=0.3)
    probabilities = np.round(probabilities, 2)
    report = classification_metrics(targets, probabilities, ["no", "yes"], train_counts=[1, 1], seed=0)
    predicted, scores = probabilities.argmax(axis=1), probabilities[:, 1]
    precision, recall, f1, _ = sk.precision_recall_fscore_support(targets, predicted, average="binary")
    expected = {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "brier_score": sk.brier_score_loss(targets, scores),
        "balanced_accuracy": sk.balanced_accuracy_score(targets, predicted),
        "roc_auc": sk.roc_auc_score(targets, scores),
        "average_precision": sk.average_precision_score(targets, scores),
        "matthews_correlation": sk.matthews_corrcoef(targets, predicted),
    }
    found = values(report)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert report.positive == "yes"
    assert all(score and score.low < score.value < score.high for score in report.scores.values())


def test_two_classes_have_the_intervals_of_a_plain_bootstrap() -> None:
    targets, probabilities = classifier(300, 2, skill=0.2)
    report = classification_metrics(
        targets, probabilities, names(2), train_counts=[1, 1], seed=0, resamples=3000
    )
    rng, scores = np.random.default_rng(1), probabilities[:, 1]
    drawn: dict[str, list[float]] = {"roc_auc": [], "average_precision": [], "matthews_correlation": []}
    for _ in range(1000):
        rows = rng.integers(300, size=300)
        drawn["roc_auc"].append(sk.roc_auc_score(targets[rows], scores[rows]))
        drawn["average_precision"].append(sk.average_precision_score(targets[rows], scores[rows]))
        drawn["matthews_correlation"].append(sk.matthews_corrcoef(targets[rows], scores[rows] > 0.5))
    for name, found in drawn.items():
        ours, (low, high) = report.scores[name], np.percentile(found, [2.5, 97.5])
        assert ours is not None
        assert [ours.low, ours.high] == pytest.approx([low, high], abs=0.15 * (high - low)), name


def test_a_split_of_one_class_says_what_is_undefined() -> None:
    targets = np.zeros(20, np.int64)
    _, probabilities = classifier(20, 2)
    report = classification_metrics(targets, probabilities, ["no", "yes"], train_counts=[1, 1], seed=0)
    undefined = {name for name, score in report.scores.items() if score is None}
    assert undefined == {
        "precision", "recall", "f1", "balanced_accuracy", "roc_auc", "average_precision",
        "matthews_correlation",
    }  # fmt: skip
    assert {name for name, score in report.baseline.scores.items() if score is None} == undefined
    assert report.notes[0] == "without examples here, so without recall and F1: yes"
    assert "roc auc" in report.notes[-1]
    json.dumps(report.to_json(), allow_nan=False)
    others = classification_metrics(targets, np.full((20, 3), 1 / 3), names(3), train_counts=[1] * 3, seed=0)
    assert others.scores["macro_roc_auc"] is others.scores["cohen_kappa"] is None
    json.dumps(others.to_json(), allow_nan=False)


def test_the_baseline_is_that_of_constant_predictions() -> None:
    targets, probabilities = classifier(1000, 2)
    report = classification_metrics(targets, probabilities, names(2), train_counts=[30, 70], seed=0)
    constant = classification_values(targets, np.tile([0.3, 0.7], (1000, 1)))
    assert report.baseline.scores == pytest.approx(constant)


def values(report: Any) -> dict[str, float]:
    return {name: score.value for name, score in report.scores.items() if score}


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
    assert report.notes == (
        "without examples here, so without recall and F1: class 3", "never predicted: class 1"
    )  # fmt: skip
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
