"""Seconds of CPU for all metrics with their bootstrap intervals, beside a loop over scikit-learn's functions.

    python bench/bootstrap.py --examples 10000 --classes 10 2 1000

The loop calls scikit-learn for a few resamples and is extrapolated to as many as the metrics take.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bigmodel_cli.metrics import classification_metrics

RESAMPLES = 1000


def predictions(examples: int, classes: int) -> tuple[Any, Any]:
    """Class indices (n,) and probabilities (n, classes) float32 of a middling classifier."""
    rng = np.random.default_rng(0)
    targets = rng.integers(classes, size=examples)
    logits = rng.normal(size=(examples, classes)).astype(np.float32)
    logits[np.arange(examples), targets] += 2
    powers = np.exp(logits)
    return targets, powers / powers.sum(axis=1, keepdims=True)


def plain(targets: Any, probabilities: Any, classes: int) -> None:
    """One resample with scikit-learn: what classification_metrics gives."""
    from sklearn import metrics

    rows = np.random.default_rng(0).integers(len(targets), size=len(targets))
    true, scores = targets[rows], probabilities[rows]
    labels, predicted = np.arange(classes), scores.argmax(axis=1)
    metrics.log_loss(true, scores, labels=labels)
    metrics.accuracy_score(true, predicted)
    metrics.precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    metrics.precision_recall_fscore_support(true, predicted, average="macro", zero_division=0)
    metrics.matthews_corrcoef(true, predicted)
    if classes == 2:
        metrics.brier_score_loss(true, scores[:, 1])
        metrics.balanced_accuracy_score(true, predicted)
        metrics.roc_auc_score(true, scores[:, 1])
        metrics.average_precision_score(true, scores[:, 1])
        return
    metrics.brier_score_loss(true, scores, labels=labels)
    metrics.cohen_kappa_score(true, predicted)
    metrics.roc_auc_score(true, scores, multi_class="ovr", labels=labels)


def with_intervals(targets: Any, probabilities: Any, names: list[str]) -> None:
    """All metrics with their intervals."""
    counts = [1] * len(names)
    classification_metrics(targets, probabilities, names, train_counts=counts, seed=0, resamples=RESAMPLES)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process, all threads."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    """Print a line for each number of classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--classes", type=int, nargs="+", default=[10])
    parser.add_argument("--loops", type=int, default=3, help="resamples of the plain loop")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    for classes in asked.classes:
        targets, probabilities = predictions(asked.examples, classes)
        names = [str(index) for index in range(classes)]

        # scipy and scikit-learn are imported before the clock starts.
        few_targets, few = predictions(100, classes)
        with_intervals(few_targets, few, names)
        plain(few_targets, few, classes)
        seconds = cpu_seconds(partial(with_intervals, targets, probabilities, names))
        loop = sum(cpu_seconds(partial(plain, targets, probabilities, classes)) for _ in range(asked.loops))
        whole = loop / asked.loops * RESAMPLES
        print(
            f"{asked.examples:,} x {classes:,}, {RESAMPLES:,} resamples: {seconds:.2f} s of CPU; "
            f"scikit-learn in a loop {whole:,.0f} s, {whole / seconds:,.0f} times as long"
        )


if __name__ == "__main__":
    main()
