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
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "trained", "forward", "pass"]
    assert any(line.split()[1:5] == ["Conv2D", "6x6x4", "40", "40"] for line in lines)
    assert any(line.startswith("cnn: 426 parameters (426 trained), 1.7 kB as float32, ") for line in lines)
    assert lines[-4].startswith("training   CPU, ")
    assert lines[-3].startswith("  memory   ") and "adam 3.42 kB" in lines[-3]
    assert lines[-2].startswith("  step     ")


def test_json(cnn: Path, bigmodel: Callable[..., Any]) -> None:
    document = json.loads(bigmodel("summary", "cnn.yaml", "--json").stdout)
    assert (document["model"], document["dataset"], document["parameters"]) == ("cnn", "digits", 426)
    assert document["layers"][0]["output_shape"] == [None, 8, 8, 1]
    assert document["training"]["memory"]["gradients"] == 4 * 426
    assert document["training"]["step_seconds"] > 0
    assert document["measured"] is None and document["graph"] is None


def test_a_model_that_does_not_fit(cnn: Path, bigmodel: Callable[..., Any]) -> None:
    result = bigmodel("summary", "cnn.yaml", "dataset={name: iris}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cnn" in result.stderr


FROZEN = """
optimizer:
  name: adamw
  layers:
    - {match: 'conv*', frozen: true}
    - {match: dense1, frozen: true, until_epoch: 2}
"""


def test_frozen_weights_are_not_trained(write: Callable[[str, str], Path]) -> None:
    from bigmodel_cli import validation
    from bigmodel_cli.stand_in import stand_in
    from bigmodel_cli.summary.layers import summarize

    config = validation.load(write("frozen.yaml", CNN + FROZEN)).config
    found = summarize(config, stand_in((8, 8, 1), 10))
    convolution, dense, logits = 40, 36 * 8 + 8, 8 * 10 + 10
    assert (found.parameters, found.trainable) == (convolution + dense + logits, logits)
    assert found.released == dense + logits
    assert {layer.name: layer.trainable for layer in found.layers if layer.parameters} == {
        "conv1": 0, "dense1": 0, "logits": logits,
    }  # fmt: skip
    assert found.training.memory.gradients == 4 * logits
    # The slots of what is trained later are there from the start.
    assert found.training.memory.optimizer >= 8 * found.released


def test_low_rank_changes_are_what_is_trained(write: Callable[[str, str], Path]) -> None:
    from bigmodel_cli import validation
    from bigmodel_cli.stand_in import stand_in
    from bigmodel_cli.summary.layers import summarize

    text = CNN + "optimizer: {name: adam, layers: [{match: dense1, lora_rank: 2}]}\n"
    found = summarize(validation.load(write("lora.yaml", text)).config, stand_in((8, 8, 1), 10))
    (dense,) = [layer for layer in found.layers if layer.name == "dense1"]
    assert dense.trainable == 2 * (36 + 8) + 8


OPTIMIZER = "{name: adamw, ema: 0.99, weight_decay_exclude: ['*bias'], learning_rate: auto}"


def test_without_data_but_with_measuring_and_a_picture(
    write: Callable[[str, str], Path], bigmodel: Callable[..., Any]
) -> None:
    write(
        "c.yaml", f"dataset: {{name: csv, path: absent.csv, target: y}}\nmodel: cnn\noptimizer: {OPTIMIZER}\n"
    )
    options = ("--input", "12x12x3", "--classes", "7", "--measure", "--graph", "net.svg", "--json")
    result = bigmodel("summary", "c.yaml", "training.batch_size=auto", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["layers"][-1]["output_shape"] == [None, 7]
    # Two slots and the average.
    assert document["training"]["memory"]["optimizer"] >= 3 * 4 * document["parameters"]
    assert document["measured"]["steps"] > 2 and document["measured"]["step_seconds"] > 0
    assert document["graph"] == "net.svg"
    assert Path("net.svg").read_text("utf-8").startswith("<svg ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--input", "8x8"), "--input 8x8: is no shape of an example; give HEIGHTxWIDTHxCHANNELS"),
        (("--input", "8x0x1"), "--input 8x0x1: is no shape"),
        (("--input", "x"), "--input x: is no shape"),
        (("--input", "8x8x1", "--tokens", "9"), "--input 8x8x1: is no shape"),
        (("--classes", "3"), "--classes and --tokens: go with --input"),
        (("--graph", "net.png"), "--graph net.png: must be a file FILE.svg"),
        (("--graph", "no/net.svg"), "in a folder that is there"),
        (("--input", "30", "model={name: gpt}"), "a language model takes a text; name --tokens"),
        (("--input", "30", "model={name: unet}"), "segmentation takes images"),
    ],
)  # fmt: skip
def test_wrong_usage(cnn: Path, bigmodel: Callable[..., Any], options: Any, message: str) -> None:
    result = bigmodel("summary", "cnn.yaml", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    "model",
    [
        "{name: mlp, hidden: [4], flatten: true}",
        "{name: cnn, filters: [4], dense: []}",
        "{name: layers, layers: [flatten, dense: {units: 4}]}",
        "{name: layers, layers: [conv2d: {filters: 4, kernel_size: 3}, flatten]}",
    ],
)
def test_a_model_is_built_once(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    from bigmodel_cli import assembly, validation
    from bigmodel_cli.summary.layers import summarize

    built = []

    def build_model(*arguments: Any) -> Any:
        built.append(build(*arguments))
        return built[-1]

    build = assembly.build_model
    monkeypatch.setattr(assembly, "build_model", build_model)
    path = write("c.yaml", f"dataset: {{name: digits, limit: 20}}\nmodel: {model}\n")
    found = summarize(validation.load(path).config)
    assert len(built) == 1
    # The guess was right, whatever this machine computes fast.
    mixed = any(layer.compute_dtype == "bfloat16" for layer in built[0].layers)
    assert mixed == (found.training.precision == "bfloat16")


def test_a_billion_parameters_take_no_memory(
    write: Callable[[str, str], Path], bigmodel: Callable[..., Any], peak_memory: Callable[[], int]
) -> None:
    path = write("large.yaml", "dataset: digits\nmodel: {name: gpt, width: 2048, layers: 20, heads: 16}\n")
    result = bigmodel("summary", path, "--input", "1024", "--tokens", "20000", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["parameters"] == 1_050_226_688
    assert found["training"]["memory"]["weights"] == 4 * found["parameters"]
    # TensorFlow alone takes some 600 MB; the weights would be 4.2 GB.
    assert peak_memory() < 2e9
