"""The fixed sections of a config, typed and frozen.

Parameters of a component (model, dataset, optimizer, ...) are not declared here but by the component
itself; they travel in `Component.parameters`. Field descriptions are what editors and `bigmodel schema` show.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt

from bigmodel_cli.config.slicing import parse_instruction


class Section(BaseModel):
    """A fixed section: every key declared, no coercion between types, read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Component(BaseModel):
    """A `name` and the parameters of the component of that name."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    name: str = Field(
        min_length=1,
        max_length=200,
        description="a built-in, an installed plug-in, or package.module:function",
    )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The component's own parameters, as written, or complete after `validation.load`."""
        return self.model_extra or {}

    def with_parameters(self, parameters: Mapping[str, Any]) -> Component:
        """The same component with these parameters in place of its own."""
        fixed = {key: getattr(self, key) for key in type(self).model_fields}
        return type(self).model_construct(**fixed, **parameters)


def _named(value: Any) -> Any:
    """`adam` is short for `{name: adam}`."""
    return {"name": value} if isinstance(value, str) else value


def _named_all(value: Any) -> Any:
    return [_named(item) for item in value] if isinstance(value, list) else value


Named = Annotated[Component, BeforeValidator(_named)]


def _rate(value: Any) -> Any:
    """A number stands as it is; anything else must be a schedule."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", value):
        raise ValueError(f"must be a number, which stands without quotes, got text `{value}`")
    if isinstance(value, str | dict | Component):
        return Component.model_validate(_named(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number greater than 0, or a schedule, such as {name: cosine}")
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {value}")
    if value <= 0:
        raise ValueError(f"must be greater than 0, got {value}")
    return float(value)


LearningRate = Annotated[Any, BeforeValidator(_rate)]
"""A positive number, or a schedule as a component."""


def _instruction(text: str) -> str:
    parse_instruction(text)
    return text


Instruction = Annotated[str, AfterValidator(_instruction)]
"""Examples in TFDS slicing syntax."""


class Splits(Section):
    """Which examples serve for what, in TFDS slicing syntax, such as `train[:80%]`."""

    train: Instruction | None = Field(None, description="examples to learn from")
    validation: Instruction | None = Field(None, description="examples that choose the best epoch")
    test: Instruction | None = Field(None, description="examples that `bigmodel evaluate` alone touches")


class Dataset(Component):
    """What to learn from."""

    splits: Splits = Field(Splits(), description="train, validation and test in TFDS slicing syntax")
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the training examples held out when no validation split is given or stored"
    )
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="share of all examples held out when no test split is given or stored"
    )
    limit: PositiveInt | None = Field(None, description="take only the first n examples of each split")
    augment: Annotated[list[Named], BeforeValidator(_named_all)] = Field(
        [], description="random changes to training images, in this order"
    )
    cache: Literal["auto", "memory", "none"] = Field(
        "auto", description="hold the decoded examples in memory, or stream them at every epoch"
    )


class Optimizer(Component):
    """How the weights are updated."""

    name: str = Field("adam", min_length=1, max_length=200, description="any Keras optimizer")
    learning_rate: LearningRate | None = Field(
        None, description="a number or a schedule; by default what Keras gives this optimizer"
    )


class EarlyStopping(Section):
    """Stop when the monitored metric no longer improves."""

    monitor: str = Field("val_loss", description="`val_loss`, `loss`, or a metric such as `val_accuracy`")
    patience: Annotated[int, Field(ge=0)] = Field(3, description="epochs without improvement before stopping")
    min_delta: Annotated[float, Field(ge=0)] = Field(
        0.0, description="smallest change that counts as improvement"
    )
    restore_best: bool = Field(True, description="keep the best epoch's weights in model.keras, not the last")


class Checkpoint(Section):
    """How often the state that resume needs is saved."""

    every_epochs: PositiveInt | None = Field(1, description="save after every n-th epoch")
    every_steps: PositiveInt | None = Field(None, description="also save after every n-th step")
    every_minutes: Annotated[float, Field(gt=0)] | None = Field(10.0, description="also save every n minutes")
    keep: PositiveInt = Field(2, description="how many of the newest checkpoints are kept")


class Training(Section):
    """The course of training."""

    epochs: PositiveInt = Field(10, description="passes over the training split")
    batch_size: PositiveInt = Field(32, description="examples in one step, over all devices together")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="arithmetic of the layers; weights are always float32"
    )
    devices: Literal["auto", "cpu", "gpu", "tpu"] | PositiveInt = Field(
        "auto", description="what to train on: a kind of device, or how many accelerators of this machine"
    )
    steps_per_execution: Literal["auto"] | PositiveInt = Field(
        "auto", description="steps run in one call into TensorFlow"
    )
    jit: Literal["auto"] | bool = Field("auto", description="compile the training step with XLA")
    deterministic: bool = Field(False, description="bit-for-bit repeatable operations, at some speed")
    early_stopping: EarlyStopping | None = Field(None, description="stop when validation no longer improves")
    checkpoint: Checkpoint = Field(Checkpoint(), description="what `bigmodel train --resume` goes on from")
    tensorboard: bool = Field(True, description="write TensorBoard events into the run")


def _not_latest(name: str) -> str:
    if name == "latest":
        raise ValueError("`latest` is the link to the newest run; choose another name")
    return name


class Config(Section):
    """A whole config."""

    name: Annotated[str, AfterValidator(_not_latest)] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="of the experiment; runs lie under it",
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0, description="of splits, weights, shuffling, dropout and augmentation"
    )
    dataset: Annotated[Dataset, BeforeValidator(_named)] = Field(description="what to learn from")
    model: Named = Field(description="what learns")
    optimizer: Annotated[Optimizer, BeforeValidator(_named)] = Field(
        Optimizer(), description="how the weights are updated"
    )
    loss: Named = Field(Component(name="auto"), description="`auto`, from the task, or any Keras loss")
    metrics: Annotated[Literal["auto"] | list[Named], BeforeValidator(_named_all)] = Field(
        "auto", description="`auto`, from the task, or a list of Keras metrics"
    )
    training: Training = Field(Training(), description="the course of training")
