from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bigmodel_cli import assembly, rundir
from bigmodel_cli.contracts import Part
from bigmodel_cli.data.ratings import ratings
from bigmodel_cli.errors import DataError

SMALL = {"examples": 3000, "users": 100, "items": 60, "factors": 2}


def everything(source):
    return source.arrays(Part.range("all", 0, source.sizes["all"]))


def test_they_are_drawn_by_the_seed_each_pair_once():
    cells, values = everything(ratings(3, **SMALL))
    again, same = everything(ratings(3, **SMALL))
    assert (cells["user"] == again["user"]).all()
    np.testing.assert_array_equal(values, same)
    assert len(set(zip(cells["user"], cells["item"], strict=True))) == 3000
    assert not np.array_equal(values, everything(ratings(4, **SMALL))[1])


def test_noise_is_as_large_as_said():
    clean, noisy = (everything(ratings(5, **SMALL, noise=noise))[1] for noise in (0.0, 0.25))
    assert (noisy - clean).std() == pytest.approx(0.25, rel=0.05)
    assert clean.mean() == pytest.approx(3, abs=0.2)
    assert clean.std() == pytest.approx(1, rel=0.2)


def test_more_ratings_than_pairs():
    with pytest.raises(
        DataError, match=r"dataset\.examples: 101 ratings, but 10 users and 10 items make 100"
    ):
        ratings(0, examples=101, users=10, items=10)


def test_ncf_learns_them_and_takes_new_users(bigmodel, write):
    config = """
name: ratings
dataset: {name: ratings, examples: 3000, users: 60, items: 60, factors: 2, noise: 0.3}
model: {name: ncf, factors: 4, dimension: 8, hidden: [16, 8]}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 15, batch_size: 64, tensorboard: false}
"""
    write("c.yaml", config)
    trained = bigmodel("train", "c.yaml")
    assert trained.exit_code == 0, trained.stderr
    assert "the noise alone makes an RMSE of 0.3" in trained.stdout
    restored = assembly.restore(rundir.find(Path("c.yaml")))
    inputs, values = assembly.restored_data(restored).splits["test"].arrays()
    rmse = np.sqrt(np.mean((restored.predict(inputs) - values) ** 2))
    assert values.std() > 0.9
    assert 0.28 < rmse < 0.6
    write("new.csv", "item,user\ni1,u1\ni1,nobody\n,\n")
    rows = json.loads(bigmodel("predict", "--json", "runs/latest", "new.csv").stdout)["predictions"]
    assert len({row["prediction"] for row in rows}) == 3
    assert all(-2 < row["prediction"] < 8 for row in rows)
