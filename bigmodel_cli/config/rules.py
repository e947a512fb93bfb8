"""Keys that contradict each other: combinations that Keras refuses, gets wrong or ignores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from bigmodel_cli.config.document import KeyPath
from bigmodel_cli.config.schema import Component, Config

AUTO_METRICS = ("accuracy", "mean_absolute_error")
"""What `metrics: auto` gives: the first for classification, the second for regression."""

_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


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
    if training.devices == "cpu" and training.jit is True:
        yield ("training", "jit"), "XLA makes training slower on a CPU; leave it `auto`"
    if training.devices == "cpu" and training.precision == "float16":
        yield (
            ("training", "precision"),
            "float16 is many times slower than float32 on a CPU; use `auto`, `bfloat16` or `float32`",
        )
    if several and training.jit is True:
        yield (
            ("training", "jit"),
            "XLA does not work together with several devices in this Keras; leave it `auto`",
        )
    if several and isinstance(training.steps_per_execution, int) and training.steps_per_execution > 1:
        yield (
            ("training", "steps_per_execution"),
            "must be 1 or `auto` with several devices: Keras fails with more",
        )
    if several and config.optimizer.parameters.get("gradient_accumulation_steps"):
        yield (
            ("optimizer", "gradient_accumulation_steps"),
            "does not work with several devices in this Keras; raise training.batch_size instead",
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


def _optimizer(config: Config) -> Iterator[tuple[KeyPath, str]]:
    parameters = config.optimizer.parameters
    given = [key for key in _CLIPPING if parameters.get(key) is not None]
    if len(given) > 1:
        yield ("optimizer", given[1]), f"only one way of clipping at a time; `{given[0]}` is given too"
    if parameters.get("nesterov") and not parameters.get("momentum"):
        yield ("optimizer", "nesterov"), "has no effect without momentum; set `momentum`, such as 0.9"
    schedule = config.optimizer.learning_rate
    if isinstance(schedule, Component) and schedule.name == "piecewise_constant_decay":
        values, boundaries = schedule.parameters["values"], schedule.parameters["boundaries"]
        if len(values) != len(boundaries) + 1:
            yield (
                ("optimizer", "learning_rate", "values"),
                f"must have one item more than boundaries: {len(boundaries) + 1}, got {len(values)}",
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
    metrics = AUTO_METRICS if config.metrics == "auto" else [item.name for item in config.metrics]
    known = [prefix + name for name in ("loss", *metrics) for prefix in ("", "val_")]
    if stopping.monitor not in known:
        yield (
            ("training", "early_stopping", "monitor"),
            f"nothing of the name `{stopping.monitor}` is measured; known here: {', '.join(known)}",
        )


_RULES: tuple[tuple[Callable[[Config], Iterator[tuple[KeyPath, str]]], frozenset[str]], ...] = (
    (_devices, frozenset({"training", "optimizer"})),
    (_splits, frozenset({"dataset"})),
    (_optimizer, frozenset({"optimizer"})),
    (_metrics, frozenset({"metrics"})),
    (_monitor, frozenset({"training", "metrics"})),
)
