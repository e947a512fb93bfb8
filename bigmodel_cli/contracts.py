"""What the parts promise each other: the description of the data, and who must look like what.

A component's keyword-only parameters are its YAML parameters: their annotations are checked by
pydantic, their descriptions come from the `Args:` section of the docstring. The annotations below
give the ranges that recur.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar

from pydantic import AfterValidator, Field

from bigmodel_cli.columns import Column

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

Task = Literal[
    "classification", "multi_label", "segmentation", "regression", "language_model",
    "masked_language_model", "reconstruction", "multi_task",
]  # fmt: skip
"""One class out of several; any number of labels at once; a class for each pixel; numbers; the tokens of a
text, each from those before it, or hidden ones from all others; the input itself; or several of these."""
LANGUAGE_TASKS: tuple[Task, ...] = ("language_model", "masked_language_model")
"""Whose targets are the tokens of the input."""
IGNORED = 255
"""In a mask, a pixel whose class nobody knows or asks for: no loss, no metric counts it."""
SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: Mapping[str, SplitName] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What people call the splits, in lower case: names of folders and files, and values of columns."""

Kind = Literal["image", "tabular", "table"]
Scaling = Literal["none", "standardize", "log"]
Resize = Literal["stretch", "crop", "pad"]
"""How an image of another aspect ratio gets a given size: its ratio changed, its middle cut out, or black
borders."""

# A config that asks for 1e10 units would exhaust the memory before anything could object.
Units = Annotated[int, Field(ge=1, le=1_000_000)]
"""A layer's width: units or filters."""
Rate = Annotated[float, Field(ge=0, lt=1)]
"""A share that must leave something: dropout rate, held-out fraction."""
Penalty = Annotated[float, Field(ge=0)]
"""A regularization factor."""


def expand_path(text: str) -> str:
    """Replace `~` and `$NAME` / `${NAME}` in a path.

    Raises:
        ValueError: an environment variable that is not set.
    """
    expanded = os.path.expandvars(text)
    if (left := re.search(r"\$(\w+|\{\w+\})", expanded)) is not None:
        raise ValueError(f"the environment variable {left.group()} is not set")
    return os.path.expanduser(expanded)  # noqa: PTH111 - the value stays text: gs:// must survive


PathText = Annotated[str, AfterValidator(expand_path)]
"""A path in a config; `~` and environment variables are replaced."""


@dataclass(frozen=True)
class InputSpec:
    """What one example's input is.

    Attributes:
        shape: without the batch axis; images are (height, width, channels), a table's rows (columns,).
        dtype: numpy name; images are uint8, 0 to 255; empty for a table, whose columns have their own.
        kind: what the numbers mean, by which a model decides whether it can take them: `image`; `tabular`,
            one vector of numbers, or a sequence of them, (time, features), or of pictures, (time, height,
            width, channels); `table`, named columns of several kinds.
        names: of the features, for tabular inputs of shape (features,).
        mean: per feature, the last axis, over the training split; tabular inputs only, else empty.
        variance: likewise.
        columns: of a table, in order; else empty.
        resize: how images of another size were brought to this one.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: Kind
    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    variance: tuple[float, ...] = ()
    columns: tuple[Column, ...] = ()
    resize: Resize = "stretch"


@dataclass(frozen=True)
class TargetSpec:
    """What one example's target is.

    Attributes:
        shape: () for a class index, (labels,) for multi-label, (height, width) for segmentation, (targets,)
            for regression and for several tasks, (length,) for tokens, that of the input for reconstruction.
        dtype: int32 for a class index, uint8 for a mask of class indices (255 is `IGNORED`), float32 for
            labels (each 0 or 1), for regression, and for several tasks (class indices and values); that of
            the input for reconstruction.
        names: of the classes, of the labels, of the targets, or of the features that are reconstructed; empty
            for the pixels of images.
        counts: examples of each class, or with each label, in the training split; of segmentation its
            pixels; empty for regression and reconstruction.
        mean: of each regression target over the training split; regression only, else empty.
        scaling: what the model learns in a regression: the values themselves (`none`), standardized, or the
            standardized sign(y) * log(1 + |y|).
        shift: of each target, in training: it learns (y - shift) * factor; empty with `none`.
        factor: of each target; empty with `none`.
        tasks: of several tasks each one, in the order of the targets; else empty.
    """

    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...]
    counts: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    scaling: Scaling = "none"
    shift: tuple[float, ...] = ()
    factor: tuple[float, ...] = ()
    tasks: tuple[OneOfSeveral, ...] = ()


@dataclass(frozen=True)
class OneOfSeveral:
    """One of the targets that a model learns at once.

    Attributes:
        name: of the target, for people: its column.
        key: what the model's output is called, and with it metrics, columns and folders; letters, digits and
            underscores, because Keras makes names of scopes and files of it.
        task: classification or regression.
        weight: of its loss in the sum, above 0.
        loss: name of a Keras loss, or `auto`.
        target: what it is, as if it were the only one: a class index of shape (), or one value of shape (1,).
    """

    name: str
    key: str
    task: Task
    weight: float
    loss: str
    target: TargetSpec


def task_keys(names: Sequence[str]) -> tuple[str, ...]:
    """What the outputs of these targets are called: letters, digits and underscores, each name once."""
    found: list[str] = []
    for place, name in enumerate(names, 1):
        key = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or f"target_{place}"
        found.append(f"{key}_{place}" if key in found else key)
    return tuple(found)


@dataclass(frozen=True)
class Unlearned:
    """What the targets of a dataset are that no model learns: with them its results can be looked at.

    Attributes:
        task: that they are for.
        target: what they are.
    """

    task: Task
    target: TargetSpec


@dataclass(frozen=True)
class DataSpec:
    """What a dataset holds; models read their input shape and class count from it.

    Attributes:
        name: as the config names it.
        origin: where it comes from, with its version, for the user's eyes: `TFDS 3.0.1`.
        task: classification (one class out of several), multi_label (any number of labels),
            segmentation (a class for each pixel), regression, language_model (each token of a text from
            those before), masked_language_model (hidden tokens from the others), reconstruction (the input
            itself) or multi_task (several targets, of which each has a task of its own).
        input: one example's input.
        target: one example's target.
        sizes: examples in each split.
        unlearned: of a reconstruction, what the targets of the dataset are; else None.
    """

    name: str
    origin: str
    task: Task
    input: InputSpec
    target: TargetSpec
    sizes: Mapping[str, int] = field(default_factory=dict)
    unlearned: Unlearned | None = None

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for one example, pixel or token: classes, labels, targets, tokens, or
        the values of an input that is reconstructed; of several tasks those of all."""
        if self.task == "reconstruction":
            return math.prod(self.target.shape)
        return sum(part.outputs for part in self.parts) if self.target.tasks else len(self.target.names)

    @property
    def parts(self) -> tuple[DataSpec, ...]:
        """Of several tasks each as if it were the only one, in order; of one task nothing."""
        return tuple(replace(self, task=one.task, target=one.target) for one in self.target.tasks)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What a model gives for one example: (outputs,), (height, width, classes), (length, tokens), or the
        shape of the input for reconstruction."""
        if self.task == "reconstruction":
            return self.target.shape
        grid = self.target.shape if self.task in ("segmentation", *LANGUAGE_TASKS) else ()
        return (*grid, self.outputs)

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DataSpec:
        """Inverse of `to_json`.

        Raises:
            KeyError, TypeError, AttributeError: the document is not one that `to_json` wrote.
        """
        given = _with_tuples(document["input"])
        given["columns"] = tuple(map(Column.from_json, given.get("columns", ())))
        whole = {
            **document,
            "input": InputSpec(**given),
            "target": _target(document["target"]),
        }
        # Runs of before it was recorded have none.
        if (unlearned := document.get("unlearned")) is not None:
            whole["unlearned"] = Unlearned(unlearned["task"], _target(unlearned["target"]))
        return cls(**whole)


def _target(document: Mapping[str, Any]) -> TargetSpec:
    given = _with_tuples(document)
    # Runs of before there were several have none.
    given["tasks"] = tuple(
        OneOfSeveral(**{**one, "target": _target(one["target"])}) for one in given.get("tasks", ())
    )
    return TargetSpec(**given)


def _with_tuples(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}


@dataclass(frozen=True)
class Part:
    """Examples of one base split.

    Attributes:
        base: which one.
        indices: their positions in storage order, (n,) int64, ascending and distinct.
    """

    base: str
    indices: np.ndarray

    @classmethod
    def range(cls, base: str, start: int, stop: int) -> Part:
        """The examples from start to stop - 1."""
        import numpy as np

        return cls(base, np.arange(start, stop, dtype=np.int64))

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.indices)


Inputs = Any
"""Inputs of several examples: an array (n, *input.shape); for a table a dict of column key -> (n,)."""

Lookup = Callable[["tf.Tensor"], tuple[Any, "tf.Tensor"]]
"""Positions (n,) int64 in any order -> inputs and targets (n, ...) of these examples, in a tf.data map."""


class Source(Protocol):
    """A dataset before splitting: raw examples, unshuffled.

    Raw means: an image as uint8, a table's cell as `columns.RAW_DTYPES` says.

    Attributes:
        spec: without statistics and sizes, which only the split data can give.
        sizes: examples in each base split as the source stores them (`{"train": 60000, "test": 10000}`;
            one pool is called `all`).
        example_bytes: memory that one decoded example takes, input and target; an estimate for strings.
        notes: what the user should know of how it was read, a line each: what was inferred, skipped or
            dropped.
    """

    spec: DataSpec
    sizes: Mapping[str, int]
    example_bytes: int
    notes: Sequence[str]

    def fingerprint(self) -> str:
        """A short text that changes when the content does: names, sizes and times of files, or a hash."""
        ...

    def targets(self, part: Part) -> np.ndarray:
        """Targets (n, *target.shape) alone, without decoding inputs."""
        ...

    def arrays(self, part: Part) -> tuple[Inputs, np.ndarray]:
        """Inputs and targets (n, *target.shape), decoded, in storage order."""
        ...

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """The same as a stream of (inputs, targets) in batches of any size, for data larger than memory.

        Args:
            part: which examples.
            key: (2,) int32; when given, files or shards are read in an order drawn from it, as far as the
                source has any; without it the order is that of storage.
        """
        ...

    def lookup(self, base: str) -> Lookup | None:
        """Access by position; None when the storage can only be read in order."""
        ...

    def values(self, base: str, name: str) -> np.ndarray:
        """What to split by: the value of a column, (n,), for every example of a base split.

        Raises:
            DataError: there is no such column; the message says which there are.
        """
        ...


SourceBuilder = Callable[..., Source]
"""`def my_set(seed: int, *, parameter: int = 3) -> Source`: seed of the config, then the parameters."""

ModelBuilder = Callable[..., "keras.Model"]
"""`def my_model(data: DataSpec, *, parameter: int = 3) -> keras.Model`.

The model takes raw inputs (batch, *input.shape) in `input.dtype` and scales them itself; of a table it takes
the prepared tensors (`models.layers.features` makes both). It gives (batch, *output_shape): logits for
classification, for labels and for the pixels of segmentation, values for regression. Of several tasks it
gives a dict, `OneOfSeveral.key` -> (batch, outputs of that part), as `models.layers.output_head` does; one
tensor (batch, outputs) with all of them side by side is cut into it.

A model under `@self_supervised` learns to give its input back, whatever the dataset is for. It gives logits
of the pixels from 0 to 1 of images, or standardized features (`models.coding` makes both), and has a layer
`latent` (batch, latents) that all of it goes through and the decoder follows; where training draws around the
latents, the decoder follows a layer `draw` instead. With the parameters `likelihood` and `deviation`, as
`vae` has them, the loss is the negative log-likelihood of the input, and the layer `moments` gives the mean
and the logarithm of the variance of the latents (batch, 2 * latents).
"""

Builder = TypeVar("Builder", bound=Callable[..., "keras.Model"])


def self_supervised(builder: Builder) -> Builder:
    """Mark a `ModelBuilder` whose model reconstructs its input and needs no labels."""
    builder.self_supervised = True  # type: ignore[attr-defined]
    return builder


Augmentation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
"""(images (batch, h, w, c) uint8, seed (2,) int32) -> images of the same shape and dtype.

Stateless: the same seed gives the same result. Masks are left as they are; what moves pixels is `Moving`.
"""


@dataclass(frozen=True)
class Moving:
    """An augmentation that moves pixels, and so the classes of a mask with them.

    Attributes:
        images: what it does to images, with bilinear interpolation where it must.
        masks: (masks (batch, h, w, 1) uint8, seed (2,) int32) -> the same masks, moved as `images` with the
            same seed moves images, to the nearest pixel; what comes in from outside is `IGNORED`, unless
            it is a copy of what is inside. None where no mask can follow.
    """

    images: Augmentation
    masks: Augmentation | None

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The images alone."""
        return self.images(images, seed)


@dataclass(frozen=True)
class Mixing:
    """An augmentation that mixes images of a batch and their targets.

    Attributes:
        function: (images (batch, h, w, c) uint8, targets (batch, classes) float32, seed (2,) int32) -> images
            and targets of the same shapes and dtypes. Stateless.
    """

    function: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


AugmentationBuilder = Callable[..., "Augmentation | Moving | Mixing"]
"""`def my_augmentation(*, parameter: int = 3) -> Augmentation | Moving | Mixing`."""

ScheduleBuilder = Callable[..., "keras.optimizers.schedules.LearningRateSchedule"]
"""`def my_schedule(total_steps: int, steps_per_epoch: int, *, parameter: float) -> LearningRateSchedule`."""


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run.

    Attributes:
        name: of the experiment.
        path: the run directory, whose name tells it from the other runs of the experiment.
        config: resolved, as config.yaml holds it.
        environment: as environment.json holds it.
    """

    name: str
    path: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]


TrackerBuilder = Callable[..., "keras.callbacks.Callback"]
"""`def my_tracker(run: TrackedRun, *, project: str = "") -> keras.callbacks.Callback`.

Of the callback are called, in a thread beside training: `on_train_begin`; `on_epoch_end`, whose logs are the
numbers of the epoch's line in metrics.jsonl; `on_train_end`, whose logs are what summary.json holds. A
resumed run builds it anew, with the same `run.path`. Building must write nothing: it is tried before the run
is made.
"""
