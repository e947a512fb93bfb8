"""Evaluation of autoencoders: batch by batch, for the reconstructions of a split may not fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import rundir
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data import contents
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError
from bigmodel_cli.evaluation import reconstruction_pictures as drawing
from bigmodel_cli.evaluation.grouping import members
from bigmodel_cli.evaluation.latent_space import Coder, Seen, flat
from bigmodel_cli.evaluation.outcome import Evaluation, LeftOut
from bigmodel_cli.evaluation.reconstruction_baselines import (
    Sample,
    mean_baseline,
    principal_components,
    probe,
)
from bigmodel_cli.evaluation.subject import Subject
from bigmodel_cli.evaluation.worst_examples import COUNT, WorstExample, inputs_as_texts
from bigmodel_cli.metrics import group_scores, reconstruction_columns, reconstruction_metrics
from bigmodel_cli.metrics.groups import Columns
from bigmodel_cli.plots import Theme
from bigmodel_cli.projection import Projection
from bigmodel_cli.reconstruction import labelled, scaled

EXAMPLES, SAMPLE_BYTES = 10_000, 512e6
"""Training examples that baselines and probe are fitted on, and their memory, at most."""
_NAMED = 10


@dataclass(frozen=True, eq=False)
class _Measured:
    """A split with finite results.

    Attributes:
        split: its examples.
        positions: of them in the whole split (n,).
        left_out: of the others (m,).
        seen: what the model says of them.
        classes: of the dataset (n,), where it has and gives them; else None.
    """

    split: SplitData
    positions: np.ndarray
    left_out: np.ndarray
    seen: Seen
    classes: np.ndarray | None


def evaluate_reconstruction(
    restored: Restored, subject: Subject, by: Sequence[str], theme: Theme, projection: Projection
) -> Evaluation:
    """Measure an autoencoder; see `stage.evaluate`.

    Raises:
        UsageError: a column to group by that is not there.
        DataError: no output is finite, or the run's own data is not here.
    """
    spec, run, config = restored.spec, restored.run, restored.config
    own, data = labelled(spec), subject.data
    if data is None:
        raise DataError(
            f"{run}: reconstructions are measured beside the mean and the principal components of the "
            "training split, which cannot be read here; bring the data back, or take the errors that "
            "`bigmodel predict` gives"
        )
    if subject.record is not None:
        # Its labels, if it has any, are not read.
        own = replace(own, task="reconstruction")
    known = own.task not in ("segmentation", "reconstruction")
    targets = subject.split.targets() if known else np.empty(0)
    memberships = [(column, members(column, subject.split, own, targets)) for column in by]
    coder, sample_split = Coder(restored), contents.sample(data.splits["train"], _fits(spec))
    sample = _sample(spec, own, sample_split, data.splits["train"].size)
    measured = _see(restored, subject, coder, sample, targets, own)
    columns, notes = _columns(coder, measured, sample, sample_split, subject)
    rest = (measured.split, subject.keeping, spec)
    baseline = mean_baseline(measured.seen, sample, *rest, coder.likelihood, measured.classes)
    linear, reason = principal_components(measured.seen, sample, *rest, measured.classes, config.seed)
    report = reconstruction_metrics(columns, baseline, latents=coder.latents, seed=config.seed, notes=notes)
    folder = run.evaluation(subject.name)
    folder.mkdir(parents=True, exist_ok=True)
    ids = subject.ids[measured.positions]
    _write(folder / "predictions.parquet", ids, measured, own)
    evaluation = Evaluation(
        run, subject.name, subject.title, folder, report, linear, None, None,
        tuple(
            group_scores(column, names, member[measured.positions], columns, seed=config.seed)
            for column, (names, member) in memberships
        ),
        LeftOut(len(measured.left_out), tuple(subject.ids[measured.left_out[:_NAMED]].tolist()))
        if len(measured.left_out) else None,
        None, _worst(restored, measured, ids, own),
        tuple(_pictures(restored, coder, measured, folder, subject.title, theme, projection)),
        (*subject.notes, *_left_out(subject, measured), *([reason] if reason else [])),
        subject.record,
    )  # fmt: skip
    rundir.write_json(folder / "metrics.json", evaluation.to_json())
    return evaluation


def _fits(spec: DataSpec) -> int:
    return min(EXAMPLES, max(100, int(SAMPLE_BYTES / (4 * spec.outputs))))


def _sample(spec: DataSpec, own: DataSpec, split: SplitData, size: int) -> Sample:
    inputs, targets = split.arrays()
    known = own.task == "classification"
    told = f"all {size:,}" if split.size == size else f"{split.size:,} of {size:,}"
    return Sample(
        flat(scaled(inputs.astype(np.float32), spec)).astype(np.float32), targets if known else None, told
    )


def _see(
    restored: Restored, subject: Subject, coder: Coder, sample: Sample, targets: np.ndarray, own: DataSpec
) -> _Measured:
    """Encode and decode, and leave out what is not finite.

    Raises:
        DataError: nothing is finite.
    """
    seen = coder.see(subject.split, subject.keeping, sample.mean)
    finite = seen.finite
    if not finite.any():
        raise DataError(
            f"{restored.run}: none of the {len(finite):,} reconstructions of the {subject.title} is finite: "
            "the model diverged, or the inputs are not finite; train again with a lower learning rate"
        )
    positions = np.flatnonzero(finite)
    split = subject.split if finite.all() else contents.picked(subject.split, positions)
    classes = targets[positions] if own.task == "classification" else None
    return _Measured(split, positions, np.flatnonzero(~finite), seen.of(positions), classes)


def _columns(
    coder: Coder, measured: _Measured, sample: Sample, sample_split: SplitData, subject: Subject
) -> tuple[Columns, tuple[str, ...]]:
    """What the scores are made of, and what could not be measured."""
    seen, more = measured.seen, dict(measured.seen.bound)
    notes: tuple[str, ...] = ()
    if measured.classes is None:
        what = "new data comes without" if subject.record is not None else "the dataset has no"
        notes = (f"no probe: {what} classes that the latents could tell apart",)
    else:
        trained = coder.see(sample_split, subject.keeping, sample.mean)
        known = trained.finite
        assert sample.classes is not None
        right = probe(trained.latents[known], sample.classes[known], seen.latents, measured.classes)
        if right is None:
            notes = ("no probe: the training examples are of one class",)
        else:
            more["probe_accuracy"] = right
    return reconstruction_columns(seen.squared, seen.absolute, seen.spread, **more), notes


def _left_out(subject: Subject, measured: _Measured) -> list[str]:
    if not (left := len(measured.left_out)):
        return []
    first = ", ".join(map(str, subject.ids[measured.left_out[:_NAMED]]))
    return [
        f"left out: {left:,} of {subject.split.size:,} examples, of which something is not finite: {first}"
        + (", ..." if left > _NAMED else "")
    ]


def _write(path: Path, ids: np.ndarray, measured: _Measured, own: DataSpec) -> None:
    """A row an example: its errors, the parts of the bound, its class where it has one, and its latents."""
    import pyarrow as pa
    from pyarrow import parquet

    seen = measured.seen
    columns: dict[str, Any] = {
        "id": ids, "mse": seen.squared, "mae": seen.absolute, "spread": seen.spread, **seen.bound
    }  # fmt: skip
    if measured.classes is not None:
        columns["target"] = np.asarray(own.target.names, object)[measured.classes]
    columns |= {f"latent_{index}": values for index, values in enumerate(seen.latents.T)}
    rundir.write_atomically(path, lambda temporary: parquet.write_table(pa.table(columns), temporary))


def _worst(
    restored: Restored, measured: _Measured, ids: np.ndarray, own: DataSpec
) -> tuple[WorstExample, ...]:
    """The examples with the largest error; of features, the one that is farthest off."""
    spec, seen = restored.spec, measured.seen
    chosen = np.argsort(-seen.squared, kind="stable")[:COUNT]
    rows = inputs_as_texts(spec, measured.split, chosen)
    told = [""] * len(chosen) if spec.input.kind == "image" else _farthest(restored, measured, chosen)
    return tuple(
        WorstExample(
            ids[place].item() if hasattr(ids[place], "item") else ids[place],
            own.target.names[int(measured.classes[place])] if measured.classes is not None else "",
            text, float(np.sqrt(seen.squared[place])), row,
        )
        for place, text, row in zip(chosen, told, rows, strict=True)
    )  # fmt: skip


def _farthest(restored: Restored, measured: _Measured, chosen: np.ndarray) -> list[str]:
    """`proline 1035 (1260)`: the reconstruction of the feature with the largest error, and the truth."""
    order = np.argsort(chosen)
    true = contents.picked(measured.split, chosen[order]).arrays()[0][np.argsort(order)]
    given = restored.predict(true)
    spec = restored.spec
    names = spec.input.names or tuple(f"x{index}" for index in range(true.shape[1]))
    error = np.abs(scaled(given, spec) - scaled(true, spec)).argmax(axis=1)
    return [
        f"{names[at]} {given[row, at]:.4g} (true {true[row, at]:.4g})"
        for row, at in enumerate(error.tolist())
    ]


def _pictures(
    restored: Restored,
    coder: Coder,
    measured: _Measured,
    folder: Path,
    subject_title: str,
    theme: Theme,
    projection: Projection,
) -> list[Path]:
    title = f"{restored.config.name}, {subject_title}"
    found = []
    image = restored.spec.input.kind == "image"
    if image:
        found += drawing.of_examples(
            restored, measured.split, measured.seen, folder, title=title, theme=theme
        )
    found += drawing.of_latents(
        restored, measured.seen.latents, measured.classes, folder,
        method=projection, title=title, theme=theme,
    )  # fmt: skip
    if image and coder.likelihood is not None:
        found += drawing.of_prior(restored, coder, folder, title=restored.config.name, theme=theme)
    return found
