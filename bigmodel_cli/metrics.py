"""Held-out metrics with 95% bootstrap intervals, each beside the baseline that a model must beat.

Intervals are percentile intervals over resamples of the examples with replacement (Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, ch. 13): they say how far a metric would move with another
sample of this size, not with another training seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigmodel_cli.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE = 0.95
_EPSILON = 1e-7  # keras.config.epsilon(): where Keras clips probabilities before the logarithm
_BLOCK = 4_000_000  # numbers worked on at a time, which bounds the memory
_ROWS = 20_000  # rows that are resampled one by one; more are grouped


@dataclass(frozen=True)
class Interval:
    """A metric with its 95% bootstrap interval.

    Attributes:
        value: on the examples themselves.
        low: 2.5th percentile of the resamples.
        high: 97.5th percentile of the resamples.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Baseline:
    """What a model that ignores its input reaches on the same examples.

    Attributes:
        description: how it predicts.
        scores: under the names of the report's scores; those it has.
    """

    description: str
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class ClassScores:
    """How well one class is told from the others.

    Attributes:
        name: of the class.
        support: examples of the class.
        predicted: examples taken for the class.
        precision: right share of `predicted`; 0 for a class that is never predicted.
        recall: right share of `support`; None for a class without examples.
        f1: harmonic mean of precision and recall; None for a class without examples.
    """

    name: str
    support: int
    predicted: int
    precision: Interval
    recall: Interval | None
    f1: Interval | None


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Metrics of a classifier.

    Attributes:
        examples: number of examples.
        resamples: bootstrap resamples behind the intervals.
        seed: of the resampling.
        scores: loss (mean cross-entropy, nats), accuracy, top_5_accuracy (more than 5 classes only),
            macro_precision, macro_recall, macro_f1 (unweighted means over the classes with examples).
        classes: each class on its own, in index order.
        confusion: counts (classes, classes), rows the true class, columns the predicted one.
        baseline: always the most frequent class of the training split.
    """

    examples: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval]
    classes: tuple[ClassScores, ...]
    confusion: Ints
    baseline: Baseline

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        document = {"task": "classification", "confidence": CONFIDENCE, **asdict(self)}
        return {**document, "confusion": self.confusion.tolist(), "classes": list(document["classes"])}


@dataclass(frozen=True)
class TargetScores:
    """Metrics of one regression target.

    Attributes:
        name: of the target.
        scores: mse, rmse, mae, r2, in (squared) units of the target; r2 None where it is undefined.
    """

    name: str
    scores: Mapping[str, Interval | None]


@dataclass(frozen=True)
class RegressionReport:
    """Metrics of a regression model.

    Attributes:
        examples: number of examples.
        resamples: bootstrap resamples behind the intervals.
        seed: of the resampling.
        scores: loss and mse (mean over examples and targets), rmse (root of that mse), mae, r2 (unweighted
            mean over the targets that have one; None where none has).
        targets: each target on its own.
        baseline: always the mean of the training split.
        notes: why an r2 is None.
    """

    examples: int
    resamples: int
    seed: int
    scores: Mapping[str, Interval | None]
    targets: tuple[TargetScores, ...]
    baseline: Baseline
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; what is undefined is null."""
        document = {"task": "regression", "confidence": CONFIDENCE, **asdict(self)}
        return {**document, "targets": list(document["targets"]), "notes": list(self.notes)}


def classification_metrics(
    targets: NDArray[Any],
    probabilities: NDArray[np.floating[Any]],
    class_names: Sequence[str],
    *,
    train_counts: Sequence[int],
    seed: int,
    resamples: int = 1000,
) -> ClassificationReport:
    """Judge a classifier on held-out examples.

    Among equal probabilities the class of lower index counts as the more probable one, in the
    prediction and in the top 5.

    Args:
        targets: class indices (n,).
        probabilities: (n, classes).
        class_names: in index order.
        train_counts: examples of each class in the training split, for the baseline.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no examples, a class index out of range, or a probability that is not finite.
    """
    k = len(class_names)
    true = np.asarray(targets, np.int64)
    _require_examples(len(true))
    if (outside := np.flatnonzero((true < 0) | (true >= k))).size:
        raise DataError(
            f"example {outside[0]} has class index {true[outside[0]]}, but the {k} classes are 0 to {k - 1}: "
            "evaluate on data with the classes of the training data"
        )
    _require_finite(probabilities, "probabilities")
    predicted, in_top_5, true_probability = _rank(true, probabilities)

    losses = -np.log(np.clip(true_probability, _EPSILON, 1 - _EPSILON))
    confusion = np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
    support, times_predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    value = _from_counts(np.diag(confusion)[None], times_predicted[None], support[None])
    value["top_5_accuracy"] = np.mean(in_top_5, keepdims=True)

    rng = np.random.default_rng(seed)
    drawn = _resampled_counts(rng, true, predicted, in_top_5, k, resamples)
    scores = {"loss": _interval(losses.mean(), _resampled_means(rng, losses[:, None], resamples)[:, 0])}
    names = ["accuracy", "top_5_accuracy", "macro_precision", "macro_recall", "macro_f1"]
    for name in names if k > 5 else [n for n in names if n != "top_5_accuracy"]:
        scores[name] = _interval(value[name][0], drawn[name])
    bounds = {name: _bounds(drawn[name]) for name in ("precision", "recall", "f1")}

    def score(name: str, index: int) -> Interval:
        low, high = bounds[name][:, index]
        return Interval(float(value[name][0, index]), float(low), float(high))

    classes = tuple(
        ClassScores(
            name,
            support=int(support[i]),
            predicted=int(times_predicted[i]),
            precision=score("precision", i),
            recall=score("recall", i) if support[i] else None,
            f1=score("f1", i) if support[i] else None,
        )
        for i, name in enumerate(class_names)
    )
    baseline = _majority(true, class_names, np.asarray(train_counts, np.int64))
    return ClassificationReport(len(true), resamples, seed, scores, classes, confusion, baseline)


def regression_metrics(
    targets: NDArray[np.floating[Any]],
    predictions: NDArray[np.floating[Any]],
    target_names: Sequence[str],
    *,
    train_mean: Sequence[float],
    seed: int,
    resamples: int = 1000,
) -> RegressionReport:
    """Judge a regression model on held-out examples.

    Args:
        targets: (n, targets).
        predictions: (n, targets).
        target_names: in column order.
        train_mean: of each target over the training split, for the baseline.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: number of bootstrap resamples.

    Raises:
        DataError: no examples, or a target or prediction that is not finite.
    """
    _require_examples(len(targets))
    _require_finite(targets, "targets")
    _require_finite(predictions, "predictions")
    true = np.asarray(targets, np.float64)
    # Moments about the mean: about zero, the variance of large values would drown in rounding.
    centred = true - true.mean(axis=0)
    centred[:, np.ptp(true, axis=0) == 0] = 0

    def scores_of(error: Floats) -> tuple[Floats, dict[str, Floats]]:
        columns = np.concatenate([error**2, np.abs(error), centred, centred**2], axis=1)
        return columns, _from_moments(columns.mean(axis=0, keepdims=True))

    columns, value = scores_of(true - np.asarray(predictions, np.float64))
    drawn = _from_moments(_resampled_means(np.random.default_rng(seed), columns, resamples))
    each = tuple(
        TargetScores(name, {s: _interval_or_none(value[s][0, i], drawn[s][:, i]) for s in value})
        for i, name in enumerate(target_names)
    )

    def overall(values: dict[str, Floats]) -> dict[str, Floats]:
        mse = values["mse"].mean(axis=1)
        averages = {"loss": mse, "mse": mse, "rmse": np.sqrt(mse), "mae": values["mae"].mean(axis=1)}
        return {**averages, "r2": _mean_of_defined(values["r2"])}

    whole, spread = overall(value), overall(drawn)
    undefined = [name for i, name in enumerate(target_names) if np.isnan(value["r2"][0, i])]
    notes = [f"r2 of {name} is undefined: all its values are the same" for name in undefined]
    if undefined and len(undefined) < len(target_names):
        notes.append(f"the r2 over all targets leaves out {', '.join(undefined)}")
    guess = overall(scores_of(true - np.asarray(train_mean, np.float64))[1])
    baseline = Baseline(
        "always the mean of the training split", {n: _or_none(v[0]) for n, v in guess.items()}
    )
    scores = {name: _interval_or_none(whole[name][0], spread[name]) for name in whole}
    return RegressionReport(len(true), resamples, seed, scores, each, baseline, tuple(notes))


def _require_examples(count: int) -> None:
    if count == 0:
        raise DataError("there are 0 examples to evaluate: take a split, or data, with at least one")


def _require_finite(values: NDArray[Any], what: str) -> None:
    """Raise unless every row (n, ...) holds finite numbers only."""
    step = max(1, _BLOCK // max(1, values[0].size))
    bad = [
        start + np.flatnonzero(~np.isfinite(values[start : start + step]).all(axis=1))
        for start in range(0, len(values), step)
    ]
    rows = np.concatenate(bad)
    if rows.size:
        cause = (
            "mend the data"
            if what == "targets"
            else "the model diverged or an input is not finite: check the "
            "inputs, or train again with a lower learning rate"
        )
        raise DataError(
            f"{rows.size} of {len(values)} rows of {what} are not finite, the first is row {rows[0]}: {cause}"
        )


def _rank(true: Ints, probabilities: NDArray[Any]) -> tuple[Ints, NDArray[np.bool_], Floats]:
    """Prediction, whether the true class is among the 5 most probable, and its probability: (n,) each."""
    n, k = probabilities.shape
    predicted, in_top_5, chosen = np.empty(n, np.int64), np.empty(n, np.bool_), np.empty(n, np.float64)
    step = max(1, _BLOCK // k)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        block, index = probabilities[rows], true[rows, None]
        own = np.take_along_axis(block, index, axis=1)
        before = (block > own) | ((block == own) & (np.arange(k) < index))
        predicted[rows], in_top_5[rows], chosen[rows] = (
            block.argmax(axis=1),
            before.sum(axis=1) < 5,
            own[:, 0],
        )
    return predicted, in_top_5, chosen


def _from_counts(right: Ints, predicted: Ints, support: Ints) -> dict[str, Floats]:
    """Scores from counts (resamples, classes); what a class without examples cannot have is NaN."""
    with np.errstate(invalid="ignore"):
        recall = right / support
        f1 = np.where(support > 0, 2 * right / (support + predicted), np.nan)
    precision = right / np.maximum(predicted, 1)
    return {
        "accuracy": right.sum(axis=1) / support.sum(axis=1),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "macro_precision": _mean_of_defined(np.where(support > 0, precision, np.nan)),
        "macro_recall": _mean_of_defined(recall),
        "macro_f1": _mean_of_defined(f1),
    }


def _resampled_counts(
    rng: np.random.Generator, true: Ints, predicted: Ints, in_top_5: NDArray[np.bool_], k: int, resamples: int
) -> dict[str, Floats]:
    """Scores of resamples of the examples.

    They depend on the examples only through how many fall in each (true, predicted, in top 5) cell,
    and those counts are multinomial: cheap, however many examples there are.
    """
    cells, counts = np.unique((true * k + predicted) * 2 + in_top_5, return_counts=True)
    of_true, of_predicted, top = cells // 2 // k, cells // 2 % k, (cells % 2).astype(bool)
    by_predicted = np.argsort(of_predicted, kind="stable")
    right = np.zeros((resamples, k), np.int64)
    support, times_predicted = np.zeros_like(right), np.zeros_like(right)
    top_5 = np.empty(resamples)
    step = max(1, _BLOCK // len(cells))
    for start in range(0, resamples, step):
        rows = slice(start, min(start + step, resamples))
        drawn = rng.multinomial(len(true), counts / len(true), size=rows.stop - start)
        # A diagonal cell may be split in two by the top 5 (only where 5 classes tie); add both.
        for result, order, key in (
            (support, np.arange(len(cells)), of_true),
            (times_predicted, by_predicted, of_predicted),
            (right, np.flatnonzero(of_true == of_predicted), of_true),
        ):
            present, first = np.unique(key[order], return_index=True)
            if present.size:
                result[rows, present] = np.add.reduceat(drawn[:, order], first, axis=1)
        top_5[rows] = drawn[:, top].sum(axis=1) / len(true)
    return {**_from_counts(right, times_predicted, support), "top_5_accuracy": top_5}


def _resampled_means(rng: np.random.Generator, values: Floats, resamples: int) -> Floats:
    """Means (resamples, columns) of resamples of the rows of (n, columns)."""
    sizes = np.ones(len(values))
    if len(values) > _ROWS:
        # Random groups of rows stand for rows: the variance of the mean stays the same in expectation, and
        # its error of 1 / sqrt(2 * _ROWS), half a percent, is below that of 1,000 resamples.
        first = np.linspace(0, len(values), _ROWS, endpoint=False, dtype=np.int64)
        values = np.add.reduceat(values[rng.permutation(len(values))], first, axis=0)
        sizes = np.diff(first, append=len(sizes))
    n = len(values)
    columns = np.column_stack([values, sizes]).T.copy()
    sums = np.empty((resamples, len(columns)))
    for row in sums:
        times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        # Not `@`: the threads that BLAS starts for it cost far more than the product where cores are busy.
        np.einsum("cn,n->c", columns, times, out=row)
    return sums[:, :-1] / sums[:, -1:]


def _from_moments(moments: Floats) -> dict[str, Floats]:
    """Scores (resamples, targets) from means (resamples, 4 * targets) of regression_metrics' columns."""
    mse, mae, mean, square = np.split(moments, 4, axis=1)
    variance = square - mean**2
    # A resample whose values are all the same has no R2; what rounding leaves of its variance is none.
    variance[variance <= 1e-9 * square] = np.nan
    return {"mse": mse, "rmse": np.sqrt(mse), "mae": mae, "r2": 1 - mse / variance}


def _majority(true: Ints, class_names: Sequence[str], train_counts: Ints) -> Baseline:
    k = len(class_names)
    by_frequency = np.argsort(-train_counts, kind="stable")
    majority = int(by_frequency[0])
    frequencies = train_counts / train_counts.sum()
    support = np.bincount(true, minlength=k)
    always = np.where(np.arange(k) == majority, len(true), 0)
    right = np.where(np.arange(k) == majority, support, 0)
    value = _from_counts(right[None], always[None], support[None])
    scores: dict[str, float | None] = {
        "loss": float(-np.log(np.clip(frequencies, _EPSILON, 1 - _EPSILON))[true].mean()),
        **{n: float(value[n][0]) for n in ("accuracy", "macro_precision", "macro_recall", "macro_f1")},
    }
    if k > 5:
        scores["top_5_accuracy"] = float(np.isin(true, by_frequency[:5]).mean())
    description = f"always {class_names[majority]}, the most frequent class of the training split"
    return Baseline(f"{description}; loss of its class frequencies", scores)


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the columns that are not NaN (rows, columns) -> (rows,); NaN where none is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return mean


def _bounds(drawn: Floats) -> Floats:
    """2.5th and 97.5th percentile over the first axis, of the resamples that have a value."""
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    undefined = np.isnan(drawn)
    if not undefined.any():
        return np.percentile(drawn, tails, axis=0)
    if drawn.ndim == 1:
        defined = drawn[~undefined]
        return np.percentile(defined, tails) if defined.size else np.full(2, np.nan)
    return np.stack([_bounds(column) for column in drawn.T], axis=1)


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = _bounds(drawn)
    return Interval(float(value), float(low), float(high))


def _interval_or_none(value: float, drawn: Floats) -> Interval | None:
    return None if np.isnan(value) else _interval(value, drawn)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
