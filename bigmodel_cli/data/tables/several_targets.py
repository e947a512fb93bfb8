"""Several targets of a table, of which each has a task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from bigmodel_cli import components
from bigmodel_cli.config.schema import Section
from bigmodel_cli.contracts import OneOfSeveral, TargetSpec, task_keys
from bigmodel_cli.data.tables.targets import Found, Targets

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def _loss(name: str) -> str:
    """The canonical name of a Keras loss."""
    if name == "auto":
        return name
    try:
        return components.find("losses", name).name
    except components.UnknownComponentError as error:
        raise ValueError(str(error)) from None


class Target(Section):
    """One of several targets."""

    task: Literal["auto", "classification", "regression"] = Field(
        "auto", description="auto takes texts, booleans and few whole numbers for classes"
    )
    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="of its loss in the sum of all")
    loss: Annotated[str, AfterValidator(_loss)] = Field(
        "auto", description="`auto`, from the task, or any Keras loss"
    )


TargetTasks = Annotated[Mapping[str, Target], Field(min_length=2)]
"""Several targets with a task each, by their columns."""

AskedTargets = str | Sequence[str] | TargetTasks
"""A column; several, of which one vector or set of labels is made; or several with a task each."""


def asked_targets(target: AskedTargets) -> tuple[tuple[str, ...], dict[str, Target]]:
    """The columns of the target, and what is said of each where each has a task; else nothing."""
    if isinstance(target, str):
        return (target,), {}
    return tuple(target), dict(target) if isinstance(target, Mapping) else {}


class SeveralTargets:
    """Targets that are gathered one by one; a `targets.Targets`."""

    def __init__(self, parts: Mapping[str, Targets], wanted: Mapping[str, Target]):
        """Begin without rows.

        Args:
            parts: what gathers each column.
            wanted: what the config says of each.
        """
        self._parts, self._wanted = parts, wanted

    def start(self, base: str) -> None:
        """Begin a base split."""
        for part in self._parts.values():
            part.start(base)

    def add(self, cells: Mapping[str, pa.Array]) -> None:
        """Take some more rows of it."""
        for part in self._parts.values():
            part.add(cells)

    def finish(self, kept: Mapping[str, np.ndarray | None]) -> Found:
        """Class indices and values (n, targets) float32 of the rows kept."""
        import numpy as np

        found = {name: part.finish(kept) for name, part in self._parts.items()}
        values = {
            base: np.stack([one.values[base].reshape(-1).astype(np.float32) for one in found.values()], 1)
            for base in kept
        }
        tasks = tuple(
            _one(name, key, self._wanted[name], one)
            for key, (name, one) in zip(task_keys([*found]), found.items(), strict=True)
        )
        each = ", ".join(f"{one.name} ({one.task})" for one in tasks)
        remark = f"{len(tasks)} targets: {each}; to change one: dataset.target: {{NAME: {{task: ...}}}}"
        return Found("multi_task", values, tuple(found), remark, tasks)


def _one(name: str, key: str, wanted: Target, found: Found) -> OneOfSeveral:
    classes = found.task == "classification"
    target = TargetSpec(() if classes else (1,), "int32" if classes else "float32", found.names)
    return OneOfSeveral(name, key, found.task, wanted.weight, wanted.loss, target)
