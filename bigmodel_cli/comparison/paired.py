"""Paired tests of two or more runs that were measured on the very same examples.

Accuracy (of labels the subset accuracy: all of an example right) by McNemar's test (Psychometrika 12, 1947):
exact binomial where few examples are right in one run alone, else chi-square with the continuity correction
of Edwards (Psychometrika 13, 1948). The other metrics by the paired bootstrap: the examples are drawn again
with replacement, the same ones for all runs, and the interval is that of the differences (Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, ch. 13); its p-value is the share of resamples on the other side of
zero, twice, counted as in Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 4.2.5.
Several runs against one reference: Holm's correction (Scandinavian Journal of Statistics 6, 1979) over the
runs, metric by metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.comparison.outputs import Outputs
from bigmodel_cli.contracts import LANGUAGE_TASKS
from bigmodel_cli.metrics import mask_scores, scores_of_sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 5000
_EXACT_BELOW = 25  # discordant examples, from which chi-square is near enough (McNemar's test, textbook rule)
_EPSILON = 1e-7  # keras.config.epsilon(): where Keras clips probabilities before the logarithm
_BLOCK = 4_000_000  # numbers worked on at a time, which bounds the memory
_ROWS = 20_000  # rows that are resampled one by one; more are grouped


@dataclass(frozen=True)
class PairedTest:
    """One metric of a run against that of the reference.

    Attributes:
        metric: its name in metrics.json.
        difference: the run's value minus the reference's.
        low: 2.5th percentile of the difference over the resamples.
        high: 97.5th percentile of the same.
        p: two-sided.
        p_holm: the same, corrected for the number of runs held against the reference.
        method: `McNemar, exact`, `McNemar, chi-square` or `paired bootstrap`.
        only_reference: examples that the reference alone has right; of McNemar's test only.
        only_run: examples that the run alone has right; of McNemar's test only.
    """

    metric: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    method: str
    only_reference: int | None = None
    only_run: int | None = None


def paired_tests(
    outputs: Sequence[Outputs], seed: int
) -> tuple[Mapping[str, Floats], list[list[PairedTest]]]:
    """Hold runs against the first one.

    Args:
        outputs: of the reference and of at least one other run, on the same examples in the same order.
        seed: of the resampling; the same seed gives the same intervals.

    Returns:
        The metrics computed, name -> (runs,), and for each run after the reference its tests. A metric that
        is undefined in one of them (NaN) has no test.
    """
    rng = np.random.default_rng(seed)
    if outputs[0].task == "classification":
        values, drawn = _classification(rng, outputs)
    elif outputs[0].task == "multi_label":
        values, drawn = _multi_label(rng, outputs)
    elif outputs[0].task == "segmentation":
        values, drawn = _masks(rng, outputs)
    elif outputs[0].task in LANGUAGE_TASKS:
        values, drawn = _texts(rng, outputs)
    elif outputs[0].task == "reconstruction":
        values, drawn = _reconstructions(rng, outputs)
    else:
        values, drawn = _regression(rng, outputs)
    return values, [
        [_test(name, column, values, drawn, outputs) for name in values if np.isfinite(values[name]).all()]
        for column in range(1, len(outputs))
    ]


def _test(
    name: str,
    column: int,
    values: Mapping[str, Floats],
    drawn: Mapping[str, Floats],
    outputs: Sequence[Outputs],
) -> PairedTest:
    difference = drawn[name] - drawn[name][:, :1]
    spread = difference[np.isfinite(difference[:, column]), column]
    low, high = np.percentile(spread, [2.5, 97.5])
    change = float(values[name][column] - values[name][0])
    # The tokens of a text are no independent decisions.
    if name not in ("accuracy", "subset_accuracy") or outputs[0].task in LANGUAGE_TASKS:
        p_values = [_beyond_zero(difference[:, other]) for other in range(1, len(outputs))]
        p_holm = holm(p_values)[column - 1]
        return PairedTest(name, change, low, high, p_values[column - 1], p_holm, "paired bootstrap")
    counts = [_discordant(outputs[0], other) for other in outputs[1:]]
    results = [mcnemar(*pair) for pair in counts]
    p_holm = holm([p for p, _ in results])[column - 1]
    p, method = results[column - 1]
    return PairedTest(name, change, low, high, p, p_holm, method, *counts[column - 1])


def _discordant(reference: Outputs, other: Outputs) -> tuple[int, int]:
    right, other_right = (_all_right(item) for item in (reference, other))
    return int((right & ~other_right).sum()), int((~right & other_right).sum())


def _all_right(outputs: Outputs) -> NDArray[np.bool_]:
    """Whether the class, or every label, of an example is right, (n,)."""
    same = np.equal(outputs.predicted, outputs.targets).reshape(len(outputs.targets), -1)
    return np.asarray(same.all(axis=1), np.bool_)


def mcnemar(first_only: int, second_only: int) -> tuple[float, str]:
    """Two-sided p-value of McNemar's test, and the name of the variant.

    Args:
        first_only: examples that the first classifier alone has right.
        second_only: examples that the second alone has right.
    """
    total, fewer = first_only + second_only, min(first_only, second_only)
    if total < _EXACT_BELOW:
        tail = sum(math.comb(total, count) for count in range(fewer + 1)) / 2**total
        return min(1.0, 2 * tail), "McNemar, exact"
    statistic = max(0, abs(first_only - second_only) - 1) ** 2 / total
    # The upper tail of chi-square with one degree of freedom.
    return math.erfc(math.sqrt(statistic / 2)), "McNemar, chi-square"


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, adjusted so that the chance of any false finding among them stays what it was for one."""
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _beyond_zero(differences: Floats) -> float:
    """Two-sided p-value from resampled differences (resamples,); never 0, for which no number suffices."""
    known = differences[np.isfinite(differences)]
    fewer = min((known <= 0).sum(), (known >= 0).sum())
    return min(1.0, 2 * (int(fewer) + 1) / (len(known) + 1))


def _classification(
    rng: np.random.Generator, outputs: Sequence[Outputs]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Metrics, name -> (runs,), and those of the resamples, name -> (resamples, runs)."""
    true, k = outputs[0].targets, outputs[0].classes
    columns = [true, *(item.predicted for item in outputs)]
    columns += [item.in_top_5 for item in outputs if k > 5]
    cells, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    values = _from_cells(cells, counts[None], len(outputs), k)
    step = max(1, _BLOCK // len(cells))
    parts = []
    for start in range(0, RESAMPLES, step):
        # Resamples reach these metrics only through how many examples fall in each cell of (true class, what
        # each run predicts), and those counts are multinomial: cheap, however many examples there are.
        size = min(step, RESAMPLES - start)
        drawn_counts = rng.multinomial(len(true), counts / len(true), size=size)
        parts.append(_from_cells(cells, drawn_counts, len(outputs), k))
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in values}
    own = [np.clip(item.true_probability, _EPSILON, 1 - _EPSILON) for item in outputs]
    losses = -np.log(np.stack(own, axis=1))
    values["loss"], drawn["loss"] = losses.mean(axis=0, keepdims=True), _resampled_means(rng, losses)
    return {name: value[0] for name, value in values.items()}, drawn


def _from_cells(cells: Ints, counts: Ints, runs: int, k: int) -> dict[str, Floats]:
    """Metrics (resamples, runs) from the counts (resamples, cells) of (true, predicted..., in top 5...)."""
    true, examples = cells[:, 0], counts.sum(axis=1)
    support = _by_class(counts, true, k)
    scores: dict[str, list[Floats]] = {}
    for run in range(runs):
        predicted = cells[:, 1 + run]
        times = _by_class(counts, predicted, k)
        hits = predicted == true
        right = _by_class(counts[:, hits], true[hits], k)
        there = support > 0
        with np.errstate(invalid="ignore"):
            recall, f1 = right / support, 2 * right / (support + times)
        found = {
            "accuracy": right.sum(axis=1) / examples,
            "macro_precision": _mean_where(right / np.maximum(times, 1), there),
            "macro_recall": _mean_where(recall, there),
            "macro_f1": _mean_where(f1, there),
        }
        if cells.shape[1] > 1 + runs:
            found["top_5_accuracy"] = counts @ cells[:, 1 + runs + run] / examples
        for name, value in found.items():
            scores.setdefault(name, []).append(value)
    return {name: np.stack(values, axis=1) for name, values in scores.items()}


def _by_class(counts: Ints, classes: Ints, k: int) -> Ints:
    """Sums (resamples, k) of counts (resamples, cells) over the cells of each class."""
    result = np.zeros((len(counts), k), np.int64)
    order = np.argsort(classes, kind="stable")
    present, first = np.unique(classes[order], return_index=True)
    if present.size:
        result[:, present] = np.add.reduceat(counts[:, order], first, axis=1)
    return result


def _mean_where(values: Floats, there: NDArray[np.bool_]) -> Floats:
    """Means over the classes (axis 1) that have examples."""
    mean: Floats = np.where(there, values, 0).sum(axis=1) / there.sum(axis=1)
    return mean


def _multi_label(
    rng: np.random.Generator, outputs: Sequence[Outputs]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """As `_classification`."""
    right = np.stack([_all_right(item) for item in outputs], axis=1).astype(np.float64)
    wrong = np.stack([(item.predicted != item.targets).mean(axis=1) for item in outputs], axis=1)
    values = {"subset_accuracy": right.mean(axis=0), "hamming_loss": wrong.mean(axis=0)}
    drawn = _resampled_means(rng, np.concatenate([right, wrong], axis=1))
    return values, dict(zip(values, np.split(drawn, 2, axis=1), strict=True))


def _texts(
    rng: np.random.Generator, outputs: Sequence[Outputs]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """As `_classification`; whole texts are drawn, whose tokens are not independent."""
    columns = np.concatenate([item.predicted for item in outputs], axis=1)
    means = columns.mean(axis=0, keepdims=True), _resampled_means(rng, columns)
    found = [[scores_of_sums(part) for part in np.split(some, len(outputs), axis=1)] for some in means]
    values, drawn = (
        {name: np.stack([scores[name] for scores in some], axis=1) for name in some[0]} for some in found
    )
    return {name: value[0] for name, value in values.items()}, drawn


def _masks(
    rng: np.random.Generator, outputs: Sequence[Outputs]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """As `_classification`; whole images are drawn, whose pixels are not independent."""
    columns = np.concatenate([item.predicted for item in outputs], axis=1)
    means = columns.mean(axis=0, keepdims=True), _resampled_means(rng, columns)
    found = [[mask_scores(part) for part in np.split(some, len(outputs), axis=1)] for some in means]
    names = ("mean_iou", "mean_dice", "pixel_accuracy", "frequency_weighted_iou", "loss")
    values, drawn = (
        {name: np.stack([run[name] for run in runs], axis=1) for name in names} for runs in found
    )
    return {name: value[0] for name, value in values.items()}, drawn


def _reconstructions(
    rng: np.random.Generator, outputs: Sequence[Outputs]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """As `_classification`; the bound is compared where every run has one."""
    bounds = all(item.predicted.shape[1] > 3 for item in outputs)
    kept = 4 if bounds else 3
    columns = np.concatenate([item.predicted[:, :kept] for item in outputs], axis=1)
    found = []
    for means in (columns.mean(axis=0, keepdims=True), _resampled_means(rng, columns)):
        squared, absolute, spread, *bound = (means[:, place::kept] for place in range(kept))
        scores = {"rmse": np.sqrt(squared), "mse": squared, "mae": absolute}
        with np.errstate(invalid="ignore", divide="ignore"):
            scores["explained_variance"] = np.where(spread > 0, 1 - squared / spread, np.nan)
        found.append(scores | ({"negative_elbo": bound[0]} if bounds else {}))
    values, drawn = found
    return {name: value[0] for name, value in values.items()}, drawn


def _regression(
    rng: np.random.Generator, outputs: Sequence[Outputs]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """As `_classification`."""
    true = outputs[0].targets.astype(np.float64)
    # Moments about the mean: about zero, the variance of large values would drown in rounding.
    centred = true - true.mean(axis=0)
    centred[:, np.ptp(true, axis=0) == 0] = 0
    errors = [true - item.predicted for item in outputs]
    columns = np.concatenate([centred, centred**2, *(e**2 for e in errors), *map(np.abs, errors)], axis=1)
    values = _from_moments(columns.mean(axis=0, keepdims=True), len(outputs))
    drawn = _from_moments(_resampled_means(rng, columns), len(outputs))
    return {name: value[0] for name, value in values.items()}, drawn


def _from_moments(moments: Floats, runs: int) -> dict[str, Floats]:
    """Metrics (resamples, runs) from means (resamples, (2 + 2 * runs) * targets) of its columns."""
    mean, square, *rest = np.split(moments, 2 + 2 * runs, axis=1)
    squared, absolute = rest[:runs], rest[runs:]
    variance = square - mean**2
    # A resample whose values are all the same has no R2; what rounding leaves of its variance is none.
    variance[variance <= 1e-9 * square] = np.nan
    mse = np.stack([item.mean(axis=1) for item in squared], axis=1)
    mae = np.stack([item.mean(axis=1) for item in absolute], axis=1)
    r2 = np.stack([_mean_of_defined(1 - item / variance) for item in squared], axis=1)
    return {"loss": mse, "mse": mse, "rmse": np.sqrt(mse), "mae": mae, "r2": r2}


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return mean


def _resampled_means(rng: np.random.Generator, values: Floats) -> Floats:
    """Means (RESAMPLES, columns) of resamples of the rows of (n, columns)."""
    sizes = np.ones(len(values))
    if len(values) > _ROWS:
        # Random groups of rows stand for rows: the variance of the mean stays the same in expectation, and
        # its error of 1 / sqrt(2 * _ROWS), half a percent, is below that of the resamples.
        first = np.linspace(0, len(values), _ROWS, endpoint=False, dtype=np.int64)
        values = np.add.reduceat(values[rng.permutation(len(values))], first, axis=0)
        sizes = np.diff(first, append=len(sizes))
    columns = np.column_stack([values, sizes])
    sums = np.concatenate([times @ columns for times in _times_drawn(rng, len(values))])
    means: Floats = sums[:, :-1] / sums[:, -1:]
    return means


def _times_drawn(rng: np.random.Generator, n: int) -> Iterator[Floats]:
    """How often each of n rows is in each resample, (resamples, n), block by block."""
    step = max(1, _BLOCK // n)
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
