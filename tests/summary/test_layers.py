from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CNN = """\
name: digits
dataset: {name: digits, limit: 20}
model: {name: cnn, filters: [4], dense: [8], padding: valid}
"""


@pytest.fixture
def cnn(write: Callable[[str, str], Path]) -> Path:
    return write("cnn.yaml", CNN)


def test_layers_and_counts(cnn: Path) -> None:
    from bigmodel_cli import validation
    from bigmodel_cli.summary.layers import summarize

    found = summarize(validation.load(cnn).config)
    counts = {"Conv2D": [3 * 3 * 4 + 4], "Dense": [3 * 3 * 4 * 8 + 8, 8 * 10 + 10]}
    for kind, expected in counts.items():
        assert [layer.parameters for layer in found.layers if layer.kind == kind] == expected
    assert found.parameters == found.trainable == sum(sum(numbers) for numbers in counts.values())
    (convolution,) = [layer for layer in found.layers if layer.kind == "Conv2D"]
    assert convolution.output_shape == (None, 6, 6, 4)
    # A multiply-add is 2, and the bias 1 more.
    assert convolution.flops == pytest.approx(6 * 6 * 4 * (2 * 9), rel=0.06)
    assert found.flops == sum(layer.flops for layer in found.layers)
    assert found.uncounted == ()


def test_moving_averages_are_not_trained(cnn: Path) -> None:
    from bigmodel_cli import validation
    from bigmodel_cli.summary.layers import summarize

    found = summarize(validation.load(cnn, ["model.batch_norm=true"]).config)
    norms = [layer for layer in found.layers if layer.kind == "BatchNormalization"]
    assert found.parameters - found.trainable == sum(layer.parameters for layer in norms) // 2 > 0


def test_the_table(cnn: Path, bigmodel: Callable[..., Any]) -> None:
    result = bigmodel("summary", "cnn.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "forward", "pass"]
    assert any(line.split()[1:4] == ["Conv2D", "6x6x4", "40"] for line in lines)
    assert lines[-1].startswith("cnn: 426 parameters (426 trained), 1.7 kB as float32, ")


def test_json(cnn: Path, bigmodel: Callable[..., Any]) -> None:
    document = json.loads(bigmodel("summary", "cnn.yaml", "--json").stdout)
    assert (document["model"], document["dataset"], document["parameters"]) == ("cnn", "digits", 426)
    assert document["layers"][0]["output_shape"] == [None, 8, 8, 1]


def test_a_model_that_does_not_fit(cnn: Path, bigmodel: Callable[..., Any]) -> None:
    result = bigmodel("summary", "cnn.yaml", "dataset={name: iris}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cnn" in result.stderr
