from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec, Task


@pytest.fixture
def images() -> Callable[..., DataSpec]:
    """Images of a shape, with a number of classes."""

    def make(*shape: int, classes: int = 10) -> DataSpec:
        names = tuple(f"class {i}" for i in range(classes))
        return DataSpec(
            "pictures",
            "drawn",
            "classification",
            InputSpec(shape, "uint8", "image"),
            TargetSpec((), "int32", names, counts=(1,) * classes),
        )

    return make


@pytest.fixture
def table() -> Callable[..., DataSpec]:
    """Features with the given statistics; classes if any, else regression targets."""

    def make(
        mean: tuple[float, ...],
        variance: tuple[float, ...],
        *,
        classes: int = 0,
        targets: tuple[float, ...] = (),
    ) -> DataSpec:
        names = tuple(f"x{i}" for i in range(len(mean)))
        outputs = tuple(f"y{i}" for i in range(classes or len(targets)))
        if classes:
            target = TargetSpec((), "int32", outputs, counts=(1,) * classes)
        else:
            target = TargetSpec((len(targets),), "float32", outputs, mean=targets)
        return DataSpec(
            "columns",
            "made up",
            "classification" if classes else "regression",
            InputSpec((len(mean),), "float32", "tabular", names, mean, variance),
            target,
        )

    return make


@pytest.fixture
def bfloat16() -> Iterator[None]:
    """Layers compute in bfloat16 by default, as `training.precision: bfloat16` makes them."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def sequences() -> Callable[..., DataSpec]:
    """Numbers of a shape (time, ..., features) with two classes; all features have mean 1 and variance 4."""

    def make(*shape: int) -> DataSpec:
        features = shape[-1]
        return DataSpec(
            "measured",
            "made up",
            "classification",
            InputSpec(shape, "float32", "tabular", (), (1.0,) * features, (4.0,) * features),
            TargetSpec((), "int32", ("a", "b"), counts=(1, 1)),
        )

    return make


@pytest.fixture
def texts() -> Callable[..., DataSpec]:
    """Columns of text of four words, for two classes or as a language model."""

    def make(length: int = 6, task: Task = "classification", columns: int = 1) -> DataSpec:
        names = tuple(f"t{index}" for index in range(columns))
        vocabulary = ("w0", "w1", "w2", "w3")
        found = tuple(
            Column(name, "text", vocabulary=vocabulary, length=length, dimension=64) for name in names
        )
        target = TargetSpec((), "int32", ("a", "b"), counts=(1, 1))
        if task != "classification":
            target = TargetSpec((length,), "int32", ("[END]", "[UNK]", *vocabulary), counts=(1,) * 6)
        return DataSpec(
            "texts", "made up", task, InputSpec((columns,), "", "table", names, columns=found), target
        )

    return make
