"""What is kept of the inputs while they pass: for the pictures, and for what is to be explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bigmodel_cli.assembly import Restored
from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.explaining import Explanation
from bigmodel_cli.inputs.blocks import Block
from bigmodel_cli.prediction.content import Result
from bigmodel_cli.prediction.preview import Preview
from bigmodel_cli.prediction.sources import Request


def explanation_of(request: Request, restored: Restored) -> Explanation | None:
    """What keeps and explains the inputs, if that is asked for.

    Raises:
        UsageError: it cannot be done.
    """
    if request.explain is None:
        return None
    if restored.spec.target.tasks:
        raise UsageError(
            f"--explain: explains a run with one target, and {restored.run} has "
            f"{len(restored.spec.target.tasks)} ({', '.join(restored.spec.target.names)}); leave it out"
        )
    if restored.spec.task == "segmentation":
        raise UsageError(
            "--explain: explains one prediction an input, and a mask has one for each pixel; leave it out"
        )
    if restored.spec.task == "reconstruction":
        raise UsageError(
            "--explain: explains a class or a value that is predicted, and a reconstruction is neither; "
            "leave it out"
        )
    if request.ensemble or request.views > 1:
        other = "--ensemble" if request.ensemble else "--tta"
        raise UsageError(f"--explain: explains what one model says of an input as it is; leave {other} out")
    return Explanation(restored, request.explain)


@dataclass(frozen=True)
class Seen:
    """What keeps the first inputs for pictures."""

    preview: Preview
    explanation: Explanation | None

    @property
    def wanting(self) -> bool:
        """Whether more of them are wanted."""
        return self.preview.missing > 0 or (
            self.explanation is not None and self.explanation.rows.missing > 0
        )

    def add(self, block: Block, outputs: dict[str, Any], result: Result | None, start: int) -> None:
        """Take from a batch what is wanted; `start` is the place of its first input."""
        if block.values is None:
            return
        if self.preview.missing > 0:
            self.preview.add(block, outputs["outputs"])
        if self.explanation is not None and result is not None:
            self.explanation.rows.add(block, result.good, result.arrays.get("best"), start)
