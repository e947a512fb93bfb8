"""Metrics, predictions and pictures of a run on one of its splits, or on new data."""

from bigmodel_cli.evaluation.least_squares import LeastSquares
from bigmodel_cli.evaluation.outcome import Evaluation
from bigmodel_cli.evaluation.several import SeveralEvaluations
from bigmodel_cli.evaluation.stage import evaluate, evaluate_new

__all__ = [
    "Evaluation",
    "LeastSquares",
    "SeveralEvaluations",
    "evaluate",
    "evaluate_new",
]
