"""The part of a report that says how good the model is on a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bigmodel_cli.formatting import count, label, metric
from bigmodel_cli.pages import Gallery, Paragraph, Part, Section, Table
from bigmodel_cli.report import captions
from bigmodel_cli.report.facts import Facts, interval_text

_ROWS = 50
"""Of a table of classes; beyond it the worst."""


def section(facts: Facts, split: str) -> Section:
    """Metrics with intervals and baselines, what the examples say of single classes and groups, pictures."""
    document = facts.evaluations[split]
    parts: list[Part] = [_scores(document)]
    parts += [Paragraph(note, "note") for note in document.get("notes", [])]
    parts += _each(document)
    parts += _groups(document)
    parts += _decisions(document)
    parts += _least_squares(document, facts)
    parts += _worst(document)
    parts += _samples(document)
    parts.append(Gallery([captions.picture(path) for path in facts.pictures(split)]))
    on = facts.measured_on(split)
    return Section(f"{on[0].upper()}{on[1:]}: {count(document['examples'])} examples", parts)


def _scores(document: Mapping[str, Any]) -> Table:
    baselines = [item for item in (document["baseline"], document.get("linear_baseline")) if item]
    rows = []
    for name, score in document["scores"].items():
        held = [item["scores"].get(name) for item in baselines]
        texts = ["" if value is None else metric(value) for value in held]
        rows.append((label(name), *interval_text(score, metric), *texts))
    columns = ("metric", "value", "95% interval", "baseline", "linear model")[: 3 + len(baselines)]
    names = ("baseline", "linear model")
    notes = [f"{name}: {item['description']}" for name, item in zip(names, baselines, strict=False)]
    notes.append(
        f"Intervals are percentiles of {count(document['resamples'])} bootstrap resamples of the examples, "
        f"seed {document['seed']}: how far a score would move with another sample of this size."
    )
    right = tuple(range(1, len(columns)))
    return Table("Metrics", columns, tuple(rows), right=right, notes=tuple(notes))


def _each(document: Mapping[str, Any]) -> Iterator[Part]:
    """A row for each class, label or target."""
    if document["task"] == "segmentation":
        yield _each_mask(document)
    elif document.get("classes") or document.get("labels"):
        what = "classes" if document.get("classes") else "labels"
        items = document[what]
        worst = sorted(items, key=lambda item: item["f1"]["value"] if item["f1"] else 2.0)
        shown = items if len(items) <= _ROWS else worst[:_ROWS]
        rows = tuple(
            (
                item["name"],
                count(item["support"]),
                *(interval_text(item[key], metric)[0] if item[key] else "none here" for key in _OF_CLASS),
            )
            for item in shown
        )
        notes = () if len(shown) == len(items) else (f"the {len(shown)} worst of {len(items)}",)
        columns: tuple[str, ...] = (
            what[:-2] if what == "classes" else "label",
            "examples",
            "precision",
            "recall",
            "F1",
        )
        yield Table(what.capitalize(), columns, rows, right=(1, 2, 3, 4), notes=notes)
    if len(document.get("targets", ())) > 1:
        names = list(document["targets"][0]["scores"])
        rows = tuple(
            (item["name"], *(interval_text(item["scores"][name], metric)[0] for name in names))
            for item in document["targets"]
        )
        columns = ("target", *map(label, names))
        yield Table("Targets", columns, rows, right=tuple(range(1, len(columns))))


def _each_mask(document: Mapping[str, Any]) -> Table:
    items = document["classes"]
    worst = sorted(items, key=lambda item: item["iou"]["value"] if item["iou"] else 2.0)
    shown = items if len(items) <= _ROWS else worst[:_ROWS]
    rows = tuple(
        (
            item["name"],
            f"{item['support'] / document['pixels']:.1%}",
            *interval_text(item["iou"], metric),
            *(interval_text(item[key], metric)[0] for key in ("dice", "precision", "recall")),
        )
        for item in shown
    )
    notes = () if len(shown) == len(items) else (f"the {len(shown)} worst of {len(items)}",)
    columns = ("class", "pixels", "IoU", "95% interval", "Dice", "precision", "recall")
    return Table("Classes of pixels", columns, rows, right=(1, 2, 3, 4, 5, 6), notes=notes)


_OF_CLASS = ("precision", "recall", "f1")


def _groups(document: Mapping[str, Any]) -> Iterator[Part]:
    for found in document.get("groups", ()):
        name = found["metric"]
        rows = []
        for group in found["groups"]:
            value, interval = interval_text(group["scores"].get(name), metric)
            rows.append((group["name"], count(group["examples"]), value, interval))
        notes = []
        if found["worst"] is not None and found["gap"] is not None:
            value, interval = interval_text(found["gap"], metric)
            notes.append(f"worst: {found['worst']}; from the best group it is {value} away ({interval})")
        yield Table(
            f"By {found['by']}",
            (found["by"], "examples", label(name), "95% interval"),
            tuple(rows),
            right=(1, 2, 3),
            notes=tuple(notes),
        )


def _decisions(document: Mapping[str, Any]) -> Iterator[Part]:
    """Calibration and threshold."""
    if calibration := document.get("calibration"):
        rows: tuple[tuple[str, ...], ...] = (
            ("expected calibration error", metric(calibration["error"]), metric(calibration["error_after"])),
            ("loss", metric(document["scores"]["loss"]["value"]), metric(calibration["loss_after"])),
        )
        note = (
            f"temperature {metric(calibration['temperature'])}, fitted on "
            f"{count(calibration['fitted_on']['examples'])} examples of the validation split"
        )
        if "output" not in document:
            note += "; `bigmodel predict --calibrated` uses it"
        yield Table(
            "Calibration", ("score", "as trained", "at the temperature"), rows, right=(1, 2), notes=(note,)
        )
    if threshold := document.get("threshold"):
        rows = tuple(
            (label(name), *(_with_interval(threshold[key].get(name)) for key in ("at_half", "at_chosen")))
            for name in threshold["at_half"]
        )
        chosen = metric(threshold["value"])
        note = f"chosen on the validation split by {label(threshold['criterion'])}"
        columns = (f"{threshold['positive']} from a probability of", "0.5", chosen)
        yield Table("Threshold", columns, rows, right=(1, 2), notes=(note,))


def _with_interval(score: Mapping[str, float] | None) -> str:
    value, interval = interval_text(score, metric)
    return f"{value} ({interval})" if interval else value


def _least_squares(document: Mapping[str, Any], facts: Facts) -> Iterator[Part]:
    found = document.get("least_squares")
    if not found:
        return
    names = facts.spec.input.names or tuple(f"x{index}" for index in range(len(found["slopes"])))
    rows: list[tuple[str, ...]] = []
    for column, target in enumerate(facts.spec.target.names):
        prefix = f"{target}: " if facts.spec.outputs > 1 else ""
        for name, slopes, exact in zip(names, found["slopes"], found["exact_slopes"], strict=True):
            rows.append((f"{prefix}slope of {name}", metric(slopes[column]), metric(exact[column])))
        pair = found["intercepts"][column], found["exact_intercepts"][column]
        rows.append((f"{prefix}intercept", *map(metric, pair)))
    notes: tuple[str, ...] = ()
    if found["mse_ratio"] is not None:
        notes = (f"MSE of the trained model / MSE of least squares: {found['mse_ratio']:.4f}",)
    columns = ("coefficient", "trained", "least squares")
    yield Table("Coefficients", columns, tuple(rows[:_ROWS]), right=(1, 2), notes=notes)


def _worst(document: Mapping[str, Any]) -> Iterator[Part]:
    """The worst examples, where they are no pictures."""
    examples = [item for item in document.get("worst_examples", ()) if item["input"]]
    if not examples:
        return
    score = {
        "classification": "probability of the true class", "multi_label": "loss", "reconstruction": "rmse"
    }  # fmt: skip
    told = ("class", "farthest off") if document["task"] == "reconstruction" else ("true", "predicted")
    columns = ("id", *told, score.get(document["task"], "error, deviations"), "input")
    rows = tuple(
        (
            str(item["id"]),
            item["target"],
            item["prediction"],
            metric(item["score"]),
            _input(item["input"]),
        )
        for item in examples
    )
    note = "id: as in predictions.parquet" + ("" if document.get("data") else ", position in the split")
    yield Table("Worst examples", columns, rows, right=(3,), notes=(note,))


def _samples(document: Mapping[str, Any]) -> Iterator[Part]:
    """What a language model writes."""
    if not (found := document.get("samples")):
        return
    rows = tuple((item["prompt"], item["continuation"]) for item in found["continuations"])
    note = f"drawn at temperature {found['temperature']:g}, seed {found['seed']}"
    if found["top_k"] is not None:
        note += f", from the {found['top_k']} likeliest tokens"
    yield Table("Continuations", ("prompt, from the split", "what the model writes"), rows, notes=(note,))


def _input(cells: Mapping[str, str]) -> str:
    """An input in a line; the only column of a table without its name."""
    if len(cells) == 1:
        return next(iter(cells.values()))
    return ", ".join(f"{name} {cell or 'missing'}" for name, cell in cells.items())
