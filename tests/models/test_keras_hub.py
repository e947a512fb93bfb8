"""Presets of KerasHub: from YAML to a run that needs the preset no more."""

from __future__ import annotations

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("keras_hub") is None or find_spec("tensorflow_text") is None:
    pytest.skip("keras-hub and tensorflow-text are not installed (extra `text`)", allow_module_level=True)

WORDS = ["the", "fox", "jump", "##ed", "good", "bad", "film", "a", "is", "very"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIG = """\
name: hub
dataset:
  name: csv
  path: reviews.csv
  target: label
  columns: {text: text, stars: numeric}
model: {name: keras_hub, preset: tiny, dropout: 0.0}
optimizer: {name: adam, learning_rate: 0.02}
training: {epochs: 3, batch_size: 16, tensorboard: false}
"""


def write_preset(folder: Path) -> None:
    """BERT of two layers with random weights, as `save_to_preset` writes it."""
    import keras_hub

    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=SPECIAL + WORDS, lowercase=True)
    layers = keras_hub.models.BertBackbone(
        vocabulary_size=len(SPECIAL + WORDS), num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32,
        max_sequence_length=12,
    )  # fmt: skip
    layers.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the preset `tiny`, a table, and the trained run `a`, beside which the preset is gone."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("hub"), Path.cwd()
    os.chdir(folder)
    try:
        write_preset(folder / "tiny")
        rng = np.random.default_rng(0)
        lines = ["text,stars,label"]
        for label in rng.integers(0, 2, 160).tolist():
            tone = ("bad", "Good")[label]
            lines.append(f"the {rng.choice(['film', 'fox'])} is {tone},{rng.integers(1, 6)},{label}")
        Path("reviews.csv").write_text("\n".join(lines))
        Path("hub.yaml").write_text(CONFIG)
        main(["train", "hub.yaml", "--run-dir", "a", "--quiet"])
        (folder / "tiny").rename("elsewhere")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="module")
def preset(folder):
    from bigmodel_cli import presets

    return presets.read(str(folder / "elsewhere"))


def data(preset, length=6, **changes):
    from bigmodel_cli.columns import Column
    from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec

    column = Column("t", "text", length=length, buckets=len(SPECIAL + WORDS), split="preset", preset=preset)
    target = TargetSpec((), "int32", ("no", "yes"), counts=(1, 1))
    return DataSpec(
        "texts", "test", "classification", InputSpec((1,), "", "table", ("t",), columns=(column,)), target
    )


def test_a_run_needs_no_preset(folder, bigmodel, monkeypatch):
    monkeypatch.chdir(folder)
    done = bigmodel("evaluate", "a", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["scores"]["accuracy"]["value"] == 1.0
    Path("new.csv").write_text("text,stars\na very bad fox,5\n,3\nGOOD film,1\n")
    done = bigmodel("predict", "a", "new.csv", "--json", "--explain", "occlusion")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["predictions"]
    assert [found[0]["prediction"], found[2]["prediction"]] == ["0", "1"]


def test_the_tokens_are_those_of_the_preset(preset):
    import keras
    import tensorflow as tf

    from bigmodel_cli.models.preparation import preparation

    prepare = preparation(data(preset).input.columns)
    texts = tf.constant(["The fox jumped", "film " * 9, ""])
    expected = [[2, 6 - 1, 6, 7, 8, 3], [2, 11, 11, 11, 11, 3], [2, 3, 0, 0, 0, 0]]
    np.testing.assert_array_equal(prepare({"t": texts})["tokens_0"], expected)
    in_graph = next(iter(tf.data.Dataset.from_tensors({"t": texts}).map(prepare)))
    np.testing.assert_array_equal(in_graph["tokens_0"], expected)
    # The layer is whole in what is saved.
    layer = next(layer for layer in prepare.layers if type(layer).__name__ == "PresetTokens")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(again(texts), expected)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_numbers_are_those_of_the_preset(folder, preset, pooling):
    import keras_hub as library

    from bigmodel_cli.models.keras_hub import keras_hub

    model = keras_hub(data(preset), preset=str(folder / "elsewhere"), pooling=pooling, dropout=0.0)
    reference = library.models.Backbone.from_preset(str(folder / "elsewhere"))
    tokens = np.array([[2, 5, 9, 3, 0, 0], [2, 5, 9, 10, 11, 3]], np.int32)
    known = (tokens != 0).astype(np.int32)
    whole = reference({"token_ids": tokens, "padding_mask": known, "segment_ids": 0 * tokens})
    vectors = np.asarray(whole["sequence_output"]) * known[..., None]
    pooled = whole["pooled_output"] if pooling == "cls" else vectors.sum(1) / known.sum(1)[:, None]
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(model({"tokens_0": tokens}), np.asarray(pooled) @ kernel + bias, atol=1e-5)


def test_bert_base_has_its_published_parameters(folder, tmp_path):
    import keras

    from bigmodel_cli import presets
    from bigmodel_cli.flops import count_flops
    from bigmodel_cli.models.keras_hub import keras_hub

    # A preset without weights: BERT base, and its 30,522 tokens by number.
    shutil.copytree(folder / "elsewhere", tmp_path / "base")
    (tmp_path / "base" / "model.weights.h5").unlink()
    described = json.loads((tmp_path / "base" / "config.json").read_text())
    described["config"] |= {
        "vocabulary_size": 30_522, "num_layers": 12, "num_heads": 12, "hidden_dim": 768,
        "intermediate_dim": 3072, "max_sequence_length": 512,
    }  # fmt: skip
    (tmp_path / "base" / "config.json").write_text(json.dumps(described))
    vocabulary = tmp_path / "base" / "assets" / "tokenizer" / "vocabulary.txt"
    vocabulary.write_text("\n".join(SPECIAL + [f"w{number}" for number in range(30_517)]))
    preset = presets.read(str(tmp_path / "base"))
    assert presets.longest(preset) == 512
    with keras.StatelessScope(initialize_variables=False):
        model = keras_hub(data(preset, length=128), preset="nowhere", load_weights=False)
        flops = count_flops(model)
    keras.utils.clear_session(free_memory=False)
    assert model.get_layer("backbone").count_params() == 109_482_240
    # Of 128 tokens: the matrices of 12 layers, all pairs, then the pooled vector's layer and the head.
    matrices, pairs = 2 * 128 * 12 * 12 * 768**2, 4 * 128**2 * 768 * 12
    assert flops.total == matrices + pairs + 2 * 768**2 + 2 * 768 * 2 and not flops.uncounted


def test_layers_are_frozen_and_given_lora(folder, preset, monkeypatch):
    from bigmodel_cli import assembly, validation
    from bigmodel_cli.training.layer_rules import add_lora, freeze

    monkeypatch.chdir(folder)
    rules = "[{match: ['*_embedding'], frozen: true}, {match: ['transformer_layer_*'], lora_rank: 2}]"
    config = validation.load(Path("hub.yaml"), ["model.preset=elsewhere", f"optimizer.layers={rules}"]).config
    model = assembly.build_model(config, data(preset))
    add_lora(config, model)
    freeze(config, model)
    trained = {weight.path for weight in model.trainable_weights}
    assert not any("embedding/" in path for path in trained)
    assert any("query/lora_kernel_a" in path for path in trained)
    assert not any("query/kernel" in path for path in trained)


def test_a_run_begins_with_another_one(folder, preset, monkeypatch):
    from bigmodel_cli import assembly, validation
    from bigmodel_cli.rundir import Run
    from bigmodel_cli.training.beginning import beginning

    monkeypatch.chdir(folder)
    spec = Run(folder / "a").read_data()
    config = validation.load(Path("hub.yaml"), ["model.load_weights=false", "initialize={weights: a}"]).config
    begun = beginning(config, spec, resumed=False)
    model = assembly.build_model(config, spec)
    assert begun.prepare(model).value.startswith(f"{len(model.weights)} of {len(model.weights)} weights")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.preset=./nowhere"], "model.preset: there is no folder ./nowhere"),
        (["model.preset=bert_base_em"], "did you mean `bert_base_en`"),
        (["model.preset=empty"], "the folder empty has no config.json"),
        (["model.preset=kaggle://a"], "model.preset: kaggle://a cannot be used: Unexpected Kaggle preset"),
    ],
)
def test_a_preset_that_is_not_there_is_refused_before_data_is_read(bigmodel, write, overrides, message):
    # There is no reviews.csv.
    path = write("hub.yaml", CONFIG)
    write("empty/other.txt", "")
    done = bigmodel("train", path, *overrides)
    assert done.exit_code == 2 and message in done.stderr


def test_packages_that_are_not_there_are_told_before_data_is_read(bigmodel, write, monkeypatch):
    from bigmodel_cli import presets

    monkeypatch.setattr(presets, "find_spec", lambda name: None)
    done = bigmodel("train", write("hub.yaml", CONFIG))
    assert done.exit_code == 2 and "pip install 'bigmodel-cli[text]'" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.prepare.text.split=character"], "`character`.*model.preset brings its own"),
        (["dataset.prepare.text.length=13"], "13 tokens are more than the preset takes; set at most 12"),
        (["dataset.columns={text: ignore}"], "takes one column of text, but dataset `csv` has none"),
        (["dataset={name: csv, path: reviews.csv, "
          "columns: {text: text, stars: ignore, label: ignore}, target: text, task: language_model}"],
         "is for classification, labels and regression.*use `gpt`"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(folder, bigmodel, monkeypatch, overrides, message):
    import re

    monkeypatch.chdir(folder)
    done = bigmodel("train", "hub.yaml", "--run-dir", "c", "model.preset=elsewhere", *overrides)
    assert done.exit_code == 2 and re.search(message, done.stderr), done.stderr


def test_no_file_is_written_outside_of_the_folder(preset):
    from bigmodel_cli import presets
    from bigmodel_cli.errors import ModelError

    bad = json.dumps({**json.loads(preset), "../outside.txt": ""})
    with pytest.raises(ModelError, match="outside"), presets.opened(bad):
        pass


def test_padding_of_another_id_changes_places_with_0():
    from bigmodel_cli.preset_tokens import swapped

    np.testing.assert_array_equal(swapped(np.array([[0, 5, 2, 1, 1]]), 1), [[1, 5, 2, 0, 0]])
