"""Several targets at once, from the config to the comparison of runs."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

TEXT = """\
name: several
dataset:
  name: csv
  path: t.csv
  target:
    kind: {}
    mass (g): {task: regression, weight: 0.5, loss: huber}
    sex: {weight: 2}
  drop_missing: target
  prepare: {target: {scale: standardize}}
model: {name: mlp, hidden: [8], dropout: 0.1}
optimizer: {name: adam, learning_rate: 0.05}
training:
  epochs: 3
  batch_size: 16
  tensorboard: false
  early_stopping: {monitor: val_kind_accuracy}
"""
KEYS = ["kind", "mass_g", "sex"]


def _table(rows):
    generator = np.random.default_rng(1)
    lines = ["x,y,island,kind,mass (g),sex"]
    for row in range(rows):
        x, y = generator.normal(size=2)
        sex = "" if row == 5 else ("F" if x + y > 0 else "M")
        lines.append(f"{x:.4f},{y:.4f},{'pq'[row % 2]},{'abc'[row % 3]},{4000 + 500 * x:.1f},{sex}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs `a`, which is evaluated, and `b`, which was trained in two sittings."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("several"), Path.cwd()
    os.chdir(folder)
    try:
        Path("t.csv").write_text(_table(151))
        Path("several.yaml").write_text(TEXT)
        for arguments in (
            ("train", "several.yaml", "--run-dir", "a", "--quiet"),
            ("train", "several.yaml", "--run-dir", "b", "--quiet", "training.epochs=2"),
            ("train", "--resume", "b", "--epochs", "3", "--quiet"),
            ("evaluate", "a", "--json", "--by", "island"),
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


def test_steps_are_measured(user):
    result = user("summary", "several.yaml", "--measure", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["measured"]["steps"] > 2


def test_an_epoch_is_one_line_of_metrics(folder):
    log = (folder / "a/train.log").read_text()
    assert "3 targets: kind (3 classes), mass (g), sex (2 classes)" in log
    (line,) = [line for line in log.splitlines() if line.startswith("epoch 1/3")]
    assert "val kind acc" in line
    assert "val mass g mae" in line
    assert "kind loss" not in line
    last = json.loads((folder / "a/metrics.jsonl").read_text().splitlines()[-1])
    parts = [last[f"val_{key}_loss"] for key in KEYS]
    assert last["val_loss"] == pytest.approx(parts[0] + 0.5 * parts[1] + 2 * parts[2], rel=1e-4)
    assert json.loads((folder / "a/summary.json").read_text())["monitor"] == "val_kind_accuracy"


def test_a_resumed_run_is_the_same_to_the_bit(folder):
    def newest(run):
        with np.load(max((folder / run / "checkpoints").glob("*.npz"))) as found:
            return {name: found[name] for name in found.files if name not in ("position", "config", "sha256")}

    whole, resumed = newest("a"), newest("b")
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name], err_msg=name)


def test_each_is_measured_in_a_folder_of_its_own(folder):
    whole = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    assert [*whole["outputs"]] == KEYS
    for key, task in zip(KEYS, ("classification", "regression", "classification"), strict=True):
        own = json.loads((folder / f"a/evaluation/test/{key}/metrics.json").read_text())
        assert own == whole["outputs"][key]
        assert own["task"] == task
        assert own["examples"] == 30
        assert whole["scores"][f"{key}_loss"] == own["scores"]["loss"]
        assert own["linear_baseline"]["scores"]["loss"] is not None
        for picture in own["pictures"]:
            assert (folder / f"a/evaluation/test/{key}" / picture).stat().st_size > 5000
    assert whole["outputs"]["sex"]["threshold"]["positive"] == "M"
    assert (folder / "a/calibration_sex.json").is_file()
    assert whole["outputs"]["mass_g"]["scores"]["mae"]["value"] < whole["baseline"]["scores"]["mass_g_mae"]


def test_predictions_of_all_stand_side_by_side(folder):
    table = parquet.read_table(folder / "a/evaluation/test/predictions.parquet").to_pydict()
    document = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    right = np.array(table["kind_prediction"]) == np.array(table["kind_target"])
    assert right.mean() == pytest.approx(document["scores"]["kind_accuracy"]["value"])
    errors = np.array(table["mass_g_prediction_mass (g)"]) - np.array(table["mass_g_target_mass (g)"])
    assert np.abs(errors).mean() == pytest.approx(document["scores"]["mass_g_mae"]["value"], rel=1e-4)
    assert "sex_probability_M" in table


def test_groups_of_each(folder, user):
    document = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    for key in KEYS:
        (grouping,) = document["outputs"][key]["groups"]
        assert [group["name"] for group in grouping["groups"]] == ["island p", "island q"]
    refused = user("evaluate", "a", "--by", "class")
    assert refused.exit_code == 2
    assert "there are several targets" in refused.stderr


def test_new_data_may_lack_a_label(user, folder, monkeypatch):
    # The pictures are those of a split, and take most of the time.
    monkeypatch.setattr("bigmodel_cli.evaluation_pictures.draw", lambda *args, **kwargs: [])
    monkeypatch.setattr("bigmodel_cli.model_pictures.embedding_map", lambda *args, **kwargs: None)
    (folder / "new.csv").write_text(
        "x,y,island,kind,mass (g),sex\n1,1,p,a,4400,F\n-1,0,q,b,,M\n0,-1,p,c,4000,M\n"
    )
    done = user("evaluate", "a", "--data", "new.csv", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [one["examples"] for one in document["outputs"].values()] == [3, 2, 3]
    table = parquet.read_table(folder / "a/evaluation/data-new/predictions.parquet").to_pydict()
    assert len(table["id"]) == 3
    assert table["mass_g_target_mass (g)"] == [4400, None, 4000]
    refused = user("evaluate", "a", "--data", "new.csv", "--target", "kind")
    assert refused.exit_code == 2
    assert "1 columns for 3 targets; name one for each of kind, mass (g), sex" in refused.stderr


def test_report_and_card_have_a_section_each(folder):
    page, card = ((folder / "a" / name).read_text() for name in ("report.html", "model_card.md"))
    for name in ("kind", "mass (g)", "sex"):
        assert f"Test split, {name}: 30 examples" in page
    assert "Classes of sex in the training split" in page
    assert "multi-task, 3 targets: kind (3 classes), mass (g), sex (2 classes)" in page
    assert card.count("### ") >= 5


def test_predict_writes_columns_of_each(user, folder):
    done = user("predict", "a", "-o", "p.csv")
    assert done.exit_code == 0, done.stderr
    with (folder / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert [name for name in rows[0] if "_probability_" not in name] == [
        "id", "kind_prediction", "kind_probability", "mass_g_prediction", "sex_prediction", "sex_probability",
        "kind_target", "mass_g_target", "sex_target",
    ]  # fmt: skip
    table = parquet.read_table(folder / "a/evaluation/test/predictions.parquet").to_pydict()
    assert [row["kind_prediction"] for row in rows] == table["kind_prediction"]
    assert [row["sex_target"] for row in rows] == table["sex_target"]
    expected = table["mass_g_prediction_mass (g)"]
    assert [float(row["mass_g_prediction"]) for row in rows] == pytest.approx(expected, rel=1e-5)


def test_predict_for_new_rows_by_several_runs(user, folder):
    (folder / "rows.csv").write_text("x,y,island\n1,1,p\n-1,zero,q\n")
    done = user(
        "predict", "a", "rows.csv", "--ensemble", "b", "-o", "p.npz", "--embeddings", "--probabilities"
    )
    assert done.exit_code == 2, done.stdout
    done = user("predict", "a", "rows.csv", "--ensemble", "b", "-o", "p.npz")
    assert done.exit_code == 0, done.stderr
    with np.load(folder / "p.npz") as found:
        assert found["sex_classes"].tolist() == ["F", "M"]
        assert found["kind_probabilities"].shape == (2, 3)
        assert found["kind_probabilities"][0].sum() == pytest.approx(1)
        assert np.isnan(found["mass_g_prediction"][1]).all()
        assert found["sex_prediction"][1] == ""


@pytest.mark.parametrize(
    "option",
    [("--top-k", "2"), ("--logits",), ("--calibrated",), ("--threshold", "0.3"), ("--explain", "occlusion")],
)
def test_what_predict_does_for_one_target(user, option):
    done = user("predict", "a", *option)
    assert done.exit_code == 2
    assert "kind, mass (g), sex" in done.stderr


def test_compare_runs_and_data(user, tmp_path):
    done = user("compare", "a", "b")
    assert done.exit_code == 0, done.stderr
    assert "kind accuracy" in done.stdout
    listed = user("runs", ".")
    assert listed.exit_code == 0
    assert "mass g loss" not in listed.stdout
    described = user("data", "several.yaml", "--no-speed", "-o", tmp_path / "report")
    assert described.exit_code == 0, described.stderr
    assert "target mass (g): regression" in described.stdout
    assert {path.name for path in (tmp_path / "report").glob("*.png")} == {
        "classes_kind.png", "targets_mass_g.png", "classes_sex.png", "columns.png"
    }  # fmt: skip


def test_each_output_begins_with_its_own_weights(user, folder):
    (folder / "next.yaml").write_text(
        TEXT.replace("name: several", "name: next").replace("    sex: {weight: 2}\n", "    island: {}\n")
        + "initialize: {weights: a, skip: [dense]}\n"
    )
    plain = "dataset.prepare.target.scale=none"
    done = user("train", "next.yaml", "--run-dir", "c", "training.epochs=1", plain)
    assert done.exit_code == 0, done.stderr
    # Of 8 weights those of the outputs `kind` and `mass_g`; island is new, and the first layer is skipped.
    assert "begins   4 of 8 weights of a" in done.stdout
    assert "the loss of `mass (g)` is in units of the target, and may outweigh the others" in done.stdout


def test_all_mistakes_before_data_is_read(user, folder):
    (folder / "wrong.yaml").write_text(
        "name: w\nmodel: mlp\nloss: huber\ntraining: {early_stopping: {monitor: val_sex_acc}}\n"
        "dataset:\n  name: csv\n  path: absent.csv\n  task: regression\n  class_weights: balanced\n"
        "  target: {kind: {}, sex: {}}\n"
    )
    done = user("validate", "wrong.yaml")
    assert done.exit_code == 2
    for text in (
        "wrong.yaml:3:7: loss.name: the targets have a loss each",
        "wrong.yaml:4:38: training.early_stopping.monitor: nothing of the name `val_sex_acc`",
        "wrong.yaml:8:9: dataset.task: the targets have a task each",
        "wrong.yaml:9:18: dataset.class_weights: is for one task",
    ):
        assert text in done.stderr
    (folder / "wrong.yaml").write_text(
        "name: w\nmodel: mlp\ndataset:\n  name: csv\n  path: absent.csv\n"
        "  target: {kind: {wieght: 1}, sex: {loss: hubr, weight: 0}}\n"
    )
    done = user("validate", "wrong.yaml")
    for text in (
        "dataset.target.kind.wieght: unknown key; did you mean `weight`?",
        "dataset.target.sex.loss: there is no loss `hubr`; did you mean `huber`?",
        "dataset.target.sex.weight: must be greater than 0, got 0",
    ):
        assert text in done.stderr
