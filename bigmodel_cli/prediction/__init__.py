"""Predictions of a run for any number of inputs, or for one of its splits: as a file, and a picture.

Inputs pass through in batches: read and decoded in parallel, computed, and put down in parts (parts.py) that
become the file at the end. What is held in memory does not grow with their number.
"""

from bigmodel_cli.prediction.content import Content
from bigmodel_cli.prediction.sources import Request
from bigmodel_cli.prediction.stream import InterruptedPredictionError, Predictions, predict
from bigmodel_cli.prediction.writing import FORMATS, check_output

__all__ = [
    "FORMATS",
    "Content",
    "InterruptedPredictionError",
    "Predictions",
    "Request",
    "check_output",
    "predict",
]
