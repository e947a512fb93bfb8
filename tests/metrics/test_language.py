from __future__ import annotations

import math

import numpy as np
import pytest

from bigmodel_cli.errors import DataError
from bigmodel_cli.metrics import language_metrics, language_values

LOSSES = np.array([[1.0, 2.0, 99.0], [0.5, 0.25, 0.25]])
RIGHT = np.array([[True, False, True], [True, True, False]])
COUNTED = np.array([[True, True, False], [True, True, True]])
CHARACTERS = np.array([4, 6])


def report(**changes):
    options = {"seed": 0, "resamples": 200, **changes}
    return language_metrics(
        "language_model", LOSSES, RIGHT, COUNTED, CHARACTERS, np.full((2, 3), math.log(3)),
        np.zeros((2, 3), bool), **options,
    )  # fmt: skip


def test_scores_are_over_the_tokens_that_count():
    found = report()
    assert (found.examples, found.tokens) == (2, 5)
    assert found.scores["loss"].value == pytest.approx(4 / 5)
    assert found.scores["perplexity"].value == pytest.approx(math.exp(4 / 5))
    assert found.scores["accuracy"].value == pytest.approx(3 / 5)
    assert found.scores["bits_per_character"].value == pytest.approx(4 / 10 / math.log(2))
    assert found.baseline.scores["perplexity"] == pytest.approx(3)
    assert found.baseline.scores["accuracy"] == 0


def test_intervals_are_of_whole_texts():
    found = report()
    # A resample holds one of the texts twice, or both.
    possible = {1.5, 1 / 3, 0.8}
    assert {round(found.scores["loss"].low, 6), round(found.scores["loss"].high, 6)} <= {
        round(value, 6) for value in possible
    }
    assert report() == found


def test_places_cover_the_text():
    assert report().places == ((1, 1, 0.75), (2, 2, 1.125), (3, 3, 0.25))
    many = language_metrics(
        "language_model", np.ones((1, 500)), np.ones((1, 500), bool), np.ones((1, 500), bool),
        np.array([500]), np.ones((1, 500)), np.ones((1, 500), bool), seed=0, resamples=10,
    )  # fmt: skip
    firsts, lasts = [place[0] for place in many.places], [place[1] for place in many.places]
    assert firsts[0] == 1 and lasts[-1] == 500 and len(firsts) <= 16
    assert firsts[1:] == [last + 1 for last in lasts[:-1]]


def test_without_characters_there_are_no_bits():
    found = language_metrics(
        "language_model", LOSSES, RIGHT, COUNTED, np.zeros(2, int), LOSSES, RIGHT, seed=0, resamples=10
    )
    assert found.scores["bits_per_character"] is None
    assert found.notes == ("bits per character are undefined: no character counts",)
    assert language_values(LOSSES, RIGHT, COUNTED, np.zeros(2, int))["bits_per_character"] is None


def test_no_texts_are_refused():
    with pytest.raises(DataError):
        language_metrics(
            "language_model",
            LOSSES[:0],
            RIGHT[:0],
            COUNTED[:0],
            CHARACTERS[:0],
            LOSSES[:0],
            RIGHT[:0],
            seed=0,
        )
