"""Losses and metrics of several tasks at once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, InputSpec, OneOfSeveral, TargetSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.objective import higher_is_better
from bigmodel_cli.training.several_objectives import whole_objective

KIND = TargetSpec((), "int32", ("a", "b", "c"), counts=(2, 1, 1))
MASS = TargetSpec((1,), "float32", ("mass",), mean=(4.0,), scaling="standardize", shift=(4.0,), factor=(0.5,))
DATA = DataSpec(
    "penguins", "test", "multi_task", InputSpec((2,), "float32", "tabular"),
    TargetSpec(
        (2,), "float32", ("kind", "mass"),
        tasks=(
            OneOfSeveral("kind", "kind", "classification", 1.0, "auto", KIND),
            OneOfSeveral("mass", "mass", "regression", 0.25, "mean_absolute_error", MASS),
        ),
    ),
)  # fmt: skip
TARGETS = np.array([[0, 6], [2, 2], [1, 4]], np.float32)
LOGITS = np.array([[2, 0, 0], [0, 1, 0], [0, 3, 1]], np.float32)
VALUES = np.array([[0.5], [-1], [1]], np.float32)


def objective(**changes: Any) -> Any:
    config = {"name": "c", "dataset": "csv", "model": "mlp", **changes}
    return whole_objective(Config.model_validate(config), DATA)


def test_keras_sums_the_weighted_losses() -> None:
    found = objective()
    assert found.loss_name == "kind: sparse_categorical_crossentropy, mass: mean_absolute_error"
    assert found.weights == {"kind": 1.0, "mass": 0.25}
    inputs = {"kind": keras.Input((3,), name="kind"), "mass": keras.Input((1,), name="mass")}
    model = keras.Model(inputs, {key: keras.layers.Identity()(x) for key, x in inputs.items()})
    model.compile(loss=found.loss, loss_weights=found.weights, metrics=found.metrics)
    encoded = {key: np.asarray(array) for key, array in found.encode(TARGETS).items()}
    assert encoded["mass"].tolist() == [[1], [-1], [0]]
    measured = model.evaluate({"kind": LOGITS, "mass": VALUES}, encoded, verbose=0, return_dict=True)
    own = LOGITS[np.arange(3), TARGETS[:, 0].astype(int)]
    crossentropy = (np.log(np.exp(LOGITS).sum(axis=1)) - own).mean()
    error = np.abs(VALUES - [[1], [-1], [0]]).mean()
    assert measured["kind_loss"] == pytest.approx(crossentropy, rel=1e-5)
    assert measured["mass_loss"] == pytest.approx(error, rel=1e-5)
    assert measured["loss"] == pytest.approx(crossentropy + 0.25 * error, rel=1e-5)
    assert measured["kind_accuracy"] == pytest.approx(2 / 3)
    # In the units of the target, not of what is learned.
    assert measured["mass_mean_absolute_error"] == pytest.approx(2 * error, rel=1e-5)


def test_each_task_has_the_metrics_that_are_for_it() -> None:
    found = objective(metrics=["accuracy", "root_mean_squared_error"]).metrics
    assert {key: [metric.name for metric in metrics] for key, metrics in found.items()} == {
        "kind": ["accuracy"],
        "mass": ["root_mean_squared_error"],
    }


def test_labels_are_smoothed_where_there_are_classes() -> None:
    found = objective(loss={"name": "auto", "label_smoothing": 0.3})
    assert found.loss_name.startswith("kind: categorical_crossentropy")
    smooth = np.eye(3)[TARGETS[:, 0].astype(int)] * 0.7 + 0.1
    log_softmax = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    encoded = found.encode(TARGETS)["kind"]
    assert float(found.loss["kind"](encoded, LOGITS)) == pytest.approx(
        -(smooth * log_softmax).sum() / 3, rel=1e-5
    )


def test_what_is_for_none_of_them() -> None:
    with pytest.raises(UsageError, match="metrics: `mean_iou` is for none of the tasks of penguins"):
        objective(metrics=["mean_iou"])
    with pytest.raises(UsageError, match=r"images are mixed for classification only"):
        whole_objective(Config.model_validate({"name": "c", "dataset": "d", "model": "m"}), DATA, mixing=True)


def test_a_loss_of_another_task_is_told_with_its_target() -> None:
    from dataclasses import replace

    first, second = DATA.target.tasks
    wrong = replace(DATA, target=replace(DATA.target, tasks=(replace(first, loss="huber"), second)))
    config = Config.model_validate({"name": "c", "dataset": "csv", "model": "mlp"})
    with pytest.raises(UsageError, match=r"dataset\.target\.kind\.loss: `huber` is not for classification"):
        whole_objective(config, wrong)


@pytest.mark.parametrize(
    ("monitor", "higher"),
    [
        ("val_kind_accuracy", True),
        ("val_kind_loss", False),
        ("val_mass_mean_absolute_error", False),
        ("accuracy_mean_squared_error", False),
        ("val_mass_r2_score", True),
    ],
)
def test_better_goes_by_the_metric_behind_the_target(monitor: str, higher: bool) -> None:
    assert higher_is_better(monitor) is higher
