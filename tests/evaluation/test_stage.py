"""What `evaluate` chooses and leaves out, and what `predict` does with it, on one run of two classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import validation
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.rundir import Run

CONFIG = """\
name: tumours
dataset: breast_cancer
model: {name: mlp, hidden: [8]}
optimizer: {name: adam, learning_rate: 0.003}
training: {epochs: 2, tensorboard: false}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run; not to be changed."""
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    folder = tmp_path_factory.mktemp("tumours")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    plan = planning.prepare(validation.load(folder / "config.yaml").config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return run.path


@pytest.fixture(scope="module")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its evaluation by groups; not to be changed."""
    from bigmodel_cli.evaluation import evaluate

    path = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(trained, path)
    return evaluate(Run(path), by=["mean radius", "class"])


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A copy that is not evaluated."""
    shutil.copytree(trained, tmp_path / "run")
    return Run(tmp_path / "run")


def _document(evaluation: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((evaluation.folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def _probabilities(evaluation: Any) -> np.ndarray:
    from pyarrow import parquet

    table = parquet.read_table(evaluation.folder / "predictions.parquet")
    return np.stack([table["probability_malignant"], table["probability_benign"]], axis=1)


def test_the_temperature_is_kept_with_the_run(evaluated: Any) -> None:
    kept = json.loads(evaluated.run.calibration.read_text(encoding="utf-8"))
    found = _document(evaluated)["calibration"]
    assert found["temperature"] == kept["temperature"] != 1
    assert found["fitted_on"] == kept["fitted_on"] == {"split": "validation", "examples": 46}
    assert kept["validation"]["loss_after"] < kept["validation"]["loss_before"]
    assert kept["threshold"]["positive"] == "benign"
    loss = _document(evaluated)["scores"]["loss"]["value"]
    powers = _probabilities(evaluated).astype(float) ** (1 / found["temperature"])
    shares = powers / powers.sum(axis=1, keepdims=True)
    targets = evaluated.report.confusion.sum(axis=1)
    assert shares.shape == (targets.sum(), 2)
    assert found["loss_after"] != pytest.approx(loss)


def test_the_threshold_stands_beside_a_half(evaluated: Any) -> None:
    found = _document(evaluated)
    threshold = found["threshold"]
    assert threshold["at_half"]["f1"] == pytest.approx(found["scores"]["f1"], abs=0.02)
    taken = _probabilities(evaluated)[:, 1] > threshold["value"]
    right = np.array(evaluated.report.confusion.sum(axis=1)[1])
    assert threshold["at_chosen"]["recall"]["value"] <= taken.sum() / right
    assert threshold["criterion"] == "largest F1 on the validation split"


def test_groups_hold_every_example_once(evaluated: Any) -> None:
    radius, classes = _document(evaluated)["groups"]
    assert [group["name"].startswith("mean radius ") for group in radius["groups"]] == [True] * 4
    assert sum(group["examples"] for group in radius["groups"]) == 114
    recalls = {item["name"]: item["recall"]["value"] for item in _document(evaluated)["classes"]}
    found = {group["name"]: group["scores"]["accuracy"]["value"] for group in classes["groups"]}
    assert found == pytest.approx(recalls)
    assert classes["worst"] == min(recalls, key=recalls.__getitem__)
    assert classes["gap"]["value"] == pytest.approx(max(recalls.values()) - min(recalls.values()))


def test_a_linear_model_stands_beside_it(evaluated: Any) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from bigmodel_cli import assembly

    found = _document(evaluated)["linear_baseline"]
    assert found["description"].endswith("30 standardized numbers, fitted on all 409 training examples")
    splits = assembly.load_data(assembly.restore(evaluated.run).config).splits
    inputs, targets = splits["train"].arrays()
    held_out, truth = splits["test"].arrays()
    scaler = StandardScaler().fit(inputs)
    model = LogisticRegression().fit(scaler.transform(inputs), targets)
    assert found["scores"]["accuracy"] == pytest.approx(model.score(scaler.transform(held_out), truth))
    assert set(found["scores"]) == set(_document(evaluated)["scores"])


def test_a_column_that_is_not_there(run: Run) -> None:
    from bigmodel_cli.evaluation import evaluate

    with pytest.raises(
        UsageError, match=r"--by age: .*has no column `age`; it has mean radius, .*--by class"
    ):
        evaluate(run, by=["age"])
    assert not run.evaluation("test").exists()


def test_predictions_that_are_not_finite_are_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    from bigmodel_cli.assembly import Restored
    from bigmodel_cli.evaluation import evaluate

    predict = Restored.predict

    def broken(self: Restored, inputs: Any) -> np.ndarray:
        outputs = predict(self, inputs)
        if len(outputs) == 114:
            outputs[[3, 50]] = np.nan
        return outputs

    monkeypatch.setattr(Restored, "predict", broken)
    evaluation = evaluate(run, by=["class"])
    found = _document(evaluation)
    assert (found["examples"], found["left_out"]) == (112, {"count": 2, "first": [3, 50]})
    assert any("left out: 2 of 114 examples" in note and "3, 50" in note for note in found["notes"])
    ids = parquet.read_table(evaluation.folder / "predictions.parquet")["id"].to_pylist()
    assert ids == [index for index in range(114) if index not in (3, 50)]
    assert sum(group["examples"] for group in found["groups"][0]["groups"]) == 112
    monkeypatch.setattr(Restored, "predict", lambda self, inputs: np.full_like(predict(self, inputs), np.nan))
    with pytest.raises(DataError, match="none of the 114 predictions on the test split is finite"):
        evaluate(run)


def test_a_split_of_one_class(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli import assembly
    from bigmodel_cli.data import contents
    from bigmodel_cli.evaluation import evaluate

    whole = assembly.restored_data

    def benign_only(restored: Any) -> Any:
        data = whole(restored)
        test = data.splits["test"]
        data.splits["test"] = contents.picked(test, np.flatnonzero(test.targets() == 1))  # type: ignore[index]
        return data

    monkeypatch.setattr(assembly, "restored_data", benign_only)
    evaluation = evaluate(run)
    found = _document(evaluation)
    assert found["scores"]["roc_auc"] is found["threshold"]["at_half"]["matthews_correlation"] is None
    assert found["linear_baseline"]["scores"]["roc_auc"] is None
    assert any(note.startswith("undefined, as all examples are of one class") for note in found["notes"])
    assert "NaN" not in (evaluation.folder / "metrics.json").read_text(encoding="utf-8")


class TestPredict:
    def rows(self, path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def test_calibrated_at_the_chosen_threshold(
        self, evaluated: Any, bigmodel: Callable[..., Any], tmp_path: Path
    ) -> None:
        path = evaluated.run.path
        result = bigmodel("predict", path, "--calibrated", "--threshold", "chosen", "-o", "x.jsonl")
        assert result.exit_code == 0, result.stderr
        found = self.rows(tmp_path / "x.jsonl")
        document = _document(evaluated)
        temperature, threshold = document["calibration"]["temperature"], document["threshold"]["value"]
        first = _probabilities(evaluated)
        powers = first.astype(float) ** (1 / temperature)
        shares = powers / powers.sum(axis=1, keepdims=True)
        assert [row["probability_benign"] for row in found] == pytest.approx(shares[:, 1], abs=1e-5)
        expected = np.where(first[:, 1] > threshold, "benign", "malignant")
        assert [row["prediction"] for row in found] == expected.tolist()

    def test_a_number_as_the_threshold(
        self, evaluated: Any, bigmodel: Callable[..., Any], tmp_path: Path
    ) -> None:
        result = bigmodel("predict", evaluated.run.path, "--threshold", "0.9", "-o", "x.jsonl")
        assert result.exit_code == 0, result.stderr
        for row in self.rows(tmp_path / "x.jsonl"):
            assert (row["prediction"] == "benign") == (row["probability_benign"] > 0.9)
            assert row["probability"] == row[f"probability_{row['prediction']}"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--calibrated",), "--calibrated: run is not calibrated yet; `bigmodel evaluate run` does it"),
            (("--threshold", "chosen"), "--threshold chosen: run is not calibrated yet"),
            (("--threshold", "2"), "--threshold 2: is not a probability; give a number from 0 to 1"),
            (("--threshold", "often"), "--threshold often: is not a probability"),
        ],
    )
    def test_refused(
        self, run: Run, bigmodel: Callable[..., Any], options: tuple[str, ...], message: str
    ) -> None:
        result = bigmodel("predict", "run", *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr

    def test_the_calibration_of_another_model(
        self, run: Run, evaluated: Any, bigmodel: Callable[..., Any]
    ) -> None:
        document = json.loads(evaluated.run.calibration.read_text(encoding="utf-8"))
        run.calibration.write_text(json.dumps({**document, "model_sha256": "0"}), encoding="utf-8")
        result = bigmodel("predict", "run", "--calibrated")
        assert result.exit_code == 2
        assert "calibration.json is of another model than run/model.keras" in result.stderr
