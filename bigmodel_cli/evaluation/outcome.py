"""What an evaluation found, and its JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bigmodel_cli.contracts import OneOfSeveral
from bigmodel_cli.evaluation.calibrating import Calibration
from bigmodel_cli.evaluation.least_squares import LeastSquares
from bigmodel_cli.evaluation.worst_examples import WorstExample
from bigmodel_cli.metrics import (
    Baseline,
    ClassificationReport,
    Grouping,
    LanguageReport,
    MultiLabelReport,
    ReconstructionReport,
    RegressionReport,
    SegmentationReport,
    Threshold,
)
from bigmodel_cli.rundir import Run


@dataclass(frozen=True)
class LeftOut:
    """Examples that are not measured, as the model's output for them is not finite.

    Attributes:
        count: how many.
        first: ids of the first of them: positions in the split, of new data `file:line`.
    """

    count: int
    first: tuple[int | str, ...]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        run: the run.
        split: which examples: of the run's own; of new data the name of the folder.
        title: the same for people.
        folder: where everything was written.
        report: metrics with intervals and baseline.
        linear_baseline: a linear model on the same examples, of a reconstruction the principal components;
            None where there is none, with a note.
        calibration: of a classifier, what the temperature fitted on the validation split does; else None.
        threshold: of two classes, what the threshold chosen on the validation split does; else None.
        groups: one for each column that was asked for.
        left_out: examples whose output is not finite; None where all are.
        least_squares: for linear regression only.
        worst_examples: the examples that it gets most wrong.
        pictures: the PNG files.
        notes: what could not be computed or was left out, a line each; without those of the report.
        data: of new data, where it lies, a fingerprint, and what was left out of it; None of a split.
        samples: of a language model, what it writes after some prompts, and how that was drawn; else None.
        output: which of several tasks it is of; None for the only one.
    """

    run: Run
    split: str
    title: str
    folder: Path
    report: (
        ClassificationReport
        | MultiLabelReport
        | RegressionReport
        | SegmentationReport
        | LanguageReport
        | ReconstructionReport
    )
    linear_baseline: Baseline | None
    calibration: Calibration | None
    threshold: Threshold | None
    groups: tuple[Grouping, ...]
    left_out: LeftOut | None
    least_squares: LeastSquares | None
    worst_examples: tuple[WorstExample, ...]
    pictures: tuple[Path, ...]
    notes: tuple[str, ...]
    data: Mapping[str, Any] | None = None
    samples: Mapping[str, Any] | None = None
    output: OneOfSeveral | None = None

    def all_notes(self) -> list[str]:
        """Those of the report, then the others."""
        return [*self.report.notes, *self.notes]

    def to_json(self) -> dict[str, Any]:
        """The document of metrics.json."""

        def part(value: Any) -> dict[str, Any] | None:
            return None if value is None else asdict(value)

        return {
            "run": str(self.run),
            "split": self.split,
            **({} if self.output is None else {"output": self.output.name}),
            "data": None if self.data is None else dict(self.data),
            **self.report.to_json(),
            "linear_baseline": part(self.linear_baseline),
            "calibration": part(self.calibration),
            "threshold": part(self.threshold),
            "groups": [asdict(grouping) for grouping in self.groups],
            "left_out": part(self.left_out),
            "notes": self.all_notes(),
            "least_squares": part(self.least_squares),
            "worst_examples": [asdict(example) for example in self.worst_examples],
            "samples": None if self.samples is None else dict(self.samples),
            "pictures": [path.name for path in self.pictures],
        }
