"""`bigmodel cross-validate` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 16, tensorboard: false}
"""


@pytest.fixture
def iris(write: Callable[[str, str], Path]) -> Path:
    return write("iris.yaml", IRIS)


def test_the_schemes_are_those_of_the_config() -> None:
    from bigmodel_cli.cli.cross_validate_command import SCHEMES
    from bigmodel_cli.config.schema import FoldScheme

    assert ("auto", *get_args(FoldScheme)) == SCHEMES


def test_folds_are_runs(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    result = bigmodel("cross-validate", "iris.yaml", "--folds", 2)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "iris  2 folds, stratified (auto: classification)"
    assert "fold 1 of 2" in lines
    assert "fold 2 of 2" in lines
    folder = tmp_path / lines[1].split()[1]
    assert folder.name.startswith("cv-")
    assert next(line for line in lines if line.startswith("metric ")).split() == [
        "metric", "mean", "deviation", "lowest", "highest", "folds"
    ]  # fmt: skip
    assert lines[-3:] == ["  cross_validation.json", "  predictions.parquet", "  scores.png"]
    # Other commands find the folds.
    listed = json.loads(bigmodel("runs", "--json").stdout)
    assert {Path(item["run"]).name for item in listed} == {"fold-1", "fold-2"}
    compared = bigmodel("compare", folder / "fold-1", folder / "fold-2")
    assert compared.exit_code == 0, compared.stderr
    assert "dataset.fold.index" in compared.stdout
    # All is there: it is shown again.
    again = bigmodel("cross-validate", "iris.yaml", "--resume", "--json")
    assert again.exit_code == 0, again.stderr
    assert "fold-1 is finished already" in again.stderr
    document = json.loads(again.stdout)
    assert (document["folder"], document["status"]) == (str(folder.relative_to(tmp_path)), "finished")
    assert document["scores"]["accuracy"]["count"] == 2
    refused = bigmodel("cross-validate", "iris.yaml", "--resume", "model.hidden=[9]")
    assert refused.exit_code == 2
    assert "model.hidden: [8] then, [9] now" in refused.stderr


def test_a_fold_that_diverges_is_left_out(
    bigmodel: Callable[..., Any], write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    # Only the second fold learns from the rows that make the steps too large.
    rows = [f"{day},{1e6 if 20 <= day < 23 else day % 7 / 10},{day % 3 / 10},{day % 7}" for day in range(45)]
    write("t.csv", "\n".join(["day,x,z,y", *rows]) + "\n")
    write(
        "line.yaml",
        "name: line\ndataset: {name: csv, path: t.csv, target: y, task: regression, "
        "columns: {day: ignore}, prepare: {numeric: {scale: none}}, "
        "splits: {train: 'all[:34]', validation: 'all[34:38]', test: 'all[38:]'}}\nmodel: linear_regression\n"
        "optimizer: {name: sgd, learning_rate: 0.05}\n"
        "training: {epochs: 4, batch_size: 4, tensorboard: false}\n",
    )
    result = bigmodel(
        "cross-validate",
        "line.yaml",
        "--folds",
        2,
        "--scheme",
        "time",
        "--by",
        "day",
        "-q",
        "--run-dir",
        "cv",
    )
    assert result.exit_code == 1
    assert "note: fold-2: diverged: the loss became" in result.stderr
    assert result.stderr.splitlines()[-1] == "1 of 2 folds left out: fold-2 (diverged)"
    assert "1 of 2 count" in result.stdout
    document = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())
    assert (document["left_out"], document["scores"]["mae"]["count"]) == (["fold-2"], 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--folds", "1"), "--folds 1: must be at least 2"),
        (("--scheme", "time"), "--scheme time: needs the column; add --by COLUMN"),
        (("--scheme", "plain", "--by", "x"), "--by x: goes with --scheme grouped or time, not with plain"),
        (("--folds", "41"), "but `setosa` has 40, `versicolor` has 40, `virginica` has 40; use fewer"),
        (("--folds", "121", "--scheme", "plain"), "121 folds of 120 training and validation examples"),
        (("--by", "nope"), "dataset.fold.by: iris has no column `nope`"),
        (("--resume",), "--resume: there is no cross-validation of iris under runs/iris to go on with"),
        (("dataset.fold={index: 0, of: 2}",), "dataset.fold: this is the config of one fold"),
        (("--run-dir", "."), "--run-dir .: is not empty"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    bigmodel: Callable[..., Any], iris: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = bigmodel("cross-validate", "iris.yaml", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == [iris]


def test_a_job_is_refused(bigmodel: Callable[..., Any], iris: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli import cluster

    monkeypatch.setattr(cluster, "find", lambda: cluster.Cluster("127.0.0.1:1", 2, 0, "a test"))
    result = bigmodel("cross-validate", "iris.yaml")
    assert result.exit_code == 2
    assert "one of a job of 2 (a test)" in result.stderr
