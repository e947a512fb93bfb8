"""The classes of which each split gets the same share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.targets import one_target

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Strata:
    """Classes of examples.

    Attributes:
        by: what they are, for people: `class`, or of several tasks the target's name.
        names: of the classes.
        part: of several tasks the one whose classes they are, and its place; else None.
    """

    by: str
    names: tuple[str, ...]
    part: tuple[DataSpec, int] | None = None

    def of(self, targets: np.ndarray) -> np.ndarray:
        """The class index of each example, (n,) int32, from the targets of the data set (n, ...)."""
        return targets if self.part is None else one_target(self.part[0], targets, self.part[1])


def strata(spec: DataSpec) -> Strata | None:
    """Those of a data set; of several tasks the first one's that has any. None where there are no classes."""
    if spec.task == "classification":
        return Strata("class", spec.target.names)
    for place, (one, part) in enumerate(zip(spec.target.tasks, spec.parts, strict=True)):
        if part.task == "classification":
            return Strata(one.name, part.target.names, (part, place))
    return None
