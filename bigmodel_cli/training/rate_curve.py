"""The learning rate over the steps of a training that has not been run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bigmodel_cli import assembly
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.optimizer import learning_rate

_POINTS = 1000
"""Steps that a curve is drawn through at least, where it has as many."""
_ZOOM = 20


@dataclass(frozen=True)
class RateCurve:
    """The learning rate, step by step.

    Attributes:
        schedule: its name; `constant` for a number.
        steps_per_epoch: batches in an epoch.
        epochs: of the whole training.
        steps: some of the steps from 0, ascending; the first, the last and the peak among them.
        rates: the learning rate of each of these.
        factors: by which the rates of layers differ, by the patterns of their rule.
    """

    schedule: str
    steps_per_epoch: int
    epochs: int
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    factors: Mapping[str, float]

    @property
    def peak(self) -> int:
        """Index of the highest rate, the first of several."""
        return self.rates.index(max(self.rates))

    def to_json(self) -> dict[str, Any]:
        """As plain numbers and strings."""
        return {
            "schedule": self.schedule,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            **{
                name: {"step": self.steps[index] + 1, "learning_rate": self.rates[index]}
                for name, index in (("start", 0), ("peak", self.peak), ("end", -1))
            },
            "layers": [{"match": name, "factor": factor} for name, factor in self.factors.items()],
        }


def rate_curve(config: Config, steps_per_epoch: int) -> RateCurve:
    """Ask a config's schedule for the learning rate of every step, or of enough of them.

    Args:
        config: complete.
        steps_per_epoch: batches in an epoch.

    Raises:
        UsageError: the schedule refuses its parameters, or the rate is found when training begins.
    """
    setting = config.optimizer.learning_rate
    if setting == "auto":
        raise UsageError(
            "optimizer.learning_rate: `auto` is found by a range test when training begins; plot the run "
            "then, or give a number or a schedule"
        )
    schedule = learning_rate(config, steps_per_epoch)
    total = config.training.epochs * steps_per_epoch
    known: dict[int, float] = {}

    def rate(step: int) -> float:
        if step not in known:
            value = schedule(step) if callable(schedule) else schedule
            known[step] = float(keras.ops.convert_to_numpy(value))
        return known[step]

    for step in np.linspace(0, total - 1, min(_POINTS, total)).round():
        rate(int(step))
    if config.training.epochs <= _POINTS:
        # Where rates jump, they do so between two epochs.
        for epoch in range(1, config.training.epochs):
            rate(epoch * steps_per_epoch - 1)
            rate(epoch * steps_per_epoch)
    _find_peak(known, rate)
    steps = tuple(sorted(known))
    factors = {
        ", ".join(rule.match): rule.learning_rate_factor
        for rule in config.optimizer.layers
        if rule.learning_rate_factor is not None
    }
    name = setting.name if isinstance(setting, Component) else "constant"
    return RateCurve(
        name, steps_per_epoch, config.training.epochs, steps, tuple(known[s] for s in steps), factors
    )


def _find_peak(known: Mapping[int, float], rate: Callable[[int], float]) -> None:
    """Ask between the neighbours of the highest known rate until it has none left."""
    while True:
        steps = sorted(known)
        index = max(range(len(steps)), key=lambda i: known[steps[i]])
        low, high = steps[max(index - 1, 0)], steps[min(index + 1, len(steps) - 1)]
        new = {int(step) for step in np.linspace(low, high, _ZOOM).round()} - known.keys()
        if not new:
            return
        for step in new:
            rate(step)


def steps_per_epoch_of(config: Config, spec: DataSpec | None = None) -> int:
    """Batches in an epoch of a config.

    Args:
        config: complete.
        spec: what its run recorded of the data; by default the data is looked at.

    Raises:
        UsageError: `training.batch_size: auto`, which is found when training begins.
        DataError: the data is not there.
    """
    batch_size = config.training.batch_size
    if batch_size == "auto":
        raise UsageError(
            "training.batch_size: `auto` is found when training begins; plot the run then, or give "
            "--steps-per-epoch"
        )
    if spec is not None:
        examples = _resampled(config, spec)
    else:
        data = assembly.load_data(config)
        counts = assembly.resampling(config, data.splits["train"], data.spec)
        examples = data.splits["train"].size if counts is None else int(counts.sum())
    return math.ceil(examples / batch_size)


def _resampled(config: Config, spec: DataSpec) -> int:
    """Examples of an epoch, from the counts of the classes (see `data.splits.resampled_counts`)."""
    counts = [count for count in spec.target.counts if count]
    how = config.dataset.resample
    if how is None:
        return spec.sizes["train"]
    return len(counts) * (max(counts) if how == "oversample" else min(counts))
