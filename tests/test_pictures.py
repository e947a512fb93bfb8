"""Pictures of predictions: what is on them decides the data, not the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bigmodel_cli import pictures, plots
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec

LINE = DataSpec(
    "line",
    "made up",
    "regression",
    InputSpec((1,), "float32", "tabular", ("width",), (2.0,), (0.25,)),
    TargetSpec((1,), "float32", ("height",)),
)


def test_has_line():
    assert pictures.has_line(LINE)
    assert not pictures.has_line(replace(LINE, input=InputSpec((2,), "float32", "tabular")))
    assert not pictures.has_line(replace(LINE, target=TargetSpec((2,), "float32", ("a", "b"))))
    assert not pictures.has_line(replace(LINE, task="classification"))
    assert not pictures.has_line(replace(LINE, input=InputSpec((1,), "", "table")))


@pytest.mark.parametrize(("point", "low", "high"), [(2.0, 1.0, 3.0), (9.0, 1.0, 9.0)])
def test_line_spans_training_range_and_points(tmp_path: Path, monkeypatch, point, low, high):
    seen = {}
    monkeypatch.setattr(
        plots,
        "fitted_line",
        lambda x, y, line_x, line_y, path, **rest: seen.update(x=line_x, y=line_y, rest=rest) or path,
    )
    pictures.fitted_line(
        LINE,
        lambda x: 3 * x,
        np.array([[point]], np.float32),
        np.array([[6.0]], np.float32),
        tmp_path / "line.png",
        title="t",
        least_squares=(2.0, 1.0),
    )
    assert (seen["x"][0], seen["x"][-1]) == (low, high)
    np.testing.assert_allclose(seen["y"], 3 * seen["x"])
    ((label, xs, ys),) = seen["rest"]["extra"]
    assert label == "least squares"
    np.testing.assert_allclose(ys, 2 * xs + 1)
    assert (seen["rest"]["x_name"], seen["rest"]["y_name"]) == ("width", "height")


def test_image_grid_names_what_is_known(tmp_path: Path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        plots, "image_grid", lambda *arguments, **rest: seen.update(arguments=arguments) or arguments[4]
    )
    spec = DataSpec(
        "cats",
        "made up",
        "classification",
        InputSpec((2, 2, 1), "uint8", "image"),
        TargetSpec((), "int32", ("cat", "dog")),
    )
    outputs = np.tile(np.array([[0.25, 0.75]], np.float32), (30, 1))
    targets = [1, None, *[0] * 28]
    pictures.image_grid(
        spec, np.zeros((30, 2, 2, 1), np.uint8), outputs, targets, tmp_path / "a.png", title="t"
    )
    images, labels, predicted, confidences, _ = seen["arguments"]
    assert len(images) == len(labels) == len(predicted) == len(confidences) == 25
    assert labels[:3] == ["dog", None, "cat"]
    assert predicted[0] == "dog"
    assert confidences[0] == 0.75
