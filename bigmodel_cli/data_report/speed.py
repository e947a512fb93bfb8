"""How fast the data comes, and how fast the model uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from bigmodel_cli import assembly
from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.data import timing
from bigmodel_cli.data.pipeline import Scheduled, TrainingPipeline
from bigmodel_cli.devices import DeviceKind

NOTEWORTHY = 0.1
"""Share of the time from which on the data is worth some work."""


@dataclass(frozen=True)
class SpeedReport:
    """How fast the data comes and how fast it is used, in examples a second.

    Attributes:
        reading: the source, decoded and prepared, in the order of storage; what the first epoch has to do.
        pipeline: an epoch as training gets it: what is kept, shuffled and augmented.
        model: training on one batch that is there already.
        batch_size: of all three.
        augmentations: name and milliseconds for a batch, in the order of the config.
        device: of the model.
        data_share: of the time of training, about what goes to the data, 0 to 1: where both are on the same
            cores, their share of the work; else what the model has to wait.
        remedy: what to change where that is more than a tenth; else empty.
    """

    reading: float
    pipeline: float
    model: float
    batch_size: int
    augmentations: tuple[tuple[str, float], ...]
    device: DeviceKind
    data_share: float
    remedy: str


@dataclass(frozen=True)
class Training:
    """What would be trained: the parts of a `training.plan.Plan` that are timed.

    Attributes:
        pipeline: of the training examples.
        model: compiled; it is trained, and of no use afterwards.
        class_weights: of each class in the loss.
        device: what it is trained on.
    """

    pipeline: TrainingPipeline
    model: keras.Model
    class_weights: Mapping[int, float] | None
    device: DeviceKind


def measure_speed(
    config: Config, data: Data, training: Training, seconds: float, doing: Callable[[str], None]
) -> SpeedReport:
    """Time the source, the pipeline, each augmentation and the model, one after the other.

    Args:
        config: complete.
        data: its data.
        training: what would be trained.
        seconds: that each of them takes at most, beside its start; augmentations 1 second at most.
        doing: told what takes the time now.
    """
    train, batch_size = data.splits["train"], training.pipeline.batch_size
    # Epoch after epoch: what begins one counts, too.
    reading = timing.examples_per_second(data.keeping.prepared(train.batches()).repeat(), seconds)
    pipeline = timing.examples_per_second(training.pipeline.batches().repeat(), seconds)
    batch = next(iter(training.pipeline.batches()))
    augmentations = []
    for item, named in zip(assembly.augmentations(config), config.dataset.augment, strict=True):
        doing(f"timing {named.name}")
        took = timing.augmentation_milliseconds(settled(item), batch[0], batch[1], min(1.0, seconds))
        augmentations.append((named.name, took))
    doing("timing the model")
    model = _consumption(training, batch, seconds)
    # On a CPU both take their time from the same cores.
    if training.device == "cpu":  # noqa: SIM108 - two cases, two formulas
        share = model / (model + pipeline)
    else:
        share = max(0.0, 1 - pipeline / model)
    return SpeedReport(
        reading,
        pipeline,
        model,
        batch_size,
        tuple(augmentations),
        training.device,
        share,
        training.pipeline.remedy if share > NOTEWORTHY else "",
    )


def settled(item: Scheduled) -> Scheduled:
    """As it is in the epochs between its ramp and its end."""
    return replace(item, ramp_epochs=0, until_epoch=None)


def _consumption(training: Training, batch: tuple[Any, Any], seconds: float) -> float:
    """Examples a second that `fit` takes of one batch, repeated."""

    options = tf.data.Options()
    # As in the training pipeline.
    options.autotune.enabled = False

    def fit(steps: int) -> float:
        batches = tf.data.Dataset.from_tensors(batch).repeat(steps).with_options(options)
        begun = time.perf_counter()
        training.model.fit(batches, class_weight=training.class_weights, verbose=0, shuffle=False)
        return time.perf_counter() - begun

    fit(1)  # Compiles.
    steps = 1
    took = fit(steps)
    # Longer and longer, until the start of `fit` no longer counts.
    while took < seconds / 3:
        steps = max(steps + 1, min(20 * steps, int(0.7 * seconds / took * steps)))
        took = fit(steps)
    return steps * int(tf.nest.flatten(batch[1])[0].shape[0]) / took
