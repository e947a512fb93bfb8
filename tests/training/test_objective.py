from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import components
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import BigmodelError, UsageError

CLASSES = "name: c\ndataset: iris\nmodel: {name: mlp, hidden: [8]}\n"
VALUES = """\
name: r
dataset: {name: friedman, examples: 60, features: 5, targets: 2}
model: {name: mlp, hidden: [4]}
"""
# Metrics that have no default for their point on the curve.
GIVEN = {
    "precision_at_recall": {"recall": 0.5},
    "recall_at_precision": {"precision": 0.5},
    "sensitivity_at_specificity": {"specificity": 0.5},
    "specificity_at_sensitivity": {"sensitivity": 0.5},
}
LOGITS = np.asarray(
    [[2.0, -1.0, 0.5], [0.1, 0.2, -0.3], [-2.0, 1.0, 3.0], [0.0, 4.0, 1.0], [1.0, 1.5, -2.0]], "float32"
)
INDICES = np.asarray([0, 2, 2, 1, 0], "int32")
ONE_HOT = np.eye(3, dtype="float32")[INDICES]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def _splits(names: list[str], accepted: Callable[[str], Any]) -> tuple[list[str], list[str]]:
    """Names that are accepted, and names that are refused with a message."""
    good, bad = [], []
    for name in names:
        try:
            accepted(name)
        except UsageError as error:
            assert f"`{name}` is not for" in str(error)
            bad.append(name)
        else:
            good.append(name)
    return good, bad


def _objective(config: Config) -> Any:
    from bigmodel_cli import assembly
    from bigmodel_cli.training.objective import build_objective

    data = assembly.load_data(config)
    return build_objective(config, data.spec), data


def _loss(config: Callable[..., Config], text: str, loss: str) -> float:
    """What a loss says of LOGITS (or, for values, of -1, 0, 2)."""
    objective, _ = _objective(config(text, f"loss={loss}"))
    return float(objective.loss(INDICES if objective.encode is None else ONE_HOT, LOGITS))


def _metric(config: Callable[..., Config], metric: str, targets: np.ndarray = INDICES) -> float:
    objective, _ = _objective(config(CLASSES, f"metrics=[{metric}]"))
    (found,) = objective.metrics
    # In two batches, as training gives them.
    found.update_state(targets[:3], LOGITS[:3])
    found.update_state(targets[3:], LOGITS[3:])
    return float(found.result())


@pytest.mark.parametrize("text", [CLASSES, VALUES], ids=["classification", "regression"])
def test_every_loss_trains_or_says_what_it_is_not_for(
    text: str, losses_of: Callable[..., tuple[list[float], Any]]
) -> None:
    def fit(name: str) -> None:
        losses, _ = losses_of(text, f"loss={name}")
        assert np.isfinite(losses).all(), name
        assert losses[1] < losses[0], name

    good, bad = _splits(components.names("losses"), fit)
    assert len(good) == (10 if text is CLASSES else 7)
    assert set(good) | set(bad) == set(components.names("losses"))


@pytest.mark.parametrize("text", [CLASSES, VALUES], ids=["classification", "regression"])
def test_all_metrics_of_a_task_are_measured_together(text: str, config: Callable[..., Config]) -> None:
    from bigmodel_cli.training import planning

    def metric(name: str) -> str:
        extra = "".join(f", {key}: {value}" for key, value in GIVEN.get(name, {}).items())
        return f"{{name: {name}{extra}}}"

    good, bad = _splits(
        components.names("metrics"), lambda name: _objective(config(text, f"metrics=[{metric(name)}]"))
    )
    assert {"accuracy", "auc", "f1_score"} <= set(good if text is CLASSES else bad)
    plan = planning.prepare(
        config(
            text, f"metrics=[{', '.join(map(metric, good))}]", "training.batch_size=16", "training.epochs=1"
        )
    )
    history = plan.model.fit(
        plan.pipeline.batches(), validation_data=plan.validation, verbose=0, shuffle=False
    ).history
    assert set(history) == {prefix + name for prefix in ("", "val_") for name in ("loss", *good)}
    assert all(np.isscalar(values[0]) and np.isfinite(values[0]) for values in history.values())


@pytest.mark.parametrize("loss", ["auto", "categorical_crossentropy"])
def test_accuracy_is_of_the_classes_whatever_the_loss_takes(loss: str, config: Callable[..., Config]) -> None:
    from bigmodel_cli.training import planning

    plan = planning.prepare(config(CLASSES, f"loss={loss}", "metrics=[accuracy, categorical_accuracy]"))
    found = plan.model.evaluate(plan.validation, verbose=0, return_dict=True)
    inputs, targets = plan.data.splits["validation"].arrays()
    expected = float((plan.serving.predict(inputs, verbose=0).argmax(axis=1) == targets).mean())
    assert found["accuracy"] == found["categorical_accuracy"] == pytest.approx(expected)


def test_crossentropy_with_label_smoothing(config: Callable[..., Config]) -> None:
    smooth = ONE_HOT * 0.8 + 0.2 / 3
    expected = -(smooth * np.log(PROBABILITIES)).sum(axis=1).mean()
    for name in ("auto", "sparse_categorical_crossentropy", "categorical_crossentropy"):
        found = _loss(config, CLASSES, f"{{name: {name}, label_smoothing: 0.2}}")
        assert found == pytest.approx(expected, rel=1e-5), name


def test_binary_crossentropy_smooths_each_output(config: Callable[..., Config]) -> None:
    smooth = ONE_HOT * 0.8 + 0.1
    terms = smooth * np.log(PROBABILITIES) + (1 - smooth) * np.log(1 - PROBABILITIES)
    found = _loss(config, CLASSES, "{name: binary_crossentropy, label_smoothing: 0.2}")
    assert found == pytest.approx(-terms.mean(), rel=1e-4)


def test_metrics_are_of_the_targets_as_they_are(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training import planning

    metrics = "metrics=[accuracy, categorical_crossentropy]"
    plan = planning.prepare(config(CLASSES, "loss.label_smoothing=0.2", metrics))
    found = plan.model.evaluate(plan.validation, verbose=0, return_dict=True)
    inputs, targets = plan.data.splits["validation"].arrays()
    predicted = plan.serving.predict(inputs, verbose=0)
    of_target = np.log(predicted[np.arange(len(targets)), targets])
    assert found["accuracy"] == pytest.approx((predicted.argmax(axis=1) == targets).mean())
    assert found["categorical_crossentropy"] == pytest.approx(-of_target.mean(), rel=1e-5)
    # The loss of validation is of the same kind as that of training.
    smoothed = 0.8 * of_target + 0.2 * np.log(predicted).mean(axis=1)
    assert found["loss"] == pytest.approx(-smoothed.mean(), rel=1e-5)


def test_smoothed_targets_and_class_weights_go_together(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training import planning

    weights = "dataset.class_weights={setosa: 0.0, versicolor: 1.0, virginica: 2.0}"
    plan = planning.prepare(config(CLASSES, "loss.label_smoothing=0.1", weights, "training.batch_size=108"))
    inputs, targets = plan.data.splits["train"].arrays()
    logs = np.log(plan.serving.predict(inputs, verbose=0))
    each = -(0.9 * logs[np.arange(108), targets] + 0.1 * logs.mean(axis=1))
    history = plan.model.fit(
        plan.pipeline.batches(), class_weight=plan.class_weights, verbose=0, shuffle=False
    ).history
    assert history["loss"] == [pytest.approx((targets * each).mean(), rel=1e-4)]


@pytest.mark.parametrize("loss", ["auto", "mean_squared_error"])
def test_values_are_not_smoothed(loss: str, config: Callable[..., Config]) -> None:
    text = VALUES + f"loss: {{name: {loss}, label_smoothing: 0.1}}\n"
    with pytest.raises(BigmodelError, match=r"label_smoothing.*`mean_squared_error`.* has no target prob"):
        _objective(config(text))


def test_sparse_and_categorical_crossentropy_agree(config: Callable[..., Config]) -> None:
    expected = -np.log(PROBABILITIES[np.arange(5), INDICES]).mean()
    for loss in ("auto", "sparse_categorical_crossentropy", "categorical_crossentropy"):
        assert _loss(config, CLASSES, loss) == pytest.approx(expected, rel=1e-5)


def test_binary_crossentropy_is_of_the_probabilities_that_are_served(config: Callable[..., Config]) -> None:
    terms = ONE_HOT * np.log(PROBABILITIES) + (1 - ONE_HOT) * np.log(1 - PROBABILITIES)
    assert _loss(config, CLASSES, "binary_crossentropy") == pytest.approx(-terms.mean(), rel=1e-4)
    assert _metric(config, "binary_crossentropy") == pytest.approx(-terms.mean(), rel=1e-4)


def test_hinges_compare_margins(config: Callable[..., Config]) -> None:
    own = (ONE_HOT * LOGITS).sum(axis=1)
    other = np.where(ONE_HOT == 1, -np.inf, LOGITS).max(axis=1)
    assert _loss(config, CLASSES, "categorical_hinge") == pytest.approx(
        np.maximum(0, 1 + other - own).mean(), rel=1e-5
    )
    signs = 2 * ONE_HOT - 1
    assert _loss(config, CLASSES, "hinge") == pytest.approx(
        np.maximum(0, 1 - signs * LOGITS).mean(), rel=1e-5
    )


@pytest.mark.parametrize("targets", [INDICES, ONE_HOT], ids=["indices", "one-hot"])
def test_metrics_agree_with_scikit_learn(targets: np.ndarray, config: Callable[..., Config]) -> None:
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

    predicted = PROBABILITIES.argmax(axis=1)
    decided = PROBABILITIES > 0.5
    for metric, expected in {
        "accuracy": accuracy_score(INDICES, predicted),
        "precision": precision_score(ONE_HOT, decided, average="micro"),
        "recall": recall_score(ONE_HOT, decided, average="micro"),
        "f1_score": f1_score(INDICES, predicted, average="macro"),
        "{name: auc, num_thresholds: 2000}": roc_auc_score(ONE_HOT.ravel(), PROBABILITIES.ravel()),
        "{name: top_k_categorical_accuracy, k: 2}": np.mean(
            [index in np.argsort(row)[-2:] for index, row in zip(INDICES, PROBABILITIES, strict=True)]
        ),
        "{name: sparse_top_k_categorical_accuracy, k: 1}": accuracy_score(INDICES, predicted),
    }.items():
        assert _metric(config, metric, targets) == pytest.approx(expected, abs=2e-3), metric


def test_a_metric_begins_anew_every_epoch(config: Callable[..., Config]) -> None:
    objective, _ = _objective(config(CLASSES, "metrics=[accuracy, auc, f1_score]"))
    for metric in objective.metrics:
        metric.update_state(INDICES, LOGITS)
        before = float(metric.result())
        metric.update_state(np.asarray([2, 1, 0, 2, 2]), LOGITS)
        metric.reset_state()
        metric.update_state(INDICES, LOGITS)
        assert float(metric.result()) == before


def test_regression_losses_by_hand(config: Callable[..., Config]) -> None:
    true, predicted = (
        np.asarray([[1.0, 2.0], [3.0, 4.0]], "float32"),
        np.asarray([[1.5, 2.0], [1.0, 6.0]], "float32"),
    )
    error = predicted - true
    for loss, expected in {
        "auto": (error**2).mean(),
        "mean_absolute_error": np.abs(error).mean(),
        "{name: huber, delta: 1.0}": np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5).mean(),
        "log_cosh": np.log(np.cosh(error)).mean(),
    }.items():
        objective, _ = _objective(config(VALUES, f"loss={loss}"))
        assert float(objective.loss(true, predicted)) == pytest.approx(expected, rel=1e-5), loss


@pytest.mark.parametrize("argument", ["loss=huber", "metrics=[mean_absolute_error]", "metrics=[r2_score]"])
def test_the_wrong_task_is_refused(argument: str, config: Callable[..., Config]) -> None:
    with pytest.raises(UsageError, match="is not for classification, which iris is"):
        _objective(config(CLASSES, argument))


@pytest.mark.parametrize(
    ("monitor", "higher"),
    [
        ("val_loss", False),
        ("loss", False),
        ("val_accuracy", True),
        ("auc", True),
        ("val_AUC", True),
        ("val_hinge", False),
    ],
)
def test_the_direction_of_improvement(monitor: str, higher: bool) -> None:
    from bigmodel_cli.training.objective import higher_is_better

    assert higher_is_better(monitor) is higher


MIXED = "name: c\ndataset: digits\nmodel: cnn\n"


def test_mixed_targets_are_one_hot(config: Callable[..., Config]) -> None:
    from bigmodel_cli import assembly
    from bigmodel_cli.training.objective import build_objective

    complete = config(MIXED)
    data = assembly.load_data(complete)
    objective = build_objective(complete, data.spec, mixing=True)
    assert objective.loss_name == "categorical_crossentropy"
    assert objective.encode is not None
    encoded = np.asarray(objective.encode(np.array([3, 0])))
    assert encoded.shape == (2, 10)
    logits = np.random.default_rng(0).normal(size=(2, 10)).astype(np.float32)
    plain = build_objective(complete, data.spec)
    assert float(objective.loss(encoded, logits)) == pytest.approx(
        float(plain.loss(np.array([3, 0]), logits))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MIXED + "loss: categorical_generalized_cross_entropy\n", "takes one class an example"),
        ("name: c\ndataset: diabetes\nmodel: mlp\n", "are mixed for classification only"),
    ],
)
def test_what_cannot_be_mixed(config: Callable[..., Config], text: str, message: str) -> None:
    from bigmodel_cli import assembly
    from bigmodel_cli.training.objective import build_objective

    complete = config(text)
    with pytest.raises(UsageError, match=message):
        build_objective(complete, assembly.load_data(complete).spec, mixing=True)


def test_metrics_of_scaled_targets_are_in_original_units(config: Callable[..., Config]) -> None:
    from bigmodel_cli import assembly
    from bigmodel_cli.training.objective import build_objective

    complete = config(
        "name: c\ndataset: {name: diabetes, prepare: {target: {scale: standardize}}}\nmodel: mlp\n"
        "metrics: [mean_absolute_error]\n"
    )
    spec = assembly.load_data(complete).spec
    objective = build_objective(complete, spec)
    assert objective.encode is not None
    targets = np.array([[100.0], [200.0]], np.float32)
    learned = np.asarray(objective.encode(targets))
    assert abs(learned).max() < 2
    (metric,) = objective.metrics
    metric.update_state(learned, learned + np.float32(spec.target.factor[0]) * 10)
    assert float(metric.result()) == pytest.approx(10, rel=1e-4)
