"""Two or more runs held against each other, from their files alone: no data is loaded, no model built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bigmodel_cli.comparison.differences import (
    SPLITS,
    Difference,
    SplitDifference,
    config_differences,
    data_differences,
    environment_differences,
    split_differences,
)
from bigmodel_cli.comparison.paired import RESAMPLES
from bigmodel_cli.comparison.pairing import PairedResult, evaluate_command, paired_results
from bigmodel_cli.comparison.scores import ScoreRow, measured_rows, validation_rows
from bigmodel_cli.config.document import read
from bigmodel_cli.contracts import SplitName
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run


@dataclass(frozen=True)
class Cost:
    """Speed and size of a run.

    Attributes:
        device: what it was trained on.
        examples_per_second: in training, median of the epochs; None, as the others, while it is unknown.
        seconds: of training, over all sittings.
        epochs: finished.
        parameters: of the model.
        flops: of one example's forward pass.
        model_bytes: size of model.keras.
    """

    device: str | None
    examples_per_second: float | None
    seconds: float | None
    epochs: int | None
    parameters: int | None
    flops: int | None
    model_bytes: int | None


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; wherever there is one value a run, they stand in the order of `runs`.

    Attributes:
        runs: the first is the reference.
        labels: a short name of each, distinct.
        statuses: finished, stopped, running, ...
        config: keys in which they differ.
        splits: their examples.
        data: what else differs in the data.
        environment: versions and machines that differ.
        validation: metrics at the best epoch.
        split: which split the next three are about.
        measured: metrics with intervals.
        not_evaluated: index of a run -> the command that evaluates it.
        paired: each run but the first against the first.
        seed: of the bootstrap.
        costs: speed and size.
        notes: `validation`, `measured` or `costs` -> what to keep in mind when reading these figures.
    """

    runs: tuple[Run, ...]
    labels: tuple[str, ...]
    statuses: tuple[str, ...]
    config: tuple[Difference, ...]
    splits: tuple[SplitDifference, ...]
    data: tuple[Difference, ...]
    environment: tuple[Difference, ...]
    validation: tuple[ScoreRow, ...]
    split: SplitName
    measured: tuple[ScoreRow, ...]
    not_evaluated: Mapping[int, str]
    paired: tuple[PairedResult, ...]
    seed: int
    costs: tuple[Cost, ...]
    notes: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; runs are named by their index in `runs`."""
        document = asdict(self)
        document["runs"] = [
            {"run": str(run), "label": label, "status": status}
            for run, label, status in zip(self.runs, self.labels, self.statuses, strict=True)
        ]
        del document["labels"], document["statuses"]
        document["resamples"] = RESAMPLES
        document["not_evaluated"] = {str(index): told for index, told in self.not_evaluated.items()}
        return document


def compare(runs: Sequence[Run], split: SplitName = "test", seed: int = 0) -> Comparison:
    """Hold runs against the first of them.

    Args:
        runs: two or more, all different.
        split: whose evaluations are compared.
        seed: of the bootstrap.

    Raises:
        UsageError: fewer than two, one named twice, or files of a run that are missing or damaged.
    """
    _check(runs)
    configs = [read(run.config).values for run in runs]
    environments = [run.read_environment() for run in runs]
    summaries = [run.read_summary() for run in runs]
    config = config_differences(configs, environments)
    splits = split_differences(runs)
    same = {row.split: row.same is True for row in splits}
    evaluations = [run.read_evaluation(split) for run in runs]
    losses_differ = any(row.key.split(".")[0] == "loss" for row in config)
    validation = validation_rows(summaries, same["validation"], losses_differ)
    return Comparison(
        runs=tuple(runs),
        labels=_labels(runs, [str(item.get("name", "")) for item in configs]),
        statuses=tuple(str(item["status"]) for item in summaries),
        config=config,
        splits=splits,
        data=data_differences([run.read_data().to_json() for run in runs]),
        environment=environment_differences(environments),
        validation=validation,
        split=split,
        measured=measured_rows(evaluations, same[split]),
        not_evaluated={
            index: evaluate_command(run, split)
            for index, (run, found) in enumerate(zip(runs, evaluations, strict=True))
            if found is None
        },
        paired=paired_results(runs, evaluations, splits[SPLITS.index(split)], seed),
        seed=seed,
        costs=tuple(map(_cost, runs, summaries, environments)),
        notes=_notes(same, split, losses_differ, environments),
    )


def _check(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise UsageError("RUN RUN...: comparing takes at least two runs; `bigmodel runs` lists them")
    seen: dict[Any, Run] = {}
    for run in runs:
        if (before := seen.setdefault(run.path.resolve(), run)) is not run:
            raise UsageError(f"{run}: is the same run as {before}; name each run once")


def _labels(runs: Sequence[Run], names: Sequence[str]) -> tuple[str, ...]:
    """What tells all runs apart: the experiment, the folder, both, or else the whole path."""
    folders = [run.path.resolve().name for run in runs]
    both = [f"{name}/{folder}" for name, folder in zip(names, folders, strict=True)]
    for labels in (names, both if len(set(names)) > 1 else folders, both):
        if len(set(labels)) == len(labels) and all(labels):
            return tuple(labels)
    return tuple(map(str, runs))


def _notes(
    same: Mapping[SplitName, bool],
    split: SplitName,
    losses_differ: bool,
    environments: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    notes = {}
    if not same["validation"]:
        notes["validation"] = "the runs were not measured on the same examples, so no best is named"
    elif losses_differ:
        notes["validation"] = "the losses are not the same function, so no best is named for them"
    if not same[split]:
        notes["measured"] = "the runs were not measured on the same examples, so no best is named"
    devices = {str((item.get("devices") or {}).get("description")) for item in environments}
    if len(devices) > 1:
        notes["costs"] = f"trained on different devices ({', '.join(sorted(devices))}): speeds say little"
    return notes


def _cost(run: Run, summary: Mapping[str, Any], environment: Mapping[str, Any]) -> Cost:
    return Cost(
        device=(environment.get("devices") or {}).get("description"),
        examples_per_second=summary.get("examples_per_second"),
        seconds=summary.get("seconds"),
        epochs=summary.get("epochs"),
        parameters=summary.get("parameters"),
        flops=summary.get("flops"),
        model_bytes=run.model.stat().st_size if run.model.exists() else None,
    )
