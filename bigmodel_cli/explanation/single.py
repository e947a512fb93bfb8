"""One input explained: its picture, its numbers, and its line in the table of all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import plots
from bigmodel_cli.assembly import Restored
from bigmodel_cli.explanation import grad_cam, integrated_gradients
from bigmodel_cli.explanation.integrated_gradients import Attribution
from bigmodel_cli.explanation.methods import Asked
from bigmodel_cli.explanation.occlusion import occlude
from bigmodel_cli.explanation.rows import columns_of
from bigmodel_cli.explanation.scores import name_of
from bigmodel_cli.explanation.texts import Embedded, Text, leave_words_out

Record = dict[str, str | float | int]


@dataclass(frozen=True)
class Single:
    """An input to explain.

    Attributes:
        value: as the model takes it: an array, or column key -> cell.
        index: of the class or target.
        title: of the picture.
        stem: path of the picture, and of the numbers beside it, without the extension.
    """

    value: Any
    index: int
    title: str
    stem: Path

    def beside(self, suffix: str) -> Path:
        """A file of this input; ids may hold dots."""
        return self.stem.with_name(self.stem.name + suffix)


Explainer = Callable[[Single], Record]
"""Writes the picture and the numbers, and gives what is said of them in the table of all."""


def explainer(restored: Restored, asked: Asked) -> Explainer:
    """What explains the inputs of a run, one by one.

    Raises:
        UsageError: its model has not the layers that the method needs.
    """
    kind = restored.spec.input.kind
    if kind == "image":
        makers = {
            "grad_cam": lambda: _grad_cam(restored, asked.layer),
            "integrated_gradients": lambda: _gradients_of_image(restored),
            "occlusion": lambda: _occlusion(restored),
        }
        return makers[asked.method]()
    if kind == "tabular":
        return _gradients_of_vector(restored)
    return (
        _gradients_of_text(restored) if asked.method == "integrated_gradients" else _words_left_out(restored)
    )


def _grad_cam(restored: Restored, layer: str | None) -> Explainer:
    of = grad_cam.mapper(restored, layer)
    name = grad_cam.find_layer(restored.model, layer).name

    def explain(item: Single) -> Record:
        found = of(item.value, item.index)
        np.savez(item.beside(".npz"), values=found.values, coarse=found.coarse)
        places = "x".join(map(str, found.coarse.shape))
        plots.image_attribution(
            item.value,
            found.values,
            item.beside(".png"),
            title=item.title,
            label=f"Grad-CAM of {name_of(restored.spec, item.index)}",
            notes=[
                f"Layer {name}, {places} places"
                + ("" if found.values.any() else "; nothing in it speaks for this")
            ],
        )
        return {"layer": name, "score": found.score, "largest": float(found.values.max())}

    return explain


def _gradients_of_image(restored: Restored) -> Explainer:
    of = integrated_gradients.attributor(restored)

    def explain(item: Single) -> Record:
        found = of(item.value, item.index)
        np.savez(item.beside(".npz"), values=found.values)
        plots.image_attribution(
            item.value,
            found.values.sum(axis=2),
            item.beside(".png"),
            title=item.title,
            label=f"added to {name_of(restored.spec, item.index)}",
            notes=[_completeness(found, "a black image")],
        )
        return _record(found)

    return explain


def _occlusion(restored: Restored) -> Explainer:
    def explain(item: Single) -> Record:
        found = occlude(restored.predict, item.value, item.index)
        np.savez(item.beside(".npz"), values=found.values, patches=found.patches)
        label = _output_of(restored, item.index)
        plots.image_attribution(
            item.value,
            found.values,
            item.beside(".png"),
            title=item.title,
            label=f"{label} lost when covered",
            notes=[f"Grey patches of {found.patch}x{found.patch} pixels, {found.stride} apart"],
        )
        return {
            "output": found.output,
            "patch": found.patch,
            "stride": found.stride,
            "largest": float(found.patches.max()),
            "smallest": float(found.patches.min()),
        }

    return explain


def _gradients_of_vector(restored: Restored) -> Explainer:
    of = integrated_gradients.attributor(restored)
    spec = restored.spec

    def explain(item: Single) -> Record:
        found = of(item.value, item.index)
        cells = columns_of(np.asarray(item.value)[None], spec)
        values = found.values.ravel()
        with item.beside(".csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["column", "value", "score"])
            writer.writerows(
                [name, float(cell[0]), score]
                for (name, cell), score in zip(cells.items(), values.tolist(), strict=True)
            )
        plots.column_bars(
            [f"{name} = {cell[0]:.4g}" for name, cell in cells.items()],
            values,
            item.beside(".png"),
            title=item.title,
            label=f"added to {name_of(spec, item.index)}",
            notes=[_completeness(found, "the mean of the training split")],
        )
        return {**_record(found), "largest": list(cells)[int(np.abs(values).argmax())]}

    return explain


def _gradients_of_text(restored: Restored) -> Explainer:
    of = Embedded(restored)

    def explain(item: Single) -> Record:
        texts, found = of(item.value, item.index)
        label = f"added to {name_of(restored.spec, item.index)}"
        _write_texts(item, texts, label, [_completeness(found, "all embeddings 0")], _record(found))
        return {**_record(found), "largest": _largest(texts)}

    return explain


def _words_left_out(restored: Restored) -> Explainer:
    columns = [column for column in restored.spec.input.columns if column.kind == "text"]

    def explain(item: Single) -> Record:
        texts, output = leave_words_out(restored.predict, item.value, columns, item.index)
        label = f"{_output_of(restored, item.index)} lost without the word"
        _write_texts(item, texts, label, [], {"output": output})
        return {"output": output, "largest": _largest(texts)}

    return explain


def _write_texts(item: Single, texts: list[Text], label: str, notes: list[str], facts: Record) -> None:
    document = {
        **facts,
        "texts": [
            {
                "column": text.column,
                "words": _pairs("word", text.words, text.scores),
                "tokens": _pairs("token", text.tokens, text.token_scores),
            }
            for text in texts
        ],
    }
    item.beside(".json").write_text(
        json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    plots.text_attribution(
        {text.column: (text.words, text.scores) for text in texts},
        item.beside(".png"),
        title=item.title,
        label=label,
        notes=notes,
    )


def _pairs(what: str, names: tuple[str, ...], scores: np.ndarray) -> list[dict[str, Any]]:
    return [
        {what: name.strip() or name, "score": score}
        for name, score in zip(names, scores.tolist(), strict=True)
    ]


def _largest(texts: list[Text]) -> str:
    """The word of the largest score, whatever its sign."""
    found = [
        (abs(score), word.strip())
        for text in texts
        for word, score in zip(text.words, text.scores, strict=True)
    ]
    return max(found)[1] if found else ""


def _output_of(restored: Restored, index: int) -> str:
    name = restored.spec.target.names[index]
    return name if restored.spec.task == "regression" else f"probability of {name}"


def _record(found: Attribution) -> Record:
    return {
        "score": found.score,
        "baseline_score": found.baseline_score,
        "sum": float(found.values.sum()),
        "gap": found.gap,
        "steps": found.steps,
    }


def _completeness(found: Attribution, baseline: str) -> str:
    return (
        f"Adds up to {found.values.sum():.4g}; against {baseline} it differs by "
        f"{found.score - found.baseline_score:.4g} ({found.steps} steps)"
    )
