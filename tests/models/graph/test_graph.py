"""`model: {name: layers}` as a user meets it: mistakes with their lines, a run, a billion parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import validation
from bigmodel_cli.errors import ConfigError

HEAD = """\
name: mine
dataset: {name: digits, limit: 40}
model:
  name: layers
  layers:
"""
SMALL = """\
    - conv2d: {filters: 4, kernel_size: 3}
      name: stem
    - batch_normalization
    - residual:
        - conv2d: {filters: 6, kernel_size: 3, strides: 2, padding: same}
    - parallel:
        - [global_average_pooling2d]
        - [flatten, dropout: {rate: 0.1}]
training: {epochs: 1, batch_size: 16}
"""
APART = """\
    - conv2d: {filters: 4, kernel_size: 3}
      name: stem
    - batch_normalization
    - max_pooling2d:
      name: small
    - add:
      from: [stem, small]
"""
Write = Callable[[str, str], Path]


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validation.load(path)
    return [str(mistake).removeprefix(str(path)) for mistake in caught.value.mistakes]


def test_mistakes_say_their_lines(write: Write) -> None:
    path = write(
        "c.yaml", HEAD + "    - conv2d: {filtres: 3, kernel_size: 3}\n    - relu: {}\n      from: stm\n"
    )
    assert mistakes(path) == [
        ":6:15: model.layers[0].conv2d.filters: is missing and must be given",
        ":6:16: model.layers[0].conv2d.filtres: unknown parameter; did you mean `filters`?",
        ":8:13: model.layers[1].from: there is no tensor `stm` here; there are `input` (the names inside a "
        "`repeat` are its own)",
    ]


def test_the_resolved_config_is_what_was_written(write: Write) -> None:
    import yaml

    path = write("c.yaml", HEAD + SMALL)
    config = validation.load(path).config
    written = yaml.safe_load(path.read_text("utf-8"))["model"]["layers"]
    assert config.model.parameters["layers"] == written
    again = write("again.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    assert validation.load(again).config == config


def test_shapes_that_do_not_meet_name_both_lines(write: Write, bigmodel: Callable[..., Any]) -> None:
    write("c.yaml", HEAD + APART)
    result = bigmodel("train", "c.yaml")
    assert result.exit_code == 2
    first, *table, last = result.stderr.strip().splitlines()
    assert first.startswith(
        "c.yaml:11:7: model.layers[3]: `add` cannot be built on (None, 6, 6, 4) from `stem` (line 6) and "
        "(None, 3, 3, 4) from `small` (line 9): "
    )
    assert [line.split(maxsplit=1) for line in table[1:]] == [
        ["input", "(None, 8, 8, 1)"],
        ["stem", "(None, 6, 6, 4)"],
        ["batch_normalization", "(None, 6, 6, 4)"],
        ["small", "(None, 3, 3, 4)"],
    ]
    assert last == "1 mistake in c.yaml"
    assert not Path("runs").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of the small model."""
    from bigmodel_cli.cli import main

    folder = tmp_path_factory.mktemp("layers")
    (folder / "c.yaml").write_text(HEAD + SMALL, encoding="utf-8")
    with suppress(SystemExit):
        main(["train", str(folder / "c.yaml"), "--run-dir", str(folder / "run"), "--quiet"])
    return folder / "run"


def test_a_run_is_restored_with_its_weights(run: Path) -> None:
    from bigmodel_cli import assembly, rundir

    restored = assembly.restore(rundir.find(run))
    names = [layer.name for layer in restored.model.layers]
    assert {"stem", "add", "add_projection", "concatenate", "logits", "probabilities"} <= set(names)
    data = assembly.restored_data(restored)
    inputs, _ = data.splits["test"].arrays()
    found = restored.predict(inputs)
    again = assembly.restore(rundir.find(run)).predict(inputs)
    assert found.shape == (len(inputs), 10)
    assert np.array_equal(found, again)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


BILLION = """\
    - reshape: {target_shape: [64, 1]}
    - dense: {units: 2048}
    - repeat: 20
      name: block
      layers:
        - residual:
            - layer_normalization
            - multi_head_attention: {num_heads: 16, key_dim: 128, use_causal_mask: true}
        - residual:
            - layer_normalization
            - dense: {units: 8192, activation: gelu}
            - dense: {units: 2048}
    - global_average_pooling1d
"""


def test_a_billion_parameters_take_no_memory(
    write: Write, bigmodel: Callable[..., Any], peak_memory: Callable[[], int]
) -> None:
    import keras

    path = write("big.yaml", HEAD + BILLION)
    result = bigmodel("summary", path, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    attention = 3 * (2048 * 2048 + 2048) + 2048 * 2048 + 2048
    perceptron = 2048 * 8192 + 8192 + 8192 * 2048 + 2048
    assert found["parameters"] == 2 * 2048 + 20 * (attention + perceptron + 4 * 2048) + 2048 * 10 + 10
    assert found["parameters"] == found["trainable"] > 1e9
    assert found["flops"] > 64 * 2e9 * 0.98
    # The weights would take 4 GB, TensorFlow takes some 600 MB.
    assert peak_memory() < 2e9
    # What is made afterwards has values again, and the giants are forgotten.
    assert keras.layers.Dense(2)(np.ones((1, 3))).shape == (1, 2)
    with keras.StatelessScope():
        pass
    assert peak_memory() < 2e9


def test_a_layer_of_another_file_names_that_file(write: Write, bigmodel: Callable[..., Any]) -> None:
    write("base.yaml", HEAD + "    - conv2d: {filters: 4, kernel_size: 9}\n      name: wide\n")
    write("top.yaml", "extends: base.yaml\nseed: 3\n")
    result = bigmodel("summary", "top.yaml")
    assert result.exit_code == 2
    first, *_, last = result.stderr.strip().splitlines()
    assert first.startswith(
        "base.yaml:6:7: model.layers[0]: `conv2d` cannot be built on (None, 8, 8, 1) from `input`: "
    )
    assert last == "1 mistake in top.yaml"


def test_a_layer_of_the_command_line_names_its_key(write: Write, bigmodel: Callable[..., Any]) -> None:
    write("c.yaml", HEAD + SMALL)
    result = bigmodel("summary", "c.yaml", "model.layers=[flatten, conv2d: {filters: 3, kernel_size: 1}]")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "command line: model.layers[1]: `conv2d` cannot be built on (None, 64) from "
    )
    assert "`flatten` (model.layers[0]): " in result.stderr


def test_the_list_shows_what_must_be_given(bigmodel: Callable[..., Any]) -> None:
    result = bigmodel("list", "layers")
    rows = {line.split()[0]: line.split()[1:4] for line in result.stdout.splitlines() if line.split()}
    assert rows["conv2d"] == ["filters,", "kernel_size,", "..."]
    assert rows["relu"][0] == "..."
