"""Inputs of any kind as rows of numbers for a linear model, in bounded time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bigmodel_cli.columns import CATEGORIES, NUMBERS
from bigmodel_cli.contracts import DataSpec

WIDEST = 3072
"""Numbers of an example: 32x32 pixels of three colours. Larger images are made smaller."""

SMALLEST = 768
"""Numbers of an image that stands beside other columns of a table."""

_WORK = 2e7
"""Examples times numbers times outputs; beyond it the numbers become principal components."""
_COMPONENTS = (100, 50)
"""Of few outputs, and of more than 100."""


class Features:
    """What is learned of the training examples to make rows of numbers.

    Attributes:
        describe: what the numbers are, for the user's eyes; known after `fit`.
    """

    def __init__(self, spec: DataSpec, seed: int, *, examples: int):
        """Begin.

        Args:
            spec: of the data.
            seed: of what is drawn.
            examples: that a model will be fitted on.
        """
        self.describe = ""
        self._spec, self._seed = spec, seed
        self._work = examples * spec.outputs
        self._steps: list[Any] = []
        self._columns: np.ndarray | None = None
        self._tables: dict[str, Any] = {}

    def fit(self, batches: Sequence[Any]) -> Any:
        """Learn from training examples.

        Args:
            batches: inputs as the model sees them: arrays, or a table's prepared tensors.

        Returns:
            Their rows, (n, features), dense or sparse.
        """
        if self._spec.input.kind == "table":
            whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            return self._fit_table(whole)
        return self._fit_dense(np.concatenate([self._flat(batch) for batch in batches]))

    def __call__(self, batch: Any) -> Any:
        """The rows (n, features) of other examples."""
        if self._spec.input.kind == "table":
            return self._table_rows(batch)
        return self._dense_rows(self._flat(batch))

    def _flat(self, batch: np.ndarray) -> np.ndarray:
        """Images and arrays as rows (n, at most about WIDEST) float32."""
        if self._spec.input.kind == "image":
            return _pixels(batch, WIDEST)
        rows = np.asarray(batch, np.float32).reshape(len(batch), -1)
        # What is not finite would stop scikit-learn; the trained model's answer to it is left out anyway.
        return np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)

    def _fit_dense(self, rows: np.ndarray) -> np.ndarray:
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        width = rows.shape[1]
        what = ("pixel" if self._spec.input.kind == "image" else "number") + ("s" if width > 1 else "")
        smaller = what == "pixels" and math.prod(self._spec.input.shape) > WIDEST
        self.describe = f"{width:,} standardized {what}{' of smaller images' if smaller else ''}"
        differing = np.flatnonzero(np.ptp(rows, axis=0) > 0)
        if len(differing) > WIDEST:
            differing = np.sort(np.random.default_rng(self._seed).permutation(differing)[:WIDEST])
            self.describe = f"{WIDEST:,} of {width:,} standardized {what}, drawn at random"
        self._columns = differing
        if not len(differing):
            return rows[:, differing]
        self._steps = [StandardScaler()]
        components = _COMPONENTS[self._spec.outputs > 100]
        if self._work * len(differing) > _WORK and components < min(len(differing), len(rows)):
            self._steps.append(PCA(components, svd_solver="randomized", random_state=self._seed))
            self.describe = f"{components} principal components of {self.describe}"
        rows = rows[:, differing]
        for step in self._steps:
            rows = step.fit_transform(rows)
        return rows

    def _dense_rows(self, rows: np.ndarray) -> np.ndarray:
        assert self._columns is not None
        rows = rows[:, self._columns]
        for step in self._steps:
            rows = step.transform(rows)
        return rows

    def _fit_table(self, batch: dict[str, np.ndarray]) -> Any:
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        words = []
        for name, cells in batch.items():
            if name == NUMBERS:
                self._tables[name] = StandardScaler().fit(cells)
                words.append(f"{cells.shape[1]:,} standardized number{'s' if cells.shape[1] > 1 else ''}")
            elif name == CATEGORIES:
                self._tables[name] = OneHotEncoder(handle_unknown="ignore", dtype=np.float32).fit(cells)
                count = cells.shape[1]
                words.append(f"{count:,} one-hot categor{'ies' if count > 1 else 'y'}")
            elif cells.ndim == 4:
                pixels = _pixels(cells, SMALLEST)
                self._tables[name] = StandardScaler().fit(pixels)
                words.append(f"{pixels.shape[1]:,} standardized pixels of small images")
            else:
                self._tables[name] = TfidfTransformer().fit(self._counts(name, cells))
        texts = len(batch) - len(words)
        if texts:
            words.append("TF-IDF of the text" if texts == 1 else f"TF-IDF of {texts} texts")
        self.describe = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
        return self._table_rows(batch)

    def _table_rows(self, batch: dict[str, np.ndarray]) -> Any:
        from scipy import sparse

        parts = []
        for name, step in self._tables.items():
            cells = batch[name]
            known = cells
            if cells.ndim == 4:
                known = _pixels(cells, SMALLEST)
            elif name not in (NUMBERS, CATEGORIES):
                known = self._counts(name, cells)
            parts.append(sparse.csr_matrix(step.transform(known), dtype=np.float32))
        return parts[0] if len(parts) == 1 else sparse.hstack(parts, format="csr")

    def _counts(self, name: str, tokens: np.ndarray) -> Any:
        """How often each token is in each text, (n, tokens) sparse; 0 is no token."""
        from scipy import sparse

        texts = [column for column in self._spec.input.columns if column.kind == "text"]
        column = texts[int(name.rpartition("_")[2])]
        rows, places = np.nonzero(tokens)
        ones = np.ones(len(rows), np.float32)
        return sparse.csr_matrix((ones, (rows, tokens[rows, places])), (len(tokens), column.ids))


def _pixels(images: np.ndarray, most: int) -> np.ndarray:
    """Images as rows (n, pixels) float32, made smaller where they have more numbers than `most`."""
    import tensorflow as tf

    height, width, channels = images.shape[1:]
    ratio = math.sqrt(most / (height * width * channels))
    if ratio < 1:
        size = max(1, int(height * ratio)), max(1, int(width * ratio))
        images = tf.image.resize(images, size, method="area").numpy()
    return np.asarray(images, np.float32).reshape(len(images), -1)
