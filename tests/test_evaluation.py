from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import validation
from bigmodel_cli.errors import DataError
from bigmodel_cli.rundir import Run

TEXTS = {
    "digits": """\
dataset: {name: digits, limit: 200}
model: {name: cnn, filters: [8], dense: []}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 2, batch_size: 16, precision: float32, tensorboard: false}
""",
    "iris": """\
dataset: iris
model: {name: mlp, hidden: [8]}
optimizer: {name: adam, learning_rate: 0.05}
training: {epochs: 5, tensorboard: false}
""",
    "diabetes": """\
dataset: diabetes
model: {name: mlp, hidden: [16]}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 5, tensorboard: false}
""",
    "line": """\
dataset: {name: linear, examples: 100}
model: linear_regression
optimizer: {name: sgd, learning_rate: 0.1}
training: {epochs: 20, batch_size: 16, tensorboard: false}
""",
}
OF_CLASSES = {
    "confusion_matrix.png", "confusion_matrix_normalised.png", "classes.png", "roc.png",
    "precision_recall.png", "reliability.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The evaluation of the run of a name in TEXTS, on its test split; not to be changed."""
    done: dict[str, Any] = {}

    def evaluation(name: str) -> Any:
        from bigmodel_cli.cli.progress import TrainingProgress
        from bigmodel_cli.evaluation import evaluate
        from bigmodel_cli.training import planning, starting, trainer

        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            (folder / "config.yaml").write_text(f"name: {name}\n{TEXTS[name]}", encoding="utf-8")
            plan = planning.prepare(validation.load(folder / "config.yaml").config)
            run = starting.start(plan, folder / "run")
            trainer.train(plan, run, TrainingProgress(quiet=True))
            done[name] = evaluate(run)
        return done[name]

    return evaluation


def _documents(evaluation: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """metrics.json, and the columns of predictions.parquet."""
    from pyarrow import parquet

    metrics = json.loads((evaluation.folder / "metrics.json").read_text(encoding="utf-8"))
    table = parquet.read_table(evaluation.folder / "predictions.parquet")
    return metrics, {name: table[name].to_numpy() for name in table.column_names}


def _value(metrics: dict[str, Any], name: str) -> float:
    found = metrics["scores"][name]
    assert found["low"] <= found["value"] <= found["high"]
    return float(found["value"])


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_classification_agrees_with_scikit_learn(name: str, evaluated: Callable[[str], Any]) -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

    evaluation = evaluated(name)
    metrics, columns = _documents(evaluation)
    names = evaluation.run.read_data().target.names
    probabilities = np.stack([columns[f"probability_{item}"] for item in names], axis=1)
    target, prediction = columns["target"].astype(str), columns["prediction"].astype(str)
    assert [names[index] for index in probabilities.argmax(axis=1)] == prediction.tolist()
    assert _value(metrics, "accuracy") == pytest.approx(accuracy_score(target, prediction))
    macro = f1_score(target, prediction, labels=list(names), average="macro", zero_division=0)
    assert _value(metrics, "macro_f1") == pytest.approx(macro)
    truth = [names.index(item) for item in target]
    assert _value(metrics, "loss") == pytest.approx(
        log_loss(truth, probabilities, labels=range(len(names))), rel=1e-4
    )
    assert metrics["confusion"] == confusion_matrix(target, prediction, labels=list(names)).tolist()


def test_targets_are_those_of_the_split(evaluated: Callable[[str], Any]) -> None:
    from bigmodel_cli import assembly

    evaluation = evaluated("digits")
    _, columns = _documents(evaluation)
    targets = assembly.load_data(assembly.restore(evaluation.run).config).splits["test"].targets()
    assert columns["target"].astype(int).tolist() == targets.tolist()
    assert columns["id"].tolist() == list(range(len(targets)))


def test_regression_agrees_with_scikit_learn(evaluated: Callable[[str], Any]) -> None:
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    evaluation = evaluated("diabetes")
    metrics, columns = _documents(evaluation)
    (name,) = evaluation.run.read_data().target.names
    target, prediction = columns[f"target_{name}"], columns[f"prediction_{name}"]
    assert _value(metrics, "mse") == pytest.approx(mean_squared_error(target, prediction), rel=1e-5)
    assert _value(metrics, "rmse") == pytest.approx(mean_squared_error(target, prediction) ** 0.5, rel=1e-5)
    assert _value(metrics, "mae") == pytest.approx(mean_absolute_error(target, prediction), rel=1e-5)
    assert _value(metrics, "r2") == pytest.approx(r2_score(target, prediction), rel=1e-4)
    assert metrics["least_squares"] is None


def test_a_line_beside_least_squares(evaluated: Callable[[str], Any]) -> None:
    from bigmodel_cli import assembly

    evaluation = evaluated("line")
    data = assembly.load_data(assembly.restore(evaluation.run).config)
    inputs, targets = data.splits["train"].arrays()
    slope, intercept = np.polyfit(inputs[:, 0].astype("float64"), targets[:, 0].astype("float64"), 1)
    found = evaluation.least_squares
    assert found.exact_slopes == [[pytest.approx(slope)]]
    assert found.exact_intercepts == [pytest.approx(intercept)]
    held_out, truth = data.splits["test"].arrays()
    assert found.exact_mse == pytest.approx(np.mean((slope * held_out + intercept - truth) ** 2))
    assert found.mse_ratio == pytest.approx(evaluation.report.scores["mse"].value / found.exact_mse)
    # What the model gives is what the reported line gives.
    predicted = assembly.restore(evaluation.run).predict(held_out)
    np.testing.assert_allclose(predicted, held_out * found.slopes[0][0] + found.intercepts[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("digits", {*OF_CLASSES, "predictions.png", "worst.png", "doubtful.png"}),
        ("iris", OF_CLASSES),
        ("diabetes", {"predicted_against_true.png", "residuals.png"}),
        (
            "line",
            {
                "predicted_against_true.png",
                "residuals.png",
                "fitted_line.png",
                "weights.png",
                "weights.json",
            },
        ),
    ],
)
def test_what_is_written(name: str, pictures: set[str], evaluated: Callable[[str], Any]) -> None:
    evaluation = evaluated(name)
    assert evaluation.folder == evaluation.run.path / "evaluation" / "test"
    written = {path.name for path in evaluation.folder.iterdir()}
    assert written == {"metrics.json", "predictions.parquet", "embeddings.png", *pictures}
    for picture in (name for name in pictures if name.endswith(".png")):
        with Image.open(evaluation.folder / picture) as image:
            assert min(image.size) > 300


def test_data_that_changed_since_training(evaluated: Callable[[str], Any], tmp_path: Path) -> None:
    from bigmodel_cli.evaluation import evaluate

    shutil.copytree(
        evaluated("digits").run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation")
    )
    run = Run(tmp_path / "run")
    run.config.write_text(run.config.read_text().replace("limit: 200", "limit: 150"))
    with pytest.raises(
        DataError, match=r"is not what .* \(then 200 train, .*, now 150 train, .*bring the data back"
    ):
        evaluate(run)
    run.config.write_text(
        run.config.read_text().replace("limit: 150", "limit: 200").replace("seed: 0", "seed: 1")
    )
    with pytest.raises(DataError, match=r"with other targets\); bring"):
        evaluate(run)
    assert not run.evaluation("test").exists()


class TestCommand:
    def test_on_a_terminal(
        self, evaluated: Callable[[str], Any], bigmodel: Callable[..., Any], tmp_path: Path
    ) -> None:
        shutil.copytree(evaluated("iris").run.path, tmp_path / "run")
        result = bigmodel("evaluate", "run")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith("run  test split, 30 examples\n")
        for text in (
            "95% interval",
            "macro f1",
            "setosa",
            "written to run/evaluation/test/",
            "  confusion_matrix.png",
        ):
            assert text in result.stdout
        assert result.stderr == ""

    def test_another_split(
        self, evaluated: Callable[[str], Any], bigmodel: Callable[..., Any], tmp_path: Path
    ) -> None:
        shutil.copytree(evaluated("iris").run.path, tmp_path / "run")
        result = bigmodel("evaluate", "run", "--split", "validation", "--json")
        document = json.loads(result.stdout)
        assert (document["split"], document["examples"]) == ("validation", 12)
        summary = Run(tmp_path / "run").read_summary()
        assert document["scores"]["accuracy"]["value"] == pytest.approx(summary["metrics"]["val_accuracy"])
        assert (tmp_path / "run" / "evaluation" / "validation" / "metrics.json").is_file()

    def test_the_line(
        self, evaluated: Callable[[str], Any], bigmodel: Callable[..., Any], tmp_path: Path
    ) -> None:
        shutil.copytree(evaluated("line").run.path, tmp_path / "run")
        result = bigmodel("evaluate", "run")
        assert "least squares" in result.stdout
        assert "slope of x" in result.stdout
        assert "trained / least squares" in result.stdout

    def test_no_run(self, bigmodel: Callable[..., Any]) -> None:
        result = bigmodel("evaluate")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "there is no run under runs/ yet; `bigmodel train CONFIG` makes one\n"

    def test_a_folder_that_is_no_run(self, bigmodel: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        result = bigmodel("evaluate", "other")
        assert result.exit_code == 2
        assert result.stderr.startswith("other: is not a run directory")
