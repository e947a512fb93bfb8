from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec


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
