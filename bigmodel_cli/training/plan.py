"""What is about to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf

from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.data.pipeline import TrainingPipeline
from bigmodel_cli.devices import Choice, Devices
from bigmodel_cli.training.beginning import Beginning
from bigmodel_cli.training.range_test import RangeTest


@dataclass(frozen=True)
class Plan:
    """Everything that training needs, built and checked; nothing is written yet.

    Attributes:
        config: complete; what `auto` of the batch size and the learning rate became stands in it.
        data: what to train on.
        devices: what to train on, in hardware.
        choices: what every `auto` became, and why.
        model: compiled, in the chosen precision.
        beginning: the weights that the model began with.
        serving: float32, with probabilities or values as output; what model.keras holds.
        mixing: whether augmentations mix targets.
        pipeline: the training examples.
        validation: batches of the validation split.
        class_weights: of each class in the loss, by index; None for equal ones.
        range_test: how `learning_rate: auto` was decided; None where it was not asked for.
        chance: loss of always predicting the shares of the classes; None where the loss has no such value.
        parameters: number of weights.
        flops: floating-point operations of one example's forward pass.
    """

    config: Config
    data: Data
    devices: Devices
    choices: Mapping[str, Choice]
    model: keras.Model
    beginning: Beginning
    serving: keras.Model
    mixing: bool
    pipeline: TrainingPipeline
    validation: tf.data.Dataset
    class_weights: Mapping[int, float] | None
    range_test: RangeTest | None
    chance: float | None
    parameters: int
    flops: int
