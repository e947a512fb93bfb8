"""Metrics of a language model: how well it foresees each token of held-out texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.metrics.baseline import Baseline
from bigmodel_cli.metrics.checks import require_examples
from bigmodel_cli.metrics.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    interval_or_none,
    or_none,
    resampled_means,
)

PLACES = 16
"""Groups of places in a text for which the loss is given on its own, at most."""


@dataclass(frozen=True)
class LanguageReport:
    """Metrics of a language model.

    Attributes:
        task: language_model or masked_language_model.
        examples: number of texts.
        tokens: of them that count.
        resamples: bootstrap resamples of the texts behind the intervals.
        seed: of the resampling.
        scores: loss (mean cross-entropy of a token, nats), perplexity (exp of the loss), accuracy (share of
            tokens that are the likeliest), bits_per_character (None where the texts hold none; not of hidden
            tokens).
        places: loss by the place of a token in its text: first place, last place, loss.
        baseline: the frequencies of the tokens in the training split, whatever came before.
        notes: why a score is None.
    """

    task: str
    examples: int
    tokens: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    places: tuple[tuple[int, int, float], ...]
    baseline: Baseline
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        places = [{"first": first, "last": last, "loss": loss} for first, last, loss in self.places]
        return {"confidence": CONFIDENCE, **asdict(self), "places": places, "notes": list(self.notes)}


def language_metrics(
    task: str,
    losses: NDArray[Any],
    right: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    characters: NDArray[np.integer[Any]],
    baseline_losses: NDArray[Any],
    baseline_right: NDArray[np.bool_],
    *,
    seed: int,
    resamples: int = 1000,
) -> LanguageReport:
    """Judge a language model on held-out texts.

    Args:
        task: language_model; or masked_language_model, which has no bits per character.
        losses: cross-entropy of each token (n, length), nats.
        right: whether it is the likeliest one (n, length).
        counted: whether it counts at all (n, length).
        characters: of each text, as far as its tokens count (n,).
        baseline_losses: as losses, of the frequencies of the training split.
        baseline_right: as right, of the most frequent token.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples of the texts.

    Raises:
        DataError: no texts.
    """
    require_examples(len(losses))
    sums = text_sums(losses, right, counted, characters)
    value = scores_of_sums(sums.mean(axis=0, keepdims=True))
    drawn = scores_of_sums(resampled_means(np.random.default_rng(seed), sums, resamples))
    scores = {name: interval_or_none(value[name][0], drawn[name]) for name in value}
    masked = task == "masked_language_model"
    if masked:
        del scores["bits_per_character"]
    undefined = not masked and not characters.any()
    notes = ["bits per character are undefined: no character counts"] if undefined else []
    guess = language_values(baseline_losses, baseline_right, counted, characters)
    return LanguageReport(
        task,
        len(losses),
        int(counted.sum()),
        resamples,
        seed,
        scores,
        _by_place(losses, counted),
        Baseline("the frequencies of the tokens in the training split (unigrams)", guess),
        tuple(notes),
    )


def language_values(
    losses: NDArray[Any],
    right: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    characters: NDArray[np.integer[Any]],
) -> dict[str, float | None]:
    """The scores without intervals, of arrays as `language_metrics` takes; None where one is undefined."""
    means = text_sums(losses, right, counted, characters).mean(axis=0, keepdims=True)
    return {name: or_none(value[0]) for name, value in scores_of_sums(means).items()}


def text_sums(
    losses: NDArray[Any],
    right: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    characters: NDArray[np.integer[Any]],
) -> Floats:
    """Loss, right tokens, tokens and characters of each text (n, 4)."""
    return np.stack(
        [
            np.where(counted, losses, 0.0).sum(axis=1, dtype=np.float64),
            (right & counted).sum(axis=1),
            counted.sum(axis=1),
            characters,
        ],
        axis=1,
    ).astype(np.float64)


def scores_of_sums(means: Floats) -> dict[str, Floats]:
    """Scores (resamples,) from means (resamples, 4) of `text_sums`."""
    loss, right, tokens, characters = means.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        each = loss / tokens
        bits = np.where(characters > 0, loss / characters / math.log(2), np.nan)
        return {
            "loss": each,
            "perplexity": np.exp(each),
            "accuracy": right / tokens,
            "bits_per_character": bits,
        }


def _by_place(losses: NDArray[Any], counted: NDArray[np.bool_]) -> tuple[tuple[int, int, float], ...]:
    """First place, last place (from 1) and mean loss; more places are grouped where there are more."""
    length = losses.shape[1]
    # The first places differ most: the model has seen little there.
    edges = np.unique(np.geomspace(1, length + 1, min(PLACES, length) + 1).round().astype(int))
    found = []
    for first, end in pairwise(edges.tolist()):
        some = counted[:, first - 1 : end - 1]
        if some.any():
            found.append((int(first), int(end - 1), float(losses[:, first - 1 : end - 1][some].mean())))
    return tuple(found)
