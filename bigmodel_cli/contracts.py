"""What the parts promise each other: the description of the data, and who must look like what.

A component's keyword-only parameters are its YAML parameters: their annotations are checked by
pydantic, their descriptions come from the `Args:` section of the docstring. The annotations below
give the ranges that recur.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

Task = Literal["classification", "regression"]
SplitName = Literal["train", "validation", "test"]
Kind = Literal["image", "tabular"]

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
        shape: without the batch axis; images are (height, width, channels).
        dtype: numpy name; images are uint8, 0 to 255.
        kind: what the numbers mean, by which a model decides whether it can take them.
        names: of the features, for tabular inputs of shape (features,).
        mean: per feature over the training split; tabular inputs only, else empty.
        variance: per feature over the training split; tabular inputs only, else empty.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: Kind
    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    variance: tuple[float, ...] = ()


@dataclass(frozen=True)
class TargetSpec:
    """What one example's target is.

    Attributes:
        shape: () for a class index, (targets,) for regression.
        dtype: int32 for a class index, float32 for regression.
        names: of the classes, or of the regression targets.
        counts: examples of each class in the training split; classification only, else empty.
        mean: of each regression target over the training split; regression only, else empty.
    """

    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...]
    counts: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()


@dataclass(frozen=True)
class DataSpec:
    """What a dataset holds; models read their input shape and class count from it.

    Attributes:
        name: as the config names it.
        origin: where it comes from, with its version, for the user's eyes: `TFDS 3.0.1`.
        task: classification (one class out of several) or regression.
        input: one example's input.
        target: one example's target.
        sizes: examples in each split.
    """

    name: str
    origin: str
    task: Task
    input: InputSpec
    target: TargetSpec
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for one example: classes, or regression targets."""
        return len(self.target.names)

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DataSpec:
        """Inverse of `to_json`.

        Raises:
            KeyError, TypeError, AttributeError: the document is not one that `to_json` wrote.
        """
        parts: dict[str, dict[str, Any]] = {
            part: {key: tuple(v) if isinstance(v, list) else v for key, v in document[part].items()}
            for part in ("input", "target")
        }
        whole = {**document, "input": InputSpec(**parts["input"]), "target": TargetSpec(**parts["target"])}
        return cls(**whole)


@dataclass(frozen=True)
class Piece:
    """A range of a source's base split, in storage order: examples start to stop - 1."""

    base: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.stop - self.start


class Source(Protocol):
    """A dataset before splitting: raw examples, unbatched and unshuffled.

    Attributes:
        spec: without statistics and sizes, which only the split data can give.
        sizes: examples in each base split as the source stores them (`{"train": 60000, "test": 10000}`;
            one pool is called `all`).
        example_bytes: memory that one decoded example takes, input and target.
    """

    spec: DataSpec
    sizes: Mapping[str, int]
    example_bytes: int

    def arrays(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, *input.shape) and targets (n, *target.shape), decoded, in storage order."""
        ...

    def targets(self, piece: Piece) -> np.ndarray:
        """Targets (n, *target.shape) alone, without decoding inputs."""
        ...

    def examples(self, piece: Piece) -> tf.data.Dataset:
        """The same as a stream of single (input, target), for data larger than memory."""
        ...


SourceBuilder = Callable[..., Source]
"""`def my_set(seed: int, *, parameter: int = 3) -> Source`: seed of the config, then the parameters."""

ModelBuilder = Callable[..., "keras.Model"]
"""`def my_model(data: DataSpec, *, parameter: int = 3) -> keras.Model`.

The model takes raw inputs (batch, *input.shape) in `input.dtype`, scales them itself, and gives
(batch, outputs): logits for classification, values for regression.
"""

Augmentation = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
"""(images (batch, h, w, c) uint8, seed (2,) int32) -> images of the same shape and dtype.

Stateless: the same seed gives the same result.
"""

AugmentationBuilder = Callable[..., Augmentation]
"""`def my_augmentation(*, parameter: int = 3) -> Augmentation`."""

ScheduleBuilder = Callable[..., "keras.optimizers.schedules.LearningRateSchedule"]
"""`def my_schedule(total_steps: int, steps_per_epoch: int, *, parameter: float) -> LearningRateSchedule`."""
