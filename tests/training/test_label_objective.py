"""Losses and metrics of labels, each of which an example has or has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as exact

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import DataError, UsageError

TEXT = "name: c\ndataset: {name: multi_label, examples: 80, labels: 3}\nmodel: {name: mlp, hidden: [4]}\n"
LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.2, 4.0], [0.1, -0.1, -2.0], [1.5, 2.5, -0.5]], np.float32)
TARGETS = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]], np.float32)
PROBABILITIES = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))


def _objective(config: Callable[..., Config], *overrides: str) -> Any:
    from bigmodel_cli import assembly
    from bigmodel_cli.training.objective import build_objective

    complete = config(TEXT, *overrides)
    return build_objective(complete, assembly.load_data(complete).spec)


def _metric(config: Callable[..., Config], text: str) -> float:
    (metric,) = _objective(config, f"metrics=[{text}]").metrics
    metric.update_state(TARGETS[:2], LOGITS[:2])
    metric.update_state(TARGETS[2:], LOGITS[2:])
    return float(metric.result())


def test_auto_is_a_crossentropy_of_each_label(config: Callable[..., Config]) -> None:
    objective = _objective(config)
    assert objective.loss_name == "binary_crossentropy"
    assert objective.encode is None
    expected = exact.log_loss(TARGETS.ravel(), PROBABILITIES.ravel())
    assert float(objective.loss(TARGETS, LOGITS)) == pytest.approx(expected, rel=1e-5)
    assert [metric.name for metric in objective.metrics] == ["binary_accuracy", "f1_score"]
    for metric in objective.metrics:
        metric.update_state(TARGETS, LOGITS)
    accuracy, f1 = (float(metric.result()) for metric in objective.metrics)
    predicted = PROBABILITIES >= 0.5
    assert accuracy == pytest.approx((predicted == TARGETS).mean())
    assert f1 == pytest.approx(exact.f1_score(TARGETS, predicted, average="macro"))


def test_label_smoothing_moves_every_label(config: Callable[..., Config]) -> None:
    loss = _objective(config, "loss={name: auto, label_smoothing: 0.2}").loss
    smooth = TARGETS * 0.8 + 0.1
    expected = -np.mean(smooth * np.log(PROBABILITIES) + (1 - smooth) * np.log(1 - PROBABILITIES))
    assert float(loss(TARGETS, LOGITS)) == pytest.approx(expected, rel=1e-5)


def test_hinge_takes_the_logits(config: Callable[..., Config]) -> None:
    loss = _objective(config, "loss=hinge").loss
    expected = np.maximum(1 - (2 * TARGETS - 1) * LOGITS, 0).mean()
    assert float(loss(TARGETS, LOGITS)) == pytest.approx(expected, rel=1e-5)


def test_focal_is_of_each_label(config: Callable[..., Config]) -> None:
    loss = _objective(config, "loss={name: binary_focal_crossentropy, gamma: 2.0}").loss
    own = np.where(TARGETS == 1, PROBABILITIES, 1 - PROBABILITIES)
    assert float(loss(TARGETS, LOGITS)) == pytest.approx(
        float(np.mean(-((1 - own) ** 2) * np.log(own))), rel=1e-4
    )


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", "categorical_crossentropy", "mean_squared_error"]
)
def test_losses_of_other_tasks(config: Callable[..., Config], loss: str) -> None:
    with pytest.raises(UsageError, match=f"loss: `{loss}` is not for multi_label, .* binary_crossentropy"):
        _objective(config, f"loss={loss}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("precision", exact.precision_score(TARGETS, PROBABILITIES >= 0.5, average="micro")),
        ("recall", exact.recall_score(TARGETS, PROBABILITIES >= 0.5, average="micro")),
        ("{name: f1_score, average: micro}", exact.f1_score(TARGETS, PROBABILITIES >= 0.5, average="micro")),
        ("binary_crossentropy", exact.log_loss(TARGETS.ravel(), PROBABILITIES.ravel())),
        ("hinge", np.maximum(1 - (2 * TARGETS - 1) * LOGITS, 0).mean()),
    ],
)
def test_metrics_mean_what_they_say(config: Callable[..., Config], text: str, expected: float) -> None:
    assert _metric(config, text) == pytest.approx(expected, rel=1e-4)


def test_auc_is_the_mean_over_the_labels(config: Callable[..., Config]) -> None:
    # Keras integrates over 200 thresholds.
    assert _metric(config, "auc") == pytest.approx(exact.roc_auc_score(TARGETS, PROBABILITIES), abs=0.01)


@pytest.mark.parametrize("metric", ["accuracy", "categorical_accuracy", "mean_absolute_error"])
def test_metrics_of_other_tasks(config: Callable[..., Config], metric: str) -> None:
    with pytest.raises(UsageError, match=f"metrics: `{metric}` is not for multi_label"):
        _objective(config, f"metrics=[{metric}]")


@pytest.mark.parametrize("key", ["class_weights: balanced", "resample: oversample"])
def test_weights_and_resampling_are_refused(config: Callable[..., Config], key: str) -> None:
    from bigmodel_cli import assembly

    name, _, value = key.partition(": ")
    complete = config(TEXT, f"dataset.{name}={value}")
    data = assembly.load_data(complete)
    with pytest.raises(DataError, match=f"dataset.{name}: .* for multi_label; .* binary_focal_crossentropy"):
        if name == "resample":
            assembly.resampling(complete, data.splits["train"], data.spec)
        else:
            assembly.class_weights(complete, data.spec)


def test_mixing_is_refused(config: Callable[..., Config]) -> None:
    from bigmodel_cli import assembly
    from bigmodel_cli.training.objective import build_objective

    complete = config(TEXT)
    with pytest.raises(UsageError, match="mixed for classification only"):
        build_objective(complete, assembly.load_data(complete).spec, mixing=True)


@pytest.mark.parametrize("loss", ["auto", "binary_focal_crossentropy", "hinge", "squared_hinge"])
def test_every_loss_of_labels_trains(losses_of: Callable[..., tuple[list[float], Any]], loss: str) -> None:
    losses, _ = losses_of(TEXT, f"loss={loss}", "optimizer={name: adam, learning_rate: 0.01}")
    assert losses[-1] < losses[0]
