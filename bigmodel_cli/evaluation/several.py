"""The evaluation of several tasks: each as if it were the only one, and all in one document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from bigmodel_cli import assembly, rundir
from bigmodel_cli.assembly import Data, Restored
from bigmodel_cli.errors import UsageError
from bigmodel_cli.evaluation.grouping import TRUE_CLASS
from bigmodel_cli.evaluation.outcome import Evaluation
from bigmodel_cli.evaluation.subject import Subject, new_data
from bigmodel_cli.rundir import Run
from bigmodel_cli.single_tasks import data_of, restored_of, split_of


@dataclass(frozen=True)
class SeveralEvaluations:
    """What `evaluate` found of several tasks.

    Attributes:
        run: the run.
        split: which examples: of the run's own; of new data the name of the folder.
        title: the same for people.
        folder: where everything was written, of each task in a folder of its own.
        outputs: key -> of that task.
    """

    run: Run
    split: str
    title: str
    folder: Path
    outputs: dict[str, Evaluation]

    def to_json(self) -> dict[str, Any]:
        """The document of metrics.json: the scores of all, such as `species_accuracy`, and that of each."""
        found = self.outputs
        first = next(iter(found.values()))
        linear = {key: one.linear_baseline.scores for key, one in found.items() if one.linear_baseline}
        each = "of each output its own"
        return {
            "run": str(self.run),
            "split": self.split,
            "data": None if first.data is None else dict(first.data),
            "task": "multi_task",
            "examples": max(one.report.examples for one in found.values()),
            "scores": {
                f"{key}_{name}": None if score is None else asdict(score)
                for key, one in found.items()
                for name, score in one.report.scores.items()
            },
            "baseline": {
                "description": each,
                "scores": _prefixed({key: one.report.baseline.scores for key, one in found.items()}),
            },
            "linear_baseline": {"description": each, "scores": _prefixed(linear)} if linear else None,
            "notes": [f"{key}: {note}" for key, one in found.items() for note in one.all_notes()],
            "outputs": {key: one.to_json() for key, one in found.items()},
        }


def _prefixed(scores: dict[str, Any]) -> dict[str, Any]:
    return {f"{key}_{name}": value for key, of_one in scores.items() for name, value in of_one.items()}


def own_splits(restored: Restored, subject: Subject, by: Sequence[str]) -> Iterator[tuple[Restored, Subject]]:
    """A split of a run's own data, for each task.

    Args:
        restored: the run.
        subject: the split with all targets.
        by: columns by which groups are measured.

    Raises:
        UsageError: groups of the true class, of which there are several.
    """
    _check_groups(restored, by)
    assert subject.data is not None
    for place, (one, spec) in enumerate(zip(restored.spec.target.tasks, restored.spec.parts, strict=True)):
        alone = replace(
            subject,
            title=f"{one.name}, {subject.title}",
            split=split_of(subject.split, spec, place),
            data=data_of(subject.data, place),
            output=one.key,
        )
        yield restored_of(restored, place), alone


def new_data_of_each(
    restored: Restored, paths: Sequence[str], target: Sequence[str], by: Sequence[str]
) -> Iterator[tuple[Restored, Subject]]:
    """New labelled data, for each task; an example is left out of those whose label it lacks.

    Args:
        restored: the run.
        paths: where the new data lies.
        target: columns of the labels, one each; empty for those of training.
        by: columns by which groups are measured.

    Raises:
        UsageError: another number of columns than there are tasks, or as `own_splits`.
        DataError: as `subject.new_data`.
    """
    _check_groups(restored, by)
    names = [one.name for one in restored.spec.target.tasks]
    if target and len(target) != len(names):
        raise UsageError(
            f"--target {' '.join(target)}: {len(target)} columns for {len(names)} targets; name one for each "
            f"of {', '.join(names)}, in this order"
        )

    own = cache(lambda: assembly.restored_data(restored))

    def own_of(place: int) -> Data:
        return data_of(own(), place)

    for place, (one, column) in enumerate(zip(restored.spec.target.tasks, target or names, strict=True)):
        alone = restored_of(restored, place)
        subject = new_data(alone, paths, (column,), by, partial(own_of, place))
        yield alone, replace(subject, title=f"{one.name}, {subject.title}", output=one.key)


def _check_groups(restored: Restored, by: Sequence[str]) -> None:
    if TRUE_CLASS in by:
        names = ", ".join(one.name for one in restored.spec.target.tasks)
        raise UsageError(
            f"--by {TRUE_CLASS}: there are several targets; name a column, such as one of {names}"
        )


def joined(evaluations: Sequence[Evaluation]) -> SeveralEvaluations:
    """The evaluations of all tasks as one, with its document and the predictions side by side."""
    found = {one.output.key: one for one in evaluations if one.output is not None}
    first = evaluations[0]
    folder, of_first = first.folder.parent, first.output
    assert of_first is not None
    title = first.title.removeprefix(f"{of_first.name}, ")
    whole = SeveralEvaluations(first.run, first.split, title, folder, found)
    _write_predictions(whole)
    rundir.write_json(folder / "metrics.json", whole.to_json())
    return whole


def _write_predictions(whole: SeveralEvaluations) -> None:
    """The predictions of all tasks, a row an example: columns such as `species_prediction`."""
    import pyarrow as pa
    from pyarrow import parquet

    tables = {
        key: parquet.read_table(one.folder / "predictions.parquet") for key, one in whole.outputs.items()
    }
    ids = list(dict.fromkeys(name for table in tables.values() for name in table["id"].to_pylist()))
    columns: dict[str, Any] = {"id": ids}
    for key, table in tables.items():
        places = {name: place for place, name in enumerate(table["id"].to_pylist())}
        # An example that is left out of a task has no cells there.
        rows = table.take(pa.array([places.get(name) for name in ids], pa.int64()))
        columns |= {f"{key}_{name}": rows[name] for name in table.column_names if name != "id"}
    path = whole.folder / "predictions.parquet"
    rundir.write_atomically(path, lambda temporary: parquet.write_table(pa.table(columns), temporary))
