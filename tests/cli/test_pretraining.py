"""A masked language model, and the fine-tuning that begins with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

WORDS = ("good fine great nice", "bad poor awful weak", "film plot cast music scene story ending script")
CONFIG = """\
name: hidden
dataset:
  name: csv
  path: reviews.csv
  columns: {text: text}
  target: text
  task: masked_language_model
  prepare: {text: {length: 8}}
model: {name: transformer, layers: 1, width: 16, heads: 2, dropout: 0.0}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 2, batch_size: 32, tensorboard: false}
"""
FINE = CONFIG.replace("hidden", "fine").replace(
    "target: text\n  task: masked_language_model", "target: label"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the run `a`, evaluated, and the run `b`, which began with it."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("pretraining"), Path.cwd()
    os.chdir(folder)
    try:
        rng = np.random.default_rng(0)
        lines = ["text,label"]
        for label in rng.integers(0, 2, 300).tolist():
            tone, thing = (rng.choice(WORDS[place].split()) for place in (label, 2))
            lines.append(f"the {thing} is {tone},{label}")
        Path("reviews.csv").write_text("\n".join(lines))
        Path("hidden.yaml").write_text(CONFIG)
        Path("fine.yaml").write_text(FINE)
        for arguments in (
            ("train", "hidden.yaml", "--run-dir", "a", "--quiet"),
            ("evaluate", "a", "--json"),
            # Half of the words are left to it, and it must take those of the first run all the same.
            (
                "train",
                "fine.yaml",
                "--run-dir",
                "b",
                "--quiet",
                "initialize={weights: a}",
                "dataset.limit=60",
            ),
        ):
            main(list(arguments))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def user(bigmodel, folder, monkeypatch):
    """`bigmodel` in the folder of the runs."""
    monkeypatch.chdir(folder)
    return bigmodel


def read(path):
    return json.loads(path.read_text())


def test_hidden_tokens_are_measured(folder):
    found = read(folder / "a/evaluation/test/metrics.json")
    assert found["task"] == "masked_language_model"
    assert set(found["scores"]) == {"loss", "perplexity", "accuracy"}
    # Four words a text, of which 15% are asked for.
    assert 0.05 < found["tokens"] / (4 * found["examples"]) < 0.3
    assert found["linear_baseline"] is None and found["samples"] is None


def test_the_same_tokens_are_hidden_in_every_validation(folder):
    again = read(folder / "a/evaluation/test/metrics.json")
    from bigmodel_cli.evaluation import evaluate
    from bigmodel_cli.rundir import find

    before = Path.cwd()
    os.chdir(folder)
    try:
        assert evaluate(find(Path("a"))).to_json()["scores"]["loss"] is not None
        assert read(folder / "a/evaluation/test/metrics.json")["scores"] == again["scores"]
    finally:
        os.chdir(before)


def test_new_texts_are_measured(user):
    Path("new.csv").write_text("text,label\n" + "the film is good,1\nthe plot is bad,0\n" * 20)
    done = user("evaluate", "a", "--data", "new.csv", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["task"], found["data"]["read"]) == ("masked_language_model", 40)
    assert 0.05 < found["tokens"] / (4 * 40) < 0.3
    assert found["scores"]["perplexity"]["value"] > 1


def test_fine_tuning_takes_encoder_and_vocabulary(folder):
    first, second = (read(folder / name / "data.json") for name in "ab")
    columns = [document["input"]["columns"][0] for document in (first, second)]
    assert columns[0]["vocabulary"] == columns[1]["vocabulary"]
    taken = read(folder / "b/environment.json")["choices"]["initialize"]
    assert taken["value"].startswith("2") and "weights of a" in taken["value"]
    assert "the head is new" in taken["reason"]


def test_word_pieces_train_predict_and_explain(user, folder):
    options = ("dataset.prepare.text.split=word_piece", "dataset.prepare.text.max_tokens=40")
    done = user("train", "fine.yaml", "--run-dir", "pieces", "--quiet", "training.epochs=1", *options)
    assert done.exit_code == 0, done.stderr
    (column,) = read(folder / "pieces/data.json")["input"]["columns"]
    assert column["split"] == "word_piece" and len(column["vocabulary"]) == 38
    assert any(piece.startswith("##") for piece in column["vocabulary"])
    done = user("predict", "pieces", "--limit", 3, "--explain", "integrated_gradients")
    assert done.exit_code == 0, done.stderr
    assert (folder / "pieces/predictions/explanations/integrated_gradients").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "a", "the film"), "has learned to find hidden tokens, and predicts nothing"),
        (
            ("train", "fine.yaml", "initialize={weights: a}", "dataset.prepare.text.normalize=none"),
            "dataset.prepare.text.normalize: is `none` for `text`, but the run that `initialize` names has",
        ),
        (
            ("train", "fine.yaml", "dataset.prepare.text.hidden=0.3"),
            "0.3 is the share of the tokens that a masked_language_model has to find, but",
        ),
        (("train", "hidden.yaml", "dataset.target=[text, label]"), "a language model learns one column"),
        (("train", "hidden.yaml", "dataset.columns={text: categorical}"), "is declared categorical"),
        (("train", "hidden.yaml", "model={name: mlp}"), "gives outputs of shape"),
        (
            ("train", "fine.yaml", "dataset.prepare.text={split: word_piece, ngrams: 2}"),
            "`ngrams` goes with words and characters, not with `split: word_piece`",
        ),
    ],
)
def test_what_does_not_fit_is_refused(user, arguments, message):
    done = user(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
