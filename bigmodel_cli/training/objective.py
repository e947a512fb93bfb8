"""Loss and metrics of a run, fed with what each of them takes.

Our classifiers give logits, and the pipeline gives class indices; of labels, a 0 or 1 for
each; of masks an index for each pixel. Keras' losses and metrics differ in what they want: indices or
one-hot targets, logits or probabilities. `training.adapters`
translates, so that every one of them means what it says.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import keras
import tensorflow as tf

from bigmodel_cli import catalogue, components
from bigmodel_cli.config.rules import AUTO_METRICS, SMOOTHED_LOSSES
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.contracts import IGNORED, DataSpec, Task
from bigmodel_cli.errors import UsageError
from bigmodel_cli.reconstruction import likelihood_of
from bigmodel_cli.targets import scaled
from bigmodel_cli.token_targets import is_language
from bigmodel_cli.training import reconstruction_objective, token_metrics
from bigmodel_cli.training.adapters import (
    ClassMetric,
    InOriginalUnits,
    LabelMetric,
    MaskMetric,
    OnMasks,
    OnProbabilities,
)

AUTO_LOSSES: Mapping[Task, str] = {
    "classification": "sparse_categorical_crossentropy",
    "multi_label": "binary_crossentropy",
    "segmentation": "sparse_categorical_crossentropy",
    "regression": "mean_squared_error",
    "language_model": token_metrics.LOSS,
    "masked_language_model": token_metrics.LOSS,
    "reconstruction": "mean_squared_error",
}
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
# Those that judge each label on its own; a softmax would make the labels exclude each other.
_LABEL_LOSSES = frozenset({"binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge"})
_MASK_LOSSES = frozenset({"dice", "sparse_categorical_crossentropy", "tversky"})
_LOSSES: Mapping[Task, frozenset[str]] = {
    "classification": _CLASSIFICATION_LOSSES, "multi_label": _LABEL_LOSSES, "segmentation": _MASK_LOSSES,
    "regression": _REGRESSION_LOSSES, "language_model": frozenset({token_metrics.LOSS}),
    "masked_language_model": frozenset({token_metrics.LOSS}),
    "reconstruction": reconstruction_objective.LOSSES,
}  # fmt: skip
_LABEL_METRICS = frozenset(
    {
        "auc", "binary_accuracy", "binary_crossentropy", "f1_score", "f_beta_score", "false_negatives",
        "false_positives", "hinge", "precision", "precision_at_recall", "recall", "recall_at_precision",
        "sensitivity_at_specificity", "specificity_at_sensitivity", "squared_hinge", "true_negatives",
        "true_positives",
    }
)  # fmt: skip
_MASK_METRICS = frozenset(
    {"accuracy", "mean_iou", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy"}
)
_REGRESSION_METRICS = _REGRESSION_LOSSES - {"huber", "log_cosh"} | {
    "log_cosh_error", "pearson_correlation", "concordance_correlation", "r2_score", "root_mean_squared_error",
}  # fmt: skip
_ON_INDICES = frozenset({"sparse_categorical_crossentropy", "categorical_generalized_cross_entropy"})
# A hinge compares margins, which are logits.
_ON_MARGINS = frozenset({"categorical_hinge", "hinge", "squared_hinge"})

HIGHER_IS_BETTER = frozenset(
    {
        "accuracy", "auc", "binary_accuracy", "categorical_accuracy", "concordance_correlation",
        "cosine_similarity", "f1_score", "f_beta_score", "fbeta_score", "mean_iou",
        "pearson_correlation", "precision",
        "precision_at_recall", "r2_score", "recall", "recall_at_precision", "sensitivity_at_specificity",
        "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy", "specificity_at_sensitivity",
        "top_k_categorical_accuracy", "true_negatives", "true_positives",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """What is minimised and what is measured.

    Attributes:
        loss: takes the model's raw output; of several tasks one each, by their keys.
        loss_name: what `auto` became, or what was asked for.
        metrics: fresh metrics over the model's raw output; of several tasks those of each, by their keys.
        encode: what the pipeline must do to a batch of targets: one-hot (batch, classes) float32, or the
            scale of `TargetSpec`; None for nothing. Of several tasks a dict, by their keys, comes out.
        weights: of several tasks those of the losses in their sum, by the keys; None for one task.
    """

    loss: Any
    loss_name: str
    metrics: Any
    encode: Callable[[Any], Any] | None
    weights: Mapping[str, float] | None = None


def build_objective(config: Config, data: DataSpec, *, mixing: bool = False) -> Objective:
    """The loss and metrics of a config for this data.

    Args:
        config: complete.
        data: what is learned.
        mixing: whether augmentations mix targets, which must be one-hot for that.

    Raises:
        UsageError: a loss or metric for another task, or a loss that takes no mixed or smoothed targets.
    """
    if is_language(data):
        loss = token_metrics.token_loss(config, data)
        return Objective(loss, token_metrics.LOSS, token_metrics.token_metrics(), None)
    name = auto_loss(data) if config.loss.name == "auto" else config.loss.name
    if mixing and data.task != "classification":
        raise UsageError(
            f"dataset.augment: images are mixed for classification only, which {data.name} is not"
        )
    smoothing = config.loss.label_smoothing
    if data.task == "reconstruction" and (likelihood := likelihood_of(config.model.parameters, data)):
        reconstruction_objective.require_auto(config)
        terms = reconstruction_objective.likelihood_metrics(likelihood, data)
        loss = reconstruction_objective.NegativeLogLikelihood(likelihood, data)
        return Objective(loss, loss.name, [*terms, *_metrics(config, data)], None)
    if smoothing and data.task == "reconstruction":
        raise UsageError(
            f"loss.label_smoothing: got {smoothing}, but {config.model.name} learns its input, not labels; "
            "set it to 0"
        )
    if smoothing and data.task == "segmentation":
        raise UsageError(
            f"loss.label_smoothing: got {smoothing}, but masks hold one class a pixel, which is not "
            "smoothed; set it to 0"
        )
    if (mixing or smoothing) and name == "sparse_categorical_crossentropy":
        # The same loss on one-hot targets.
        name = "categorical_crossentropy"
    definition = components.find("losses", name)
    name = definition.name
    allowed = _LOSSES[data.task]
    if name not in allowed:
        raise UsageError(
            f"loss: `{name}` is not for {data.task}, which {data.name} is; use `auto` or one of "
            f"{', '.join(sorted(allowed))}"
        )
    if smoothing and name not in SMOOTHED_LOSSES:
        raise UsageError(
            f"loss.label_smoothing: got {smoothing}, but `{name}` for {data.task} has no target "
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
    if data.task == "multi_label":
        # The targets are what these losses take: a 0 or 1 for each label.
        loss = kind(from_logits=True, **parameters) if _takes_logits(kind) else kind(**parameters)
        return Objective(loss, name, _metrics(config, data), None)
    if data.task == "reconstruction":
        loss = reconstruction_objective.reconstruction_loss(kind, name, parameters, data)
        return Objective(loss, name, _metrics(config, data), None)
    if data.task == "segmentation":
        return Objective(_mask_loss(kind, name, parameters, data), name, _metrics(config, data), None)
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


def auto_loss(data: DataSpec) -> str:
    """What `loss: auto` is for this data."""
    if data.task == "reconstruction" and data.input.kind == "image":
        # The squared error of a sigmoid has no slope where a pixel is wrong and certain: training gets stuck.
        return "binary_crossentropy"
    return AUTO_LOSSES[data.task]


def _mask_loss(
    kind: type[Any], name: str, parameters: Mapping[str, Any], data: DataSpec
) -> keras.losses.Loss:
    """A loss on masks (batch, height, width) and logits (batch, height, width, classes)."""
    if name == "sparse_categorical_crossentropy":
        return kind(from_logits=True, ignore_class=IGNORED, **parameters)
    # One overlap for each class, over all pixels of the batch; of all classes together, the background's
    # pixels would outweigh the rest.
    return OnMasks(kind(axis=(0, 1, 2), **parameters), data.outputs)


def _metrics(config: Config, data: DataSpec) -> list[keras.metrics.Metric]:
    if config.metrics == "auto":
        wanted = [Component(name=name) for name in AUTO_METRICS[data.task]]
    else:
        wanted = list(config.metrics)
    return [_metric(item, data) for item in wanted]


def fits(metric: str, task: Task) -> bool:
    """Whether a metric of this canonical name is for a task."""
    match task:
        case "classification":
            return metric not in _REGRESSION_METRICS | {"mean_iou"}
        case "multi_label":
            return metric in _LABEL_METRICS
        case "segmentation":
            return metric in _MASK_METRICS
        case "regression":
            return metric in _REGRESSION_METRICS
        case "language_model" | "masked_language_model":
            return metric in AUTO_METRICS[task]
        case "reconstruction":
            return metric in reconstruction_objective.METRICS
        case "multi_task":
            # Each of the tasks is asked.
            return False
        case _:
            assert_never(task)


def _metric(component: Component, data: DataSpec) -> keras.metrics.Metric:
    definition = components.find("metrics", component.name)
    name = definition.name
    if not fits(name, data.task):
        raise UsageError(
            f"metrics: `{name}` is not for {data.task}, which {data.name} is; use `auto` or see "
            "`bigmodel list metrics`"
        )
    kind = getattr(keras.metrics, str(definition.keras_class))
    if data.task == "multi_label":
        return _label_metric(kind, name, component, data)
    if name == "mean_iou":
        return kind(data.outputs, component.name, ignore_class=IGNORED, sparse_y_pred=False)
    metric = kind(name=component.name, **component.parameters)
    if data.task == "regression":
        return metric if data.target.scaling == "none" else InOriginalUnits(metric, data.target)
    if data.task == "segmentation":
        return MaskMetric(metric)
    if data.task == "reconstruction":
        return reconstruction_objective.OnScaledInputs(metric, data)
    indices = "Sparse" in str(definition.keras_class)
    return ClassMetric(metric, None if indices else data.outputs, name not in _ON_MARGINS)


def _label_metric(kind: type[Any], name: str, component: Component, data: DataSpec) -> keras.metrics.Metric:
    """A metric of labels, which do not exclude each other."""
    given = dict(component.parameters)
    if name in ("f1_score", "f_beta_score") and given.get("threshold") is None:
        # Without one Keras takes the likeliest label alone.
        given["threshold"] = 0.5
    if name == "auc":
        # The mean over the labels, rather than one curve of all.
        given |= {"multi_label": True, "num_labels": data.outputs}
    return LabelMetric(kind(name=component.name, **given), name not in _ON_MARGINS)


def _takes_logits(kind: type[Any]) -> bool:
    return "from_logits" in inspect.signature(kind).parameters


def higher_is_better(monitor: str) -> bool:
    """Whether a larger value of `accuracy`, `val_loss` or `val_species_accuracy` is an improvement."""
    words = monitor.removeprefix("val_").split("_")
    # With several tasks the metric's name stands behind that of the task.
    names = ("_".join(words[start:]) for start in range(len(words)))
    entry = next((entry for name in names if (entry := catalogue.find("metrics", name))), None)
    return entry is not None and entry.name in HIGHER_IS_BETTER
