from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import validation
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.rundir import Run

DIGITS = """\
name: digits
dataset: {name: digits, limit: 64}
model: {name: cnn, filters: [4], dense: []}
training: {epochs: 1, batch_size: 16, precision: float32, tensorboard: false}
"""
LINEAR = """\
name: line
dataset: {name: linear, examples: 60}
model: linear_regression
optimizer: {name: sgd, learning_rate: 0.1}
training: {epochs: 1, batch_size: 8, tensorboard: false}
"""


def _train(folder: Path, text: str) -> Run:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    (folder / "config.yaml").write_text(text, encoding="utf-8")
    plan = planning.prepare(validation.load(folder / "config.yaml").config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return run


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _train(tmp_path_factory.mktemp("digits"), DIGITS)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _train(tmp_path_factory.mktemp("line"), LINEAR)


@pytest.fixture
def test_images(digits: Run, tmp_path: Path) -> tuple[list[Path], np.ndarray]:
    """The first five test images as files, and what the model says of them."""
    from bigmodel_cli import build

    restored = build.restore(digits)
    inputs, _ = build.load_data(restored.config).splits["test"].arrays()
    paths = []
    for index, image in enumerate(inputs[:5]):
        paths.append(tmp_path / "images" / f"{index}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(paths[-1])
    return paths, restored.predict(inputs[:5])


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return list(parquet.read_table(path).to_pylist())
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    texts = {"id", "prediction", "target", "error"}
    return [{key: value if key in texts else float(value) for key, value in row.items()} for row in found]


def test_the_three_formats_hold_the_same(digits: Run, tmp_path: Path) -> None:
    from bigmodel_cli import prediction

    found = prediction.predict_split(digits, "test", 7)
    for suffix in prediction.FORMATS:
        prediction.write(found, tmp_path / f"out{suffix}")
    tables = [_read(tmp_path / f"out{suffix}") for suffix in prediction.FORMATS]
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 7
    assert list(tables[0][0]) == [
        "id", "prediction", "probability", *(f"probability_{digit}" for digit in range(10)), "target",
    ]  # fmt: skip


def test_rows_agree_with_the_probabilities(digits: Run) -> None:
    from bigmodel_cli import build, prediction

    restored = build.restore(digits)
    inputs, targets = build.load_data(restored.config).splits["test"].arrays()
    rows = list(prediction.predict_split(digits, "test", None).rows())
    assert [row["id"] for row in rows] == [str(index) for index in range(len(inputs))]
    probabilities = restored.predict(inputs)
    for row, output, target in zip(rows, probabilities, targets, strict=True):
        assert (row["prediction"], row["target"]) == (str(output.argmax()), str(target))
        assert row["probability"] == pytest.approx(float(output.max()), abs=1e-6)
        assert row[f"probability_{target}"] == pytest.approx(float(output[target]), abs=1e-6)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_another_split(split: Any, digits: Run) -> None:
    from bigmodel_cli import build, prediction

    data = build.load_data(build.restore(digits).config)
    found = prediction.predict_split(digits, split, 3)
    assert [int(item.target) for item in found.items] == data.splits[split].targets()[:3].tolist()


def test_files_give_what_the_split_gives(digits: Run, test_images: tuple[list[Path], np.ndarray]) -> None:
    from bigmodel_cli import prediction

    paths, expected = test_images
    found = prediction.predict_inputs(digits, [str(path) for path in reversed(paths)])
    assert [item.id for item in found.items] == [path.name for path in reversed(paths)]
    np.testing.assert_allclose([item.outputs for item in found.items], expected[::-1], atol=1e-6)


def test_a_broken_file_does_not_cost_the_others(
    digits: Run, test_images: tuple[list[Path], np.ndarray]
) -> None:
    from bigmodel_cli import prediction

    paths, expected = test_images
    paths[2].write_bytes(b"no image")
    found = prediction.predict_inputs(digits, [str(paths[0].parent)])
    rows = list(found.rows())
    assert [row["id"] for row in rows] == [f"{index}.png" for index in range(5)]
    assert [row["error"] for row in rows] == [None, None, f"{paths[2]} is not an image", None, None]
    assert rows[2]["prediction"] is rows[2]["probability_0"] is None
    np.testing.assert_allclose(rows[4]["probability_3"], expected[4, 3], atol=1e-6)


def test_nothing_but_broken_files(digits: Run, test_images: tuple[list[Path], np.ndarray]) -> None:
    from bigmodel_cli import prediction

    paths, _ = test_images
    for path in paths:
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png is not an image\n(.|\n)*no input could be read"):
        prediction.predict_inputs(digits, [str(path) for path in paths])


def test_numbers_for_a_line(line: Run) -> None:
    from bigmodel_cli import build, prediction
    from bigmodel_cli.models.linear_regression import coefficients

    slopes, intercepts = coefficients(build.restore(line).model)
    rows = list(prediction.predict_inputs(line, ["0.5", "-3"]).rows())
    assert [list(row) for row in rows] == [["id", "prediction"]] * 2
    expected = [slopes[0, 0] * x + intercepts[0] for x in (0.5, -3)]
    assert [row["prediction"] for row in rows] == pytest.approx(expected, rel=1e-5)


def test_data_that_changed_are_not_predicted_for(digits: Run, tmp_path: Path) -> None:
    from bigmodel_cli import prediction

    shutil.copytree(digits.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.config.write_text(run.config.read_text().replace("limit: 64", "limit: 63"))
    with pytest.raises(DataError, match="is not what"):
        prediction.predict_split(run, "test", None)


def test_pictures(digits: Run, line: Run, tmp_path: Path) -> None:
    from bigmodel_cli import prediction

    drawn = {}
    for run in (digits, line):
        folder = tmp_path / run.path.parent.name
        folder.mkdir()
        paths = prediction.draw(prediction.predict_split(run, "test", 25), folder)
        drawn[run] = [path.name for path in paths]
        for path in paths:
            with Image.open(path) as image:
                assert min(image.size) > 400
    assert drawn[digits] == ["predictions.png"]
    assert drawn[line] == ["predicted_against_true.png", "residuals.png", "fitted_line.png"]
    single = prediction.draw(prediction.predict_inputs(line, ["1"]), tmp_path)
    assert [path.name for path in single] == ["fitted_line.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.txt", r"--output .*out\.txt: the extension must be one of"),
        ("no/out.csv", r"there is no folder .*no$"),
    ],
)
def test_where_nothing_can_be_written(name: str, message: str, tmp_path: Path) -> None:
    from bigmodel_cli import prediction

    with pytest.raises(UsageError, match=message):
        prediction.check_output(tmp_path / name)


def test_standard_input(line: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli import prediction

    monkeypatch.setattr("sys.stdin", io.StringIO("x\n0.25\n0.75\n"))
    found = prediction.predict_inputs(line, ["-"])
    assert [item.id for item in found.items] == ["standard input:2", "standard input:3"]


class TestCommand:
    @pytest.fixture
    def here(
        self, digits: Run, line: Run, bigmodel: Callable[..., Any], tmp_path: Path
    ) -> Callable[..., Any]:
        """The command line in a folder with copies of the runs."""
        for run, name in ((digits, "digits"), (line, "line")):
            shutil.copytree(run.path, tmp_path / name)
        return bigmodel

    def test_the_test_split(self, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "digits", "--limit", 3)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["id", "prediction", "probability", "target"]
        assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"]
        assert "3 predictions in digits/predictions/predictions.csv" in lines
        assert "picture in digits/predictions/predictions.png" in lines
        assert len(_read(tmp_path / "digits" / "predictions" / "predictions.csv")) == 3

    def test_numbers_with_a_sign(self, here: Callable[..., Any]) -> None:
        result = here("predict", "line", "-1.5", "2")
        assert result.exit_code == 0, result.stderr
        assert [line.split()[0] for line in result.stdout.splitlines()[1:3]] == ["-1.5", "2"]

    def test_to_standard_output(self, here: Callable[..., Any]) -> None:
        result = here("predict", "line", "1", "2", "--output", "-")
        table = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["id"] for row in table] == ["1", "2"]

    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
    def test_to_a_file(self, suffix: str, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "line", "1", "--output", f"out.{suffix}")
        assert f"1 prediction in out.{suffix}" in result.stdout
        assert (tmp_path / f"out.{suffix}").is_file()

    def test_as_json(self, here: Callable[..., Any], tmp_path: Path) -> None:
        result = here("predict", "line", "1", "--json", "--output", "out.csv")
        document = json.loads(result.stdout)
        assert [row["id"] for row in document["predictions"]] == ["1"]
        assert (tmp_path / "out.csv").is_file()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("line", "1", "-o", "out.txt"),
                "--output out.txt: the extension must be one of .csv, .jsonl, .parquet",
            ),
            (("line", "1", "-o", "no/out.csv"), "--output no/out.csv: there is no folder no"),
            (("line", "1", "--limit", "3"), "--split and --limit are for the run's own examples"),
            (("line", "1,2"), "1,2: is 2 numbers, but this model takes 1 feature"),
            (("digits", "nowhere.png"), "nowhere.png: there is no such file or folder"),
            (("line", "--oops"), "there is no option --oops"),
            (("line", "nan"), "no input could be read"),
            ((), "there is no run under runs/ yet"),
        ],
    )
    def test_wrong_use(
        self, arguments: Sequence[str], message: str, here: Callable[..., Any], tmp_path: Path
    ) -> None:
        before = sorted(tmp_path.rglob("*"))
        result = here("predict", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        assert sorted(tmp_path.rglob("*")) == before

    def test_broken_inputs_are_reported(self, here: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("x\n1\nno\n3\n")
        result = here("predict", "line", "t.csv")
        assert result.exit_code == 0
        assert (
            result.stderr
            == "not read: t.csv:3: `no` in column 1 is not a number\n1 of 3 inputs could not be read\n"
        )
        text = (tmp_path / "line" / "predictions" / "predictions.csv").read_text()
        assert [bool(row["error"]) for row in csv.DictReader(io.StringIO(text))] == [False, True, False]
