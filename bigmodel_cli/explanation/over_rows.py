"""A model explained over many rows: one picture and one table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import plots
from bigmodel_cli.assembly import Restored
from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.methods import Asked
from bigmodel_cli.explanation.partial_dependence import MOST_ROWS, Dependence, dependences
from bigmodel_cli.explanation.permutation_importance import REPEATS, importance
from bigmodel_cli.explanation.rows import Rows

_SERIES = 5


def importances(restored: Restored, rows: Rows, folder: Path) -> tuple[list[Path], list[str]]:
    """Write `permutation_importance.png` and `.csv`.

    Returns:
        The picture, and what it says in a line.
    """
    targets = rows.targets
    # Without them the method is refused before anything is computed.
    assert targets is not None
    found = importance(restored.predict, rows.values, targets, restored.spec, restored.config.seed)
    means, deviations = found.losses.mean(axis=1), found.losses.std(axis=1)
    order = np.argsort(-means, kind="stable")
    _write(
        folder / "permutation_importance.csv",
        ["column", "importance", "deviation", *(f"repeat_{place + 1}" for place in range(REPEATS))],
        ([found.names[i], means[i], deviations[i], *found.losses[i].tolist()] for i in order),
    )
    change = f"rise in {found.measure}" if found.measure == "rmse" else f"drop in {found.measure}"
    first = found.names[order[0]]
    verb = "raises" if found.measure == "rmse" else "lowers"
    line = (
        f"{first} counts most: shuffling it {verb} the {found.measure} of {found.score:.4g} by "
        f"{means[order[0]]:.4g}"
    )
    if means[order[0]] <= 0:
        line = f"no column counts: shuffling none of them costs {found.measure} (now {found.score:.4g})"
    picture = plots.column_bars(
        found.names,
        means,
        folder / "permutation_importance.png",
        title=f"{restored.config.name}: {line}",
        label=f"{change} when the column is shuffled",
        deviations=deviations,
        notes=[f"Mean and deviation of {REPEATS} times, {found.rows:,} rows"],
    )
    return [picture], [line]


def dependence(restored: Restored, rows: Rows, asked: Asked, folder: Path) -> tuple[list[Path], list[str]]:
    """Write `partial_dependence.png`, `.csv` and `.npz`.

    Returns:
        The picture, and what it says in a line.

    Raises:
        UsageError: no column has a known value.
    """
    found = dependences(restored.predict, rows.values, restored.spec)
    if not found:
        raise UsageError("--explain partial_dependence: no column of these inputs has a known value")
    series = _series(restored, rows, asked)
    names = [restored.spec.target.names[index] for index in series]
    found.sort(key=lambda item: -max(item.spread(index) for index in series))
    _write_dependences(found, series, names, folder)
    drawn = found[: plots.DEPENDENCE_PANELS]
    regression = restored.spec.task == "regression"
    what = names[0] if regression else "probability" if len(names) > 1 else f"probability of {names[0]}"
    line = f"{what} varies most with {found[0].name}"
    left = [item.name for item in found[len(drawn) :]]
    picture = plots.partial_dependence(
        [
            plots.DependencePanel(item.name, item.grid, item.lines[:, :, series], item.kind == "date")
            for item in drawn
        ],
        names,
        folder / "partial_dependence.png",
        title=f"{restored.config.name}: {line}",
        label=what,
        notes=[
            f"Mean over {min(len(rows), MOST_ROWS):,} rows (thick), and single rows (thin)",
            *([f"Not drawn, because they change less: {', '.join(left)}"] if left else []),
        ],
    )
    return [picture], [line]


def _series(restored: Restored, rows: Rows, asked: Asked) -> list[int]:
    """Which outputs are drawn: the one asked for; else all classes, or what stands for them."""
    spec = restored.spec
    index = asked.index(spec)
    if index is not None:
        return [index]
    if spec.task == "regression":
        # Targets of other units have no place on one axis.
        return [0]
    if spec.task == "classification" and spec.outputs == 2:
        return [1]
    if spec.outputs <= _SERIES or rows.predicted is None:
        return list(range(min(spec.outputs, _SERIES)))
    return [int(np.bincount(rows.predicted).argmax())]


def _write_dependences(
    found: Sequence[Dependence], series: Sequence[int], names: Sequence[str], folder: Path
) -> None:
    _write(
        folder / "partial_dependence.csv",
        ["column", "value", "output", "mean"],
        (
            [item.name, value, name, mean]
            for item in found
            for value, means in zip(item.grid.tolist(), item.mean, strict=True)
            for name, mean in zip(names, means[series].tolist(), strict=True)
        ),
    )
    arrays: dict[str, Any] = {"columns": np.array([item.name for item in found]), "outputs": np.array(names)}
    for place, item in enumerate(found):
        arrays |= {f"grid_{place}": item.grid, f"lines_{place}": item.lines[:, :, series]}
    np.savez(folder / "partial_dependence.npz", **arrays)


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
