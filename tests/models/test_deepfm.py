from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from bigmodel_cli.columns import CATEGORIES, NUMBERS, Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.deepfm import deepfm

COLUMNS = (
    Column("n", "numeric", indicator=True),
    Column("c", "categorical", vocabulary=("x", "y"), missing=1),
    Column("d", "categorical", vocabulary=("p", "q", "r"), encoding="embedding", dimension=9),
)
IDS = np.array([[2, 3], [0, 2], [1, 4], [3, 1], [1, 1]], np.int32)
NUMBERS_OF_ROWS = np.array([[0.5, 0], [-1.5, 1], [2.0, 0], [0.0, 0], [-0.7, 1]], np.float32)
# Of `c` a missing cell was seen in training; of `d` none was.
KNOWN = np.stack([IDS[:, 0] != 1, IDS[:, 1] > 1], axis=1)


def spec(*columns, target):
    names = tuple(column.name for column in columns)
    task = "regression" if target.mean else "classification"
    return DataSpec(
        "t", "test", task, InputSpec((len(columns),), "", "table", names, columns=columns), target
    )


def classes(count):
    return TargetSpec((), "int32", tuple(f"y{i}" for i in range(count)), counts=(1,) * count)


VALUES = TargetSpec((2,), "float32", ("a", "b"), mean=(3.0, -1.0))


def formula(model, scores, dimension):
    """The equations of the paper, pair by pair, from the model's weights."""
    weights = {name: model.get_layer(name).get_weights() for name in (layer.name for layer in model.layers)}
    first, fields = np.zeros((5, scores)), []
    for index in range(2):
        known = KNOWN[:, index, None]
        first += known * weights[f"first_order_{index}"][0][IDS[:, index]]
        fields.append((known * weights[f"field_{index}"][0][IDS[:, index]]).reshape(5, scores, dimension))
    first += NUMBERS_OF_ROWS @ weights["first_order_numbers"][0]
    for index in range(2):
        row = weights["number_fields"][0][index].reshape(scores, dimension)
        fields.append(NUMBERS_OF_ROWS[:, index, None, None] * row)
    pairs = sum((a * b).sum(axis=-1) for a, b in itertools.combinations(fields, 2))
    x = np.concatenate([field.reshape(5, -1) for field in fields], axis=1)
    *_, hidden, head = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    (kernel, bias), (last, offset) = hidden.get_weights(), head.get_weights()
    return first + pairs + np.maximum(x @ kernel + bias, 0) @ last + offset


@pytest.mark.parametrize(("target", "scores"), [(classes(2), 1), (classes(3), 3), (VALUES, 2)])
def test_outputs_are_those_of_the_formula(target, scores):
    model = deepfm(spec(*COLUMNS, target=target), dimension=4, hidden=[6], dropout=0.0)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    found = np.asarray(model({CATEGORIES: IDS, NUMBERS: NUMBERS_OF_ROWS}))
    expected = formula(model, scores, 4)
    if scores == 1:
        # The softmax of both is the sigmoid of the one.
        expected = np.concatenate([np.zeros((5, 1)), expected], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_it_takes_categories_or_numbers_alone():
    assert set(deepfm(spec(*COLUMNS[1:], target=classes(2))).input) == {CATEGORIES}
    model = deepfm(spec(COLUMNS[0], target=VALUES), hidden=[])
    assert set(model.input) == {NUMBERS}
    # A regression starts at the mean of its targets.
    np.testing.assert_allclose(model.get_layer("outputs").bias, [3, -1])


def test_penalty_is_of_embeddings_first_order_and_kernels():
    model = deepfm(spec(*COLUMNS, target=classes(3)), dimension=2, hidden=[3], l2=0.5)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    squares = sum((np.asarray(weight) ** 2).sum() for weight in model.weights if weight.name != "bias")
    assert float(sum(model.losses)) == pytest.approx(0.5 * squares, rel=1e-5)


def test_texts_are_refused():
    text = Column("t", "text", vocabulary=("x",), length=3, dimension=4)
    with pytest.raises(ModelError, match=r"dataset\.columns: \{t: ignore\}, or take `late_fusion`"):
        deepfm(spec(*COLUMNS, text, target=classes(2)))
