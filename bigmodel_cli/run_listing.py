"""What is known of each run, and choosing and ordering runs by it."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from bigmodel_cli import rundir
from bigmodel_cli.config.document import dotted, read
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run


class Facts:
    """A run with all that its small files say; each is read when it is asked for, a broken one as empty.

    One broken run must not hide the others.

    Attributes:
        run: the run.
    """

    def __init__(self, run: Run):
        self.run = run

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary; with a status of `running` or `damaged` where there is none to read."""
        try:
            return self.run.read_summary()
        except UsageError:
            return {"status": "damaged"}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The values of config.yaml, nested."""
        return dict(_read_or(lambda: read(self.run.config).values, {}))

    @cached_property
    def tags(self) -> list[str]:
        """Words that the user gave the run."""
        return list(_read_or(self.run.read_tags, []))

    @cached_property
    def test_scores(self) -> dict[str, float]:
        """The metrics that `evaluate` measured on the test split."""
        measured = _read_or(lambda: self.run.read_evaluation("test"), None) or {}
        scores = measured.get("scores")
        known = scores.items() if isinstance(scores, Mapping) else ()
        return {
            name: score["value"] for name, score in known if isinstance(score, Mapping) and "value" in score
        }

    @property
    def archived(self) -> bool:
        """Whether it lies in the archive."""
        return (self.run.path / rundir.ARCHIVED).exists()

    @property
    def name(self) -> str:
        """Of the experiment."""
        return str(self.config.get("name", self.run.path.parent.name))

    def to_json(self) -> dict[str, Any]:
        """All of it: the summary's keys, and `time`, `name`, `tags`, `archived`, `test` and `config`."""
        return {
            "run": str(self.run),
            **self.summary,
            "time": rundir.started(self.run.path),
            "name": self.name,
            "tags": self.tags,
            "archived": self.archived,
            "test": self.test_scores,
            "config": self.config,
        }

    def value(self, key: str) -> Any:
        """The value of a key, None where there is none.

        A key is `run`, `time`, `name`, `tag`, one of the summary, a metric (`val_accuracy`; `test_accuracy`
        as `evaluate` measured it), a section with a name (`optimizer`), or any key of the config.
        """
        for known in (self._own, self.summary.get, self._metric, self._of_config):
            if (value := known(key)) is not None:
                return value
        return None

    def keys(self) -> set[str]:
        """Every key that has a value here."""
        config = dict(flattened(self.config))
        metrics = {f"test_{name}" for name in self.test_scores} | set(self._metrics)
        sections = {key.removesuffix(".name") for key in config if re.fullmatch(r"\w+\.name", key)}
        return {"run", "time", "name", "tag", *self.summary, *metrics, *sections, *config} - {"metrics"}

    @property
    def _metrics(self) -> Mapping[str, Any]:
        metrics = self.summary.get("metrics")
        return metrics if isinstance(metrics, Mapping) else {}

    def _own(self, key: str) -> Any:
        match key:
            case "run":
                return str(self.run)
            case "time":
                return rundir.started(self.run.path)
            case "name":
                return self.name
            case "tag" | "tags":
                return self.tags
        return None

    def _metric(self, key: str) -> Any:
        if key in self._metrics:
            return self._metrics[key]
        return self.test_scores.get(key.removeprefix("test_")) if key.startswith("test_") else None

    def _of_config(self, key: str) -> Any:
        value: Any = self.config
        for part in re.findall(r"\[(\d+)\]|([^.\[\]]+)", key):
            index, name = part
            if index and isinstance(value, list) and int(index) < len(value):
                value = value[int(index)]
            elif name and isinstance(value, dict) and name in value:
                value = value[name]
            else:
                return None
        # `optimizer` stands for its name.
        return value["name"] if isinstance(value, dict) and "name" in value else value


def _read_or(read_file: Callable[[], Any], default: Any) -> Any:
    try:
        return read_file()
    except (UsageError, KeyError, TypeError):
        return default


def flattened(values: Any, path: tuple[str | int, ...] = ()) -> Iterable[tuple[str, Any]]:
    """The values of nested mappings and lists of mappings, with their dotted keys; others as they are."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from flattened(value, (*path, key))
    elif isinstance(values, list) and any(isinstance(item, dict) for item in values):
        for index, value in enumerate(values):
            yield from flattened(value, (*path, index))
    else:
        yield dotted(path), values


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FILTER = re.compile(r"\s*([\w.\[\]-]+)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """A condition on a run, such as `optimizer.name=adam` or `val_accuracy>0.9`.

    Attributes:
        key: of `Facts.value`.
        sign: =, !=, <, <=, > or >=.
        wanted: the value as it was typed.
    """

    key: str
    sign: str
    wanted: str

    @classmethod
    def parse(cls, text: str) -> Filter:
        """A condition as it is typed.

        Raises:
            UsageError: there is no key, sign or value.
        """
        if (found := _FILTER.fullmatch(text)) is None or not found[3].strip():
            raise UsageError(
                f"--filter '{text}': must be KEY=VALUE, or a comparison with !=, <, <=, > or >=; such as "
                "'optimizer.name=adam' or 'val_accuracy>0.9'"
            )
        return cls(found[1], found[2], found[3].strip())

    def fits(self, facts: Facts) -> bool:
        """Whether a run is meant; one without the value never is, but for `!=`.

        Of several tags one suffices. Texts may have `*` and `?` with = and !=.
        """
        value = facts.value(self.key)
        if self.sign == "!=":
            return not Filter(self.key, "=", self.wanted).fits(facts)
        if isinstance(value, list) and self.key in ("tag", "tags"):
            return any(self._holds(item) for item in value)
        return self._holds(value)

    def _holds(self, value: Any) -> bool:
        compare = _OPERATORS[self.sign]
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = _number(self.wanted)
            return number is not None and compare(value, number)
        if value is None or isinstance(value, bool | list | dict):
            text = json.dumps(value, ensure_ascii=False)
            # `[16,32]` and `[16, 32]` are the same list.
            return self.sign == "=" and text.replace(" ", "") == self.wanted.replace(" ", "")
        if self.sign == "=":
            return str(value) == self.wanted or fnmatchcase(str(value), self.wanted)
        return compare(str(value), self.wanted)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def chosen(facts: Sequence[Facts], filters: Sequence[Filter], sort: str = "-time") -> list[Facts]:
    """The runs that fit all filters, in order.

    Args:
        facts: of all runs.
        filters: what they must fit.
        sort: the key to order by, smallest first; with `-` in front largest first. Runs without a value come
            last either way.

    Raises:
        UsageError: a key that no run has.
    """
    key = sort.removeprefix("-")
    for asked, place in [(item.key, "--filter") for item in filters] + [(key, "--sort")]:
        _check_known(facts, asked, place)
    fitting = [item for item in facts if all(condition.fits(item) for condition in filters)]
    values = [(item.value(key), item) for item in fitting]
    known = [(_comparable(value), item) for value, item in values if value is not None]
    known.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))
    return [item for _, item in known] + [item for value, item in values if value is None]


def _comparable(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before texts by their letters."""
    if isinstance(value, int | float):
        return (False, float(value), "")
    return (True, 0.0, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


_ALWAYS = ("run", "time", "name", "tag", "tags", "status", "dataset", "model")
"""Keys that a run may have no value of yet, and be asked for all the same."""


def _check_known(facts: Sequence[Facts], key: str, place: str) -> None:
    if not facts or key in _ALWAYS or any(item.value(key) is not None for item in facts):
        return
    keys = sorted(set().union(*(item.keys() for item in facts)))
    if key in keys:
        # There, and null in every run.
        return
    near = get_close_matches(key, keys, n=2)
    hint = f"; did you mean `{'` or `'.join(near)}`?" if near else "; `bigmodel runs --json` shows them all"
    raise UsageError(f"{place} {key}: no run has that key{hint}")
