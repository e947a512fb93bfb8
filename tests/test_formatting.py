"""Numbers and durations as people read them."""

from __future__ import annotations

import math

import pytest

from bigmodel_cli import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (12.14, "12.1 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"), (3599.7, "1 h 00 min"),
     (7440, "2 h 04 min")],
)  # fmt: skip
def test_duration(seconds, text):
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04131, "0.0413"), (3.412e-6, "3.412e-06"), (0, "0"), (1.0, "1.0000"), (-0.5, "-0.5000"),
     (12345.6, "1.235e+04"), (math.nan, "n/a")],
)  # fmt: skip
def test_metric(value, text):
    assert formatting.metric(value) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (7.13e6, "7.13 MB"), (2.5e9, "2.5 GB"), (3e12, "3 TB"),
     (999_999, "1 MB")],
)  # fmt: skip
def test_si(number, text):
    assert formatting.si(number, "B") == text


def test_count_and_label():
    assert formatting.count(225034) == "225,034"
    assert formatting.label("val_mean_absolute_error") == "val mean absolute error"
