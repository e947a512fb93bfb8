"""The pictures of predictions, for a run's own examples and for new inputs alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli import plots
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.plots import Theme
from bigmodel_cli.targets import joined_labels, predicted_labels

if TYPE_CHECKING:
    import numpy as np

IMAGES = 25
"""Images in a grid of 5 x 5."""

RECONSTRUCTED = 20
"""Images above their reconstructions."""


def image_grid(
    spec: DataSpec,
    inputs: np.ndarray,
    outputs: np.ndarray,
    targets: Sequence[Any] | np.ndarray,
    path: Path,
    *,
    title: str,
    details: Sequence[str] = (),
    theme: Theme = "light",
) -> Path:
    """The first images with their predicted and true class, or labels.

    Beside predicted labels stands the probability of the least certain decision among them.

    Args:
        spec: of a classification of images, or of their labels.
        inputs: uint8 (n, height, width, channels); of these the first 25.
        outputs: probabilities (n, classes) or (n, labels).
        targets: class indices (n,), or labels (n, labels) of 0 and 1; None where they are not known.
        path: the PNG to write.
        title: above all.
        details: a second line for each image; without, the true class of the wrong.
        theme: light or dark.
    """
    import numpy as np

    names = spec.target.names
    images, shown = inputs[:IMAGES], outputs[:IMAGES]
    confidences = shown.max(axis=1)
    if spec.task == "multi_label":
        predicted = _label_texts(spec, predicted_labels(shown))
        labels = [None if flags is None else _label_texts(spec, flags[None])[0] for flags in targets[:IMAGES]]
        confidences = np.maximum(shown, 1 - shown).min(axis=1)
    else:
        labels = [None if target is None else names[int(target)] for target in targets[:IMAGES]]
        predicted = [names[index] for index in shown.argmax(axis=1)]
    return plots.image_grid(
        images, labels, predicted, confidences, path, title=title, details=details, theme=theme
    )


def reconstructions(
    images: np.ndarray,
    given: np.ndarray,
    captions: Sequence[str],
    path: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> Path:
    """The first images, each above what a model gives back of it.

    Args:
        images: uint8 (n, height, width, channels); of these the first 20, in rows of 10.
        given: of the model (n, height, width, channels), pixels from 0 to 255.
        captions: of each image.
        path: the PNG to write.
        title: above all.
        theme: light or dark.
    """
    import numpy as np

    count = min(RECONSTRUCTED, len(images))
    columns = min(10, count)
    rows = -(-count // columns)
    shown = np.full((2 * rows, columns, *images.shape[1:]), 255 if theme == "light" else 0, np.uint8)
    texts = [[""] * columns for _ in range(2 * rows)]
    for place in range(count):
        row, column = divmod(place, columns)
        shown[2 * row, column] = images[place]
        shown[2 * row + 1, column] = np.clip(np.rint(given[place]), 0, 255)
        texts[2 * row][column] = captions[place]
    names = ["original", "reconstruction"] * rows
    return plots.sample_grid(shown, texts, path, title=title, theme=theme, row_names=names)


def _label_texts(spec: DataSpec, flags: np.ndarray) -> list[str]:
    return [text or "no label" for text in joined_labels(flags, spec.target.names)]


def regression(
    spec: DataSpec,
    outputs: np.ndarray,
    targets: np.ndarray,
    folder: Path,
    *,
    title: str,
    theme: Theme = "light",
) -> list[Path]:
    """Predicted against true, and the residuals.

    Args:
        spec: of a regression.
        outputs: predictions (n, targets).
        targets: true values (n, targets).
        folder: where the PNGs go.
        title: above all.
        theme: light or dark.
    """
    names = spec.target.names
    return [
        plots.predicted_against_true(
            targets, outputs, names, folder / "predicted_against_true.png", title=title, theme=theme
        ),
        plots.residuals(targets, outputs, names, folder / "residuals.png", title=title, theme=theme),
    ]


def has_line(spec: DataSpec) -> bool:
    """Whether the model is a line: one number in, one out."""
    # Columns of a table have statistics of their own, and may be no numbers.
    numbers = spec.input.kind == "tabular" and spec.input.shape == (1,)
    return spec.task == "regression" and numbers and spec.outputs == 1


def fitted_line(
    spec: DataSpec,
    predict: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    values: np.ndarray,
    path: Path,
    *,
    title: str,
    least_squares: tuple[float, float] | None = None,
    points: str = "examples",
    theme: Theme = "light",
) -> Path:
    """The model's line through points.

    Args:
        spec: one for which `has_line` holds.
        predict: inputs (m, 1) to predictions (m, 1).
        inputs: (n, 1).
        values: true values (n, 1), or predictions where those are not known.
        path: the PNG to write.
        title: above all.
        least_squares: slope and intercept of another line to draw.
        points: what the values are, for the legend.
        theme: light or dark.
    """
    import numpy as np

    # Over the range of the training examples at least: new inputs may be one point.
    spread = 2 * spec.input.variance[0] ** 0.5
    low, high = spec.input.mean[0] - spread, spec.input.mean[0] + spread
    line = np.linspace(min(low, inputs.min()), max(high, inputs.max()), 200, dtype=np.float32)
    extra = []
    if least_squares is not None:
        slope, intercept = least_squares
        extra.append(("least squares", line, slope * line + intercept))
    return plots.fitted_line(
        inputs[:, 0],
        values[:, 0],
        line,
        predict(line[:, None])[:, 0],
        path,
        title=title,
        extra=extra,
        x_name=(spec.input.names or ("x",))[0],
        y_name=spec.target.names[0],
        points=points,
        theme=theme,
    )
