"""Descriptions of data that is not there: what a model can be built for when only the shapes are known."""

from __future__ import annotations

from collections.abc import Sequence

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import LANGUAGE_TASKS, DataSpec, InputSpec, TargetSpec, Task


def stand_in(
    shape: Sequence[int], outputs: int, *, task: Task = "classification", tokens: int | None = None
) -> DataSpec:
    """Data of these shapes, of which nothing else is known.

    Args:
        shape: of one example's input: (height, width, channels) of an image, (numbers,) of a vector,
            (length,) of a text.
        outputs: classes, labels or targets; of a language model its tokens, as below.
        task: what is learned of it.
        tokens: that are known of a text, the one for what is unseen and the one for its end included; None
            where the input is no text.
    """
    names = tuple(map(str, range(outputs)))
    grid = {"segmentation": tuple(shape[:2]), "multi_label": (outputs,), "regression": (outputs,)}
    if task in LANGUAGE_TASKS:
        target = TargetSpec(tuple(shape), "int32", names, counts=(1,) * outputs)
    elif task == "regression":
        target = TargetSpec((outputs,), "float32", names, mean=(0.0,) * outputs)
    else:
        dtype = {"segmentation": "uint8", "multi_label": "float32"}.get(task, "int32")
        target = TargetSpec(grid.get(task, ()), dtype, names, counts=(1,) * outputs)
    return DataSpec("no data", "shapes alone", task, _input(tuple(shape), tokens), target, {"train": 1})


def _input(shape: tuple[int, ...], tokens: int | None) -> InputSpec:
    if tokens is not None:
        words = tuple(f"w{number}" for number in range(tokens - 2))
        # 64 is what `dataset.prepare.text.dimension` is where nothing is asked for.
        column = Column("text", "text", vocabulary=words, length=shape[0], dimension=64)
        return InputSpec((1,), "", "table", ("text",), columns=(column,))
    if len(shape) == 3:
        return InputSpec(shape, "uint8", "image")
    return InputSpec(
        shape, "float32", "tabular", tuple(f"x{number}" for number in range(shape[0])),
        mean=(0.0,) * shape[0], variance=(1.0,) * shape[0],
    )  # fmt: skip
