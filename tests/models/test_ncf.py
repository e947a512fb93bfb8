from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.columns import CATEGORIES, Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.ncf import ncf

USER = Column("user", "categorical", vocabulary=("a", "b", "c"))
ITEM = Column("item", "categorical", vocabulary=("x", "y"), encoding="embedding", dimension=50)
SMALL = {"factors": 3, "dimension": 4, "hidden": [5, 2]}


def spec(*columns):
    names = tuple(column.name for column in columns)
    return DataSpec(
        "t", "test", "regression", InputSpec((len(columns),), "", "table", names, columns=columns),
        TargetSpec((1,), "float32", ("rating",), mean=(3.5,)),
    )  # fmt: skip


@pytest.mark.parametrize("columns", [(USER, ITEM), (ITEM, USER)])
def test_outputs_are_those_of_the_formula(columns):
    model = ncf(spec(*columns), **SMALL)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    # The last user was never seen, the last item is missing.
    users, items = np.array([2, 4, 3, 1, 2]), np.array([3, 2, 2, 3, 0])
    given = (users, items) if columns[0] is USER else (items, users)
    found = np.asarray(model({CATEGORIES: np.stack(given, axis=1).astype(np.int32)}))

    def rows(name, ids):
        return model.get_layer(name).get_weights()[0][ids] * (ids > 1)[:, None]

    product = rows("user_factors", users) * rows("item_factors", items)
    x = np.concatenate([rows("user_embedding", users), rows("item_embedding", items)], axis=1)
    *tower, last = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    for layer in tower:
        kernel, bias = layer.get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = last.get_weights()
    expected = np.concatenate([product, x], axis=1) @ kernel + bias
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_it_starts_at_the_mean():
    found = np.asarray(ncf(spec(USER, ITEM), **SMALL)({CATEGORIES: np.array([[1, 1]], np.int32)}))
    assert found[0, 0] == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("columns", "parameters", "message"),
    [
        ((USER, ITEM), {"user": "usr"}, r"model\.user: t has no feature `usr`; did you mean `user`\?"),
        (
            (USER, ITEM),
            {"item": "film"},
            r"model\.item: t has no feature `film`; its features are user, item",
        ),
        ((USER, ITEM), {"item": "user"}, r"model\.item: is `user` like model\.user"),
        ((USER, Column("item", "numeric")), {}, r"`item` is numeric; .*\{item: categorical\}"),
        ((USER, ITEM, Column("age", "numeric")), {}, r"has also age; .*\{age: ignore\}, or take `deepfm`"),
    ],
)
def test_other_columns_are_refused(columns, parameters, message):
    with pytest.raises(ModelError, match=message):
        ncf(spec(*columns), **parameters)
