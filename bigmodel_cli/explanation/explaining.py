"""From inputs that were predicted to pictures and numbers that say why."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli.assembly import Restored
from bigmodel_cli.errors import BigmodelError, UsageError
from bigmodel_cli.explanation import over_rows, single
from bigmodel_cli.explanation.methods import METHODS, Asked
from bigmodel_cli.explanation.rows import MOST_ROWS, NAMED, Rows
from bigmodel_cli.inputs.blocks import file_stem

TABLE = "explanations.csv"
"""One line an input, in the folder of the pictures."""


@dataclass(frozen=True)
class Explained:
    """What was written.

    Attributes:
        folder: where it lies.
        pictures: in the order of the inputs.
        lines: what there is to say of them.
    """

    folder: Path
    pictures: list[Path]
    lines: list[str]


class Explanation:
    """Keeps the inputs that are to be explained, and explains them in the end.

    Attributes:
        rows: the inputs.
    """

    def __init__(self, restored: Restored, asked: Asked):
        """Make sure that it can be done, before any work is.

        Args:
            restored: the run.
            asked: what is to be explained.

        Raises:
            UsageError: the method does not fit the inputs or the model.
        """
        asked.check(restored.spec)
        self._restored, self._asked = restored, asked
        self.rows = Rows(asked)
        self._explain = None if METHODS[asked.method].rows else single.explainer(restored, asked)

    def write(self, good: int) -> Explained:
        """Write pictures and numbers.

        Args:
            good: inputs with a prediction, of which some may not be kept.

        Raises:
            BigmodelError: they cannot be written.
        """
        folder = self._asked.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._explain is None:
                return self._over_rows(folder, good)
            return self._one_by_one(self._explain, folder, good)
        except OSError as error:
            raise BigmodelError(
                f"--explain: {error.filename or folder}: cannot be written: {error.strerror or error}"
            ) from None

    def _over_rows(self, folder: Path, good: int) -> Explained:
        if self._asked.method == "permutation_importance":
            if not len(self.rows):
                raise UsageError(
                    "--explain permutation_importance: no input has a label that the run knows: "
                    + "; ".join(self.rows.unlabelled[:NAMED])
                )
            pictures, lines = over_rows.importances(self._restored, self.rows, folder)
            good -= len(self.rows.unlabelled)
            lines += self.rows.without_label()
        else:
            pictures, lines = over_rows.dependence(self._restored, self.rows, self._asked, folder)
        if good > len(self.rows):
            lines.append(f"over the first {MOST_ROWS:,} of {good:,} inputs")
        return Explained(folder, pictures, lines)

    def _one_by_one(self, explain: single.Explainer, folder: Path, good: int) -> Explained:
        values = self.rows.values
        outputs = self._restored.predict(values)
        records: list[dict[str, Any]] = []
        pictures: list[Path] = []
        for row, (name, place) in enumerate(zip(self.rows.ids, self.rows.places, strict=True)):
            value = (
                {key: cells[row] for key, cells in values.items()}
                if isinstance(values, Mapping)
                else values[row]
            )
            index, predicted = self._index(row, outputs[row])
            stem = folder / file_stem(place, name)
            item = single.Single(value, index, self._title(name, index, predicted, outputs[row]), stem)
            found = explain(item)
            pictures.append(item.beside(".png"))
            said = "value" if self._restored.spec.task == "regression" else "probability"
            target = self._restored.spec.target.names[index]
            head = {"place": place, "id": name, "explained": target, said: float(outputs[row, index])}
            records.append({**head, **found, "picture": pictures[-1].name})
        with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(records[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
        return Explained(folder, pictures, self._lines(records, good))

    def _index(self, row: int, outputs: np.ndarray) -> tuple[int, int]:
        """Positions of the class or target that is explained, and of the predicted one."""
        predicted = 0 if self._restored.spec.task == "regression" else int(outputs.argmax())
        if self.rows.predicted is not None:
            predicted = int(self.rows.predicted[row])
        asked = self._asked.index(self._restored.spec)
        return (predicted if asked is None else asked), predicted

    def _title(self, name: str, index: int, predicted: int, outputs: np.ndarray) -> str:
        spec = self._restored.spec
        target = spec.target.names[index]
        # A text is its own id, and stands in the picture.
        where = "" if spec.input.kind == "table" else f"{name}: "
        if spec.task == "regression":
            return f"{where}what makes {target} {outputs[index]:.4g}"
        other = "" if index == predicted else f", not {spec.target.names[predicted]}"
        return f"{where}what speaks for {target} ({outputs[index]:.1%}){other}"

    def _lines(self, records: list[dict[str, Any]], good: int) -> list[str]:
        lines = []
        if "gap" in records[0]:
            worst = max(records, key=lambda record: abs(record["gap"]))
            lines.append(
                f"attributions miss the difference of the outputs by at most {abs(worst['gap']):.2g} "
                f"({worst['id']}: {worst['sum']:.4g} of {worst['score'] - worst['baseline_score']:.4g}, "
                f"{worst['steps']} steps)"
            )
        if good > len(records):
            lines.append(
                f"{good - len(records):,} of {good:,} inputs were left without a picture; "
                "--explain-limit N for more"
            )
        return lines
