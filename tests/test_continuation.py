from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.continuation import Sampling, chosen

LOGITS = np.log(np.array([0.1, 0.5, 0.2, 0.15, 0.05]))


def drawn(sampling, count=4000):
    generator = np.random.default_rng(0)
    tokens = [chosen(LOGITS, sampling, generator) for _ in range(count)]
    return np.bincount(tokens, minlength=5) / count


def test_the_likeliest_known_token_is_taken_at_temperature_0():
    assert chosen(LOGITS, Sampling(temperature=0), np.random.default_rng(0)) == 2


def test_draws_follow_the_probabilities_without_the_unseen_token():
    assert drawn(Sampling()) == pytest.approx([0.2, 0, 0.4, 0.3, 0.1], abs=0.03)


def test_temperature_sharpens():
    squares = np.array([0.1, 0, 0.2, 0.15, 0.05]) ** 2
    assert drawn(Sampling(temperature=0.5)) == pytest.approx(squares / squares.sum(), abs=0.03)


def test_top_k_leaves_the_others_out():
    assert drawn(Sampling(top_k=2)) == pytest.approx([0, 0, 4 / 7, 3 / 7, 0], abs=0.03)
    assert drawn(Sampling(top_k=50)) == pytest.approx([0.2, 0, 0.4, 0.3, 0.1], abs=0.03)
