"""Sequences from the command line: trained, evaluated, predicted and explained."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

CONFIG = """\
name: tones
dataset: {name: chirps, examples: 600, length: 16, noise: 0.1}
model: {name: lstm, units: [8]}
optimizer: {name: adam, learning_rate: 0.03}
training: {epochs: 4, batch_size: 16, tensorboard: false}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the evaluated run `a`."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("sequences"), Path.cwd()
    os.chdir(folder)
    try:
        Path("tones.yaml").write_text(CONFIG)
        main(["train", "tones.yaml", "--run-dir", "a", "--quiet"])
        main(["evaluate", "a", "--json"])
    finally:
        os.chdir(before)
    return folder


def test_a_linear_model_cannot_tell_what_an_lstm_can(folder):
    found = json.loads((folder / "a" / "evaluation" / "test" / "metrics.json").read_text())
    assert found["scores"]["accuracy"]["value"] > 0.95
    report = (folder / "a" / "report.html").read_text()
    assert "16x1 sequence of numbers" in report


def test_arrays_are_predicted_and_explained(folder, bigmodel, monkeypatch):
    monkeypatch.chdir(folder)
    time = np.linspace(0, 1, 16, endpoint=False)
    rising = np.sin(2 * np.pi * (time + time**2 / 2))
    np.save("new.npy", np.stack([rising, rising[::-1]])[..., None].astype(np.float32))
    done = bigmodel("predict", "a", "new.npy", "--json", "--explain", "integrated_gradients")
    assert done.exit_code == 0, done.stderr
    assert [one["prediction"] for one in json.loads(done.stdout)["predictions"]] == ["rising", "falling"]
    table = Path("a/predictions/explanations/integrated_gradients/000000_new.npy[0].csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    np.testing.assert_allclose([float(row["value"]) for row in rows], rising, atol=1e-5)
    assert any(float(row["score"]) for row in rows)


def test_a_vector_is_asked_for_where_there_are_steps(folder, bigmodel, monkeypatch):
    monkeypatch.chdir(folder)
    done = bigmodel("train", "tones.yaml", "model={name: mlp}")
    assert done.exit_code == 2
    assert "gives sequences of 16 times 1 numbers; use `lstm`, `gru` or `wavenet`" in done.stderr
    for number, model in enumerate(
        ("{name: mlp, flatten: true}", "{name: layers, layers: [{lstm: {units: 4}}]}")
    ):
        path = Path(f"other_{number}.yaml")
        path.write_text(CONFIG.replace("{name: lstm, units: [8]}", model))
        done = bigmodel("validate", "--build", path)
        assert done.exit_code == 0, done.stderr
