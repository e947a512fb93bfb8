import numpy as np
import pytest
from sklearn import metrics

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics import group_scores
from bigmodel_cli.metrics.multi_label import label_columns, multi_label_metrics, multi_label_values

NAMES = ("red", "green", "blue", "round")


def data(n=300, labels=4, seed=0):
    random = np.random.default_rng(seed)
    targets = (random.random((n, labels)) < 0.3).astype(np.float32)
    probabilities = np.clip(0.4 * targets + 0.3 + 0.25 * random.normal(size=(n, labels)), 0.01, 0.99)
    return targets, probabilities.astype(np.float32)


def report(targets, probabilities, names=NAMES, **options):
    given = {"train_counts": [30] * len(names), "train_examples": 100, "seed": 0, "resamples": 200, **options}
    return multi_label_metrics(targets, probabilities, names, **given)


def test_scores_are_those_of_scikit_learn():
    targets, probabilities = data()
    assert not targets.any(axis=1).all(), "some examples have no label"
    predicted = probabilities >= 0.5
    found = report(targets, probabilities)
    expected = {
        "loss": np.mean([metrics.log_loss(targets[:, i], probabilities[:, i]) for i in range(4)]),
        "subset_accuracy": metrics.accuracy_score(targets, predicted),
        "hamming_loss": metrics.hamming_loss(targets, predicted),
        "micro_f1": metrics.f1_score(targets, predicted, average="micro"),
        "macro_f1": metrics.f1_score(targets, predicted, average="macro"),
        "samples_f1": metrics.f1_score(targets, predicted, average="samples", zero_division=1.0),
        "macro_roc_auc": metrics.roc_auc_score(targets, probabilities, average="macro"),
        "macro_average_precision": metrics.average_precision_score(targets, probabilities, average="macro"),
        "label_ranking_average_precision": metrics.label_ranking_average_precision_score(
            targets, probabilities
        ),
    }
    assert {name: found.scores[name].value for name in expected} == pytest.approx(expected, abs=1e-6)
    assert set(found.scores) == set(expected)
    assert multi_label_values(targets, probabilities) == pytest.approx(expected, abs=1e-6)
    each = metrics.precision_recall_fscore_support(targets, predicted)
    for index, label in enumerate(found.labels):
        values = (label.precision.value, label.recall.value, label.f1.value, label.support)
        assert values == pytest.approx([column[index] for column in each], abs=1e-6)
        assert label.predicted == predicted[:, index].sum()
        assert label.roc_auc == pytest.approx(
            metrics.roc_auc_score(targets[:, index], probabilities[:, index])
        )


def test_intervals_hold_the_value_and_shrink_with_the_examples():
    few, many = report(*data(100)), report(*data(4000))
    for name, score in few.scores.items():
        assert score.low < score.value < score.high, name
        width = many.scores[name].high - many.scores[name].low
        # A fortieth of the variance; the intervals themselves are a draw.
        assert 1 / 14 < width / (score.high - score.low) < 1 / 3, name
    assert report(*data(100)) == few
    assert report(*data(100), seed=1).scores["macro_roc_auc"] != few.scores["macro_roc_auc"]


def test_the_baseline_knows_the_frequencies_alone():
    targets, probabilities = data()
    found = report(targets, probabilities, train_counts=[90, 10, 10, 10]).baseline
    always = np.broadcast_to([1, 0, 0, 0], targets.shape)
    assert found.scores["subset_accuracy"] == pytest.approx(metrics.accuracy_score(targets, always))
    assert found.scores["hamming_loss"] == pytest.approx(metrics.hamming_loss(targets, always))
    assert found.scores["macro_roc_auc"] == 0.5
    assert found.scores["macro_average_precision"] == pytest.approx(targets.mean())


def test_what_cannot_be_computed_says_so():
    targets, probabilities = data(60)
    targets[:, 1], targets[:, 2] = 0, 1
    probabilities[:, 3] = 0.1
    found = report(targets, probabilities)
    red, green, blue, _ = found.labels
    assert (green.recall, green.f1, green.roc_auc, green.average_precision) == (None, None, None, None)
    assert blue.roc_auc is None
    assert blue.average_precision == 1
    assert found.scores["macro_f1"].value == pytest.approx(
        np.mean([label.f1.value for label in (red, *found.labels[2:])])
    )
    assert found.scores["macro_roc_auc"].value == pytest.approx(
        np.mean([red.roc_auc, found.labels[3].roc_auc])
    )
    assert "no example has green" in found.notes[0]
    assert "every example has blue" in found.notes[1]
    assert found.notes[2] == "never predicted: round"


def test_no_label_anywhere():
    found = report(np.zeros((5, 4)), np.full((5, 4), 0.1, np.float32))
    assert found.scores["macro_f1"] is None
    assert found.scores["macro_roc_auc"] is None
    assert found.scores["subset_accuracy"].value == found.scores["samples_f1"].value == 1
    document = found.to_json()
    assert document["task"] == "multi_label"
    assert document["scores"]["macro_f1"] is None
    assert document["labels"][0]["name"] == "red"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, p: (t[:0], p[:0]), "there are 0 examples"),
        (lambda t, p: (np.where(t == 1, 2, t), p), "example 0 has 2.0 for the label"),
        (lambda t, p: (t, np.where(p > 0.9, np.nan, p)), "rows of probabilities are not finite"),
    ],
)
def test_what_cannot_be_measured(change, message):
    targets, probabilities = data(50)
    targets[0] = 1
    with pytest.raises(DataError, match=message):
        report(*change(targets, probabilities))


def test_groups():
    targets, probabilities = data(100)
    membership = np.arange(100) % 2
    found = group_scores("side", ["left", "right"], membership, label_columns(targets, probabilities), seed=0)
    assert found.metric == "subset_accuracy"
    half = slice(1, None, 2)
    assert found.groups[1].scores["micro_f1"].value == pytest.approx(
        metrics.f1_score(targets[half], probabilities[half] >= 0.5, average="micro")
    )


def test_fewer_resamples_of_very_many_cells_are_said(monkeypatch):
    monkeypatch.setattr("bigmodel_cli.metrics.multi_label.RANKED_CELLS", 300 * 4 * 120)
    assert "the intervals of ROC AUC and average precision are from 120 resamples" in report(*data()).notes
