"""Ratings of items by users, drawn from a known model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from bigmodel_cli.data.tables.arrow_tables import ArrowSource

Count = Annotated[int, Field(ge=2, le=100_000)]

USER, ITEM, RATING = "user", "item", "rating"

MEAN = 3.0
OF_USERS, OF_ITEMS, OF_PAIRS = 0.2, 0.2, 0.6
"""Shares of the variance 1 of ratings without noise."""


def ratings(
    seed: int,
    *,
    examples: Annotated[int, Field(ge=10, le=10_000_000)] = 50_000,
    users: Count = 500,
    items: Count = 300,
    factors: Annotated[int, Field(ge=1, le=1000)] = 4,
    noise: Annotated[float, Field(ge=0)] = 0.5,
) -> ArrowSource:
    """Ratings of items by users from a latent factor model with noise, for recommendation.

    rating = 3 + b[user] + c[item] + p[user] . q[item] + normal noise, as in Koren, Bell and Volinsky 2009,
    "Matrix Factorization Techniques for Recommender Systems", equation 4. All are normal; without noise the
    ratings have the mean 3 and a variance near 1, of which 0.2 is the users', 0.2 the items' and 0.6 the
    product's. No model can have a lower RMSE than `noise` on new pairs, but by chance. Each pair of a user
    and an item occurs once at most.

    Args:
        examples: number of ratings.
        users: number of users.
        items: number of items.
        factors: numbers of a user and of an item in the product.
        noise: standard deviation of the noise.
    """
    from bigmodel_cli.data.tables.arrow_tables import ArrowSource, ArrowTables, content
    from bigmodel_cli.data.tables.scan import TableOptions

    if examples > users * items:
        raise DataError(
            f"dataset.examples: {examples:,} ratings, but {users:,} users and {items:,} items make "
            f"{users * items:,} pairs; ask for fewer, or for more users or items"
        )
    table = _drawn(seed, examples, users, items, factors, noise)
    origin = f"synthetic, seed {seed}"
    options = TableOptions((RATING,), {USER: "categorical", ITEM: "categorical"}, "regression")
    source = ArrowSource(
        "ratings", origin, ArrowTables(origin, {"all": table}, {"all": content(table)}), options
    )
    # What is inferred of tables, and how to change it, is known here.
    source.notes = (
        f"ratings: {examples / users / items:.0%} of all pairs of {users:,} users and {items:,} items; the "
        f"noise alone makes an RMSE of {noise:g}",
    )
    return source


def _drawn(seed: int, examples: int, users: int, items: int, factors: int, noise: float) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    generator = np.random.default_rng(seed)
    pairs = generator.choice(users * items, examples, replace=False)
    user, item = np.divmod(pairs, items)
    of_users, of_items = (
        generator.standard_normal((users, factors)),
        generator.standard_normal((items, factors)),
    )
    values = MEAN + np.sqrt(OF_USERS) * generator.standard_normal(users)[user]
    values += np.sqrt(OF_ITEMS) * generator.standard_normal(items)[item]
    values += np.sqrt(OF_PAIRS / factors) * np.sum(of_users[user] * of_items[item], axis=1)
    values += noise * generator.standard_normal(examples)
    names = [
        pa.DictionaryArray.from_arrays(codes.astype(np.int32), [f"{letter}{i}" for i in range(count)])
        for codes, count, letter in ((user, users, "u"), (item, items, "i"))
    ]
    return pa.table({USER: names[0], ITEM: names[1], RATING: values})
