"""A run measured on new labelled data: what comes out is what a split of these examples would give."""

from __future__ import annotations

import csv
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

HEAD = ["size", "colour", "city", "kind"]


def _rows(count: int, seed: int) -> list[list[Any]]:
    draws = np.random.default_rng(seed)
    kinds = draws.integers(0, 2, count)
    sizes = draws.normal(0, 1, count) + 1.5 * kinds
    return [
        [round(float(size), 3), ("blue", "red")[kind], ("Rome", "Bonn")[place % 2], "ab"[kind]]
        for place, (size, kind) in enumerate(zip(sizes, kinds, strict=True))
    ]


def _table(path: Path, rows: Sequence[Sequence[Any]], head: Sequence[str] = HEAD) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return path


def _trained(folder: Path, text: str) -> Path:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    (folder / "config.yaml").write_text(text, encoding="utf-8")
    plan = planning.prepare(validation.load(folder / "config.yaml").config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return run.path


def _draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time."""
    from bigmodel_cli import evaluation_pictures, model_pictures

    monkeypatch.setattr(evaluation_pictures, "draw", lambda *_, **__: [])
    monkeypatch.setattr(model_pictures, "embedding_map", lambda *_, **__: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two classes, evaluated on its test split; not to be changed. `city` is no input."""
    from bigmodel_cli.evaluation import evaluate

    folder = tmp_path_factory.mktemp("table")
    _table(folder / "train.csv", _rows(120, 0))
    path = _trained(
        folder,
        f"name: kinds\ndataset: {{name: csv, path: {folder / 'train.csv'}, target: kind, "
        "columns: {city: ignore, colour: ignore}}\nmodel: {name: mlp, hidden: [4]}\n"
        "optimizer: {name: adam, learning_rate: 0.02}\ntraining: {epochs: 2, tensorboard: false}\n",
    )
    with pytest.MonkeyPatch.context() as patch:
        _draw_nothing(patch)
        evaluate(Run(path))
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A copy, so that each test has evaluations of its own."""
    shutil.copytree(trained, tmp_path / "run")
    return Run(tmp_path / "run")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    _draw_nothing(monkeypatch)


def _document(evaluation: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((evaluation.folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def test_the_same_rows_give_the_same_figures(run: Run, trained: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    from bigmodel_cli import assembly
    from bigmodel_cli.evaluation import evaluate_new

    restored = assembly.restore(run)
    test = assembly.restored_data(restored).splits["test"]
    places = test.parts[0].indices
    rows = [
        line.split(",") for line in (trained.parent / "train.csv").read_text(encoding="utf-8").split()[1:]
    ]
    path = _table(tmp_path / "again.csv", [rows[place] for place in places])
    calibration = run.calibration.read_bytes()
    evaluation = evaluate_new(run, [str(path)], by=["city", "class"])
    found, expected = _document(evaluation), run.read_evaluation("test")
    assert expected is not None
    for key in ("scores", "baseline", "linear_baseline", "confusion", "threshold"):
        assert found[key] == expected[key], key
    assert found["calibration"] == expected["calibration"]
    assert run.calibration.read_bytes() == calibration
    assert (found["split"], found["data"]["paths"]) == ("data-again", [str(path)])
    assert found["groups"][0]["worst"] in ("city Rome", "city Bonn")
    ids = parquet.read_table(evaluation.folder / "predictions.parquet")["id"].to_pylist()
    assert ids == [f"{path}:{line + 2}" for line in range(len(places))]
    assert found["worst_examples"][0]["id"] in ids
    assert {picture.name for picture in evaluation.pictures} >= {"confusion_matrix.png", "roc.png"}
    assert any("does not use the column colour" in note for note in found["notes"])


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_measured_is_named(run: Run, tmp_path: Path) -> None:
    from bigmodel_cli.evaluation import evaluate_new

    rows = _rows(30, 1)
    rows[2][3], rows[3][3], rows[4][0], rows[5] = "", "c", "long", rows[5][:2]
    path = _table(tmp_path / "bad.csv", rows)
    found = _document(evaluate_new(run, [str(path)]))
    assert (found["examples"], found["data"]["read"]) == (26, 30)
    assert found["data"]["unlabelled"] == {
        "count": 2, "first": [f"{path}:4: has no label", f"{path}:5: the run does not know the label `c`"]
    }  # fmt: skip
    unreadable = found["data"]["unreadable"]
    assert (unreadable["count"], unreadable["first"][0][: len(f"{path}:6")]) == (2, f"{path}:6")
    assert unreadable["first"][1] == f"{path}:7: 2 cells, where the first row has 4"
    notes = [note for note in found["notes"] if note.startswith("left out: 2 of 30 inputs, which")]
    assert len(notes) == 2

    path = _table(tmp_path / "many.csv", [[1, "red", "Rome", "d"]] * 12 + _rows(5, 2))
    found = _document(evaluate_new(run, [str(path)]))
    assert len(found["data"]["unlabelled"]["first"]) == 10
    assert any(note.endswith("; and 2 more") for note in found["notes"])

    path = _table(tmp_path / "none.csv", [[1, "red", "Rome", "d"], ["x", "red", "Rome", "a"]])
    with pytest.raises(DataError, match=r"(?s)label `d`.*none\.csv: no input is left to measure"):
        evaluate_new(run, [str(path)])
    assert not run.evaluation("data-none").exists()


@pytest.mark.usefixtures("undrawn")
def test_without_the_data_of_training(run: Run, trained: Path, tmp_path: Path) -> None:
    from bigmodel_cli.evaluation import evaluate_new

    text = run.config.read_text(encoding="utf-8")
    run.config.write_text(text.replace(str(trained.parent), "/nowhere"), encoding="utf-8")
    path = _table(tmp_path / "new.csv", _rows(40, 3))
    found = _document(evaluate_new(run, [str(path)]))
    assert found["linear_baseline"] is None
    assert any("no linear model beside it" in note and "nowhere" in note for note in found["notes"])
    kept = json.loads(run.calibration.read_text(encoding="utf-8"))
    assert found["calibration"]["temperature"] == kept["temperature"]
    assert found["threshold"]["value"] == kept["threshold"]["value"]
    run.calibration.write_text(json.dumps({**kept, "model_sha256": "0"}), encoding="utf-8")
    found = _document(evaluate_new(run, [str(path)]))
    assert found["calibration"] is found["threshold"] is None
    assert any("calibration.json is not in the run, or of another model" in note for note in found["notes"])


@pytest.mark.usefixtures("undrawn")
def test_an_uncalibrated_run_is_calibrated_where_its_data_is(run: Run, tmp_path: Path) -> None:
    from bigmodel_cli.evaluation import evaluate_new

    before = json.loads(run.calibration.read_text(encoding="utf-8"))
    run.calibration.unlink()
    evaluate_new(run, [str(_table(tmp_path / "new.csv", _rows(40, 3)))])
    assert json.loads(run.calibration.read_text(encoding="utf-8")) == before


@pytest.mark.usefixtures("undrawn")
def test_no_evaluation_takes_the_place_of_another(run: Run, tmp_path: Path) -> None:
    from bigmodel_cli.evaluation import evaluate_new

    found = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = _table(tmp_path / name / "new 1.csv", _rows(20, 4))
        found[name] = evaluate_new(run, [str(path)])
    assert [found[name].folder.name for name in found] == ["data-new_1", "data-new_1-2"]
    first, second = (_document(found[name])["data"]["fingerprint"] for name in found)
    assert first == second
    path = _table(tmp_path / "a" / "new 1.csv", _rows(21, 4))
    again = evaluate_new(run, [str(path)])
    assert (again.folder.name, _document(again)["examples"]) == ("data-new_1", 21)
    assert _document(again)["data"]["fingerprint"] != first
    both = evaluate_new(run, [str(path), str(tmp_path / "b" / "new 1.csv")])
    assert (both.folder.name, _document(both)["examples"]) == ("data-new_1-and-1-more", 41)
    assert run.evaluations_on_new_data() == ["data-new_1", "data-new_1-2", "data-new_1-and-1-more"]


def test_on_the_command_line(run: Run, bigmodel: Callable[..., Any], tmp_path: Path) -> None:
    rows = [[*row[:3], row[3], index] for index, row in enumerate(_rows(30, 5))]
    _table(tmp_path / "new.csv", rows, ["size", "colour", "city", "animal", "kind"])
    done = bigmodel("evaluate", "run", "--data", "new.csv", "--target", "animal", "--by", "city")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("run  new data new.csv, 30 examples\n")
    assert "written to run/evaluation/data-new/" in done.stdout
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.index("Test split: ") < page.index("New data new.csv: 30 examples")
    card = (tmp_path / "run" / "model_card.md").read_text(encoding="utf-8")
    assert "### New data new.csv, 30 examples" in card
    assert "city, on the new data new.csv: 2 groups" in card
    shutil.copytree(run.path, tmp_path / "runs" / "kinds" / "again")
    for command in (("compare", "run", "runs/kinds/again"), ("runs",)):
        assert bigmodel(*command).exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--data", "new.csv", "--split", "test"),
            "--split test: is for the run's own examples; leave it out",
        ),
        (("--target", "kind"), "--target kind: is for --data PATH; give both"),
        (("--data", "-"), "--data -: an evaluation is known by its path"),
        (("--data", "gone.csv"), "gone.csv: there is no such file or folder"),
        (("--data", "new.csv", "--target", "x", "--target", "y"), "--target x y: 2 columns for 2 classes"),
        (("--data", "new.csv", "--by", "height"), "--by height: the new data has no column `height`"),
        (("--data", "plain.csv"), "plain.csv: there is no column `kind` with the labels; there are `size`"),
        (("--data", "other.csv"), "other.csv: has no column `size`, which the model needs"),
    ],
)
def test_refused(
    run: Run, bigmodel: Callable[..., Any], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    rows = _rows(5, 6)
    _table(tmp_path / "new.csv", rows)
    _table(tmp_path / "plain.csv", [row[:3] for row in rows], HEAD[:3])
    _table(tmp_path / "other.csv", [row[1:] for row in rows], HEAD[1:])
    done = bigmodel("evaluate", "run", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    if "plain.csv" in options:
        assert "`bigmodel predict run ...` needs none" in done.stderr
    assert run.evaluations_on_new_data() == []


def test_images_in_folders(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from pyarrow import parquet
    from sklearn.datasets import load_digits

    from bigmodel_cli.evaluation import evaluate_new

    path = _trained(
        tmp_path,
        "name: digits\ndataset: {name: digits, limit: 200}\nmodel: {name: cnn, filters: [4], dense: []}\n"
        "optimizer: {name: adam, learning_rate: 0.01}\n"
        "training: {epochs: 1, precision: float32, tensorboard: false}\n",
    )
    digits = load_digits()
    for index in range(300, 340):
        folder = tmp_path / "digits new" / str(digits.target[index])
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.round(digits.images[index] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"no image")
    evaluation = evaluate_new(Run(path), [str(tmp_path / "digits new")])
    found = _document(evaluation)
    assert (evaluation.folder.name, found["examples"]) == ("data-digits_new", 40)
    assert found["data"]["unreadable"]["count"] == 1
    names = {picture.name for picture in evaluation.pictures}
    assert names >= {"predictions.png", "worst.png", "doubtful.png", "confusion_matrix.png"}
    assert all(picture.is_file() for picture in evaluation.pictures)
    table = parquet.read_table(evaluation.folder / "predictions.parquet")
    names_and_targets = zip(table["id"].to_pylist(), table["target"].to_pylist(), strict=True)
    assert all(name.startswith(f"{target}/") for name, target in names_and_targets)
    # The same images as an array.
    request.getfixturevalue("undrawn")
    order = [int(Path(name).stem) for name in table["id"].to_pylist()]
    pixels = np.round(digits.images[order] * (255 / 16)).astype(np.uint8)
    np.savez(tmp_path / "new.npz", images=pixels, labels=digits.target[order])
    again = _document(evaluate_new(Run(path), [str(tmp_path / "new.npz")]))
    assert again["scores"] == found["scores"]
    np.savez(tmp_path / "large.npz", images=np.zeros((3, 9, 9), np.uint8), labels=[1, 2, 3])
    with pytest.raises(DataError, match=r"has shape \(3, 9, 9\), but this model takes \(n, 8, 8, 1\)"):
        evaluate_new(Run(path), [str(tmp_path / "large.npz")])


def test_a_line(tmp_path: Path) -> None:
    from bigmodel_cli.evaluation import evaluate_new

    path = _trained(
        tmp_path,
        "name: line\ndataset: {name: linear, examples: 80}\nmodel: linear_regression\n"
        "optimizer: {name: sgd, learning_rate: 0.1}\ntraining: {epochs: 3, tensorboard: false}\n",
    )
    spec = Run(path).read_data()
    values = np.linspace(-1, 1, 30)
    table = _table(tmp_path / "new.csv", [[x, 3 * x] for x in values], [*spec.input.names, "target"])
    evaluation = evaluate_new(Run(path), [str(table)])
    found = _document(evaluation)
    assert found["least_squares"]["mse_ratio"] == pytest.approx(
        found["scores"]["mse"]["value"] / found["least_squares"]["exact_mse"]
    )
    assert "fitted_line.png" in {picture.name for picture in evaluation.pictures}
    with pytest.raises(UsageError, match="--by class: is for one class out of several"):
        evaluate_new(Run(path), [str(table)], by=["class"])
