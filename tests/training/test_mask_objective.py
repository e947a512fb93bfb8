"""Losses and metrics of masks: over the pixels that are not ignored alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import IGNORED, DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.objective import build_objective, higher_is_better

SPEC = DataSpec(
    "t", "test", "segmentation", InputSpec((4, 6, 3), "uint8", "image"),
    TargetSpec((4, 6), "uint8", ("a", "b", "c"), (10, 5, 1)),
)  # fmt: skip


def objective(**settings):
    base = {
        "name": "t",
        "dataset": {"name": "shapes"},
        "model": {"name": "unet"},
        "optimizer": {"name": "adam"},
    }
    return build_objective(Config.model_validate({**base, **settings}), SPEC)


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(0)
    masks = random.integers(0, 3, (5, 4, 6)).astype(np.uint8)
    masks[random.random(masks.shape) < 0.3] = IGNORED
    return masks, random.normal(size=(5, 4, 6, 3)).astype(np.float32)


def probabilities(logits):
    shares = np.exp(logits)
    return shares / shares.sum(axis=-1, keepdims=True)


def test_auto_is_the_cross_entropy_of_the_counted_pixels(batch):
    masks, logits = batch
    found = objective()
    assert found.loss_name == "sparse_categorical_crossentropy"
    known = masks != IGNORED
    own = probabilities(logits)[known][np.arange(known.sum()), masks[known]]
    assert float(found.loss(masks, logits)) == pytest.approx(-np.log(own).mean(), rel=1e-5)


@pytest.mark.parametrize(("name", "alpha", "beta"), [("dice", 0.5, 0.5), ("tversky", 0.3, 0.7)])
def test_overlaps_of_each_class(name, alpha, beta, batch):
    masks, logits = batch
    given = {"name": name} | ({"alpha": alpha, "beta": beta} if name == "tversky" else {})
    known = masks != IGNORED
    true, shares = np.eye(3)[masks[known]], probabilities(logits)[known]
    both, only_true, only_found = (
        (true * shares).sum(0),
        (true * (1 - shares)).sum(0),
        ((1 - true) * shares).sum(0),
    )
    expected = 1 - both / (both + alpha * only_found + beta * only_true)
    assert float(objective(loss=given).loss(masks, logits)) == pytest.approx(expected.mean(), rel=1e-4)


def test_metrics_are_those_of_the_counted_pixels(batch):
    masks, logits = batch
    found = objective().metrics
    known, predicted = masks != IGNORED, logits.argmax(axis=-1)
    for metric in found:
        for part in (slice(2), slice(2, 5)):
            metric.update_state(masks[part], logits[part])
    values = {metric.name: float(metric.result()) for metric in found}
    iou = [
        ((predicted == c) & (masks == c)).sum() / (((predicted == c) & known) | (masks == c)).sum()
        for c in range(3)
    ]
    assert values == pytest.approx(
        {"accuracy": (predicted == masks)[known].mean(), "mean_iou": np.mean(iou)}, rel=1e-6
    )
    assert higher_is_better("val_mean_iou")


def test_batches_without_a_counted_pixel_are_no_nan(batch):
    masks = np.full_like(batch[0], IGNORED)
    for loss in ("auto", "dice"):
        assert np.isfinite(float(objective(loss=loss).loss(masks, batch[1])))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"loss": "categorical_crossentropy"},
            "is not for segmentation, which t is; use `auto` or one of dice",
        ),
        ({"loss": {"name": "auto", "label_smoothing": 0.1}}, "masks hold one class a pixel"),
        ({"metrics": ["auc"]}, "`auc` is not for segmentation"),
    ],
)
def test_what_does_not_fit(settings, message):
    with pytest.raises(UsageError, match=message):
        objective(**settings)


def test_mean_iou_and_dice_are_not_for_classes():
    inputs, target = InputSpec((3,), "float32", "tabular"), TargetSpec((), "int32", ("a", "b"))
    spec = DataSpec("t", "test", "classification", inputs, target)
    base = {"name": "t", "dataset": {"name": "iris"}, "model": {"name": "mlp"}, "optimizer": {"name": "adam"}}
    for wrong in ({"loss": "dice"}, {"metrics": ["mean_iou"]}):
        with pytest.raises(UsageError, match="is not for classification"):
            build_objective(Config.model_validate({**base, **wrong}), spec)


def test_it_trains(batch):
    masks, _ = batch
    model = keras.Sequential([keras.Input((4, 6, 3)), keras.layers.Conv2D(3, 1)])
    found = objective()
    model.compile("adam", found.loss, metrics=list(found.metrics))
    history = model.fit(np.random.default_rng(0).random((5, 4, 6, 3)), masks, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
