"""The fixed sections of a config, typed and frozen.

Parameters of a component (model, dataset, optimizer, ...) are not declared here but by the component
itself; they travel in `Component.parameters`. Field descriptions are what editors and `bigmodel schema` show.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    model_validator,
)

from bigmodel_cli.columns import DatePart
from bigmodel_cli.config.document import Document
from bigmodel_cli.config.slicing import parse_instruction
from bigmodel_cli.contracts import PathText


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
    if value == "auto":
        return value
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
"""A positive number, a schedule as a component, or `auto`: a range test before training."""


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


class SplitBy(Section):
    """A column by which the examples are divided; exactly one of these."""

    column: str | None = Field(
        None, description="its values are the splits' names: train, validation (or val, valid, dev) and test"
    )
    group: str | None = Field(None, description="examples of one value, such as a patient, stay in one split")
    time: str | None = Field(None, description="the newest examples are the test, those before validation")

    @property
    def choice(self) -> tuple[Literal["column", "group", "time"], str]:
        """Which of them, and the column's name."""
        if self.column is not None:
            return "column", self.column
        return ("group", self.group) if self.group is not None else ("time", self.time or "")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.column, self.group, self.time)) != 1:
            raise ValueError("must name exactly one of `column`, `group` and `time`")
        return self


FoldScheme = Literal["stratified", "plain", "grouped", "time"]


class Fold(Section):
    """One fold of a cross-validation: of the training and validation examples that the config would have
    without it, a part is the test split, and the rest is divided anew."""

    index: Annotated[int, Field(ge=0)] = Field(description="which fold is the test split, from 0")
    of: Annotated[int, Field(ge=2)] = Field(description="number of folds")
    scheme: FoldScheme = Field(
        "stratified",
        description="stratified: the same share of every class in each fold; plain: at random; grouped: no "
        "group in two folds; time: each fold comes after all that is trained on",
    )
    by: str | None = Field(None, description="column of the groups, or of the time")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.index >= self.of:
            raise ValueError(f"`index` counts from 0 to {self.of - 1} in {self.of} folds, got {self.index}")
        if (self.by is None) == (self.scheme in ("grouped", "time")):
            needs = "needs a column in `by`" if self.by is None else f"takes no column, got `by: {self.by}`"
            raise ValueError(f"the scheme `{self.scheme}` {needs}")
        return self


Quantile = Annotated[float, Field(ge=0, le=1)]


def _ordered(bounds: list[float]) -> list[float]:
    if bounds[0] >= bounds[1]:
        raise ValueError(f"the first must be below the second, got {bounds}")
    return bounds


Quantiles = Annotated[list[Quantile], Field(min_length=2, max_length=2), AfterValidator(_ordered)]


class PrepareNumeric(Section):
    """Preparation of numeric and boolean columns, in this order."""

    missing: Literal["median", "mean", "mode", "constant"] = Field(
        "median", description="what replaces a missing number, learned on the training split"
    )
    fill: float = Field(0.0, description="the constant of `missing: constant`")
    indicator: bool = Field(False, description="add a column that is 1 where the number was missing")
    clip: Quantiles | None = Field(
        None, description="move outliers to these quantiles of the training split, such as [0.01, 0.99]"
    )
    scale: Literal["standardize", "min_max", "log", "none"] = Field(
        "standardize",
        description="mean 0 and deviation 1; 0 to 1; standardized sign(x) * log(1 + |x|); as it is",
    )

    @model_validator(mode="after")
    def _fill_is_of_constant(self) -> Self:
        if self.fill and self.missing != "constant":
            raise ValueError(f"`fill` goes with `missing: constant`, not with `{self.missing}`")
        return self


class PrepareCategorical(Section):
    """Preparation of categorical columns; a value that training never saw is all zeros."""

    missing: Literal["category", "mode", "constant"] = Field(
        "category",
        description="what a missing value becomes: a category of its own, the most frequent, `fill`",
    )
    fill: str | None = Field(None, description="the category of `missing: constant`")
    encode: Literal["auto", "one_hot", "embedding", "hash"] = Field(
        "auto", description="numbers of a category; auto: one_hot up to 32 categories, embedding beyond"
    )
    max_categories: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="keep the most frequent; others are treated as unseen"
    )
    min_count: PositiveInt = Field(1, description="rarer categories are treated as unseen")
    hash_buckets: Annotated[int, Field(ge=2, le=10_000_000)] = Field(1024, description="of `encode: hash`")
    dimension: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = Field(
        "auto", description="size of an embedding; auto: min(50, 1.6 * categories ** 0.56)"
    )

    @model_validator(mode="after")
    def _fill_is_of_constant(self) -> Self:
        if (self.fill is not None) != (self.missing == "constant"):
            raise ValueError("`missing: constant` and `fill`, the category, go together")
        if self.hash_buckets != 1024 and self.encode != "hash":
            raise ValueError(f"`hash_buckets` goes with `encode: hash`, not with `{self.encode}`")
        return self


class PrepareDate(Section):
    """Preparation of date columns; a missing date is all zeros."""

    parts: list[DatePart] = Field(
        ["elapsed", "month", "weekday"],
        min_length=1,
        description="numbers of a date; month, day, weekday and hour as sine and cosine of their cycle",
    )
    indicator: bool = Field(False, description="add a column that is 1 where the date was missing")


class PrepareText(Section):
    """Preparation of text columns: tokens, learned on the training split."""

    max_tokens: Annotated[int, Field(ge=3, le=10_000_000)] = Field(
        20_000, description="size of the vocabulary, padding and unseen included"
    )
    length: Literal["auto"] | Annotated[int, Field(ge=1, le=100_000)] = Field(
        "auto", description="tokens that are kept; auto: the 99% quantile of the training split, at most 512"
    )
    normalize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation", "none"] = Field(
        "lower_and_strip_punctuation", description="what happens to the text before it is split"
    )
    split: Literal["whitespace", "character", "word_piece"] = Field(
        "whitespace", description="what a token is; word pieces are frequent parts of words"
    )
    ngrams: Annotated[int, Field(ge=1, le=5)] = Field(1, description="longest run of tokens that is one, too")
    dimension: Annotated[int, Field(ge=1, le=4096)] = Field(64, description="size of a token's embedding")
    hidden: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the tokens that a masked language model has to find; null: 0.15, as BERT"
    )

    @model_validator(mode="after")
    def _single_pieces(self) -> Self:
        if self.split == "word_piece" and self.ngrams > 1:
            raise ValueError("`ngrams` goes with words and characters, not with `split: word_piece`")
        return self


class PrepareTarget(Section):
    """Preparation of regression targets; predictions and metrics are in the original units."""

    scale: Literal["none", "standardize", "log"] = Field(
        "none", description="what the model learns: the value, standardized, or its logarithm standardized"
    )


class Prepare(Section):
    """How a table's columns become numbers; learned on the training split, saved in the model."""

    numeric: PrepareNumeric = Field(PrepareNumeric(), description="numeric and boolean columns")
    categorical: PrepareCategorical = Field(PrepareCategorical(), description="categorical columns")
    date: PrepareDate = Field(PrepareDate(), description="date columns")
    text: PrepareText = Field(PrepareText(), description="text columns")
    target: PrepareTarget = Field(PrepareTarget(), description="targets of a regression")
    columns: dict[str, dict[str, Any]] = Field(
        {}, description="column name -> keys of its kind's section that differ for it"
    )


class AugmentationItem(Component):
    """One augmentation."""

    probability: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="share of the images that are changed; of the batches, where images are mixed"
    )
    ramp_epochs: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs over which the probability grows linearly from 0"
    )
    until_epoch: PositiveInt | None = Field(None, description="the last epoch, from 1, that is augmented")


def _local(path: str) -> str:
    if "://" in path:
        raise ValueError(f"must be a folder of this machine, got `{path}`")
    return path


class Dataset(Component):
    """What to learn from."""

    splits: Splits = Field(Splits(), description="train, validation and test in TFDS slicing syntax")
    split_by: SplitBy | None = Field(None, description="divide by a column instead of at random")
    stratify: bool = Field(True, description="hold out the same share of every class")
    split_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="of splits and synthetic data; default: the seed of the config"
    )
    fold: Fold | None = Field(
        None, description="one fold of a cross-validation; `bigmodel cross-validate` sets it"
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the training examples held out when no validation split is given or stored"
    )
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="share of all examples held out when no test split is given or stored"
    )
    only_classes: Annotated[list[str], Field(min_length=2)] | None = Field(
        None, description="keep the examples of these classes only; they are numbered in this order"
    )
    limit: PositiveInt | None = Field(None, description="take only the first n examples of each split")
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = Field(
        None, description="weight of each class in the loss: `balanced`, n / (classes * count), or given"
    )
    resample: Literal["oversample", "undersample"] | None = Field(
        None, description="bring all classes of the training split to the size of the largest or smallest"
    )
    prepare: Prepare = Field(Prepare(), description="how a table's columns become numbers")
    augment: Annotated[
        list[Annotated[AugmentationItem, BeforeValidator(_named)]], BeforeValidator(_named_all)
    ] = Field([], description="random changes to training images, in this order")
    cache: Literal["auto", "memory", "disk", "none"] = Field(
        "auto",
        description="keep decoded and prepared examples in memory, on disk, or read them at every epoch",
    )
    cache_dir: Annotated[PathText, AfterValidator(_local)] | None = Field(
        None, description="of `cache: disk`; default $BIGMODEL_CACHE, else ~/.cache/bigmodel"
    )
    cache_limit_gb: Annotated[float, Field(gt=0)] = Field(
        50.0, description="size that all cached data sets together may have; the least recently used go first"
    )


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[
    list[Annotated[str, Field(min_length=1)]], BeforeValidator(_one_or_many), Field(min_length=1)
]
"""Names with the wildcards * and ?, such as `stage1_*`; one stands without brackets."""


class LayerRule(Section):
    """How the weights of some layers are treated: one of `learning_rate_factor`, `frozen` and `lora_rank`."""

    match: Patterns = Field(description="layers by name, with the wildcards * and ?, such as `stage1_*`")
    learning_rate_factor: Annotated[float, Field(gt=0)] | None = Field(
        None, description="their learning rate, as a factor of the optimizer's"
    )
    frozen: bool = Field(False, description="keep their weights as they are")
    until_epoch: PositiveInt | None = Field(
        None, description="the last epoch, from 1, in which they are frozen"
    )
    lora_rank: PositiveInt | None = Field(
        None, description="keep their kernels, and train a low-rank change to each (Hu et al. 2021)"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.learning_rate_factor is not None) + self.frozen + (self.lora_rank is not None) != 1:
            raise ValueError("must have one of `learning_rate_factor`, `frozen: true` and `lora_rank`")
        if self.until_epoch is not None and not self.frozen:
            raise ValueError("`until_epoch` goes with `frozen: true`")
        return self


class Optimizer(Component):
    """How the weights are updated."""

    name: str = Field("adam", min_length=1, max_length=200, description="any Keras optimizer")
    learning_rate: LearningRate | None = Field(
        None,
        description="a number, a schedule, or `auto`, a range test; default: what Keras gives this optimizer",
    )
    weight_decay_exclude: Patterns | None = Field(
        None, description="weights without decay, by path such as `*/bias`, with the wildcards * and ?"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="momentum of averaged weights, which then are validated and kept; such as 0.999"
    )
    loss_scale: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        "auto", description="of float16 gradients: auto, dynamic under float16 and none elsewhere; or fixed"
    )
    layers: list[LayerRule] = Field(
        [], description="learning rates of their own, and frozen layers; the first rule that matches counts"
    )


class Loss(Component):
    """What is minimised."""

    name: str = Field("auto", min_length=1, max_length=200, description="`auto`, or any Keras loss")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of each target that is spread over all classes; of cross-entropies"
    )


class EarlyStopping(Section):
    """Stop when the monitored metric no longer improves."""

    monitor: str = Field("val_loss", description="`val_loss`, `loss`, or a metric such as `val_accuracy`")
    patience: Annotated[int, Field(ge=0)] = Field(3, description="epochs without improvement before stopping")
    min_delta: Annotated[float, Field(ge=0)] = Field(
        0.0, description="smallest change that counts as improvement"
    )
    start_from_epoch: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs at the beginning that are not counted"
    )
    restore_best: bool = Field(True, description="keep the best epoch's weights in model.keras, not the last")


class ReduceOnPlateau(Section):
    """Lower a constant learning rate when the monitored metric no longer improves."""

    monitor: str = Field("val_loss", description="`val_loss`, `loss`, or a metric such as `val_accuracy`")
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="of the learning rate, each time")
    patience: PositiveInt = Field(5, description="epochs without improvement before it is lowered")
    min_delta: Annotated[float, Field(ge=0)] = Field(
        1e-4, description="smallest change that counts as improvement"
    )
    cooldown: Annotated[int, Field(ge=0)] = Field(0, description="epochs after a change that are not counted")
    min_learning_rate: Annotated[float, Field(ge=0)] = Field(0.0, description="it is not lowered below this")


class Divergence(Section):
    """What happens when the loss is no longer a finite number."""

    action: Literal["stop", "roll_back"] = Field(
        "stop", description="end training, or go back to the last sound checkpoint with a smaller rate"
    )
    learning_rate_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="of the learning rate, each time that training is rolled back"
    )
    attempts: PositiveInt = Field(3, description="how often training is rolled back before it ends")


class Checkpoint(Section):
    """How often the state that resume needs is saved."""

    every_epochs: PositiveInt | None = Field(1, description="save after every n-th epoch")
    every_steps: PositiveInt | None = Field(None, description="also save after every n-th step")
    every_minutes: Annotated[float, Field(gt=0)] | None = Field(10.0, description="also save every n minutes")
    keep: PositiveInt = Field(2, description="how many of the newest checkpoints are kept")


class Training(Section):
    """The course of training."""

    epochs: PositiveInt = Field(10, description="passes over the training split")
    batch_size: Literal["auto"] | PositiveInt = Field(
        32,
        description="examples in one step, over all devices together; auto: the largest up to 1024 that fits",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="arithmetic of the layers; weights are always float32"
    )
    backend: Literal["auto", "tensorflow", "jax"] = Field(
        "auto",
        description="engine of Keras; auto: tensorflow, and jax for several processes and on a TPU",
    )
    devices: Literal["auto", "cpu", "gpu", "tpu"] | PositiveInt = Field(
        "auto", description="what to train on: a kind of device, or how many accelerators of this machine"
    )
    steps_per_execution: Literal["auto"] | PositiveInt = Field(
        "auto", description="steps run in one call into the engine"
    )
    jit: Literal["auto"] | bool = Field("auto", description="compile the training step with XLA")
    deterministic: bool = Field(False, description="bit-for-bit repeatable operations, at some speed")
    resume: Literal["never", "auto"] = Field(
        "never", description="auto: go on with the newest unfinished run of this config where there is one"
    )
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(
        None, description="time after which training saves its state and stops; counted from every start"
    )
    early_stopping: EarlyStopping | None = Field(None, description="stop when validation no longer improves")
    reduce_on_plateau: ReduceOnPlateau | None = Field(
        None, description="lower the learning rate when validation no longer improves"
    )
    divergence: Divergence = Field(Divergence(), description="when the loss is no longer a finite number")
    checkpoint: Checkpoint = Field(Checkpoint(), description="what `bigmodel train --resume` goes on from")
    tensorboard: bool = Field(True, description="write TensorBoard events into the run")
    tracking: Annotated[list[Named], BeforeValidator(_named_all)] = Field(
        [], description="services that follow the run: mlflow, wandb"
    )


def _not_latest(name: str) -> str:
    if name == "latest":
        raise ValueError("`latest` is the link to the newest run; choose another name")
    return name


class Initialize(Section):
    """Weights of an earlier training to begin with."""

    weights: PathText = Field(description="a run directory, a config (its newest run), or a .keras file")
    match: Patterns = Field(["*"], description="layers to take, by name, with the wildcards * and ?")
    skip: Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_one_or_many)] = Field(
        [], description="layers not to take"
    )
    head: Literal["auto", "take", "new"] = Field(
        "auto", description="the last layer; `auto` takes it where classes or targets are the same"
    )


class About(Section):
    """What only people know of a model, for its report and its model card."""

    description: str | None = Field(None, description="what the model is for, in a sentence")
    authors: str | None = Field(None, description="who made it, and how to reach them")
    license: str | None = Field(None, description="of the model, such as `apache-2.0`")
    intended_use: str | None = Field(None, description="uses and users it was made for")
    out_of_scope: str | None = Field(None, description="uses that it is not fit for")
    ethical_considerations: str | None = Field(None, description="who may be harmed, and how that was met")
    caveats: str | None = Field(None, description="what else a user should know")


@dataclass(frozen=True)
class Written:
    """Where a config was written; that makes it no other config.

    Attributes:
        document: None for one that was made, not read.
    """

    document: Document | None = field(default=None, compare=False)


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
    loss: Annotated[Loss, BeforeValidator(_named)] = Field(
        Loss(), description="`auto`, from the task, or any Keras loss"
    )
    metrics: Annotated[Literal["auto"] | list[Named], BeforeValidator(_named_all)] = Field(
        "auto", description="`auto`, from the task, or a list of Keras metrics"
    )
    training: Training = Field(Training(), description="the course of training")
    initialize: Initialize | None = Field(None, description="weights of an earlier training to begin with")
    about: About | None = Field(None, description="words for the report and the model card")
    _written: Written = PrivateAttr(default_factory=Written)

    def read_from(self, document: Document) -> Config:
        """The same config, which knows where it was written."""
        copy = self.model_copy()
        copy._written = Written(document)
        return copy

    @property
    def document(self) -> Document:
        """What was written, and where; an empty one for a config that was made, not read."""
        return self._written.document or Document(f"config {self.name}", {})

    @property
    def data_seed(self) -> int:
        """Of the division into splits, and of data that is made by a seed."""
        return self.seed if self.dataset.split_seed is None else self.dataset.split_seed
