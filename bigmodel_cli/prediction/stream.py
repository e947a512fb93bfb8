"""Inputs in, predictions out: the loop, and where it goes on after it was cut off."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from bigmodel_cli import assembly
from bigmodel_cli.assembly import Restored
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.errors import BigmodelError, DataError, UsageError
from bigmodel_cli.explanation.explaining import Explained, Explanation
from bigmodel_cli.inputs.blocks import Block, recut
from bigmodel_cli.prediction import writing
from bigmodel_cli.prediction.annotation import annotate
from bigmodel_cli.prediction.calibrated import settled
from bigmodel_cli.prediction.content import result_of
from bigmodel_cli.prediction.forward import ABREAST, Forward
from bigmodel_cli.prediction.masks import clear, fitting, folder_of, write_masks
from bigmodel_cli.prediction.parts import Parts
from bigmodel_cli.prediction.preview import Preview
from bigmodel_cli.prediction.seen import Seen, explanation_of
from bigmodel_cli.prediction.sources import Passed, Request, Source, identity, of_inputs, of_split

_WAITING = ABREAST + 1
"""Batches whose results nobody waits for yet."""


class InterruptedPredictionError(BigmodelError):
    """Prediction was stopped by a signal; what is done is kept and the message says how to go on."""

    exit_code = 130


@dataclass
class Predictions:
    """Predictions in the order of the inputs.

    As a context manager: after a block that succeeds nothing is left but what was written.

    Attributes:
        restored: the run they come from.
        parts: what is predicted.
        masks: the folder of the predicted masks; None where there are none.
    """

    restored: Restored
    parts: Parts
    _preview: Preview
    _explanation: Explanation | None = None
    masks: Path | None = None

    @property
    def size(self) -> int:
        """Number of inputs."""
        return self.parts.state.rows

    @property
    def good(self) -> int:
        """Number of inputs with a prediction."""
        state = self.parts.state
        return state.rows - state.unread - state.not_finite

    def rows(self) -> Iterator[dict[str, Any]]:
        """One flat mapping an input: id, prediction, numbers, target where known, error where any."""
        return writing.rows(self.parts, self.restored.spec)

    def write(self, path: Path) -> None:
        """Write the rows as CSV, JSON lines, Parquet or npz, by the extension.

        Raises:
            UsageError: another extension, or a folder that is not there.
            BigmodelError: it cannot be written.
        """
        writing.write(self.parts, self.restored.spec, path)

    def write_csv(self, file: Any) -> None:
        """Write the rows to an open text file."""
        writing.write_text(self.parts, self.restored.spec, file, ".csv")

    def write_json(self, file: Any) -> None:
        """Write the run and the rows as one JSON document to an open text file."""
        writing.write_json(self.parts, self.restored.spec, str(self.restored.run), file)

    def draw(self, folder: Path) -> list[Path]:
        """Draw the first predictions; nothing where there is nothing to see."""
        return self._preview.draw(self.restored, folder)

    def explain(self) -> Explained | None:
        """Write what was asked to explain the predictions, and say what that is; None where nothing was.

        Raises:
            BigmodelError: it cannot be written.
        """
        if self._explanation is None or not self.good:
            return None
        with data_errors_told():
            return self._explanation.write(self.good)

    def __enter__(self) -> Predictions:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.discard()
        else:
            self.parts.close()

    def discard(self) -> None:
        """Remove the parts, once all is written."""
        self.parts.remove()


def predict(
    request: Request,
    output: Path | None = None,
    *,
    resume: bool = False,
    note: Callable[[str], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Predictions:
    """Predict for files, folders, tables, arrays, numbers, texts or standard input, or for a run's split.

    Args:
        request: what and how.
        output: the file that it is for: beside it lies what is done until it is written. None where nothing
            is to be left when the work is cut off.
        resume: go on with what lies there.
        note: hears what is left unread.
        progress: hears how many inputs are done.

    Raises:
        UsageError: a run cannot be restored, the request does not fit it, or no input at all can be read.
        InterruptedPredictionError: Ctrl-C; what is done is kept.
    """
    members = [assembly.restore(run) for run in (request.run, *request.ensemble)]
    restored = members[0]
    request = replace(request, content=settled(request.content, members))
    if request.annotate is not None and restored.spec.input.kind != "image":
        raise UsageError("--annotate: is for images; leave it out")
    explanation = explanation_of(request, restored)
    masks = None
    if restored.spec.task == "segmentation":
        request = replace(request, batch_size=fitting(request.batch_size, restored.spec))
        masks = None if output is None else folder_of(output)
    forward = Forward(members, request.content, request.views)
    source = of_inputs(request, restored, note) if request.arguments else of_split(request, restored)
    if resume and not source.again:
        raise UsageError("--resume: standard input cannot be read a second time; put it into a file")
    parts = Parts(_folder(output), identity(request, source))
    if resume and not parts.resume():
        note("there is nothing to go on with; beginning with the first input")
    if masks is not None and not parts.state.rows:
        clear(masks)
    preview = Preview(restored.spec, not request.arguments)
    if request.content.threshold is not None:
        # The picture names the likelier class, whatever the threshold.
        preview.wanted = 0
    begun_before = parts.state.rows
    try:
        with data_errors_told():
            seen = Seen(preview, explanation)
            _stream(request, restored, source, forward, parts, seen, progress, masks)
            if begun_before:
                _see_again(request, restored, source, forward, seen)
    except KeyboardInterrupt:
        if output is None:
            parts.remove()
            raise
        parts.flush()
        parts.close()
        raise InterruptedPredictionError(
            f"interrupted after {parts.state.rows:,} inputs, which are kept; go on with the same command and "
            "--resume"
        ) from None
    except DataError:
        # The inputs have to change, and then all is to be done anew.
        parts.remove()
        raise
    except BaseException:
        parts.close()
        raise
    state = parts.state
    if state.rows == state.unread:
        parts.remove()
        texts = [text for _, text in state.errors] or ["there are no inputs"]
        raise DataError("\n".join(texts) + "\nno input could be read")
    return Predictions(restored, parts, preview, explanation, masks)


def _folder(output: Path | None) -> Path:
    if output is None:
        return Path(tempfile.gettempdir()) / f"bigmodel-predictions-{os.getpid()}-{next(_folders)}"
    return output.parent / f".{output.name}.parts"


_folders = count()


def _stream(
    request: Request,
    restored: Restored,
    source: Source,
    forward: Forward,
    parts: Parts,
    seen: Seen,
    progress: Callable[[int], None],
    masks: Path | None,
) -> None:
    size, done = request.batch_size, parts.state.rows
    passed = Passed(size, parts.begun)
    blocks = recut(source.blocks(done, passed), size, limit=request.limit and request.limit - done)
    waiting: deque[tuple[Block, Callable[[], Any]]] = deque()
    if request.annotate is not None:
        request.annotate.mkdir(parents=True, exist_ok=True)

    def finish() -> None:
        block, wait = waiting.popleft()
        outputs = wait()
        result = result_of(block, outputs, request.content, restored.spec)
        if not done:
            seen.add(block, outputs, result, parts.state.rows)
        if masks is not None:
            write_masks(block, result, parts.state.rows, restored.spec, masks)
        if request.annotate is not None:
            annotate(block, result, parts.state.rows, restored.spec, request.annotate)
        parts.add(result, len(block) - len(block.readable))
        progress(parts.state.rows)

    # Batches are counted from the first input of all, so that a resumed run draws the same augmentations.
    number = -(-done // size)
    if done and source.named:
        first = next(blocks, None)
        passed.check(parts.state)
        blocks = chain([] if first is None else [first], blocks)
    for block in blocks:
        waiting.append((block, forward.nothing if block.values is None else forward(block.values, number)))
        number += 1
        if len(waiting) > _WAITING:
            finish()
    while waiting:
        finish()


def _see_again(request: Request, restored: Restored, source: Source, forward: Forward, seen: Seen) -> None:
    """Keep the first inputs of a resumed run, which were seen by another process."""
    if not seen.wanting:
        return
    start = 0
    blocks = recut(source.blocks(0, lambda _: None), request.batch_size, limit=request.limit)
    for number, block in enumerate(blocks):
        if block.values is not None:
            outputs = forward(block.values, number)()
            # A result is an explanation's alone: without one nothing but the preview is computed again.
            again = seen.explanation is not None
            result = result_of(block, outputs, request.content, restored.spec) if again else None
            seen.add(block, outputs, result, start)
        start += len(block)
        if not seen.wanting:
            return
