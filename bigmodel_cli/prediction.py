"""Predictions of a run for new inputs or for one of its splits, as a table and a picture."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import build, inputs, pictures, rundir
from bigmodel_cli.build import Restored
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.data.pipeline import evaluation_batches
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.inputs import Row
from bigmodel_cli.rundir import Run

FORMATS = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Prediction:
    """What a model says of one input.

    Attributes:
        id: of the input.
        outputs: probabilities or values, (outputs,); None when the input could not be read.
        error: why not; empty when it could.
        target: class index or values (targets,), when it is known.
    """

    id: str
    outputs: np.ndarray | None
    error: str = ""
    target: Any = None


@dataclass(frozen=True)
class Predictions:
    """Predictions in the order of the inputs.

    Attributes:
        restored: the run they come from.
        items: one an input.
        values: the inputs of the readable ones, as far as a picture needs them; of a table a dict.
    """

    restored: Restored
    items: tuple[Prediction, ...]
    values: Any

    @property
    def errors(self) -> list[str]:
        """Of the inputs that could not be read."""
        return [item.error for item in self.items if item.error]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One flat mapping an input: id, prediction, probabilities, target where known, error where any."""
        names = self.restored.spec.target.names
        classes = self.restored.spec.task == "classification"
        with_target = any(item.target is not None for item in self.items)
        with_error = bool(self.errors)
        for item in self.items:
            row: dict[str, Any] = {"id": item.id}
            row |= _class_columns(item, names) if classes else _value_columns(item, names)
            if with_target:
                row |= _target_columns(item, names, classes)
            if with_error:
                row["error"] = item.error or None
            yield row


def _class_columns(item: Prediction, names: Sequence[str]) -> dict[str, Any]:
    if item.outputs is None:
        return {"prediction": None, "probability": None, **{f"probability_{name}": None for name in names}}
    best = int(item.outputs.argmax())
    return {
        "prediction": names[best],
        "probability": float(item.outputs[best]),
        **{f"probability_{name}": float(value) for name, value in zip(names, item.outputs, strict=True)},
    }


def _value_columns(item: Prediction, names: Sequence[str]) -> dict[str, Any]:
    keys = ["prediction"] if len(names) == 1 else [f"prediction_{name}" for name in names]
    values = [None] * len(keys) if item.outputs is None else [float(value) for value in item.outputs]
    return dict(zip(keys, values, strict=True))


def _target_columns(item: Prediction, names: Sequence[str], classes: bool) -> dict[str, Any]:
    if classes:
        return {"target": names[int(item.target)]}
    keys = ["target"] if len(names) == 1 else [f"target_{name}" for name in names]
    return dict(zip(keys, (float(value) for value in item.target), strict=True))


def predict_inputs(
    run: Run, arguments: Sequence[str], note: Callable[[str], None] = lambda _: None
) -> Predictions:
    """Predict for files, folders, tables, arrays, numbers, texts or standard input.

    Args:
        run: the run.
        arguments: what to predict for.
        note: hears what is left unread.

    Raises:
        UsageError: the run cannot be restored, or no input at all can be read.
    """
    restored = build.restore(run)
    rows = list(
        inputs.read(
            arguments,
            restored.spec.input,
            sys.stdin,
            parameters=restored.config.dataset.parameters,
            note=note,
        )
    )
    readable = [row for row in rows if row.value is not None]
    if not readable:
        errors = [row.error for row in rows]
        raise DataError("\n".join(errors[:10] or ["there are no inputs"]) + "\nno input could be read")
    values = inputs.stacked(readable)
    outputs = iter(restored.predict(values))
    items = tuple(_item(row, None if row.value is None else next(outputs)) for row in rows)
    return Predictions(restored, items, values)


def _item(row: Row, outputs: np.ndarray | None) -> Prediction:
    return Prediction(row.id, outputs, row.error)


def predict_split(run: Run, split: SplitName, limit: int | None) -> Predictions:
    """Predict for the examples of one of the run's splits.

    Args:
        run: the run.
        split: which examples.
        limit: the first n only.

    Raises:
        UsageError: the run cannot be restored, or its dataset is no longer what it was trained on.
    """
    restored = build.restore(run)
    data = build.restored_data(restored)
    examples = data.splits[split].first(limit or data.splits[split].size)
    count = examples.size
    outputs = restored.predict(evaluation_batches(examples, batch_size=build.BATCH_SIZE, keeping=data.raw))
    items = tuple(
        Prediction(str(index), output, target=target)
        for index, (output, target) in enumerate(zip(outputs, examples.targets(), strict=True))
    )
    shown = count if pictures.has_line(restored.spec) else min(count, pictures.IMAGES)
    return Predictions(restored, items, examples.first(shown).arrays()[0])


def write(predictions: Predictions, path: Path) -> None:
    """Write the rows as CSV, JSON lines or Parquet, by the extension.

    Raises:
        UsageError: another extension, or a folder that is not there.
    """
    check_output(path)
    rows = list(predictions.rows())

    def write_rows(temporary: Path) -> None:
        if path.suffix == ".parquet":
            import pyarrow as pa
            from pyarrow import parquet

            parquet.write_table(pa.Table.from_pylist(rows), temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write_text(rows, file, path.suffix)

    rundir.write_atomically(path, write_rows)


def write_text(rows: Sequence[dict[str, Any]], file: Any, suffix: str) -> None:
    """Write rows to an open text file as `.csv` or `.jsonl`."""
    if suffix == ".jsonl":
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def check_output(path: Path) -> None:
    """Make sure that predictions can be written there, before any work is done.

    Raises:
        UsageError: an unknown extension, or a folder that is not there.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"--output {path}: the extension must be one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")


def draw(predictions: Predictions, folder: Path) -> list[Path]:
    """Draw the predictions; nothing where there is nothing to see.

    A 5 x 5 grid for images; predicted against true and residuals for regression with known targets; the
    model's line for one input and one output.
    """
    restored = predictions.restored
    spec, title = restored.spec, restored.config.name
    items = [item for item in predictions.items if item.outputs is not None]
    outputs = np.stack([np.asarray(item.outputs) for item in items])
    targets = [item.target for item in items]
    if spec.task == "classification":
        if spec.input.kind != "image":
            return []
        path = folder / "predictions.png"
        return [pictures.image_grid(spec, predictions.values, outputs, targets, path, title=title)]
    known = targets[0] is not None
    found = pictures.regression(spec, outputs, np.stack(targets), folder, title=title) if known else []
    if pictures.has_line(spec):
        values = np.stack(targets) if known else outputs
        path = folder / "fitted_line.png"
        found.append(
            pictures.fitted_line(
                spec,
                restored.predict,
                predictions.values,
                values,
                path,
                title=title,
                points="examples" if known else "predictions",
            )
        )
    return found
