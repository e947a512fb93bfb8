"""Which pictures an evaluation has, by what was learnt from what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bigmodel_cli import pictures, plots
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data import contents
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.metrics import ClassificationReport, MultiLabelReport, RegressionReport
from bigmodel_cli.plots import Theme
from bigmodel_cli.targets import predicted_labels


def draw(
    spec: DataSpec,
    split: SplitData,
    targets: np.ndarray,
    outputs: np.ndarray,
    report: ClassificationReport | MultiLabelReport | RegressionReport,
    folder: Path,
    *,
    title: str,
    predict: Callable[[np.ndarray], np.ndarray],
    least_squares: tuple[float, float] | None = None,
    theme: Theme = "light",
) -> list[Path]:
    """Draw what fits the task and the inputs.

    Args:
        spec: of the data.
        split: the examples.
        targets: of the examples: class indices (n,), labels (n, labels) of 0 and 1, or values (n, targets).
        outputs: of the model: probabilities (n, classes) or (n, labels), or predictions (n, targets).
        report: the metrics.
        folder: where the PNGs go.
        title: above all.
        predict: inputs to outputs, for the line of a model that is one.
        least_squares: slope and intercept of a line beside it.
        theme: light or dark.
    """
    if isinstance(report, ClassificationReport):
        found = _classification(spec, targets, outputs, report.confusion, folder, title, theme)
        if spec.input.kind == "image":
            found += _images(spec, split, targets, outputs, folder, title, theme)
        return found
    if isinstance(report, MultiLabelReport):
        return _multi_label(spec, split, targets, outputs, folder, title, theme)
    found = pictures.regression(spec, outputs, targets, folder, title=title, theme=theme)
    if pictures.has_line(spec):
        found.append(
            pictures.fitted_line(
                spec, predict, split.arrays()[0], targets, folder / "fitted_line.png",
                title=title, least_squares=least_squares, theme=theme,
            )
        )  # fmt: skip
    return found


def _classification(
    spec: DataSpec,
    targets: np.ndarray,
    outputs: np.ndarray,
    confusion: np.ndarray,
    folder: Path,
    title: str,
    theme: Theme,
) -> list[Path]:
    names = spec.target.names
    shares = folder / "confusion_matrix_normalised.png"
    return [
        plots.confusion_matrix(confusion, names, folder / "confusion_matrix.png", title=title, theme=theme),
        plots.confusion_matrix(confusion, names, shares, title=title, normalised=True, theme=theme),
        plots.class_bars(confusion, names, folder / "classes.png", title=title, theme=theme),
        plots.roc_curves(targets, outputs, names, folder / "roc.png", title=title, theme=theme),
        plots.precision_recall_curves(
            targets, outputs, names, folder / "precision_recall.png", title=title, theme=theme
        ),
        plots.reliability(targets, outputs, folder / "reliability.png", title=title, theme=theme),
    ]


def _multi_label(
    spec: DataSpec,
    split: SplitData,
    targets: np.ndarray,
    outputs: np.ndarray,
    folder: Path,
    title: str,
    theme: Theme,
) -> list[Path]:
    names, flags = spec.target.names, targets.astype(np.int64)
    # Every label of every example is a decision between two classes: without the label and with it.
    decisions, sides = flags.ravel(), np.stack([1 - outputs.ravel(), outputs.ravel()], axis=1)
    found = [
        plots.label_bars(
            flags, predicted_labels(outputs), names, folder / "labels.png", title=title, theme=theme
        ),
        plots.roc_curves(flags, outputs, names, folder / "roc.png", title=title, theme=theme),
        plots.precision_recall_curves(
            flags, outputs, names, folder / "precision_recall.png", title=title, theme=theme
        ),
        plots.reliability(
            decisions,
            sides,
            folder / "reliability.png",
            title=f"{title}: every label on its own",
            theme=theme,
        ),
    ]
    if spec.input.kind == "image":
        first = split.first(pictures.IMAGES).arrays()[0]
        path = folder / "predictions.png"
        found.append(pictures.image_grid(spec, first, outputs, targets, path, title=title, theme=theme))
    return found


def _images(
    spec: DataSpec,
    split: SplitData,
    targets: np.ndarray,
    outputs: np.ndarray,
    folder: Path,
    title: str,
    theme: Theme,
) -> list[Path]:
    """The first images, the worst and the most doubtful ones."""
    first = split.first(pictures.IMAGES).arrays()[0]
    path = folder / "predictions.png"
    found = [pictures.image_grid(spec, first, outputs, targets, path, title=title, theme=theme)]
    chosen = worst(targets, outputs, pictures.IMAGES)
    own = outputs[chosen, targets[chosen]]
    details = [_share("true:", spec, *pair) for pair in zip(targets[chosen], own, strict=True)]
    found.append(
        pictures.image_grid(
            spec, _picked(split, chosen), outputs[chosen], targets[chosen], folder / "worst.png",
            title=f"{title}: where the true class is least probable", details=details, theme=theme,
        )
    )  # fmt: skip
    if spec.outputs < 2:
        return found
    chosen = doubtful(outputs, pictures.IMAGES)
    second = outputs[chosen].argsort(axis=1)[:, -2]
    details = [_share("or", spec, *pair) for pair in zip(second, outputs[chosen, second], strict=True)]
    found.append(
        pictures.image_grid(
            spec, _picked(split, chosen), outputs[chosen], targets[chosen], folder / "doubtful.png",
            title=f"{title}: where the two likeliest classes are closest", details=details, theme=theme,
        )
    )  # fmt: skip
    return found


def worst(targets: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """Positions of the examples whose true class is the least probable, the worst first.

    Args:
        targets: class indices (n,).
        probabilities: (n, classes); examples that are not finite are left out.
        count: how many at most.
    """
    known = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    own = probabilities[known, targets[known]]
    return np.asarray(known[np.argsort(own, kind="stable")[:count]])


def doubtful(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Positions of the examples with the smallest margin, the most doubtful first.

    The margin is that between the two most probable classes (Settles, Active Learning Literature Survey,
    2009, section 3.1).

    Args:
        probabilities: (n, classes), at least 2; examples that are not finite are left out.
        count: how many at most.
    """
    known = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    two = np.partition(probabilities[known], -2, axis=1)[:, -2:]
    return np.asarray(known[np.argsort(two[:, 1] - two[:, 0], kind="stable")[:count]])


def _picked(split: SplitData, positions: np.ndarray) -> np.ndarray:
    """Images at positions of a split, in the order of the positions."""
    order = np.argsort(positions)
    images = contents.picked(split, positions[order]).arrays()[0]
    return np.asarray(images[np.argsort(order)])


def _share(word: str, spec: DataSpec, index: int, probability: float) -> str:
    return f"{word} {spec.target.names[index]} ({probability:.1%})"
