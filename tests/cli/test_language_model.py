"""A language model of characters, from the config to what it writes."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

TEXT = "the cat sat on the mat. the dog sat on the log. " * 60
CONFIG = """\
name: cats
dataset:
  name: text_file
  path: cats.txt
  window: 20
  prepare: {text: {normalize: none, split: character}}
model: {name: gpt, layers: 1, width: 32, heads: 2, dropout: 0.0}
optimizer: {name: adam, learning_rate: 0.02}
training: {epochs: 6, batch_size: 8, tensorboard: false}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the run `a`, evaluated."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("cats"), Path.cwd()
    os.chdir(folder)
    try:
        Path("cats.txt").write_text(TEXT)
        Path("cats.yaml").write_text(CONFIG)
        main(["train", "cats.yaml", "--run-dir", "a", "--quiet"])
        main(["evaluate", "a", "--json"])
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def user(bigmodel, folder, monkeypatch):
    """`bigmodel` in the folder of the run."""
    monkeypatch.chdir(folder)
    return bigmodel


def document(folder):
    return json.loads((folder / "a/evaluation/test/metrics.json").read_text())


def test_training_writes_the_perplexity(folder):
    last = json.loads((folder / "a/metrics.jsonl").read_text().splitlines()[-1])
    assert last["val_perplexity"] == pytest.approx(np.exp(last["val_loss"]), rel=0.05)
    spec = json.loads((folder / "a/data.json").read_text())
    assert spec["target"]["names"][:2] == ["[END]", "[UNK]"]
    assert sum(spec["target"]["counts"]) >= 0.8 * len(TEXT)


def test_evaluation_counts_every_character(folder):
    found = document(folder)
    assert found["task"] == "language_model"
    text = TEXT[round(0.9 * len(TEXT)) :]
    # Each character is foreseen once; the last window ends before it is full.
    assert found["tokens"] == len(text) + (len(text) % 20 > 0)
    scores = {name: score["value"] for name, score in found["scores"].items()}
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))
    assert scores["bits_per_character"] == pytest.approx(
        scores["loss"] * found["tokens"] / len(text) / np.log(2), rel=1e-6
    )
    assert scores["loss"] < found["linear_baseline"]["scores"]["loss"] < found["baseline"]["scores"]["loss"]
    assert found["places"][0]["first"] == 1 and found["places"][-1]["last"] == 20
    assert found["pictures"] == ["loss_by_place.png"]
    assert len(found["samples"]["continuations"]) == 3


def test_a_new_text_is_measured_as_a_split(user, folder, tmp_path, monkeypatch):
    known = document(folder)
    Path("tail.txt").write_text(TEXT[round(len(TEXT) * 0.9) :])
    done = user("evaluate", "a", "--data", "tail.txt", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["split"], found["data"]["read"]) == ("data-tail", known["examples"])
    for part in ("scores", "baseline", "linear_baseline"):
        assert found[part] == known[part]
    # The text of training is not needed.
    shutil.copytree("a", tmp_path / "a")
    shutil.copy("tail.txt", tmp_path)
    monkeypatch.chdir(tmp_path)
    again = json.loads(user("evaluate", "a", "--data", "tail.txt", "--json").stdout)
    assert again["scores"] == known["scores"]
    assert again["linear_baseline"] is None
    assert any("the run's own data cannot be read here" in note for note in again["notes"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gone.txt"), "--data gone.txt: gone.txt: cannot be read: No such file or directory"),
        (("--data", "cats.txt", "--data", "cats.txt"), "are measured from one path at a time"),
        (("--data", "cats.txt", "--target", "text"), "--target text: a learned its own input"),
        (("--data", "cats.txt", "--by", "text"), "--by text: a learned its own input"),
    ],
)
def test_new_data_that_does_not_fit(user, options, message):
    done = user("evaluate", "a", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_bigrams_are_those_of_the_training_split(folder):
    """The baseline's loss, counted here anew."""
    from collections import Counter

    train = TEXT[: round(0.8 * len(TEXT))]
    windows = [train[start : start + 20] for start in range(0, len(train), 20)]
    singles, pairs = Counter(), Counter()
    for window in windows:
        tokens = [*window] + (["END"] if len(window) < 20 else [])
        singles.update(tokens)
        pairs.update(zip(["END", *tokens], tokens, strict=False))
    known = len(set(train)) + 2
    total = sum(singles.values()) + known

    def probability(before, token):
        after = {b: n for (a, b), n in pairs.items() if a == before}
        followed, different = sum(after.values()), len(after)
        share = followed / max(followed + different, 1)
        return share * after.get(token, 0) / max(followed, 1) + (1 - share) * (singles[token] + 1) / total

    test, losses = TEXT[round(0.9 * len(TEXT)) :], []
    for start in range(0, len(test), 20):
        window = test[start : start + 20]
        tokens = [*window] + (["END"] if len(window) < 20 else [])
        losses += [-np.log(probability(*pair)) for pair in zip(["END", *tokens], tokens, strict=False)]
    assert document(folder)["linear_baseline"]["scores"]["loss"] == pytest.approx(np.mean(losses), rel=1e-6)


def test_report_shows_what_it_writes(folder):
    page = (folder / "a/report.html").read_text()
    assert "Continuations" in page and "perplexity" in page
    assert (folder / "a/model_card.md").is_file()


def test_greedy_continuation_is_the_likeliest_text(user):
    done = user("predict", "a", "the cat sat on the ", "--temperature", "0", "--max-tokens", "5", "--json")
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)["continuations"]
    assert found["tokens"] == 5 and len(found["continuation"]) == 5
    from bigmodel_cli import assembly
    from bigmodel_cli.rundir import find

    restored = assembly.restore(find(Path("a")))
    # The 20th place of a window is foreseen from the 19 before it.
    probabilities = restored.predict({"text": np.array([b"the cat sat on the "], object)})[0, 19]
    assert restored.spec.target.names[probabilities.argmax()] == found["continuation"][0]
    shown = user("predict", "a", "the cat sat on the ", "--temperature", "0", "--max-tokens", "5")
    assert shown.stdout == f"the cat sat on the {found['continuation']}\n"


def test_draws_depend_on_seed_and_place_alone(user):
    def drawn(*prompts, seed=0):
        options = ("--max-tokens", 40, "--temperature", 3, "--seed", seed, "--json")
        done = user("predict", "a", *prompts, *options)
        return [item["continuation"] for item in json.loads(done.stdout)["continuations"]]

    first = drawn("the ", "the ")
    assert first[0] != first[1]
    assert drawn("the ")[0] == first[0] == drawn("the ", "dog")[0]
    assert drawn("the ", seed=1)[0] != first[0]


def test_continuations_go_to_files(user, folder):
    for name in ("out.csv", "out.jsonl"):
        done = user("predict", "a", "a", "b", "--max-tokens", 3, "-o", name)
        assert done.stdout == f"2 continuations in {name}\n"
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    with (folder / "out.csv").open(newline="") as file:
        assert [row["continuation"] for row in csv.DictReader(file)] == [row["continuation"] for row in rows]
    assert [row["prompt"] for row in rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "a"), "is a language model: give it a prompt"),
        (("predict", "a", "x", "--logits"), "--logits: a is a language model"),
        (("predict", "a", "x", "--split", "test"), "--split: a is a language model"),
        (("predict", "a", "x", "-o", "x.parquet"), "--output x.parquet: must end in .csv or .jsonl"),
        (("evaluate", "a", "--by", "text"), "--by: a language model's texts have no other columns"),
        (("train", "cats.yaml", "model={name: mlp}"), "gives outputs of shape"),
        (("train", "cats.yaml", "dataset.prepare.text.ngrams=2"), "dataset.prepare.text.ngrams: 2 tokens"),
        (("train", "cats.yaml", "loss=huber"), "loss: `huber` is not for a language model"),
        (("train", "cats.yaml", "dataset.class_weights=balanced"), "are for classification"),
    ],
)
def test_what_does_not_fit_is_refused(user, arguments, message):
    done = user(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_other_commands_take_it(user):
    done = user("data", "cats.yaml", "--no-speed", "-o", "report")
    assert done.exit_code == 0, done.stderr
    assert "token" in done.stdout
    done = user("summary", "cats.yaml")
    assert done.exit_code == 0, done.stderr


def test_two_runs_are_compared_text_by_text(user):
    done = user("train", "cats.yaml", "--run-dir", "b", "--quiet", "training.epochs=1")
    assert done.exit_code == 0, done.stderr
    better, worse = (json.loads(user("evaluate", name, "--json").stdout) for name in ("a", "b"))
    done = user("compare", "a", "b", "--json")
    assert done.exit_code == 0, done.stderr
    (result,) = json.loads(done.stdout)["paired"]
    tests = {test["metric"]: test for test in result["tests"]}
    assert set(tests) == {"loss", "perplexity", "accuracy", "bits_per_character"}
    for name, test in tests.items():
        change = worse["scores"][name]["value"] - better["scores"][name]["value"]
        assert test["difference"] == pytest.approx(change, rel=1e-5)
        assert test["method"] == "paired bootstrap"
