"""Neural collaborative filtering: users, items, ratings."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.columns import CATEGORIES, Column
from bigmodel_cli.contracts import DataSpec, Penalty, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import Activation, output_head, regularizer, require_kind
from bigmodel_cli.models.mlp import dense_layers
from bigmodel_cli.models.table import category_embedding

if TYPE_CHECKING:
    import keras

Dimension = Annotated[int, Field(ge=1, le=4096)]


def ncf(
    data: DataSpec,
    *,
    user: str = "user",
    item: str = "item",
    factors: Dimension = 8,
    dimension: Dimension = 32,
    hidden: Sequence[Units] = (32, 16, 8),
    activation: Activation = "relu",
    dropout: Rate = 0.0,
    l2: Penalty = 0.0,
) -> keras.Model:
    """Neural collaborative filtering (NeuMF), for tables of users, items and how they met.

    He et al. 2017, "Neural Collaborative Filtering" (arXiv:1708.05031, sections 3.2 to 3.4): the last layer
    takes the element-wise product of a user's and an item's factors (generalized matrix factorization, GMF)
    beside what a tower of dense layers makes of the two's other embeddings. A rating is a regression, `liked
    or not` a classification; implicit feedback needs rows of what was not chosen. A user or an item that
    training never saw has zeros for its embeddings. Embeddings start as in the paper (section 4.1).

    Args:
        user: Column of the users, declared categorical.
        item: Column of the items, declared categorical.
        factors: Numbers of a user and of an item in the product.
        dimension: Numbers of a user and of an item in the tower.
        hidden: Units of each layer of the tower, first to last; each half of the one before in the paper.
        activation: Activation after each layer of the tower, a Keras name.
        dropout: Share of each layer's outputs that training sets to 0, from 0 to below 1.
        l2: Factor of the sum of squared embeddings and weights in the loss, at least 0.
    """
    import keras
    from keras import ops

    require_kind(data, "ncf", "table")
    columns = _pair(data, user, item)
    names = [column.name for column in data.input.columns]
    ids = keras.Input((2,), dtype="int32", name=CATEGORIES)

    def embedded(role: str, name: str, numbers: int) -> keras.KerasTensor:
        column = columns[role]
        # Of two columns, in the order of the table.
        place = int(names.index(column.name) == 1)
        return category_embedding(
            column,
            ids[:, place],
            numbers,
            f"{role}_{name}",
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.01),
            embeddings_regularizer=regularizer(0.0, l2),
        )

    product = embedded("user", "factors", factors) * embedded("item", "factors", factors)
    both = [embedded(role, "embedding", dimension) for role in ("user", "item")]
    x = dense_layers(ops.concatenate(both, axis=-1), hidden, activation, dropout, l2=l2)
    x = ops.concatenate([product, x], axis=-1)
    return keras.Model({CATEGORIES: ids}, output_head(x, data, l2=l2), name="ncf")


def _pair(data: DataSpec, user: str, item: str) -> dict[str, Column]:
    """The columns `user` and `item`.

    Raises:
        ModelError: they are not there, no categories, or not the only ones.
    """
    columns = {column.name: column for column in data.input.columns}
    if user == item:
        raise ModelError(f"model.item: is `{item}` like model.user; name two columns")
    for key, name in (("user", user), ("item", item)):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"its features are {', '.join([*columns][:20])}"
            raise ModelError(f"model.{key}: {data.name} has no feature `{name}`; {hint}")
        if columns[name].kind != "categorical":
            raise ModelError(
                f"model.{key}: the column `{name}` is {columns[name].kind}; declare it with "
                f"dataset.columns: {{{name}: categorical}}"
            )
    others = [name for name in columns if name not in (user, item)]
    if others:
        leave = ", ".join(f"{name}: ignore" for name in others)
        raise ModelError(
            f"model.name: `ncf` takes a user and an item alone, but {data.name} has also "
            f"{', '.join(others)}; leave out what is more with dataset.columns: {{{leave}}}, or take `deepfm`"
        )
    return {"user": columns[user], "item": columns[item]}
