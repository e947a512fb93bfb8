"""The sections of a report, in the order of a reader's questions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.formatting import count, duration, label, metric, si
from bigmodel_cli.pages import Code, Figures, Paragraph, Part, Section, Table, Terms
from bigmodel_cli.report import captions, measured
from bigmodel_cli.report.facts import WORDS, Facts, OutputWords, interval_text, main_score

_CLASSES = 50
_SHA = 16

_ABOUT = {
    "authors": "Authors",
    "license": "License",
    "intended_use": "Intended use",
    "out_of_scope": "Out of scope",
    "ethical_considerations": "Ethical considerations",
    "caveats": "Caveats",
}


def intro(facts: Facts) -> list[Part]:
    """What it is and how good, at a glance."""
    config, environment = facts.config, facts.environment
    parts: list[Part] = []
    if config.about and config.about.description:
        parts.append(Paragraph(config.about.description))
    begun = str(environment.get("started", ""))[:10]
    parts.append(
        Paragraph(
            f"{config.model.name} on {facts.spec.name}, {facts.spec.task.replace('_', '-')}; trained {begun} "
            f"with bigmodel {environment.get('bigmodel', '')}, seed {config.seed}"
            + (f"; {', '.join(facts.tags)}" if facts.tags else ""),
            "note",
        )
    )
    status = facts.summary["status"]
    if status != "finished":
        parts.append(Paragraph(f"The training is not whole: its status is `{status}`.", "warning"))
    if not facts.evaluations:
        parts.append(
            Paragraph(
                f"Not evaluated yet; `bigmodel evaluate {facts.run}` measures the test split.", "warning"
            )
        )
    parts.append(Figures(_figures(facts)))
    return parts


def _figures(facts: Facts) -> list[tuple[str, str, str]]:
    found = []
    if facts.evaluations:
        first = next(iter(facts.evaluations)).partition("/")[0]
        for split, document in facts.evaluations.items():
            if split.partition("/")[0] == first:
                found += _score_figures(facts, split, document)
    elif facts.summary.get("metrics"):
        monitor = facts.summary.get("monitor") or "val_loss"
        if (value := facts.summary["metrics"].get(monitor)) is not None:
            found.append(
                (f"best {label(monitor)}", metric(value), f"epoch {facts.summary.get('best_epoch')}")
            )
    if facts.summary.get("parameters"):
        operations = facts.summary.get("flops")
        detail = f"{si(operations, 'FLOP')} an example" if operations else ""
        found.append(("parameters", count(facts.summary["parameters"]), detail))
    return found


def _score_figures(facts: Facts, split: str, document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The score that an evaluation is known by, beside its baselines; of one of several tasks alone."""
    name = main_score(document)
    value, interval = interval_text(document["scores"][name], metric)
    on = facts.measured_on(split).replace(" split", "", 1)
    found = [(f"{on} {label(name)}", value, f"95% interval {interval}")]
    for key, title in (("baseline", "baseline"), ("linear_baseline", "linear model")):
        baseline = None if "output" in document else document.get(key)
        if baseline and baseline["scores"].get(name) is not None:
            found.append(
                (
                    f"{title}, {label(name)}",
                    metric(baseline["scores"][name]),
                    baseline["description"].split(";")[0],
                )
            )
    return found


def sections(facts: Facts) -> list[Section]:
    """Everything below the fold."""
    found = [_trained(facts), _curves(facts)]
    found += [measured.section(facts, split) for split in facts.evaluations]
    found += [_data(facts), _decided(facts), _repeat(facts)]
    about = _about(facts)
    return [*found, *([about] if about else []), Section("Config", [Code(facts.config_text)])]


def _trained(facts: Facts) -> Section:
    config, summary, spec = facts.config, facts.summary, facts.spec
    stopped = ", stopped early" if summary.get("stopped_early") else ""
    items = [
        ("Task", f"{spec.task.replace('_', '-')}, {facts.outputs_text}"),
        ("Model", f"{config.model.name}{_parameters(config.model.parameters)}"),
        ("Data", f"{spec.name} ({spec.origin}), {_sizes(spec.sizes)}"),
        ("Input", facts.input_text),
        ("Optimizer", f"{config.optimizer.name}{_parameters(config.optimizer.parameters)}"),
        ("Learning rate", _rate(config.optimizer.learning_rate)),
        ("Loss", facts.choice("loss") or config.loss.name),
        ("Batch size", facts.choice("batch_size")),
        ("Device", str(facts.environment.get("devices", {}).get("description", ""))),
        ("Precision", facts.choice("precision")),
        ("Epochs", f"{summary.get('epochs')} of {summary.get('planned_epochs')}{stopped}"),
        ("Kept epoch", str(summary.get("stored_epoch") or summary.get("best_epoch") or "")),
        ("Time", duration(summary["seconds"]) if summary.get("seconds") is not None else ""),
        ("Speed", f"{count(summary.get('examples_per_second') or 0)} examples/s"),
    ]
    return Section("What was trained", [Terms([(name, text) for name, text in items if text])])


def _parameters(parameters: Mapping[str, Any]) -> str:
    shown = [
        f"{label(name)} {value}" for name, value in parameters.items() if value not in (None, False, 0, 0.0)
    ]
    return f": {', '.join(shown)}" if shown else ""


def _rate(rate: Any) -> str:
    if hasattr(rate, "name"):
        return f"{rate.name}{_parameters(rate.parameters)}"
    return "" if rate is None else str(rate)


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{count(size)} {name}" for name, size in sizes.items())


def _curves(facts: Facts) -> Section:
    parts: list[Part] = []
    for name in ("learning_curves.png", "learning_rate_range.png"):
        if (path := facts.run.path / name).is_file():
            parts.append(captions.picture(path))
    if facts.history:
        parts.append(_epochs(facts))
    return Section("Training", parts or [Paragraph("No epoch was finished.", "warning")])


def _epochs(facts: Facts) -> Table:
    """First, kept and last epoch."""
    kept = facts.summary.get("stored_epoch") or facts.summary.get("best_epoch")
    chosen = {1: "first", len(facts.history): "last"}
    if kept and kept <= len(facts.history):
        chosen[kept] = "kept"
    left_out = {"epoch", "seconds", "examples_per_second", "data_wait", "best"}
    names = [name for name in facts.history[-1] if name not in left_out]
    # A measure a row: of several targets they would be too many columns for a screen.
    columns = ("measure", *(f"epoch {epoch} ({what})" for epoch, what in sorted(chosen.items())))
    rows = [
        (label(name), *(_number(facts.history[epoch - 1].get(name)) for epoch in sorted(chosen)))
        for name in names
    ]
    return Table("Epochs", columns, tuple(rows), right=tuple(range(1, len(columns))))


def _number(value: Any) -> str:
    return metric(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else "-"


def _data(facts: Facts) -> Section:
    spec = facts.spec
    rows = []
    for name, size in spec.sizes.items():
        record = facts.splits.get(name, {})
        rows.append(
            (name, count(size), str(record.get("describe", "")), str(record.get("sha256", ""))[:_SHA])
        )
    note = "fingerprint: of the positions of the examples, SHA-256; `evaluate` holds the data against it"
    parts: list[Part] = [
        Terms([("Dataset", spec.name), ("Origin", spec.origin), *_source(facts.config.dataset)]),
        Table("Splits", ("split", "examples", "from", "fingerprint"), tuple(rows), right=(1,), notes=(note,)),
    ]
    if spec.target.counts:
        parts.append(_counts(spec, facts.words, facts.words.several.capitalize()))
    for one, part in zip(spec.target.tasks, spec.parts, strict=True):
        if part.target.counts:
            parts.append(_counts(part, WORDS[part.task], f"Classes of {one.name}"))
    if spec.input.columns:
        columns = tuple((c.name, c.kind, count(c.missing)) for c in spec.input.columns)
        parts.append(Table("Columns", ("column", "kind", "missing in training"), columns, right=(2,)))
    return Section("Data", parts)


def _counts(spec: DataSpec, words: OutputWords, title: str) -> Table:
    """How many examples of the training split each class or label has."""
    total = sum(spec.target.counts) if words.exclusive else spec.sizes.get("train", 0)
    pairs = sorted(zip(spec.target.names, spec.target.counts, strict=True), key=lambda pair: -pair[1])
    shares = tuple((name, count(n), f"{n / total:.1%}" if total else "-") for name, n in pairs[:_CLASSES])
    notes = (f"the {_CLASSES} most frequent of {len(pairs)}",) if len(pairs) > _CLASSES else ()
    heads = (words.one, words.counted, "share")
    return Table(f"{title} in the training split", heads, shares, right=(1, 2), notes=notes)


def _source(dataset: Any) -> list[tuple[str, str]]:
    """Where a dataset of files lies."""
    found = [(name, dataset.parameters.get(name)) for name in ("path", "directory", "url", "data_dir")]
    return [(label(name).capitalize(), str(value)) for name, value in found if value]


def _decided(facts: Facts) -> Section:
    environment = facts.environment
    choices = tuple(
        (label(name), str(item["value"]), str(item["reason"]))
        for name, item in environment.get("choices", {}).items()
    )
    versions = [("bigmodel", str(environment.get("bigmodel", "")))]
    versions += [("Python", str(environment.get("python", "")))]
    versions += [(name, str(text)) for name, text in environment.get("packages", {}).items()]
    items = [
        *versions,
        ("Platform", str(environment.get("platform", ""))),
        ("Git commit", str(environment.get("git_commit") or "none")),
    ]
    parts: list[Part] = [Terms(items)]
    if choices:
        parts.insert(0, Table("What was decided, and why", ("setting", "value", "reason"), choices))
    return Section("Environment", parts)


def _repeat(facts: Facts) -> Section:
    run = shlex.quote(str(facts.run.path))
    command = shlex.join(["bigmodel", *map(str, facts.environment.get("command", [])[1:])])
    commands = f"bigmodel train {run}/config.yaml\nbigmodel evaluate\n"
    use = f"bigmodel evaluate {run}\nbigmodel predict {run} INPUT...\n"
    return Section(
        "How to repeat it",
        [
            Paragraph("Train again, with the same seed, splits and order of examples:"),
            Code(commands),
            Paragraph(
                "With the versions, device and precision above the numbers are the same up to the order in "
                "which parallel sums are added; `training.deterministic: true` fixes that too.",
                "note",
            ),
            Paragraph("Use what was trained:"),
            Code(use),
            Paragraph("The command that it was trained with:"),
            Code(command),
        ],
    )


def _about(facts: Facts) -> Section | None:
    about = facts.config.about
    items: Sequence[tuple[str, str]] = [
        (title, text) for name, title in _ABOUT.items() if (text := getattr(about, name, None))
    ]
    return Section("About", [Terms(items)]) if items else None
