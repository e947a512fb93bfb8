"""The first predictions with their inputs, for the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigmodel_cli import pictures, plots
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.inputs.blocks import Block
from bigmodel_cli.reconstruction import root_mean_squared_error

MAX_POINTS = 20_000
"""Drawn in a picture of a regression."""


class Preview:
    """The first inputs with a prediction, as far as a picture needs them.

    Attributes:
        wanted: how many.
    """

    def __init__(self, spec: DataSpec, with_targets: bool):
        self._spec = spec
        self._with_values = spec.input.kind == "image" or pictures.has_line(spec)
        self.wanted = 0
        if spec.task != "regression":
            # Of several tasks `bigmodel evaluate` draws each.
            drawn = spec.input.kind == "image" and not spec.target.tasks
            self.wanted = pictures.IMAGES if drawn else 0
        elif with_targets or pictures.has_line(spec):
            self.wanted = MAX_POINTS
            self._with_values = pictures.has_line(spec)
        self._outputs: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    @property
    def missing(self) -> int:
        """How many are still wanted."""
        return self.wanted - sum(map(len, self._outputs))

    def add(self, block: Block, outputs: np.ndarray) -> None:
        """Keep what is wanted of a batch.

        Args:
            block: the inputs.
            outputs: of the readable ones, (m, outputs); of masks the classes (m, height, width).
        """
        finite = np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
        taken = np.flatnonzero(finite)[: max(self.missing, 0)]
        if not len(taken):
            return
        self._outputs.append(outputs[taken])
        if self._with_values:
            self._values.append(block.values[taken])
        if block.targets is not None and not block.unlabelled:
            self._targets.append(block.targets[block.readable[taken]])

    def draw(self, restored: Restored, folder: Path) -> list[Path]:
        """Draw them; nothing where there is nothing to see.

        A 5 x 5 grid for images, or images above their reconstructions; predicted against true and residuals
        for regression with known targets; the model's line for one input and one output.
        """
        if not self._outputs:
            return []
        spec, title = self._spec, restored.config.name
        outputs = np.concatenate(self._outputs)
        targets = np.concatenate(self._targets) if self._targets else None
        if spec.task == "reconstruction":
            images = np.concatenate(self._values)
            errors = root_mean_squared_error(images, outputs, spec)
            captions = [f"rmse {error:.3f}" for error in np.asarray(errors)]
            path = folder / "reconstructions.png"
            return [pictures.reconstructions(images, outputs, captions, path, title=title)]
        if spec.task == "segmentation":
            path = plots.mask_grid(
                np.concatenate(self._values), outputs.astype(np.uint8), folder / "predictions.png",
                class_names=spec.target.names, title=title, true=targets,
            )  # fmt: skip
            return [path]
        if spec.task != "regression":
            known = [None] * len(outputs) if targets is None else targets
            path = folder / "predictions.png"
            return [
                pictures.image_grid(spec, np.concatenate(self._values), outputs, known, path, title=title)
            ]
        found = [] if targets is None else pictures.regression(spec, outputs, targets, folder, title=title)
        if pictures.has_line(spec):
            line = pictures.fitted_line(
                spec,
                restored.predict,
                np.concatenate(self._values),
                outputs if targets is None else targets,
                folder / "fitted_line.png",
                title=title,
                points="predictions" if targets is None else "examples",
            )
            found.append(line)
        return found
