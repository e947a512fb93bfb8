"""What the files of a run say of it; no data is loaded and TensorFlow is not started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigmodel_cli import rundir, validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, Task
from bigmodel_cli.rundir import Run

_MAIN = ("perplexity", "accuracy", "mean_iou", "micro_f1", "r2", "rmse", "loss")
"""What an evaluation is known by: the first of these that it has."""


@dataclass(frozen=True)
class OutputWords:
    """How people speak of what a task predicts.

    Attributes:
        one: `class`.
        several: `classes`.
        counted: what `TargetSpec.counts` are: `examples`.
        exclusive: whether these add up to the whole; labels of one example do not.
    """

    one: str
    several: str
    counted: str
    exclusive: bool = True


WORDS: Mapping[Task, OutputWords] = {
    "classification": OutputWords("class", "classes", "examples"),
    "multi_label": OutputWords("label", "labels", "examples", exclusive=False),
    "segmentation": OutputWords("class", "classes", "pixels"),
    "regression": OutputWords("target", "targets", "examples"),
    "language_model": OutputWords("token", "tokens", "times"),
    "masked_language_model": OutputWords("token", "tokens", "times"),
    "reconstruction": OutputWords("value", "values", "examples"),
    "multi_task": OutputWords("output", "outputs", "examples"),
}


@dataclass(frozen=True)
class Facts:
    """A run, as its files tell it.

    Attributes:
        run: where it lies.
        config: resolved.
        spec: of the data.
        splits: which examples each split holds; empty in runs of before that was recorded.
        environment: of environment.json.
        summary: of summary.json.
        history: the epochs.
        evaluations: split -> the document of its metrics.json, the test split first, new data last; of
            several tasks `split/key` -> that of each.
        tags: words that the user gave it.
    """

    run: Run
    config: Config
    spec: DataSpec
    splits: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    summary: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    evaluations: Mapping[str, Mapping[str, Any]]
    tags: Sequence[str]

    @property
    def words(self) -> OutputWords:
        """For what the task predicts."""
        return WORDS[self.spec.task]

    @property
    def outputs_text(self) -> str:
        """What the model gives: `3 classes`, or of several tasks `2 targets: species (3 classes), ...`."""
        tasks = self.spec.target.tasks
        if not tasks:
            return f"{self.spec.outputs:,} {self.words.several}"
        each = (
            f"{one.name} ({len(one.target.names)} classes)" if one.task == "classification" else one.name
            for one in tasks
        )
        return f"{len(tasks)} targets: {', '.join(each)}"

    @property
    def input_text(self) -> str:
        """What one input is: `28x28x1 image, uint8`."""
        taken = self.spec.input
        if taken.kind == "image":
            return f"{'x'.join(map(str, taken.shape))} image, {taken.dtype}"
        if len(taken.shape) > 1:
            return f"{'x'.join(map(str, taken.shape))} sequence of numbers"
        what = {"table": "column", "tabular": "number"}[taken.kind]
        return f"{taken.shape[0]} {what}{'s' if taken.shape[0] > 1 else ''}"

    @property
    def config_text(self) -> str:
        """The file of the config."""
        return self.run.config.read_text(encoding="utf-8")

    def pictures(self, split: str) -> list[Path]:
        """Of an evaluation, those that are there."""
        folder = self.run.evaluation(split)
        named = [folder / name for name in self.evaluations[split].get("pictures", [])]
        return [path for path in named if path.is_file()]

    def measured_on(self, name: str) -> str:
        """What the examples of an evaluation are, for people: `test split`, `new data penguins.csv`."""
        document = self.evaluations[name]
        data, output = document.get("data"), document.get("output")
        one = "" if output is None else f", {output}"
        if not data:
            return f"{name.partition('/')[0]} split{one}"
        # Where it lies on one machine tells others nothing.
        first, *others = (Path(path).name for path in data["paths"])
        return f"new data {first}" + (f" and {len(others)} more" if others else "") + one

    def choice(self, name: str) -> str:
        """What `auto` decided, such as `precision`; empty where nothing was recorded."""
        return str(self.environment.get("choices", {}).get(name, {}).get("value", ""))


def read(run: Run) -> Facts:
    """Collect the facts of a run.

    Raises:
        UsageError: a file of it is missing or damaged.
    """
    names = ("test", "validation", "train", *run.evaluations_on_new_data())
    found = {name: run.read_evaluation(name) for name in names}
    return Facts(
        run,
        validation.load(run.config).config,
        run.read_data(),
        run.read_splits(),
        run.read_environment(),
        run.read_summary(),
        run.history(),
        dict(_single(found)),
        run.read_tags(),
    )


def _single(found: Mapping[str, Mapping[str, Any] | None]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The evaluations that are there; of several tasks that of each."""
    for split, document in found.items():
        for key, one in (document or {}).get("outputs", {}).items():
            yield f"{split}/{key}", one
        if document is not None and "outputs" not in document:
            yield split, document


def main_score(evaluation: Mapping[str, Any]) -> str:
    """Name of the score that an evaluation is known by."""
    scores = evaluation["scores"]
    return next((name for name in _MAIN if scores.get(name)), next(iter(scores)))


def interval_text(score: Mapping[str, float] | None, text: Any) -> tuple[str, str]:
    """A score and its interval as texts.

    Args:
        score: value, low and high; None where it is undefined.
        text: a number to its text.
    """
    if score is None:
        return "undefined", ""
    return text(score["value"]), f"{text(score['low'])} to {text(score['high'])}"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    rundir.write_atomically(path, lambda temporary: _write(temporary, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
