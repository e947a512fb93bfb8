"""A linear model from scikit-learn beside the trained one: what the inputs give away without depth."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from bigmodel_cli.assembly import Data
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data import contents
from bigmodel_cli.data.pipeline import Keeping, evaluation_batches
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.evaluation.linear_features import Features
from bigmodel_cli.metrics import (
    Baseline,
    classification_values,
    multi_label_values,
    regression_values,
)

EXAMPLES = 10_000
"""Training examples that it is fitted on at most."""

_BYTES = 512e6
"""Raw examples held at a time, at most."""
_BATCH_SIZE = 1024
_ITERATIONS = 100


def linear_baseline(
    data: Data, split: SplitData, kept: np.ndarray, seed: int
) -> tuple[Baseline | None, str | None]:
    """Fit a linear model on the training split and measure it.

    Logistic regression (L2, C = 1) or ridge regression (alpha = 1) on what `Features` makes of the inputs.

    Args:
        data: of the run, with its training split.
        split: where it is measured.
        kept: positions of the examples there that count (n,), ascending.
        seed: of what is drawn.

    Returns:
        The baseline, or None and the reason.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    spec, train = data.spec, data.splits["train"]
    fits = min(EXAMPLES, max(100, int(_BYTES / max(1, data.splits["train"].source.example_bytes))))
    sample = contents.sample(train, fits)
    batches = list(_batches(sample, data))
    targets = np.concatenate([some for _, some in batches])
    if spec.task == "classification" and len(np.unique(targets)) < 2:
        return None, "no linear model: the training examples it would be fitted on are of one class"
    features = Features(spec, seed, examples=len(targets))
    # The products are small: the threads that BLAS starts for each would cost several times the work.
    with threadpool_limits(1):
        inputs = features.fit([some for some, _ in batches])
        if not inputs.shape[1]:
            return None, "no linear model: no input differs from example to example"
        model = _fitted(spec, inputs, targets)
    found = np.concatenate([_outputs(model, spec, features(some)) for some, _ in _batches(split, data)])
    truth = split.targets()[kept]
    values, kind = {
        "classification": (classification_values, "logistic regression"),
        "multi_label": (multi_label_values, "a logistic regression for each label"),
        "regression": (regression_values, "ridge regression"),
    }[spec.task]
    of = "all" if len(targets) == train.size else f"{len(targets):,} of"
    description = f"{kind} on {features.describe}, fitted on {of} {train.size:,} training examples"
    return Baseline(description, values(truth, found[kept])), None


def _batches(split: SplitData, data: Data) -> Iterator[tuple[Any, np.ndarray]]:
    """Inputs as the model sees them, a table's prepared, and targets, in order."""
    keeping = Keeping("none", data.keeping.prepare)
    yield from evaluation_batches(split, batch_size=_BATCH_SIZE, keeping=keeping).as_numpy_iterator()


def _fitted(spec: DataSpec, inputs: Any, targets: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    if spec.task == "regression":
        return Ridge(alpha=1.0).fit(inputs, targets.astype(np.float64))
    with warnings.catch_warnings():
        # Stopped early it is a linear model too, and as good a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=_ITERATIONS)
        if spec.task == "classification":
            return model.fit(inputs, targets)
        # A label that all examples have, or none, is predicted so.
        warnings.filterwarnings("ignore", "Label not|Label .* is present in all", UserWarning)
        return OneVsRestClassifier(model).fit(inputs, targets.astype(np.int64))


def _outputs(model: Any, spec: DataSpec, inputs: Any) -> np.ndarray:
    """Probabilities (n, classes), 0 for a class that was not in the sample, or (n, labels), or values."""
    if spec.task == "multi_label":
        return np.asarray(model.predict_proba(inputs))
    if spec.task == "regression":
        return np.asarray(model.predict(inputs)).reshape(inputs.shape[0], -1)
    found = np.zeros((inputs.shape[0], spec.outputs))
    found[:, model.classes_] = model.predict_proba(inputs)
    return found
