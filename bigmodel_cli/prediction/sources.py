"""What is to be predicted: where the inputs come from, and by what they are known again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigmodel_cli import assembly
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.data.pipeline import Keeping, evaluation_batches
from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.methods import METHODS, Asked
from bigmodel_cli.inputs import Inputs, Item
from bigmodel_cli.inputs.blocks import Block
from bigmodel_cli.inputs.images import File, changed_since
from bigmodel_cli.inputs.labels import Labels
from bigmodel_cli.prediction.content import Content
from bigmodel_cli.prediction.parts import State, chained
from bigmodel_cli.rundir import Run, file_digest


@dataclass(frozen=True)
class Request:
    """What is to be predicted, and how.

    Attributes:
        run: the run.
        arguments: what to predict for; empty for a split.
        split: the run's own examples to predict for, where there are no arguments.
        limit: the first n inputs only.
        batch_size: inputs that are computed at a time.
        content: what is said of each.
        views: of each image, over which the mean is taken.
        ensemble: further runs, over which the mean is taken.
        annotate: a folder for images with their predictions.
        explain: what is to be explained; None for nothing.
    """

    run: Run
    arguments: Sequence[str] = ()
    split: SplitName = "test"
    limit: int | None = None
    batch_size: int = assembly.BATCH_SIZE
    content: Content = Content()  # noqa: RUF009 - frozen
    views: int = 1
    ensemble: Sequence[Run] = ()
    annotate: Path | None = None
    explain: Asked | None = None


@dataclass(frozen=True)
class Source:
    """Where the inputs come from.

    Attributes:
        blocks: (inputs to leave out, hears of these) -> the others, in blocks of any size.
        identity: by which they are known again; JSON.
        again: whether they can be read a second time.
        named: whether what is left out is heard of.
    """

    blocks: Callable[[int, Callable[[Item], None]], Iterator[Block]]
    identity: Any
    again: bool = True
    named: bool = True


def of_inputs(request: Request, restored: Restored, note: Callable[[str], None]) -> Source:
    """The inputs that the arguments name.

    Raises:
        DataError: one names nothing, or nothing that the model takes.
    """
    found = Inputs(
        request.arguments,
        restored.spec.input,
        sys.stdin,
        parameters=restored.config.dataset.parameters,
        note=note,
        labels=_labels(request, restored),
    )
    return Source(found.blocks, [list(request.arguments), found.stamps()], found.again)


def _labels(request: Request, restored: Restored) -> Labels | None:
    """How labels of the inputs are read, where what is asked for needs them."""
    if request.explain is None or not METHODS[request.explain.method].targets:
        return None
    remedy = (
        f"--explain {request.explain.method} compares with the true targets, which these inputs lack; leave "
        "the INPUTs out for the test split, or give --split"
    )
    return Labels.of(restored.spec, restored.config.dataset.parameters, remedy)


def of_split(request: Request, restored: Restored) -> Source:
    """The run's own examples, with their targets.

    Raises:
        DataError: they are not there, or are not what the run was trained on.
    """
    examples = assembly.restored_data(restored).splits[request.split]
    if request.limit:
        examples = examples.first(request.limit)

    def blocks(skip: int, passed: Callable[[Item], None]) -> Iterator[Block]:
        size = request.batch_size
        whole = skip // size
        # Read as a stream, whatever training keeps in memory.
        batches = evaluation_batches(examples, batch_size=size, keeping=Keeping("none")).skip(whole)
        start = whole * size
        for values, targets in batches.as_numpy_iterator():
            ids = [str(index) for index in range(start, start + len(targets))]
            start += len(targets)
            # After the last batch, which may be smaller, nothing is left.
            if start > skip:
                yield Block(ids, [""] * len(ids), values, targets=targets)

    return Source(blocks, f"{request.split} split", named=False)


def identity(request: Request, source: Source) -> dict[str, Any]:
    """By what work is known again: inputs, models and options; JSON."""
    runs = (request.run, *request.ensemble)
    return {
        "inputs": [source.identity, request.limit],
        "models": [[file_digest(path) for path in (run.model, run.config, run.data)] for run in runs],
        "options": {
            "batch_size": request.batch_size,
            "content": [
                request.content.probabilities, request.content.logits,
                request.content.top_k, request.content.embeddings,
                request.content.temperatures, request.content.threshold, request.content.reconstructions,
            ],
            "views": request.views,
            "annotate": str(request.annotate),
        },
    }  # fmt: skip


class Passed:
    """What is left out, held against what was done."""

    def __init__(self, size: int, begun: int):
        self._size, self._begun = size, begun
        self._ids: list[str] = []
        self._digest = ""
        self._rows = 0
        self._changed: str | None = None

    def __call__(self, item: Item) -> None:
        """Hear of an input, or of several, that are left out."""
        if isinstance(item, File):
            self._changed = self._changed or changed_since([item.path], self._begun)
        for name in item.ids if isinstance(item, Block) else [item.id]:
            self._ids.append(name)
            self._rows += 1
            if len(self._ids) == self._size:
                self._chain()

    def _chain(self) -> None:
        self._digest = chained(self._digest, self._ids)
        self._ids = []

    def check(self, state: State) -> None:
        """Make sure that these are the inputs that are done.

        Raises:
            UsageError: others, fewer, or changed ones.
        """
        if self._ids:
            self._chain()
        if self._changed is not None:
            reason = f"{self._changed} was changed or removed since"
        elif (self._rows, self._digest) != (state.rows, state.digest):
            reason = f"the first {state.rows:,} inputs are others than then"
        else:
            return
        raise UsageError(f"--resume: {reason}; leave --resume out to begin anew")
