"""Keys that contradict each other: combinations that Keras refuses, gets wrong or ignores."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from bigmodel_cli.columns import IMAGES_SCALED
from bigmodel_cli.config.document import KeyPath
from bigmodel_cli.config.schema import Component, Config, Optimizer
from bigmodel_cli.contracts import Task, task_keys

AUTO_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("accuracy",),
    "multi_label": ("binary_accuracy", "f1_score"),
    "segmentation": ("accuracy", "mean_iou"),
    "regression": ("mean_absolute_error",),
    "language_model": ("perplexity", "accuracy"),
    "masked_language_model": ("perplexity", "accuracy"),
    "reconstruction": ("mean_absolute_error",),
}
"""What `metrics: auto` gives, of several tasks each."""

SMOOTHED_LOSSES = (
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy",
    "categorical_focal_crossentropy", "sparse_categorical_crossentropy",
)  # fmt: skip
"""The losses whose targets are probabilities that can be moved a little (`loss.label_smoothing`)."""

CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
"""Parameters of an optimizer that limit its gradient, of which it takes one."""

_WARMED_UP = ("constant", "cosine", "linear", "step", "exponential", "polynomial", "one_cycle")


def contradictions(config: Config, wrong: Collection[str] = ()) -> Iterator[tuple[KeyPath, str]]:
    """Path and message of each contradiction; components' parameters must be complete.

    Args:
        config: what to look at.
        wrong: sections with mistakes of their own; rules about them wait.
    """
    for rule, sections in _RULES:
        if not sections.intersection(wrong):
            yield from rule(config)


def _devices(config: Config) -> Iterator[tuple[KeyPath, str]]:
    training = config.training
    several = isinstance(training.devices, int) and training.devices > 1
    # On TensorFlow the devices of a process share by tf.distribute.
    mirrored = several and training.backend != "jax"
    if training.devices == "tpu" and training.backend == "tensorflow":
        yield ("training", "backend"), "a TPU works with `jax`, which `auto` chooses for it"
    if several and training.backend == "jax" and training.jit is False:
        yield (
            ("training", "jit"),
            "JAX shares a step between devices only when it is compiled; leave it `auto`",
        )
    if training.devices == "cpu" and training.jit is True:
        yield ("training", "jit"), "XLA makes training slower on a CPU; leave it `auto`"
    if training.devices == "cpu" and training.precision == "float16":
        yield (
            ("training", "precision"),
            "float16 is many times slower than float32 on a CPU; use `auto`, `bfloat16` or `float32`",
        )
    if mirrored and training.jit is True:
        yield (
            ("training", "jit"),
            "XLA does not work together with several devices in TensorFlow; leave it `auto`, or use "
            "`backend: jax`",
        )
    if mirrored and isinstance(training.steps_per_execution, int) and training.steps_per_execution > 1:
        yield (
            ("training", "steps_per_execution"),
            "must be 1 or `auto` with several devices: Keras on TensorFlow fails with more; or use "
            "`backend: jax`",
        )
    if mirrored and config.optimizer.parameters.get("gradient_accumulation_steps"):
        yield (
            ("optimizer", "gradient_accumulation_steps"),
            "does not work with several devices in Keras on TensorFlow; raise training.batch_size instead, "
            "or use `backend: jax`",
        )


def _splits(config: Config) -> Iterator[tuple[KeyPath, str]]:
    dataset = config.dataset
    given = [name for name, text in dataset.splits.model_dump().items() if text is not None]
    if dataset.split_by is not None and dataset.split_by.column is not None and given:
        yield (
            ("dataset", "splits", given[0]),
            f"the column `{dataset.split_by.column}` of dataset.split_by names the splits; give one of the "
            "two",
        )


def _prepared_columns(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Columns whose kind is named, of which nothing is prepared; others are known with the data."""
    kinds = config.dataset.parameters.get("columns")
    if not isinstance(kinds, Mapping):
        return
    told = {
        "image": IMAGES_SCALED,
        "ignore": "dataset.columns leaves this column out; take one of the two away",
    }
    for name in config.dataset.prepare.columns:
        if kinds.get(name) in told:
            yield ("dataset", "prepare", "columns", name), told[kinds[name]]


def _fold(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """A fold must keep apart what `split_by` keeps apart."""
    fold, split_by = config.dataset.fold, config.dataset.split_by
    if fold is None or split_by is None or split_by.column is not None:
        return
    kind, column = split_by.choice
    scheme = {"group": "grouped", "time": "time"}[kind]
    if (fold.scheme, fold.by) != (scheme, column):
        yield (
            ("dataset", "fold"),
            f"dataset.split_by divides by the {kind} `{column}`, and folds must do so too: "
            f"`scheme: {scheme}`, `by: {column}`",
        )


def _optimizer(config: Config) -> Iterator[tuple[KeyPath, str]]:
    parameters = config.optimizer.parameters
    given = [key for key in CLIPPING if parameters.get(key) is not None]
    if len(given) > 1:
        yield ("optimizer", given[1]), f"only one way of clipping at a time; `{given[0]}` is given too"
    if parameters.get("nesterov") and not parameters.get("momentum"):
        yield ("optimizer", "nesterov"), "has no effect without momentum; set `momentum`, such as 0.9"
    if config.optimizer.weight_decay_exclude and not any(
        parameters.get(key) for key in ("weight_decay", "adam_weight_decay")
    ):
        yield (
            ("optimizer", "weight_decay_exclude"),
            "there is no decay to exclude weights from; set `weight_decay`, such as 0.01",
        )
    for index, pattern in enumerate(parameters.get("exclude_layers") or []):
        try:
            re.compile(pattern)
        except re.error as error:
            yield ("optimizer", "exclude_layers", index), f"is not a regular expression: {error}"
    if config.optimizer.name == "schedulefreeadamw":
        yield from _schedule_free(config.optimizer)


def _schedule_free(optimizer: Optimizer) -> Iterator[tuple[KeyPath, str]]:
    if optimizer.ema is not None:
        yield (
            ("optimizer", "ema"),
            "schedulefreeadamw averages its weights itself; leave `ema` out, or use adamw",
        )
    if optimizer.parameters["beta_1"] == 0:
        yield (
            ("optimizer", "beta_1"),
            "must be greater than 0, got 0.0: the averaged weights are a division by it",
        )


def _optimizer_in_training(config: Config) -> Iterator[tuple[KeyPath, str]]:
    rate, training = config.optimizer.learning_rate, config.training
    if isinstance(rate, Component) and training.reduce_on_plateau is not None:
        yield (
            ("training", "reduce_on_plateau"),
            f"the schedule `{rate.name}` sets the learning rate; leave one of the two out, or make "
            "optimizer.learning_rate a number",
        )
    if isinstance(config.optimizer.loss_scale, float) and training.precision != "float16":
        yield (
            ("optimizer", "loss_scale"),
            f"is for gradients in float16, but training.precision is {training.precision}; leave it `auto`",
        )


def _schedule(config: Config) -> Iterator[tuple[KeyPath, str]]:
    schedule, path = config.optimizer.learning_rate, ("optimizer", "learning_rate")
    if not isinstance(schedule, Component):
        return
    given = schedule.parameters
    if schedule.name == "piecewise_constant_decay":
        values, boundaries = given["values"], given["boundaries"]
        if len(values) != len(boundaries) + 1:
            yield (
                (*path, "values"),
                f"must have one item more than boundaries: {len(boundaries) + 1}, got {len(values)}",
            )
    if schedule.name == "cosine_decay" and bool(given["warmup_steps"]) != (
        given["warmup_target"] is not None
    ):
        missing = "warmup_target" if given["warmup_steps"] else "warmup_steps"
        yield (*path, "warmup_steps"), f"`warmup_steps` and `warmup_target` go together; set `{missing}`, too"
    if schedule.name in _WARMED_UP:
        warmups = [key for key in ("warmup_steps", "warmup_epochs") if given[key]]
        if len(warmups) > 1:
            yield (*path, "warmup_epochs"), "the warm-up has one length; `warmup_steps` is given too"
        if not warmups and schedule.name != "one_cycle" and given["start"]:
            yield (
                (*path, "start"),
                "has no effect without a warm-up; set `warmup_epochs` or `warmup_steps`",
            )
    if schedule.name == "step":
        yield from _falls(given, path)


def _falls(given: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """When the schedule `step` falls."""
    every, at = given["every_epochs"], given["at_epochs"]
    if (every is None) == (at is None):
        yield path, "`step` needs either `every_epochs`, such as 30, or `at_epochs`, such as [30, 60]"
    if at is not None and sorted(set(at)) != at:
        yield (*path, "at_epochs"), f"must ascend, got {at}"


def _loss(config: Config) -> Iterator[tuple[KeyPath, str]]:
    name = config.loss.name
    if config.loss.label_smoothing and name not in ("auto", *SMOOTHED_LOSSES):
        yield (
            ("loss", "label_smoothing"),
            f"`{name}` has no target probabilities to smooth; set it to 0, or use `auto` or one of "
            f"{', '.join(SMOOTHED_LOSSES)}",
        )


def _tracking(config: Config) -> Iterator[tuple[KeyPath, str]]:
    names = [item.name for item in config.training.tracking]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (
                ("training", "tracking", index, "name"),
                f"`{name}` is there already; a run is kept once in each service",
            )


def _metrics(config: Config) -> Iterator[tuple[KeyPath, str]]:
    names = [] if config.metrics == "auto" else [item.name for item in config.metrics]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("metrics", index, "name"), f"`{name}` is there already; results hold one metric of a name"


def _monitor(config: Config) -> Iterator[tuple[KeyPath, str]]:
    stopping = config.training.early_stopping
    if stopping is None:
        return
    known = [prefix + name for name in ("loss", *_measured(config)) for prefix in ("", "val_")]
    if stopping.monitor not in known:
        yield (
            ("training", "early_stopping", "monitor"),
            f"nothing of the name `{stopping.monitor}` is measured; known here: {', '.join(known)}",
        )


def _measured(config: Config) -> list[str]:
    """Names of what may be measured besides the loss."""
    given = None if config.metrics == "auto" else [item.name for item in config.metrics]
    several = config.dataset.parameters.get("target")
    if not isinstance(several, Mapping):
        names = given or list(dict.fromkeys(name for names in AUTO_METRICS.values() for name in names))
        # The two parts of the loss of a variational model.
        return [*names, "kl", "reconstruction"] if "likelihood" in config.model.parameters else names
    found = []
    for key, target in zip(task_keys([*several]), several.values(), strict=True):
        tasks: list[Task] = ["classification", "regression"] if target.task == "auto" else [target.task]
        names = given or [name for task in tasks for name in AUTO_METRICS[task]]
        found += [f"{key}_{name}" for name in ("loss", *names)]
    return found


def _several_tasks(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """What is for one task, where the targets have a task each."""
    dataset = config.dataset
    targets = dataset.parameters.get("target")
    if not isinstance(targets, Mapping):
        return
    first = next(iter(targets))
    if config.loss.name != "auto":
        yield (
            ("loss", "name"),
            f"the targets have a loss each; leave it `auto`, and name it at the target: dataset.target."
            f"{first}.loss: {config.loss.name}",
        )
    if dataset.parameters.get("task", "auto") != "auto":
        yield (
            ("dataset", "task"),
            "the targets have a task each; leave it out, and name it at the target: dataset.target."
            f"{first}.task",
        )
    for key in ("class_weights", "resample", "only_classes"):
        if getattr(dataset, key) is not None:
            yield (
                ("dataset", key),
                "is for one task, the classification, and the targets have a task each; leave it out",
            )


_RULES: tuple[tuple[Callable[[Config], Iterator[tuple[KeyPath, str]]], frozenset[str]], ...] = (
    (_devices, frozenset({"training", "optimizer"})),
    (_splits, frozenset({"dataset"})),
    (_prepared_columns, frozenset({"dataset"})),
    (_fold, frozenset({"dataset"})),
    (_optimizer, frozenset({"optimizer"})),
    (_schedule, frozenset({"optimizer"})),
    (_optimizer_in_training, frozenset({"optimizer", "training"})),
    (_loss, frozenset({"loss"})),
    (_metrics, frozenset({"metrics"})),
    (_tracking, frozenset({"training"})),
    (_monitor, frozenset({"training", "metrics", "model", "dataset"})),
    (_several_tasks, frozenset({"dataset", "loss"})),
)
