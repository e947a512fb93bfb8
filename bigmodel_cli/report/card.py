"""The model card of a run (Mitchell et al. 2019, Model Cards for Model Reporting, section 4) in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from bigmodel_cli.contracts import LANGUAGE_TASKS
from bigmodel_cli.formatting import count, label, metric, si
from bigmodel_cli.report.facts import Facts, interval_text

_UNKNOWN = "Not stated; write it under `about.{}` in the config."


def markdown(facts: Facts) -> str:
    """The card: the sections of the paper, in its order, with the head that model hubs read."""
    parts = (_head, _details, _use, _factors, _metrics, _data, _analyses, _considerations)
    return "\n".join(line for part in parts for line in part(facts))


def _head(facts: Facts) -> Iterator[str]:
    about = facts.config.about
    task = {"classification": f"{facts.spec.input.kind}-classification", "regression": "tabular-regression"}
    head: dict[str, Any] = {"library_name": "keras", "tags": ["bigmodel", "keras", facts.config.model.name]}
    if about and about.license:
        head["license"] = about.license
    if facts.spec.task in task and facts.spec.input.kind in ("image", "tabular"):
        head["pipeline_tag"] = task[facts.spec.task]
    yield "---"
    yield yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip()
    yield "---"
    yield f"\n# {_safe(facts.config.name)}\n"
    if about and about.description:
        yield f"{_safe(about.description)}\n"


def _details(facts: Facts) -> Iterator[str]:
    config, summary, environment = facts.config, facts.summary, facts.environment
    yield "## Model details\n"
    yield f"- Model: `{config.model.name}`, {count(summary.get('parameters') or 0)} parameters" + (
        f", {si(summary['flops'], 'FLOP')} an example" if summary.get("flops") else ""
    )
    # Tokens by the thousand say nothing, pixels have no names, and several targets are named before.
    hidden = facts.spec.task in LANGUAGE_TASKS or facts.spec.target.tasks
    told = facts.spec.target.names and not hidden
    names = f": {_listed(facts.spec.target.names)}" if told else ""
    task = facts.spec.task.replace("_", "-")
    yield f"- Task: {task}, {_safe(facts.outputs_text)}{names}"
    yield f"- Input: {facts.input_text}"
    begun = str(environment.get("started", ""))[:10]
    yield f"- Trained: {begun}, {summary.get('epochs')} epochs, seed {config.seed}"
    versions = environment.get("packages", {})
    yield (
        f"- Software: bigmodel {environment.get('bigmodel')}, Keras {versions.get('keras')}, TensorFlow "
        f"{versions.get('tensorflow')}, Python {environment.get('python')}"
    )
    yield f"- Hardware: {environment.get('devices', {}).get('description', '')}, {facts.choice('precision')}"
    yield f"- Authors: {_about(facts, 'authors')}"
    yield f"- License: {_about(facts, 'license')}\n"


def _use(facts: Facts) -> Iterator[str]:
    yield "## Intended use\n"
    yield f"{_about(facts, 'intended_use')}\n"
    yield f"Out of scope: {_about(facts, 'out_of_scope')}\n"


def _factors(facts: Facts) -> Iterator[str]:
    yield "## Factors\n"
    found = [(split, group) for split, doc in facts.evaluations.items() for group in doc.get("groups", ())]
    if not found:
        yield "No groups were measured; `bigmodel evaluate --by COLUMN` does.\n"
        return
    for split, group in found:
        worst = group["worst"]
        told = f"; worst: {_safe(worst)}" if worst is not None else ""
        on = _safe(facts.measured_on(split))
        yield f"- {_safe(group['by'])}, on the {on}: {len(group['groups'])} groups{told}"
    yield ""


def _metrics(facts: Facts) -> Iterator[str]:
    yield "## Metrics\n"
    if not facts.evaluations:
        yield f"Not evaluated yet; `bigmodel evaluate {facts.run}` does.\n"
        return
    yield (
        "Each with the 95% interval of a bootstrap over the examples. The baseline ignores the input; the "
        "linear model is fitted on the training split.\n"
    )
    for split, document in facts.evaluations.items():
        on = _safe(facts.measured_on(split))
        yield f"### {on[0].upper()}{on[1:]}, {count(document['examples'])} examples\n"
        yield from _scores(document)


def _scores(document: Mapping[str, Any]) -> Iterator[str]:
    linear = document.get("linear_baseline")
    yield f"| metric | value | 95% interval | baseline |{' linear model |' if linear else ''}"
    yield f"| --- | ---: | ---: | ---: |{' ---: |' if linear else ''}"
    for name, score in document["scores"].items():
        cells = [label(name), *interval_text(score, metric)]
        for baseline in (document["baseline"], *([linear] if linear else [])):
            value = baseline["scores"].get(name)
            cells.append("" if value is None else metric(value))
        yield f"| {' | '.join(cells)} |"
    yield f"\nBaseline: {_safe(document['baseline']['description'])}." + (
        f" Linear model: {_safe(linear['description'])}." if linear else ""
    )
    for note in document.get("notes", ()):
        yield f"- {_safe(note)}"
    yield ""


def _data(facts: Facts) -> Iterator[str]:
    yield "## Training and evaluation data\n"
    yield f"`{facts.spec.name}` ({_safe(facts.spec.origin)}).\n"
    yield "| split | examples | from |"
    yield "| --- | ---: | --- |"
    for name, size in facts.spec.sizes.items():
        yield f"| {name} | {count(size)} | {_safe(str(facts.splits.get(name, {}).get('describe', '')))} |"
    yield ""


def _analyses(facts: Facts) -> Iterator[str]:
    yield "## Quantitative analyses\n"
    written = False
    for split, document in facts.evaluations.items():
        on = _safe(facts.measured_on(split))
        for found in document.get("groups", ()):
            written = True
            name = found["metric"]
            yield f"### By {_safe(found['by'])}, {on}\n"
            yield f"| {_safe(found['by'])} | examples | {label(name)} | 95% interval |"
            yield "| --- | ---: | ---: | ---: |"
            for group in found["groups"]:
                value, interval = interval_text(group["scores"].get(name), metric)
                yield f"| {_safe(group['name'])} | {count(group['examples'])} | {value} | {interval} |"
            yield ""
        masks = document["task"] == "segmentation"
        scores = ("precision", "recall", "iou" if masks else "f1")
        items = document.get("classes") or document.get("labels")
        if items and len(items) <= 50:
            written = True
            yield f"### {'Classes' if document.get('classes') else 'Labels'}, {on}\n"
            unit, last = ("pixels", "IoU") if masks else ("examples", "F1")
            yield f"| | {unit} | precision | recall | {last} |"
            yield "| --- | ---: | ---: | ---: | ---: |"
            for item in items:
                values = [interval_text(item[key], metric)[0] if item[key] else "none here" for key in scores]
                yield f"| {_safe(item['name'])} | {count(item['support'])} | {' | '.join(values)} |"
            yield ""
    if not written:
        yield "None.\n"


def _considerations(facts: Facts) -> Iterator[str]:
    yield "## Ethical considerations\n"
    yield f"{_about(facts, 'ethical_considerations')}\n"
    yield "## Caveats and recommendations\n"
    yield f"{_about(facts, 'caveats')}\n"


def _about(facts: Facts, name: str) -> str:
    text = getattr(facts.config.about, name, None)
    return _safe(text) if text else _UNKNOWN.format(name)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(_safe, names[:20]))
    return f"{shown}{', ...' if len(names) > 20 else ''}"


def _safe(text: str) -> str:
    """Text that is no markup, in one line of a table as well."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
