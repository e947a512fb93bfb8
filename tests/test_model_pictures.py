"""Maps of embeddings and weights of linear models, of restored runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import hidden_layers, model_pictures, plots, validation
from bigmodel_cli.rundir import Run

TABLE = "size,colour,kind\n" + "".join(
    f"{i % 7},{'red' if i % 3 else 'blue'},{'a' if i % 2 else 'b'}\n" for i in range(60)
)


def untrained(folder: Path, text: str) -> tuple[Any, Any]:
    """A run as it is brought back, with the weights that it began with, and its data."""
    from bigmodel_cli import assembly

    (folder / "t.csv").write_text(TABLE)
    (folder / "c.yaml").write_text(text.replace("FOLDER", str(folder)) + "\noptimizer: adam\n")
    config = validation.load(folder / "c.yaml").config
    data = assembly.load_data(config)
    model = assembly.serving_model(assembly.build_model(config, data.spec), data.spec)
    return assembly.Restored(Run(folder), config, data.spec, model), data


def width(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


IRIS = "dataset: iris\nmodel: logistic_regression"
CSV = "dataset: {name: csv, path: FOLDER/t.csv, target: kind}\nmodel: logistic_regression"


def test_the_map_is_of_what_the_head_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restored, data = untrained(tmp_path, "dataset: iris\nmodel: {name: mlp, hidden: [5]}")
    seen: dict[str, Any] = {}
    drawn = plots.embedding_map

    def note(points: Any, classes: Any, names: Any, path: Path, **rest: Any) -> Path:
        seen.update(points=points, classes=classes, **rest)
        return drawn(points, classes, names, path, **rest)

    monkeypatch.setattr(plots, "embedding_map", note)
    path = model_pictures.embedding_map(restored, data.splits["test"], tmp_path, method="pca", title="iris")
    assert path == tmp_path / "embeddings.png" and width(path) > 400
    inputs, targets = data.splits["test"].arrays()
    embedded = hidden_layers.embeddings(restored, inputs)
    head = restored.model.get_layer("logits")
    logits = embedded @ head.get_weights()[0] + head.get_weights()[1]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, restored.predict(inputs), atol=1e-5)
    np.testing.assert_array_equal(seen["classes"], targets)
    centred = embedded - embedded.mean(axis=0)
    left, scales, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(seen["points"]), np.abs(left[:, :2] * scales[:2]), atol=1e-4)
    assert "principal components" in seen["title"]


def test_no_map_where_there_is_nothing_to_map(tmp_path: Path) -> None:
    restored, data = untrained(tmp_path, IRIS)
    few = data.splits["test"].first(2)
    assert model_pictures.embedding_map(restored, few, tmp_path, method="pca", title="") is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (IRIS, {"petal width (cm): virginica"}),
        (CSV, {"size", "colour: red", "colour: blue"}),
        ("dataset: {name: linear, examples: 60}\nmodel: linear_regression", {"x"}),
    ],
)
def test_weights_are_named_after_their_features(tmp_path: Path, text: str, names: set[str]) -> None:
    restored, data = untrained(tmp_path, text)
    path = model_pictures.weights(restored, data, tmp_path, title="t")
    assert path is not None and width(path) > 400
    written = json.loads((tmp_path / "weights.json").read_text())["weights"]
    assert names <= {item["name"] for item in written}
    assert all(item["low"] <= item["value"] <= item["high"] for item in written)
    assert any(item["low"] < item["high"] for item in written)


def test_a_tables_features_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    restored, data = untrained(tmp_path, CSV)
    inputs, _ = data.splits["train"].arrays()
    features = hidden_layers.embeddings(restored, inputs)
    from bigmodel_cli.models.table import feature_names

    names = feature_names(restored.spec)
    assert names is not None and features.shape[1] == len(names)
    red = features[:, names.index("colour: red")]
    np.testing.assert_array_equal(red, [value == b"red" or value == "red" for value in inputs["colour"]])


@pytest.mark.parametrize(
    "text",
    [
        "dataset: iris\nmodel: mlp",
        "dataset: digits\nmodel: {name: logistic_regression, flatten: true}",
        "dataset: {name: iris, limit: 4}\nmodel: logistic_regression",
    ],
)
def test_no_weights_of_other_models_pixels_and_too_few_examples(tmp_path: Path, text: str) -> None:
    restored, data = untrained(tmp_path, text)
    assert model_pictures.weights(restored, data, tmp_path, title="t") is None
    assert not (tmp_path / "weights.json").exists()
