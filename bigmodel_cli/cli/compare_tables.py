"""What `bigmodel compare` found, as tables of texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bigmodel_cli import formatting
from bigmodel_cli.comparison import Comparison, Cost
from bigmodel_cli.comparison.differences import Difference
from bigmodel_cli.comparison.pairing import PairedResult
from bigmodel_cli.comparison.scores import Score, ScoreRow
from bigmodel_cli.pages import Table

_LONGEST = 48


def grouped(found: Comparison) -> Iterator[tuple[str, list[Table]]]:
    """Tables under headings: what differs, what was measured, what it cost."""
    differing = [
        _runs(found),
        _differences(found, "Config", "key", found.config, "the configs are the same"),
        _data(found),
    ]
    if found.environment:
        differing.append(_differences(found, "Versions and machines", "what", found.environment, ""))
    yield "What differs", differing
    yield "Metrics", list(_measured(found))
    yield "Speed and size", [_costs(found)]


def _measured(found: Comparison) -> Iterator[Table]:
    if found.validation:
        yield _scores(found, "Validation metrics at the best epoch", found.validation,
                      _note(found, "validation"))  # fmt: skip
    missing = [
        f"{found.labels[index]} is not evaluated on the {found.split} split; type `{told}`"
        for index, told in found.not_evaluated.items()
    ]
    title = f"{found.split.capitalize()} metrics with 95% intervals"
    yield _scores(found, title, found.measured, (*missing, *_note(found, "measured")))
    yield _paired(found)


def _note(found: Comparison, about: str) -> tuple[str, ...]:
    return (found.notes[about],) if about in found.notes else ()


def _runs(found: Comparison) -> Table:
    roles = ["reference", *(["compared"] * (len(found.runs) - 1))]
    rows = zip(found.labels, map(str, found.runs), found.statuses, roles, strict=True)
    return Table("Runs", ("run", "folder", "status", "role"), tuple(rows))


def _differences(
    found: Comparison, caption: str, first: str, differences: Sequence[Difference], none: str
) -> Table:
    rows = tuple((item.key, *_texts(item)) for item in differences)
    if not rows:
        return Table(caption, (), (), notes=(none,))
    return Table(f"{caption}: {len(rows)} differences" if len(rows) > 1 else f"{caption}: 1 difference",
                 (first, *found.labels), rows)  # fmt: skip


def _texts(item: Difference) -> tuple[str, ...]:
    return tuple(
        _text(value) if decided is None else f"{_text(decided)} (auto)"
        for value, decided in zip(item.values, item.decided, strict=True)
    )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _data(found: Comparison) -> Table:
    same = {True: "yes", False: "no", None: "not recorded"}
    rows = [
        (
            f"{item.split} examples",
            *("-" if count is None else formatting.count(count) for count in item.examples),
            same[item.same],
        )
        for item in found.splits
    ]
    for item in found.splits:
        if len(set(item.describe)) > 1:
            rows.append((f"{item.split} from", *map(_text, item.describe), ""))
    rows += [(item.key, *map(_text, item.values), "") for item in found.data]
    return Table("Data", ("what", *found.labels, "same examples"), tuple(rows))


def _scores(found: Comparison, caption: str, scores: Sequence[ScoreRow], notes: Sequence[str] = ()) -> Table:
    rows = tuple((formatting.label(item.metric), *map(_score, item.scores)) for item in scores)
    best = frozenset((row, run + 1) for row, item in enumerate(scores) for run in item.best)
    columns = ("metric", *found.labels) if rows else ()
    return Table(caption, columns, rows, best, tuple(range(1, len(columns))), tuple(notes))


def _score(score: Score | None) -> str:
    if score is None:
        return "-"
    if score.low is None or score.high is None:
        return formatting.metric(score.value)
    interval = f"{formatting.metric(score.low)} to {formatting.metric(score.high)}"
    return f"{formatting.metric(score.value)} ({interval})"


def _paired(found: Comparison) -> Table:
    several = sum(bool(result.tests) for result in found.paired) > 1
    rows, notes = [], []
    for result in found.paired:
        label = found.labels[result.run]
        rows += list(_tests(label, result, several))
        if {0, result.run} & found.not_evaluated.keys():
            notes.append(f"{label}: not paired, as one of the two is not evaluated")
        elif result.reason:
            notes.append(f"{label}: {result.reason}")
        for metric, reason in (result.left_out or {}).items():
            if (line := f"{formatting.label(metric)}: {reason}") not in notes:
                notes.append(line)
    columns: tuple[str, ...] = ("run", "metric", "difference", "95% interval", "p")
    columns += ("p (Holm)", "test") if several else ("test",)
    if rows:
        many = ", Holm's correction over the runs, metric by metric" if several else ""
        notes.append(
            f"difference: the run minus {found.labels[0]}, on the same examples; interval and other p-values "
            f"by the paired bootstrap, seed {found.seed}{many}"
        )
    right = tuple(range(2, len(columns) - 1))
    caption = f"Paired tests against {found.labels[0]}"
    return Table(caption, columns if rows else (), tuple(rows), right=right, notes=tuple(notes))


def _tests(label: str, result: PairedResult, several: bool) -> Iterator[tuple[str, ...]]:
    for test in result.tests:
        method = test.method
        if test.only_run is not None:
            method += f"; right alone: {test.only_run}, reference {test.only_reference}"
        p_values = [test.p, test.p_holm] if several else [test.p]
        interval = f"{_signed(test.low)} to {_signed(test.high)}"
        yield (
            label,
            formatting.label(test.metric),
            _signed(test.difference),
            interval,
            *("<0.0001" if p < 1e-4 else f"{p:.4f}" for p in p_values),
            method,
        )


def _signed(value: float) -> str:
    return "0" if value == 0 else ("+" if value > 0 else "") + formatting.metric(value)


_COSTS: tuple[tuple[str, Callable[[Cost], Any], Callable[[Any], str]], ...] = (
    ("device", lambda cost: cost.device, str),
    ("training, examples/s", lambda cost: cost.examples_per_second, formatting.count),
    ("training time", lambda cost: cost.seconds, formatting.duration),
    ("epochs", lambda cost: cost.epochs, formatting.count),
    ("parameters", lambda cost: cost.parameters, formatting.count),
    ("operations an example", lambda cost: cost.flops, lambda value: formatting.si(value, "FLOP")),
    ("model.keras", lambda cost: cost.model_bytes, lambda value: formatting.si(value, "B")),
)


def _costs(found: Comparison) -> Table:
    rows = []
    for name, value_of, text in _COSTS:
        values = [value_of(cost) for cost in found.costs]
        rows.append((name, *("-" if value is None else text(value) for value in values)))
    right = tuple(range(1, len(found.labels) + 1))
    return Table(
        "Training and model", ("figure", *found.labels), tuple(rows), right=right, notes=_note(found, "costs")
    )
