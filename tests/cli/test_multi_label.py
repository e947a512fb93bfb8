"""Labels of which an example may have several, from the config to the comparison of runs."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

TEXT = """\
name: labels
dataset: {name: multi_label, examples: 240, features: 8, labels: 4}
model: {name: mlp, hidden: [8]}
optimizer: {name: adam, learning_rate: 0.02}
training: {epochs: 3, batch_size: 32, tensorboard: false}
"""
NAMES = [f"label_{index}" for index in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs `a` and `b`, both evaluated."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("labels"), Path.cwd()
    os.chdir(folder)
    try:
        Path("labels.yaml").write_text(TEXT)
        for arguments in (
            ("train", "labels.yaml", "--run-dir", "a", "--quiet"),
            ("train", "labels.yaml", "--run-dir", "b", "--quiet", "model={name: logistic_regression}"),
            ("evaluate", "a", "--json"),
            ("evaluate", "b", "--json"),
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


def test_validate_and_summary_build_it(user):
    assert user("validate", "--build", "labels.yaml").exit_code == 0
    done = user("summary", "labels.yaml")
    assert done.exit_code == 0, done.stderr
    assert "logits" in done.stdout


def test_data_counts_each_label(user, tmp_path):
    done = user("data", "labels.yaml", "--no-speed", "-o", tmp_path / "report")
    assert done.exit_code == 0, done.stderr
    assert "labels an example of train, on average" in done.stdout
    assert all(name in done.stdout for name in NAMES)
    assert (tmp_path / "report" / "classes.png").is_file()


def test_evaluation(folder):
    document = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    assert document["task"] == "multi_label"
    assert [label["name"] for label in document["labels"]] == NAMES
    assert document["scores"]["loss"]["value"] < document["baseline"]["scores"]["loss"]
    assert document["linear_baseline"]["scores"]["subset_accuracy"] is not None
    assert document["pictures"][:4] == ["labels.png", "roc.png", "precision_recall.png", "reliability.png"]
    for name in document["pictures"]:
        assert (folder / "a/evaluation/test" / name).stat().st_size > 5000


def test_evaluate_prints_each_label(user):
    done = user("evaluate", "a", "--split", "validation")
    assert done.exit_code == 0, done.stderr
    assert "subset accuracy" in done.stdout
    for name in NAMES:
        assert name in done.stdout


def test_the_saved_model_gives_a_probability_for_each_label(folder):
    from bigmodel_cli import assembly
    from bigmodel_cli.rundir import Run

    restored = assembly.restore(Run(folder / "a"))
    found = restored.predict(np.zeros((2, 8), np.float32))
    logits = restored.model.get_layer("probabilities").input
    assert logits.shape == (None, 4)
    assert found.shape == (2, 4)
    assert not np.allclose(found.sum(axis=1), 1, atol=1e-3), "no softmax"


def test_predictions_are_the_labels_joined(user, tmp_path):
    path = tmp_path / "p.csv"
    done = user("predict", "a", "-o", path, "--probabilities", "--logits", "--top-k", "2")
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert list(rows[0])[:2] == ["id", "prediction"]
    for row in rows:
        shares = [float(row[f"probability_{name}"]) for name in NAMES]
        assert row["prediction"] == "|".join(
            name for name, share in zip(NAMES, shares, strict=True) if share >= 0.5
        )
        assert row["top_1"] == NAMES[int(np.argmax(shares))]
        logits = np.array([float(row[f"logit_{name}"]) for name in NAMES])
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), shares, rtol=1e-4)
    assert any("|" in row["target"] for row in rows)
    assert any(row["target"] == "" for row in rows)


def test_predictions_as_arrays_and_json(user, tmp_path):
    path = tmp_path / "p.npz"
    assert user("predict", "a", "-o", path).exit_code == 0
    arrays = np.load(path)
    assert arrays["labels"].tolist() == NAMES
    assert arrays["probabilities"].shape == (48, 4)
    flags = arrays["probabilities"] >= 0.5
    assert arrays["prediction"].tolist() == ["|".join(np.array(NAMES)[row].tolist()) for row in flags]
    np.savez(tmp_path / "new.npz", x=np.zeros((1, 8), np.float32))
    done = user("predict", "a", tmp_path / "new.npz", "--json")
    (row,) = json.loads(done.stdout)["predictions"]
    assert set(row) >= {"id", "prediction", *(f"probability_{name}" for name in NAMES)}


def test_runs_and_ensembles(user, tmp_path):
    done = user("compare", "a", "b", "--json")
    assert done.exit_code == 0, done.stderr
    (paired,) = json.loads(done.stdout)["paired"]
    tests = {test["metric"]: test for test in paired["tests"]}
    assert tests["subset_accuracy"]["method"].startswith("McNemar")
    assert tests["hamming_loss"]["method"] == "paired bootstrap"
    found = [json.loads(Path(run, "evaluation/test/metrics.json").read_text())["scores"] for run in "ab"]
    for name, test in tests.items():
        assert test["difference"] == pytest.approx(
            found[1][name]["value"] - found[0][name]["value"], abs=1e-6
        )
    assert user("runs", "--json").exit_code == 0
    assert user("predict", "a", "--ensemble", "b", "-o", tmp_path / "p.csv").exit_code == 0


def test_labels_nobody_has(user, write):
    head = "name: t\ndataset: {name: npz, path: '%s', task: multi_label}\nmodel: {name: mlp}\n"
    targets = np.zeros((60, 3), np.uint8)
    np.savez(Path("none.npz"), x=np.random.default_rng(0).random((60, 2)), y=targets)
    done = user("validate", "--build", write("none.yaml", head % Path("none.npz").resolve()))
    assert done.exit_code == 2
    assert "no example of the training split of none has any label" in done.stderr
    targets[:20, 0] = targets[10:40, 1] = 1
    np.savez(Path("one.npz"), x=np.random.default_rng(0).random((60, 2)), y=targets)
    done = user(
        "train", write("one.yaml", head % Path("one.npz").resolve()), "training.epochs=1", "--run-dir", "c"
    )
    assert done.exit_code == 0, done.stderr
    assert "no example of the training split has the label `2`" in done.stdout
