"""In what the configs, the data and the machines of runs differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bigmodel_cli.contracts import SplitName
from bigmodel_cli.run_listing import flattened
from bigmodel_cli.rundir import Run

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

_CHOSEN = {
    "training.backend": "backend",
    "training.devices": "devices",
    "training.precision": "precision",
    "training.batch_size": "batch_size",
    "training.steps_per_execution": "steps_per_execution",
    "optimizer.learning_rate": "learning_rate",
    "dataset.cache": "data_kept",
    "loss.name": "loss",
}
"""Keys that may be `auto` -> under which name environment.json says what that became."""

_DECIDED_KEYS = ("training.batch_size", "optimizer.learning_rate")
"""Whose `auto` is replaced in config.yaml, so that the reason alone tells it."""

# Learned from the training examples, which are compared as such.
_LEARNED = re.compile(
    r"sizes\..*|.*\.(mean|variance|counts|shift|factor)|input\.columns\[\d+\]\.(?!name$|kind$).*"
)


@dataclass(frozen=True)
class Difference:
    """A key in which runs differ.

    Attributes:
        key: dotted.
        values: one a run, None for null and for a run that has no such key.
        decided: what `auto` became, one a run; None where the value was given.
    """

    key: str
    values: tuple[Any, ...]
    decided: tuple[Any, ...]


@dataclass(frozen=True)
class SplitDifference:
    """A split of all runs.

    Attributes:
        split: its name.
        examples: how many, one a run; None where it was not recorded.
        describe: where they come from, one a run.
        same: whether all runs have the same examples; None where that was not recorded.
    """

    split: SplitName
    examples: tuple[int | None, ...]
    describe: tuple[str | None, ...]
    same: bool | None


def config_differences(
    configs: Sequence[Mapping[str, Any]], environments: Sequence[Mapping[str, Any]]
) -> tuple[Difference, ...]:
    """Keys of the configs that differ, and what `auto` decided differently."""
    flat = [dict(flattened(dict(config))) for config in configs]
    choices = [dict(item.get("choices") or {}) for item in environments]
    keys = list(dict.fromkeys(key for values in flat for key in values))
    rows = []
    for key in keys:
        values = tuple(values.get(key) for values in flat)
        decided = tuple(map(lambda value, chosen: _decided(key, value, chosen), values, choices))
        rows.append(Difference(key, values, decided))
    free = [name for one in choices for name in one if name not in _CHOSEN.values()]
    for name in dict.fromkeys(free):
        found = tuple(one.get(name, {}).get("value") for one in choices)
        rows.append(Difference(name, ("auto",) * len(found), found))
    sections = list(dict.fromkeys(_section(row.key) for row in rows))
    # What only another run has stands with the rest of its section.
    rows.sort(key=lambda row: sections.index(_section(row.key)))
    return tuple(row for row in rows if _differs(row.values) or _differs(row.decided))


def _section(key: str) -> str:
    return key.split(".")[0]


def _decided(key: str, value: Any, choices: Mapping[str, Any]) -> Any:
    choice = choices.get(_CHOSEN.get(key, ""), {})
    by_itself = value == "auto" or (key in _DECIDED_KEYS and str(choice.get("reason", "")).startswith("auto"))
    return choice.get("value") if by_itself else None


def _differs(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values)


def data_differences(specs: Sequence[Mapping[str, Any]]) -> tuple[Difference, ...]:
    """Keys of the data.json files that differ; what was learned from the training split is left out."""
    flat = [
        {key: value for key, value in flattened(dict(spec)) if not _LEARNED.fullmatch(key)} for spec in specs
    ]
    return _plain(flat)


def environment_differences(environments: Sequence[Mapping[str, Any]]) -> tuple[Difference, ...]:
    """Versions, machines and engines that differ."""
    left_out = ("choices", "command", "started")
    flat = [
        {key: value for key, value in flattened(dict(item)) if key.split(".")[0] not in left_out}
        for item in environments
    ]
    return _plain(flat)


def _plain(flat: Sequence[Mapping[str, Any]]) -> tuple[Difference, ...]:
    keys = dict.fromkeys(key for values in flat for key in values)
    rows = [Difference(key, tuple(one.get(key) for one in flat), (None,) * len(flat)) for key in keys]
    return tuple(row for row in rows if _differs(row.values))


def split_differences(runs: Sequence[Run]) -> tuple[SplitDifference, ...]:
    """Sizes of the splits, and whether they hold the same examples.

    The hash in splits.json is of positions within the data, so the same positions of other data count as
    other examples.
    """
    recorded = [run.read_splits() for run in runs]
    data = [run.read_data() for run in runs]
    one_set = len({(spec.name, spec.task, spec.target.names) for spec in data}) == 1
    rows = []
    for name in SPLITS:
        parts = [item.get(name, {}) for item in recorded]
        hashes = [part.get("sha256") for part in parts]
        same = None if None in hashes else one_set and len(set(hashes)) == 1
        examples = tuple(
            part.get("examples", spec.sizes.get(name)) for part, spec in zip(parts, data, strict=True)
        )
        rows.append(SplitDifference(name, examples, tuple(part.get("describe") for part in parts), same))
    return tuple(rows)
