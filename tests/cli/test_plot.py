"""`bigmodel plot`: learning curves of a run, and the learning rate over a training."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.curves

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
optimizer:
  name: sgd
  learning_rate: {name: cosine, peak: 0.2, warmup_epochs: 1, start: 0.1}
  layers: [{match: "dense*", learning_rate_factor: 0.5}]
training: {epochs: 2, batch_size: 32, tensorboard: false}
"""


@pytest.fixture
def run(bigmodel, write):
    result = bigmodel("train", write("iris.yaml", IRIS), "--run-dir", "run")
    assert result.exit_code == 0, result.stderr
    return "run"


def test_a_run(bigmodel, run, tmp_path):
    """Its curves as after training; its learning rate from what it recorded, without data."""
    (tmp_path / "run" / "learning_curves.png").unlink()
    result = bigmodel("plot", run)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "run  2 epochs\npicture in run/learning_curves.png\n"
    assert (tmp_path / "run" / "learning_curves.png").stat().st_size > 1000
    assert json.loads(bigmodel("plot", run, "-o", "here.png", "--json").stdout) == {
        "run": "run", "epochs": 2, "picture": "here.png",
    }  # fmt: skip
    result = bigmodel("plot", run, "--schedule")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["cosine", "2", "epochs", "of", "4", "steps"]
    assert lines[3:6] == [["start", "0.1", "1", "1"], ["peak", "0.2", "5", "2"], ["end", "0.02929", "8", "2"]]
    assert result.stdout.endswith("layers dense*: 0.5 times as much\n\npicture in run/learning_rate.png\n")
    result = bigmodel("plot", run, "training.epochs=3", "--schedule")
    assert (result.exit_code, "training.epochs=3: changes a config, but run is a run" in result.stderr) == (
        2,
        True,
    )


def test_a_config(bigmodel, write, tmp_path):
    path = write("iris.yaml", IRIS)
    document = json.loads(bigmodel("plot", path, "training.epochs=4", "--schedule", "--json").stdout)
    assert (document["name"], document["steps_per_epoch"], document["epochs"]) == ("iris", 4, 4)
    assert document["peak"] == {"step": 5, "learning_rate": pytest.approx(0.2)}
    assert document["layers"] == [{"match": "dense*", "factor": 0.5}]
    assert document["picture"] == "iris_learning_rate.png"
    assert (tmp_path / "iris_learning_rate.png").stat().st_size > 1000


def test_steps_an_epoch_stand_for_the_data(bigmodel, write):
    """The data set need not be there."""
    path = write("mnist.yaml", IRIS.replace("dataset: iris", "dataset: {name: mnist, data_dir: nowhere}"))
    result = bigmodel("plot", path, "--schedule", "--steps-per-epoch", 1000, "-o", "a.png", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["peak"]["step"] == 1001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["c.yaml", "--schedule", "-o", "a.jpg"], "--output a.jpg: must end in .png"),
        (
            ["c.yaml", "--schedule", "optimizer.learning_rate.peak=-1"],
            "optimizer.learning_rate.peak: must be greater",
        ),
        (["c.yaml", "training.epochs=1"], "KEY=VALUE: goes with --schedule"),
        (["--steps-per-epoch", "3"], "--steps-per-epoch: goes with --schedule"),
        (["c.yaml"], "c.yaml: has no run under runs/iris yet"),
        ([], "there is no run under runs/ yet"),
    ],
)
def test_wrong_usage(arguments, message, bigmodel, write):
    write("c.yaml", IRIS)
    result = bigmodel("plot", *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_a_run_without_an_epoch(bigmodel, write, tmp_path):
    write("run/config.yaml", IRIS)
    write("run/environment.json", "{}")
    result = bigmodel("plot", "run")
    assert (result.exit_code, "run: has finished no epoch yet" in result.stderr) == (2, True)
