from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli.cli import data_text
from bigmodel_cli.data_report.speed import SpeedReport

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
training: {batch_size: 16}
"""


@pytest.fixture
def iris(write: Callable[[str, str], Path]) -> Path:
    return write("iris.yaml", IRIS)


def rows(text: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


def test_plain_lines_in_a_pipe(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    result = bigmodel("data", "iris.yaml", "--seconds", "0.2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    found = rows(result.stdout)
    assert re.match(
        r"iris  iris \(scikit-learn \S+\)  4 float32  classification$", result.stdout.splitlines()[0]
    )
    assert ["train", "108", "all"] in found
    assert ["setosa", "36", "33.3%", "4", "33.3%", "10", "33.3%"] in found
    assert [
        "petal width (cm)",
        "numeric",
        "22",
        "0.1 to 2.5, mean 1.19",
        "standardized by the model",
    ] in found
    assert "duplicates, within train: none" in result.stdout
    assert (
        "duplicates, train and validation: 1 copy (8.33% of validation): all[142] = all[101]" in result.stdout
    )
    assert re.search(
        r"^the pipeline gives [\d.,]+ ex/s, the model takes [\d.,]+: ", result.stdout, re.MULTILINE
    )
    assert result.stdout.endswith("\nwritten to data-report/iris/\n  classes.png\n  columns.png\n")
    assert {path.name for path in (tmp_path / "data-report" / "iris").iterdir()} == {
        "classes.png",
        "columns.png",
    }


def test_parts_that_are_not_wanted(bigmodel: Callable[..., Any], iris: Path, tmp_path: Path) -> None:
    result = bigmodel("data", "iris.yaml", "--no-speed", "--no-duplicates", "-o", "here", "dataset=diabetes")
    assert result.exit_code == 0, result.stderr
    assert "duplicates" not in result.stdout
    assert "the model takes" not in result.stdout
    assert ["disease_progression", "train", "151.339", "77.7858", "25", "346"] in rows(result.stdout)
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"targets.png", "columns.png"}
    again = bigmodel("data", "iris.yaml", "--no-speed", "--no-duplicates", "-o", "here")
    assert again.exit_code == 0


def test_json_is_one_document(bigmodel: Callable[..., Any], write: Callable[..., Path]) -> None:
    write("c.yaml", "name: c\ndataset: {name: digits, limit: 60, augment: [random_flip]}\nmodel: mlp\n")
    result = bigmodel("data", "c.yaml", "--json", "--seconds", "0.2", "model.flatten=true")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["splits"][0]["examples"] == 60
    assert [name for name, _ in document["speed"]["augmentations"]] == ["random_flip"]
    assert document["pictures"] == ["data-report/c/samples.png", "data-report/c/classes.png"]


def test_many_classes_are_cut(bigmodel: Callable[..., Any], write: Callable[..., Path]) -> None:
    lines = [f"{row},c{row % 30:02d}" for row in range(600)] + [f"{row},c07" for row in range(600, 700)]
    write("t.csv", "\n".join(["x,y", *lines]))
    write("c.yaml", "name: c\ndataset: {name: csv, path: t.csv, target: y}\nmodel: mlp\n")
    result = bigmodel("data", "c.yaml", "--no-speed", "--no-duplicates")
    assert result.exit_code == 0, result.stderr
    names = [row[0] for row in rows(result.stdout) if re.fullmatch(r"c\d\d", row[0])]
    assert len(names) == 10
    assert names[0] == "c07"
    assert "the 5 largest and the 5 smallest of 30 classes; in train the largest is 6.1" in result.stdout


def test_prepare_and_use(bigmodel: Callable[..., Any], iris: Path) -> None:
    result = bigmodel("data", "iris.yaml", "--prepare", "shards")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "train  108 examples written",
        "validation  12 examples written",
        "test  30 examples written",
        "shards: 108 train, 12 validation, 30 test; order of train: a permutation of all examples",
        'use it with   dataset: {name: prepared, path: "shards"}',
    ]
    assert not Path("data-report").exists()
    used = bigmodel(
        "data", "iris.yaml", 'dataset={name: prepared, path: "shards"}', "--no-speed", "--no-duplicates"
    )
    assert used.exit_code == 0, used.stderr
    assert [row for row in rows(used.stdout) if row[0] in ("train", "validation", "test")] == [
        ["train", "108", "train"], ["validation", "12", "validation"], ["test", "30", "test"],
    ]  # fmt: skip
    other = bigmodel("data", "iris.yaml", "--prepare", "shards", "dataset=digits")
    assert other.exit_code == 2
    assert other.stderr.startswith("shards: holds another prepared data set")


def test_prepare_as_json(bigmodel: Callable[..., Any], iris: Path) -> None:
    result = bigmodel("data", "iris.yaml", "--prepare", "shards", "--json")
    document = json.loads(result.stdout)
    assert document["sizes"] == {"train": 108, "validation": 12, "test": 30}
    assert document["config"] == {"name": "prepared", "path": "shards"}
    assert "test  30 examples written" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.yaml",), "nowhere.yaml"),
        (("iris.yaml", "model.hiden=[3]"), "did you mean `hidden`?"),
        (("iris.yaml", "--seconds", "0"), "--seconds"),
        (("iris.yaml", "-o", "iris.yaml", "--no-speed"), "--output iris.yaml: cannot be written to"),
        (("iris.yaml", "training.batch_size=999"), "training.batch_size: 999 is larger"),
        (
            ("iris.yaml", "--prepare", "x", "--no-speed"),
            "--prepare writes the data instead of reporting on it",
        ),
        (("iris.yaml", "--prepare", "iris.yaml/x"), "iris.yaml/x: cannot be written to"),
        (("iris.yaml", "--no-speed", "dataset={name: csv, path: no.csv, target: y}"), "no.csv"),
    ],
)
def test_what_cannot_be_done_is_one_message(
    arguments: tuple[str, ...], message: str, bigmodel: Callable[..., Any], iris: Path
) -> None:
    result = bigmodel("data", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_config_mistakes_are_told_before_tensorflow_starts(iris: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'numpy']))\n"
        "from bigmodel_cli.cli import main\nmain(['data', 'iris.yaml', 'model.hiden=[3]'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=iris.parent, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "did you mean `hidden`?" in done.stderr


@pytest.mark.parametrize(
    ("pipeline", "model", "device", "share", "verdict"),
    [
        (812_345, 13_871, "cpu", 0.02, "data will not hold it up"),
        (300, 100, "cpu", 0.25, "on the same cores, about 25% of the time goes to the data"),
        (50, 100, "gpu", 0.5, "the data is the bottleneck: it will wait about 50% of the time"),
    ],
)
def test_verdict(
    pipeline: float,
    model: float,
    device: Any,
    share: float,
    verdict: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    remedy = "do this" if share > 0.1 else ""
    speed = SpeedReport(9.87, pipeline, model, 32, (("random_flip", 0.1234),), device, share, remedy)
    data_text._show_speed(speed, "img/s")
    printed = capsys.readouterr().out
    assert ["random_flip", "0.123 ms a batch of 32"] in rows(printed)
    assert ["reading, decoding, preparing", "9.87 img/s"] in rows(printed)
    assert f": {verdict}\n" in printed
    assert ("\n  do this\n" in printed) == bool(remedy)
    if pipeline > 1000:
        assert "the pipeline gives 812,000 img/s, the model takes 13,900: " in printed


@pytest.mark.parametrize("others", [("--prepare", "out"), ("--no-speed",)])
def test_seconds_without_a_measurement_are_refused(bigmodel, write, others):
    write("iris.yaml", "name: iris\ndataset: iris\nmodel: mlp\n")
    result = bigmodel("data", "iris.yaml", "--seconds", "2", *others)
    assert result.exit_code == 2
    assert "--seconds" in result.stderr
