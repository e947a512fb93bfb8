"""Loss and metrics of a run, fed with what each of them takes.

Our classifiers give logits, and the pipeline gives class indices. Keras' losses and metrics differ in
what they want: indices or one-hot targets, logits or probabilities. The adapters below translate, so
that every one of them means what it says.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bigmodel_cli import catalogue, components
from bigmodel_cli.config.rules import AUTO_METRICS, SMOOTHED_LOSSES
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.contracts import DataSpec, TargetSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.targets import original_units, scaled

AUTO_LOSSES = {"classification": "sparse_categorical_crossentropy", "regression": "mean_squared_error"}

_CLASSIFICATION_LOSSES = frozenset(
    {
        "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy",
        "categorical_focal_crossentropy", "categorical_generalized_cross_entropy", "categorical_hinge",
        "hinge", "squared_hinge", "kl_divergence", "sparse_categorical_crossentropy",
    }
)  # fmt: skip
_REGRESSION_LOSSES = frozenset(
    {
        "cosine_similarity", "huber", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error",
        "mean_squared_error", "mean_squared_logarithmic_error",
    }
)  # fmt: skip
_REGRESSION_METRICS = _REGRESSION_LOSSES - {"huber", "log_cosh"} | {
    "log_cosh_error", "pearson_correlation", "concordance_correlation", "r2_score", "root_mean_squared_error",
}  # fmt: skip
_ON_INDICES = frozenset({"sparse_categorical_crossentropy", "categorical_generalized_cross_entropy"})
# A hinge compares margins, which are logits.
_ON_MARGINS = frozenset({"categorical_hinge", "hinge", "squared_hinge"})

HIGHER_IS_BETTER = frozenset(
    {
        "accuracy", "auc", "binary_accuracy", "categorical_accuracy", "concordance_correlation",
        "cosine_similarity", "f1_score", "f_beta_score", "fbeta_score", "pearson_correlation", "precision",
        "precision_at_recall", "r2_score", "recall", "recall_at_precision", "sensitivity_at_specificity",
        "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy", "specificity_at_sensitivity",
        "top_k_categorical_accuracy", "true_negatives", "true_positives",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """What is minimised and what is measured.

    Attributes:
        loss: takes the model's raw output.
        loss_name: what `auto` became, or what was asked for.
        metrics: fresh metrics over the model's raw output.
        encode: what the pipeline must do to a batch of targets: one-hot (batch, classes) float32, or the
            scale of `TargetSpec`; None for nothing.
    """

    loss: keras.losses.Loss
    loss_name: str
    metrics: Sequence[keras.metrics.Metric]
    encode: Callable[[Any], Any] | None


def build_objective(config: Config, data: DataSpec, *, mixing: bool = False) -> Objective:
    """The loss and metrics of a config for this data.

    Args:
        config: complete.
        data: what is learned.
        mixing: whether augmentations mix targets, which must be one-hot for that.

    Raises:
        UsageError: a loss or metric for another task, or a loss that takes no mixed or smoothed targets.
    """
    name = AUTO_LOSSES[data.task] if config.loss.name == "auto" else config.loss.name
    if mixing and data.task != "classification":
        raise UsageError(
            f"dataset.augment: images are mixed for classification only, which {data.name} is not"
        )
    smoothing = config.loss.label_smoothing
    if (mixing or smoothing) and name == "sparse_categorical_crossentropy":
        # The same loss on one-hot targets.
        name = "categorical_crossentropy"
    definition = components.find("losses", name)
    name = definition.name
    allowed = _CLASSIFICATION_LOSSES if data.task == "classification" else _REGRESSION_LOSSES
    if name not in allowed:
        raise UsageError(
            f"loss: `{name}` is not for {data.task}, which {data.name} is; use `auto` or one of "
            f"{', '.join(sorted(allowed))}"
        )
    if smoothing and name not in SMOOTHED_LOSSES:
        raise UsageError(
            f"loss.label_smoothing: got {smoothing}, but `{name}` of a {data.task} has no target "
            "probabilities to smooth; set it to 0"
        )
    kind = getattr(keras.losses, str(definition.keras_class))
    parameters = {**config.loss.parameters, **({"label_smoothing": smoothing} if smoothing else {})}
    if data.task == "regression":
        loss = kind(**parameters)
        if data.target.scaling == "none":
            return Objective(loss, name, _metrics(config, data), None)
        target = data.target
        return Objective(loss, name, _metrics(config, data), lambda values: scaled(values, target))
    if mixing and name in _ON_INDICES:
        raise UsageError(
            f"loss: `{name}` takes one class an example, but dataset.augment mixes classes; use "
            "categorical_crossentropy"
        )
    classes = data.outputs
    encode = (
        # Inside tf.data, whatever engine Keras runs on.
        None if name in _ON_INDICES else lambda labels: tf.one_hot(labels, classes, dtype=tf.float32)
    )
    # Ours are logits of a softmax over the classes; the binary losses would take them for a sigmoid's each.
    if _takes_logits(kind) and not name.startswith("binary_"):
        loss = kind(from_logits=True, **parameters)
    else:
        loss = kind(**parameters)
        if name not in _ON_MARGINS:
            loss = OnProbabilities(loss)
    return Objective(loss, name, _metrics(config, data), encode)


def _metrics(config: Config, data: DataSpec) -> list[keras.metrics.Metric]:
    if config.metrics == "auto":
        wanted = [Component(name=AUTO_METRICS[data.task == "regression"])]
    else:
        wanted = list(config.metrics)
    return [_metric(item, data) for item in wanted]


def _metric(component: Component, data: DataSpec) -> keras.metrics.Metric:
    definition = components.find("metrics", component.name)
    name = definition.name
    if (data.task == "regression") != (name in _REGRESSION_METRICS):
        raise UsageError(
            f"metrics: `{name}` is not for {data.task}, which {data.name} is; use `auto` or see "
            "`bigmodel list metrics`"
        )
    kind = getattr(keras.metrics, str(definition.keras_class))
    metric = kind(name=component.name, **component.parameters)
    if data.task == "regression":
        return metric if data.target.scaling == "none" else InOriginalUnits(metric, data.target)
    indices = "Sparse" in str(definition.keras_class)
    return ClassMetric(metric, None if indices else data.outputs, name not in _ON_MARGINS)


def _takes_logits(kind: type[Any]) -> bool:
    return "from_logits" in inspect.signature(kind).parameters


def higher_is_better(monitor: str) -> bool:
    """Whether a larger value of `accuracy` or `val_loss` and the like is an improvement."""
    name = monitor.removeprefix("val_")
    entry = catalogue.find("metrics", name)
    return (entry.name if entry else name) in HIGHER_IS_BETTER


class OnProbabilities(keras.losses.Loss):
    """A loss that wants probabilities, on a model that gives logits."""

    def __init__(self, inner: keras.losses.Loss):
        super().__init__(name=inner.name)
        self.inner = inner

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each example, (batch,), from the targets that `inner` takes and logits (batch, classes)."""
        return self.inner.call(y_true, _probabilities(y_pred))


def _probabilities(logits: Any) -> Any:
    """Softmax; that of Keras hangs the logits on its result, where the binary losses find and misuse them."""
    return keras.ops.exp(keras.ops.log_softmax(logits))


class InOriginalUnits(keras.metrics.Metric):
    """A metric of a regression whose targets are learned on another scale.

    Args:
        inner: the Keras metric, over targets and predictions in their original units.
        target: says how they are scaled.
    """

    def __init__(self, inner: keras.metrics.Metric, target: TargetSpec):
        super().__init__(name=inner.name)
        self.inner = inner
        self._target = target

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: scaled targets and predictions, (batch, targets)."""
        y_true, y_pred = (original_units(values, self._target) for values in (y_true, y_pred))
        return self.inner.update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The inner metric's result."""
        return self.inner.result()

    def reset_state(self) -> None:
        """Begin anew."""
        self.inner.reset_state()


class ClassMetric(keras.metrics.Metric):
    """A classification metric on logits and on targets as indices or one-hot.

    Args:
        inner: the Keras metric.
        one_hot: number of classes when the metric wants one-hot targets, else None.
        probabilities: whether it wants probabilities rather than logits.
    """

    def __init__(self, inner: keras.metrics.Metric, one_hot: int | None, probabilities: bool):
        super().__init__(name=inner.name)
        self.inner = inner
        self._one_hot = one_hot
        self._probabilities = probabilities

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: targets (batch,) or (batch, classes), logits (batch, classes)."""
        encoded = len(y_true.shape) == 2 and y_true.shape[-1] != 1
        if self._one_hot is None and encoded:
            y_true = keras.ops.argmax(y_true, axis=-1)
        elif self._one_hot is not None and not encoded:
            y_true = keras.ops.one_hot(keras.ops.reshape(y_true, (-1,)), self._one_hot)
        y_pred = keras.ops.cast(y_pred, "float32")
        if self._probabilities:
            y_pred = _probabilities(y_pred)
        return self.inner.update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The inner metric's result; a value for each class is averaged over the classes."""
        result = self.inner.result()
        return keras.ops.mean(result) if len(result.shape) else result

    def reset_state(self) -> None:
        """Begin anew."""
        self.inner.reset_state()
