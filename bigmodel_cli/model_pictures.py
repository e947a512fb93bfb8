"""Pictures of what a restored model holds inside: where it puts examples, and the weights of a linear one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigmodel_cli import hidden_layers, linear_weights, plots, rundir, targets
from bigmodel_cli.assembly import Data, Restored
from bigmodel_cli.data import contents
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import UsageError
from bigmodel_cli.linear_weights import Weights
from bigmodel_cli.models.table import feature_names
from bigmodel_cli.plots import Theme
from bigmodel_cli.projection import Projection, project

MAPPED = 2000
"""Examples in the map: t-SNE of more takes minutes."""
_FITTED = 5000
"""Training examples that the intervals of weights are computed from, at most."""
_LINEAR = ("linear_regression", "logistic_regression")


def embedding_map(
    restored: Restored,
    split: SplitData,
    folder: Path,
    *,
    method: Projection,
    title: str,
    theme: Theme = "light",
) -> Path | None:
    """Draw where the layer before the head puts up to 2,000 examples of a split, drawn with the run's seed.

    Args:
        restored: the run.
        split: of its data.
        folder: where the PNG goes.
        method: how the embeddings come into the plane.
        title: above all.
        theme: light or dark.

    Returns:
        The PNG; None where there are fewer than 3 examples, or no layer with a vector an example.
    """
    if split.size < 3:
        return None
    seed = restored.config.seed
    chosen = np.arange(split.size)
    if split.size > MAPPED:
        chosen = np.sort(np.random.default_rng(seed).choice(split.size, MAPPED, replace=False))
    inputs, classes = contents.picked(split, chosen).arrays()
    try:
        found = hidden_layers.embeddings(restored, inputs)
    except UsageError:
        return None
    finite = np.isfinite(found).all(axis=1)
    if finite.sum() < 3:
        return None
    points, axes = project(found[finite], method, seed)
    told = {"pca": "two principal components", "tsne": "t-SNE"}[method]
    known = restored.spec.task == "classification"
    return plots.embedding_map(
        points, classes[finite] if known else None, restored.spec.target.names, folder / "embeddings.png",
        title=f"{title}: embeddings before the head, {told}", axes_names=axes, theme=theme,
    )  # fmt: skip


def weights(
    restored: Restored, data: Data, folder: Path, *, title: str, theme: Theme = "light"
) -> Path | None:
    """Draw the weights of a linear model with their intervals, and put the numbers into weights.json.

    Args:
        restored: the run.
        data: what it was trained on; of the training split at most 5,000 examples count.
        folder: where both go.
        title: above all.
        theme: light or dark.

    Returns:
        The PNG; None for other models, pixels, embeddings, and where there are more features than examples.
    """
    found = _weights(restored, data)
    if found is None:
        return None
    rundir.write_json(folder / "weights.json", found.to_json())
    return plots.linear_weights(
        found.values, found.names, folder / "weights.png",
        title=f"{title}: weights with 95% intervals", intervals=found.intervals, unit=found.unit,
        note=f"for {_step(restored)}", theme=theme,
    )  # fmt: skip


def _weights(restored: Restored, data: Data) -> Weights | None:
    spec, name = restored.spec, restored.config.model.name
    if name not in _LINEAR or spec.input.kind == "image":
        return None
    names = feature_names(spec) if spec.input.kind == "table" else _vector_names(restored)
    if names is None or (len(names) + 1) * spec.outputs > linear_weights.MAX_PARAMETERS:
        return None
    head_name = "outputs" if spec.task == "regression" else "logits"
    if restored.one is not None:
        head_name += f"_{restored.one.key}"
    head = hidden_layers.trained_layers(restored).get_layer(head_name)
    kernel, intercepts = (np.asarray(array, np.float64) for array in head.get_weights())
    features, truth = _training_features(restored, data)
    if len(features) <= len(names) + 1:
        return None
    if spec.task == "regression":
        plain = spec.target.scaling == "none"
        learned = np.asarray(truth if plain else targets.scaled(truth, spec.target), np.float64)
        unit = _regression_unit(restored)
        return linear_weights.regression_weights(
            features, learned, kernel, intercepts, names, spec.target.names, unit
        )
    logits = features @ kernel + intercepts
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return linear_weights.classification_weights(
        features, shares, kernel, intercepts, names, spec.target.names
    )


def _vector_names(restored: Restored) -> list[str]:
    given = restored.spec.input.names
    return list(given) or [f"x{index}" for index in range(restored.spec.input.shape[0])]


def _training_features(restored: Restored, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """What the weights of the model take, (n, f) float64, and the targets."""
    split = data.splits["train"]
    chosen = np.arange(split.size)
    if split.size > _FITTED:
        chosen = np.sort(
            np.random.default_rng(restored.config.seed).choice(split.size, _FITTED, replace=False)
        )
    inputs, truth = contents.picked(split, chosen).arrays()
    return hidden_layers.embeddings(restored, inputs).astype(np.float64), truth


def _step(restored: Restored) -> str:
    """What a change of a feature by 1 is, for people."""
    if restored.spec.input.kind == "tabular" and restored.config.model.parameters.get("standardize") is False:
        return "a step of 1"
    return "one standard deviation of a number; a category instead of none"


def _regression_unit(restored: Restored) -> str:
    target = restored.spec.target
    what = target.names[0] if len(target.names) == 1 else "target"
    scale = {"none": "", "standardize": " in standard deviations", "log": " in logarithms, standardized"}
    return f"change of {what}{scale[target.scaling]}"
