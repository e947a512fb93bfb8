"""The folder of a series of runs: made, found again, and held against the config that is asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from bigmodel_cli import rundir, validation
from bigmodel_cli.config.document import dotted
from bigmodel_cli.config.rules import contradictions
from bigmodel_cli.config.schema import Config, Fold, FoldScheme
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run

Resume = Literal["never", "auto", "must"]
"""Whether to go on: not; where there is an unfinished series; or as the user demands."""

RUNNING, FINISHED = "running", "finished"


@dataclass(frozen=True)
class Kind:
    """A way of repeating.

    Attributes:
        prefix: of the folder's name.
        document: the file with settings and results.
        title: for messages.
        member: what one run is called.
    """

    prefix: str
    document: str
    title: str
    member: str


CROSS_VALIDATION = Kind("cv", "cross_validation.json", "cross-validation", "fold")
SEEDS = Kind("seeds", "seeds.json", "training with several seeds", "seed")


@dataclass(frozen=True)
class Member:
    """One run of a series.

    Attributes:
        label: its folder's name, such as `fold-1`.
        config: complete; what the run's config.yaml will hold, but for what `auto` decides.
    """

    label: str
    config: Config


@dataclass(frozen=True)
class Series:
    """A series of runs.

    Attributes:
        kind: what it is.
        path: its folder.
        config: what its members differ from.
        settings: how they differ: the folds' number, scheme and column, or the seeds.
        members: in order.
    """

    kind: Kind
    path: Path
    config: Config
    settings: Mapping[str, Any]
    members: tuple[Member, ...]

    @property
    def document(self) -> Path:
        """Settings and results."""
        return self.path / self.kind.document

    def run(self, member: Member) -> Run:
        """Where a member lies, whether it is there yet or not."""
        return Run(self.path / member.label)

    def write(self, status: str, results: Mapping[str, Any]) -> None:
        """Write the document.

        Args:
            status: `RUNNING` until every member is through.
            results: so far.
        """
        head = {"name": self.config.name, "status": status, **self.settings}
        rundir.write_json(self.document, {**head, **results})


def seed_settings(seeds: Sequence[int], config: Config) -> dict[str, Any]:
    """The settings of a training with these seeds; what is learned from stays that of the first."""
    given = config.dataset.split_seed
    return {"seeds": list(seeds), "split_seed": seeds[0] if given is None else given}


def fold_settings(folds: int, scheme: FoldScheme, by: str | None, reason: str) -> dict[str, Any]:
    """The settings of a cross-validation.

    Args:
        folds: how many.
        scheme: how the examples are divided.
        by: column of the groups or of the time.
        reason: why this scheme.
    """
    return {"folds": folds, "scheme": scheme, "by": by, "reason": reason}


def members(kind: Kind, config: Config, settings: Mapping[str, Any]) -> tuple[Member, ...]:
    """The runs of a series.

    Raises:
        UsageError: the folds contradict the config.
    """
    if kind is SEEDS:
        return tuple(
            Member(f"seed-{seed}", _with_dataset(config, split_seed=settings["split_seed"], seed=seed))
            for seed in settings["seeds"]
        )
    found = []
    for index in range(settings["folds"]):
        fold = Fold(index=index, of=settings["folds"], scheme=settings["scheme"], by=settings["by"])
        found.append(Member(f"fold-{index + 1}", _with_dataset(config, fold=fold)))
    for path, message in contradictions(found[0].config):
        raise UsageError(f"{dotted(path)}: {message}")
    return tuple(found)


def _with_dataset(config: Config, *, seed: int | None = None, **dataset: Any) -> Config:
    return config.model_copy(
        update={
            "seed": config.seed if seed is None else seed,
            "dataset": config.dataset.model_copy(update=dataset),
        }
    )


def base_config(config: Config) -> Config:
    """What the members are made from: whether a command goes on with a series is not theirs to repeat.

    Raises:
        UsageError: it is the config of a fold.
    """
    if config.dataset.fold is not None:
        raise UsageError(
            "dataset.fold: this is the config of one fold; give the config that was cross-validated, or add "
            "dataset.fold=null"
        )
    return config.model_copy(update={"training": config.training.model_copy(update={"resume": "never"})})


def find(
    kind: Kind, config: Config, wanted: Mapping[str, Any], path: Path | None, resume: Resume
) -> Series | None:
    """The series to go on with; None to begin one.

    Args:
        kind: which.
        config: from `base_config`.
        wanted: the settings that are asked for; those left out are as they were.
        path: where it is to lie; None for a place of our own.
        resume: whether to go on.

    Raises:
        UsageError: there is none to go on with, or it was made with other settings or another config.
    """
    place = path
    if resume == "never":
        _check_free(kind, path)
        return None
    if path is None:
        place = next(_newest(kind, config.name), None)
        if place is not None and resume == "auto" and _read(kind, place)["status"] == FINISHED:
            return None
    if place is None or not (place / kind.document).exists():
        if resume == "must":
            where = f"in {path}" if path else f"of {config.name} under {rundir.RUNS / config.name}"
            raise UsageError(f"--resume: there is no {kind.title} {where} to go on with; leave --resume out")
        _check_free(kind, path)
        return None
    return _opened(kind, config, wanted, place)


def _opened(kind: Kind, config: Config, wanted: Mapping[str, Any], place: Path) -> Series:
    document = _read(kind, place)
    then = validation.load(place / "config.yaml").config
    changed = [
        f"{key}: {json.dumps(document.get(key))} then, {json.dumps(value)} now"
        for key, value in wanted.items()
        if document.get(key) != value
    ]
    left, right = (dict(validation.resolved_values(item)) for item in (then, config))
    changed += [
        f"{dotted(key)}: {json.dumps(left.get(key))} then, {json.dumps(right.get(key))} now"
        for key in {**left, **right}
        if left.get(key) != right.get(key)
    ]
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UsageError(
            f"{place}: this {kind.title} was begun otherwise ({'; '.join(changed[:5])}{more}); take that "
            "back, or begin anew without --resume"
        )
    keys = ("seeds", "split_seed") if kind is SEEDS else ("folds", "scheme", "by", "reason")
    try:
        settings = {key: document[key] for key in keys}
        return Series(kind, place, then, settings, members(kind, then, settings))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{place / kind.document}: is damaged ({error}); begin anew") from None


def _read(kind: Kind, place: Path) -> dict[str, Any]:
    document = rundir.read_json(place / kind.document)
    if "status" not in document:
        raise UsageError(f"{place / kind.document}: is damaged (no status); begin anew")
    return document


def _newest(kind: Kind, name: str) -> Iterator[Path]:
    """The series of a config, newest first."""
    found = (rundir.RUNS / name).glob(f"{kind.prefix}-*/{kind.document}")
    yield from sorted((path.parent for path in found), reverse=True)


def _check_free(kind: Kind, path: Path | None) -> None:
    if path is not None and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"--run-dir {path}: is not empty; name a new folder, or go on with the {kind.title} in it with "
            f"{'--resume' if kind is CROSS_VALIDATION else '--resume auto'}"
        )


def create(kind: Kind, config: Config, settings: Mapping[str, Any], path: Path | None) -> Series:
    """Make the folder of a new series.

    Args:
        kind: which.
        config: from `base_config`.
        settings: from `fold_settings` or `seed_settings`.
        path: where it is to lie; None for a place of our own.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        if path is None:
            path = _new(lambda: rundir.RUNS / config.name / f"{kind.prefix}-{datetime.now():%Y%m%d-%H%M%S}")
        else:
            path.mkdir(parents=True, exist_ok=True)
        series = Series(kind, path, config, settings, members(kind, config, settings))
        rundir.write_yaml(path / "config.yaml", config.model_dump(mode="json"))
        series.write(RUNNING, {})
    except OSError as error:
        raise UsageError(f"{path or rundir.RUNS}: cannot be written: {error.strerror}") from None
    return series


def _new(name: Callable[[], Path]) -> Path:
    while True:
        path = name()
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            # Two were begun in the same second.
            time.sleep(0.1)
        else:
            return path
