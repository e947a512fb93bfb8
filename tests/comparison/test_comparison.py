"""Runs held against each other, from files as training and evaluation leave them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.comparison import compare
from bigmodel_cli.contracts import DataSpec, InputSpec, OneOfSeveral, TargetSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run, write_json, write_yaml

TARGETS = ["a", "b"] * 20


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(
    folder: str,
    wrong: int | None = 4,
    *,
    config: dict[str, Any] | None = None,
    choices: dict[str, Any] | None = None,
    examples: str = "sha",
    targets: list[str] = TARGETS,
    classes: tuple[str, ...] = ("a", "b"),
) -> Run:
    """A run whose first `wrong` test predictions are wrong; None: not evaluated."""
    run = Run(Path("runs") / folder)
    run.path.mkdir(parents=True)
    write_yaml(run.config, {"name": folder.split("/")[0], "loss": {"name": "auto"}, **(config or {})})
    environment = {"python": "3.11", "devices": {"description": "CPU, 2 cores"}, "choices": choices or {}}
    write_json(run.environment, environment)
    sizes = {"train": 100, "validation": 10, "test": len(targets)}
    data = DataSpec(
        "mine", "here", "classification",
        InputSpec((2,), "float32", "tabular", ("x", "y")),
        TargetSpec((), "int32", classes, counts=(50,) * len(classes)),
        sizes,
    )  # fmt: skip
    write_json(run.data, data.to_json())
    splits = {name: {"examples": size, "describe": name, "sha256": examples} for name, size in sizes.items()}
    write_json(run.splits, splits)
    accuracy = 1 - (wrong or 0) / len(targets)
    metrics = {"loss": 0.5, "val_loss": 0.4 + (wrong or 0), "val_accuracy": accuracy, "val_mystery": 1.0}
    write_json(run.summary, {"status": "finished", "metrics": metrics, "seconds": 3.0, "parameters": 7})
    if wrong is not None:
        evaluate(run, targets, classes, wrong)
    return run


def evaluate(run: Run, targets: list[str], classes: tuple[str, ...], wrong: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    folder = run.evaluation("test")
    folder.mkdir(parents=True)
    true = np.array([classes.index(item) for item in targets])
    predicted = np.where(np.arange(len(true)) < wrong, 1 - true, true)
    columns = {"id": np.arange(len(true)), "target": targets, "prediction": [classes[i] for i in predicted]}
    columns |= {f"probability_{name}": np.where(predicted == i, 0.9, 0.1) for i, name in enumerate(classes)}
    parquet.write_table(pa.table(columns), folder / "predictions.parquet")
    right = 1 - wrong / len(true)
    loss = float(-np.log(np.where(predicted == true, 0.9, 0.1)).mean())
    scores = {
        name: {"value": value, "low": value - 0.1, "high": value + 0.1}
        for name, value in (("loss", loss), ("accuracy", right), ("novel", 3.0))
    }
    write_json(folder / "metrics.json", {"scores": {**scores, "r2": None}})


def test_same_examples_are_paired():
    found = compare([make("a/1", 10), make("a/2", 2), make("a/3", 10)])
    assert found.labels == ("1", "2", "3")
    assert all(item.same for item in found.splits)
    best = {row.metric: row.best for row in (*found.validation, *found.measured)}
    assert best == {
        "val_loss": (1,), "val_accuracy": (1,), "val_mystery": (), "loss": (1,), "accuracy": (1,),
        "novel": (), "r2": (),
    }  # fmt: skip
    better, equal = found.paired
    accuracy = {test.metric: test for test in better.tests}["accuracy"]
    # The first 2 are wrong in both; 8 more in the reference alone.
    assert (accuracy.only_run, accuracy.only_reference, accuracy.method) == (8, 0, "McNemar, exact")
    assert accuracy.p == pytest.approx(2 / 2**8)
    assert accuracy.p_holm == pytest.approx(2 * accuracy.p)
    assert accuracy.difference == pytest.approx(0.2)
    assert {test.p for test in equal.tests} == {1.0}
    assert {test.metric for test in equal.tests} == {"accuracy", "loss"}
    assert better.left_out == {
        "novel": "there is no paired test for it",
        "r2": "there is no paired test for it",
    }
    document = json.loads(json.dumps(found.to_json()))
    assert document["runs"][0] == {"run": "runs/a/1", "label": "1", "status": "finished"}
    assert document["paired"][0]["tests"][0]["metric"] == "accuracy"


def with_two_targets(run: Run, second: tuple[str, ...] = ("a", "b")) -> Run:
    """The same run, as if its model had said the same of two targets, `k` and `s`."""
    spec = run.read_data()
    tasks = [
        OneOfSeveral(key, key, "classification", 1.0, "auto", replace(spec.target, names=names))
        for key, names in (("k", spec.target.names), ("s", second))
    ]
    target = TargetSpec((2,), "float32", ("k", "s"), tasks=tuple(tasks))
    write_json(run.data, replace(spec, task="multi_task", target=target).to_json())
    folder, document = run.evaluation("test"), run.read_evaluation("test")
    for key in "ks":
        (folder / key).mkdir()
        shutil.copy(folder / "predictions.parquet", folder / key)
    scores = {f"{key}_{name}": score for key in "ks" for name, score in document["scores"].items()}
    write_json(folder / "metrics.json", {"scores": scores, "outputs": {"k": document, "s": document}})
    return run


def test_several_targets_are_paired_one_by_one():
    alone = compare([make("a/1", 10), make("a/2", 2)]).paired[0]
    runs = [with_two_targets(make(f"b/{number}", wrong)) for number, wrong in ((1, 10), (2, 2))]
    runs += [with_two_targets(make("b/3", 2), ("x", "y")), make("b/4", 2)]
    found, other_classes, one_target = compare(runs).paired
    expected = {f"{key}_{test.metric}": test.difference for key in "ks" for test in alone.tests}
    assert {test.metric: test.difference for test in found.tests} == expected
    assert set(found.left_out) == {f"{key}_{name}" for key in "ks" for name in ("novel", "r2")}
    assert {test.metric for test in other_classes.tests} == {"k_accuracy", "k_loss"}
    assert "predictions.parquet: lacks what paired tests need" in other_classes.left_out["s"]
    assert one_target.reason == "predicts something else than the reference"
    assert compare(runs[::-1]).paired[0].reason == "predicts something else than the reference"


def test_other_examples_are_not():
    reference = make("a/1")
    runs = [
        reference,
        make("b/1", examples="other"),
        make("c/1", targets=["b", "a"] * 20),
        make("d/1", targets=["a", "c"] * 20, classes=("a", "c")),
        make("e/1", None),
    ]
    runs.append(make("f/1"))
    runs[-1].splits.unlink()
    found = compare(runs)
    assert found.labels == ("a", "b", "c", "d", "e", "f")
    reasons = [item.reason for item in found.paired]
    assert "other test examples" in reasons[0]
    assert "other test examples" in reasons[1]
    assert reasons[2] == "predicts something else than the reference"
    assert reasons[3] == "is not evaluated on the test split; type `bigmodel evaluate runs/e/1`"
    assert "was not recorded" in reasons[4]
    assert not any(item.tests for item in found.paired)
    assert not any(row.best for row in (*found.validation, *found.measured))
    assert set(found.notes) == {"validation", "measured"}
    assert found.not_evaluated == {4: "bigmodel evaluate runs/e/1"}


def test_a_reference_that_is_not_evaluated():
    found = compare([make("a/1", None), make("a/2")], "test")
    assert found.paired[0].reason.startswith("the reference is not evaluated")
    assert found.not_evaluated == {0: "bigmodel evaluate runs/a/1"}
    other = compare([Run(Path("runs/a/1")), Run(Path("runs/a/2"))], "validation")
    assert other.not_evaluated[1] == "bigmodel evaluate runs/a/2 --split validation"


def test_predictions_that_do_not_give_the_metrics_are_not_tested():
    runs = [make("a/1"), make("a/2")]
    path = runs[1].evaluation("test") / "metrics.json"
    document = json.loads(path.read_text())
    document["scores"]["loss"]["value"] = 0.7
    path.write_text(json.dumps(document))
    (result,) = compare(runs).paired
    assert [test.metric for test in result.tests] == ["accuracy"]
    assert "do not give the value of metrics.json" in (result.left_out or {})["loss"]
    (runs[1].evaluation("test") / "predictions.parquet").write_bytes(b"x")
    (result,) = compare(runs).paired
    assert "predictions.parquet: cannot be read" in result.reason


def test_config_and_what_auto_decided():
    auto = {"value": "bfloat16", "reason": "auto: fast here"}
    runs = [
        make("a/1", config={"seed": 0, "model": {"name": "mlp", "hidden": [8]}, "optimizer": {"name": "sgd"},
                            "training": {"precision": "auto", "batch_size": 256, "epochs": 3}},
             choices={"precision": auto, "batch_size": {"value": 256, "reason": "auto: fits"}, "shuffle":
                      {"value": "all", "reason": "x"}}),
        make("a/2", config={"seed": 0, "model": {"name": "cnn", "filters": [4]}, "optimizer": {"name": "sgd"},
                            "training": {"precision": "float32", "batch_size": 256, "epochs": 3}},
             choices={"precision": {"value": "float32", "reason": "asked for"},
                      "batch_size": {"value": 256, "reason": "asked for"}, "shuffle":
                      {"value": "window", "reason": "x"}}),
    ]  # fmt: skip
    rows = {row.key: (row.values, row.decided) for row in compare(runs).config}
    assert rows == {
        "model.name": (("mlp", "cnn"), (None, None)),
        "model.hidden": (([8], None), (None, None)),
        "model.filters": ((None, [4]), (None, None)),
        "training.precision": (("auto", "float32"), ("bfloat16", None)),
        "training.batch_size": ((256, 256), (256, None)),
        "shuffle": (("auto", "auto"), ("all", "window")),
    }
    assert list(rows)[:3] == ["model.name", "model.hidden", "model.filters"]


def test_losses_of_other_functions_have_no_best():
    found = compare([make("a/1", 1), make("a/2", 2, config={"loss": {"name": "focal"}})])
    best = {row.metric: row.best for row in found.validation}
    assert best == {"val_loss": (), "val_accuracy": (0,), "val_mystery": ()}
    assert "not the same function" in found.notes["validation"]


def test_a_run_that_has_only_begun():
    run = make("a/2", None)
    run.summary.unlink()
    found = compare([make("a/1"), run])
    assert found.statuses == ("finished", "running")
    assert found.costs[1].seconds is None
    assert [row.scores[1] for row in found.validation] == [None, None, None]


def test_wrong_usage():
    run = make("a/1")
    with pytest.raises(UsageError, match="at least two runs"):
        compare([run])
    with pytest.raises(UsageError, match=r"is the same run as runs/a/1; name each run once"):
        compare([run, Run(run.path.resolve())])
    run.data.unlink()
    with pytest.raises(UsageError, match=r"data\.json: is missing"):
        compare([run, make("a/2")])
