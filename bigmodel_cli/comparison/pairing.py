"""Which runs can be paired with the reference, and their tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bigmodel_cli.comparison.differences import SplitDifference
from bigmodel_cli.comparison.outputs import Outputs, read_outputs
from bigmodel_cli.comparison.paired import PairedTest, paired_tests
from bigmodel_cli.comparison.scores import scores_of
from bigmodel_cli.contracts import DataSpec, SplitName
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run

_OTHER = "predicts something else than the reference"


@dataclass(frozen=True)
class PairedResult:
    """A run against the reference.

    Attributes:
        run: index of the run.
        tests: metric by metric; empty where there is a reason for it.
        reason: why they cannot be compared.
        left_out: metrics of metrics.json without a test, each with the reason.
    """

    run: int
    tests: tuple[PairedTest, ...]
    reason: str = ""
    left_out: Mapping[str, str] | None = None


def evaluate_command(run: Run, split: SplitName) -> str:
    """What to type so that a run is evaluated."""
    return f"bigmodel evaluate {run}" + ("" if split == "test" else f" --split {split}")


def paired_results(
    runs: Sequence[Run],
    evaluations: Sequence[Mapping[str, Any] | None],
    examples: SplitDifference,
    seed: int,
) -> tuple[PairedResult, ...]:
    """Every run but the first against the first.

    Args:
        runs: the first is the reference.
        evaluations: the metrics.json of each; None where it is not evaluated.
        examples: the split that they were evaluated on.
        seed: of the bootstrap.
    """
    keys = [one.key for one in runs[0].read_data().target.tasks]
    if not keys:
        return _paired(runs, evaluations, examples, seed, None)
    of_each = {
        key: _paired(
            runs, [((item or {}).get("outputs") or {}).get(key) for item in evaluations], examples, seed, key
        )
        for key in keys
    }
    return tuple(
        _joined({key: results[place] for key, results in of_each.items()}) for place in range(len(runs) - 1)
    )


def _joined(of_each: Mapping[str, PairedResult]) -> PairedResult:
    """The results of a run's several targets as one: metrics such as `species_accuracy`."""
    tests = [
        replace(test, metric=f"{key}_{test.metric}") for key, found in of_each.items() for test in found.tests
    ]
    first = next(iter(of_each.values()))
    if not tests:
        return first
    left_out = {
        f"{key}_{name}": reason
        for key, found in of_each.items()
        for name, reason in (found.left_out or {}).items()
    }
    left_out |= {key: found.reason for key, found in of_each.items() if found.reason}
    return PairedResult(first.run, tuple(tests), left_out=left_out)


def _paired(
    runs: Sequence[Run],
    evaluations: Sequence[Mapping[str, Any] | None],
    examples: SplitDifference,
    seed: int,
    key: str | None,
) -> tuple[PairedResult, ...]:
    """As `paired_results`, of one of several targets, by the key of its output; None for the only one."""
    reference = _outputs(runs[0], evaluations[0], examples.split, key)
    if isinstance(reference, str):
        return tuple(PairedResult(index, (), f"the reference {reference}") for index in range(1, len(runs)))
    reasons: dict[int, str] = {}
    comparable: dict[int, Outputs] = {0: reference}
    recorded = [run.read_splits().get(examples.split, {}).get("sha256") for run in runs]
    specs = [_spec(run, key) for run in runs]
    for index, run in enumerate(runs[1:], 1):
        found = _outputs(run, evaluations[index], examples.split, key)
        if isinstance(found, str):
            reasons[index] = found
        elif _said(specs[index]) != _said(specs[0]):
            reasons[index] = _OTHER
        elif None in (recorded[0], recorded[index]):
            reasons[index] = "which examples it was measured on was not recorded; train again"
        elif recorded[index] != recorded[0] or not _alike(reference, found):
            reasons[index] = (
                f"was measured on other {examples.split} examples than the reference; train both with the "
                "same dataset section and seed"
            )
        else:
            comparable[index] = found
    results = {index: PairedResult(index, (), reason) for index, reason in reasons.items()}
    if len(comparable) > 1:
        results |= _tested(comparable, evaluations, seed)
    return tuple(results[index] for index in range(1, len(runs)))


def _said(spec: DataSpec | None) -> tuple[str, tuple[str, ...]] | None:
    """Task, and classes or targets."""
    return None if spec is None else (spec.task, spec.target.names)


def _spec(run: Run, key: str | None) -> DataSpec | None:
    """What a run was trained on; of several targets the one of that key, None where it has none."""
    whole = run.read_data()
    if key is None:
        return whole
    parts = zip(whole.target.tasks, whole.parts, strict=True)
    return next((part for one, part in parts if one.key == key), None)


def _outputs(
    run: Run, evaluation: Mapping[str, Any] | None, split: SplitName, key: str | None
) -> Outputs | str:
    """What a run predicted, or why that is not known."""
    spec = _spec(run, key)
    if spec is None or spec.target.tasks:
        return _OTHER
    if evaluation is None:
        return f"is not evaluated on the {split} split; type `{evaluate_command(run, split)}`"
    try:
        return read_outputs(run.evaluation(split) / (key or "") / "predictions.parquet", spec)
    except UsageError as error:
        return f"cannot be paired: {error}"


def _alike(reference: Outputs, other: Outputs) -> bool:
    return np.array_equal(reference.ids, other.ids) and np.array_equal(reference.targets, other.targets)


def _tested(
    outputs: Mapping[int, Outputs], evaluations: Sequence[Mapping[str, Any] | None], seed: int
) -> dict[int, PairedResult]:
    values, tests = paired_tests(list(outputs.values()), seed)
    order = list(outputs)
    left_out: dict[str, str] = {}
    for position, index in enumerate(order):
        for name, score in scores_of(evaluations[index]).items():
            if name not in values:
                left_out[name] = "there is no paired test for it"
            elif score is None or not np.isfinite(values[name][position]):
                left_out[name] = "is undefined for one of the runs"
            # A test of something else than what the tables show would be worse than none.
            elif not np.isclose(values[name][position], score.value, rtol=1e-3, atol=1e-6):
                left_out.setdefault(
                    name, "its predictions do not give the value of metrics.json; evaluate again"
                )
    measured = {name for item in evaluations for name in scores_of(item)}
    return {
        index: PairedResult(
            index,
            tuple(test for test in found if test.metric in measured and test.metric not in left_out),
            left_out=left_out,
        )
        for index, found in zip(order[1:], tests, strict=True)
    }
