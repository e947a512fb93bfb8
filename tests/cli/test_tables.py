"""Tables from the command line, end to end: rows of every kind, missing cells, and what goes wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HEAD = ("size", "city (EU/US)", "garden", "sold", "note", "id", "price", "class")
CITIES = ("Bonn", "Köln", "Paris")


def row(number: int) -> list[Any]:
    generator = np.random.default_rng(number)
    size, city = generator.uniform(20, 200), int(generator.integers(3))
    garden, year = bool(generator.integers(2)), int(generator.integers(2000, 2020))
    word = ("quiet place", "loud street indeed")[int(generator.integers(2))]
    price = 3 * size + 100 * city + 50 * garden + 5 * (year - 2000) + 80 * word.startswith("quiet")
    return [
        "" if number % 11 == 0 else f"{size:.2f}", "" if number % 13 == 0 else CITIES[city],
        "yes" if garden else "no", f"{year}-0{1 + number % 9}-15", f"a {word}, number {number}",
        f"h{number:05d}", f"{price:.1f}", "dear" if price > 450 else "cheap",
    ]  # fmt: skip


def write_rows(path: Path, numbers: Sequence[int], head: Sequence[str] = HEAD) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([row(number)[HEAD.index(name)] for name in head] for number in numbers)
    return path


CONFIG = """\
name: houses
dataset:
  name: csv
  path: my houses/häuser.csv
  target: {target}
  columns: {{{other}: ignore, note: text, garden: boolean}}
  prepare:
    numeric: {{missing: mean, indicator: true}}
    target: {{scale: {scale}}}
    columns: {{note: {{length: 6, dimension: 4}}}}
model: {{name: mlp, hidden: [32]}}
optimizer: {{name: adam, learning_rate: 0.02}}
training: {{epochs: {epochs}, batch_size: 32, tensorboard: false}}
"""


@pytest.fixture
def houses(tmp_path: Path, write: Callable[[str, str], Path]) -> Callable[..., Path]:
    """Writes a table of 400 rows and a config of it."""

    def build(target: str = "price", epochs: int = 2, scale: str = "none") -> Path:
        (tmp_path / "my houses").mkdir(exist_ok=True)
        write_rows(tmp_path / "my houses" / "häuser.csv", range(400))
        other = "class" if target == "price" else "price"
        return write("houses.yaml", CONFIG.format(target=target, other=other, epochs=epochs, scale=scale))

    return build


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that predicts prices, for tests that do not change it."""
    from bigmodel_cli import validation
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    folder = tmp_path_factory.mktemp("priced")
    table = write_rows(folder / "häuser.csv", range(400))
    text = CONFIG.format(target="price", other="class", epochs=2, scale="none")
    config = folder / "houses.yaml"
    config.write_text(text.replace("my houses/häuser.csv", str(table)), encoding="utf-8")
    plan = planning.prepare(validation.load(config).config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return run.path


def predicted(stdout: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stdout)["predictions"]
    return found


@pytest.mark.slow
def test_a_regression_learns_from_every_kind_of_column(bigmodel, houses) -> None:
    houses(epochs=15, scale="log")
    result = bigmodel("train", "houses.yaml")
    assert result.exit_code == 0, result.stderr
    assert "columns: 1 numeric, 1 categorical, 1 boolean, 1 date, 1 text" in result.stdout
    # The loss is on the scale that is learned, the metric in euros.
    last = json.loads((Path("runs/latest") / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["val_loss"] < 1 < last["val_mean_absolute_error"]
    report = json.loads(bigmodel("evaluate", "--json").stdout)
    assert report["scores"]["r2"]["value"] > 0.85


def test_new_rows_in_any_order_with_other_columns(bigmodel, priced: Path, tmp_path: Path) -> None:
    plain = write_rows(tmp_path / "new.csv", range(500, 510))
    shuffled = write_rows(
        tmp_path / "shuffled.csv", range(500, 510), ("note", "sold", "id", "garden", "city (EU/US)", "size")
    )
    first = predicted(bigmodel("predict", priced, plain, "--json").stdout)
    again = bigmodel("predict", priced, shuffled, "--json")
    assert [item["prediction"] for item in predicted(again.stdout)] == [item["prediction"] for item in first]
    assert "does not use the column id" in again.stderr
    assert [item["id"].rpartition(":")[2] for item in first] == [str(n) for n in range(2, 12)]


def test_a_row_that_cannot_be_read_does_not_cost_the_others(bigmodel, priced: Path, tmp_path: Path) -> None:
    new = write_rows(tmp_path / "new.csv", range(500, 504))
    lines = new.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].replace(lines[2].split(",")[0], "huge", 1)
    new.write_text("\n".join(lines), encoding="utf-8")
    result = bigmodel("predict", priced, new, "--json")
    assert result.exit_code == 0
    found = predicted(result.stdout)
    assert [item["prediction"] is None for item in found] == [False, True, False, False]
    assert "new.csv:3" in found[1]["error"]
    assert "`size`" in found[1]["error"]
    assert "`huge`" in found[1]["error"]


def test_a_column_that_is_missing_is_named(bigmodel, priced: Path, tmp_path: Path) -> None:
    new = write_rows(tmp_path / "new.csv", range(3), ("size", "garden", "sold", "note"))
    result = bigmodel("predict", priced, new)
    assert result.exit_code == 2
    assert "has no column `city (EU/US)`, which the model needs" in result.stderr
    assert "Traceback" not in result.stderr


def test_unseen_categories_and_missing_cells_are_predicted(bigmodel, priced: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    cells = {"size": None, "city (EU/US)": "Timbuktu", "garden": None, "sold": None, "note": ""}
    new.write_text(json.dumps(cells) + "\n", encoding="utf-8")
    (item,) = predicted(bigmodel("predict", priced, new, "--json").stdout)
    assert np.isfinite(item["prediction"])


def test_the_saved_model_takes_raw_rows_without_bigmodel(bigmodel, houses, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    houses("class")
    assert bigmodel("train", "houses.yaml").exit_code == 0
    new = write_rows(tmp_path / "new.csv", range(1, 4))
    expected = [
        [item["probability_cheap"], item["probability_dear"]]
        for item in predicted(bigmodel("predict", new, "--json").stdout)
    ]
    model = keras.models.load_model(Path("runs/latest/model.keras"))
    cells = [row(number) for number in range(1, 4)]
    seconds = [int(np.datetime64(item[3], "s").astype(int)) for item in cells]
    raw = {
        "size": tf.constant([float(item[0]) for item in cells]),
        "city (EU∕US)": tf.constant([item[1] for item in cells]),
        "garden": tf.constant([float(item[2] == "yes") for item in cells]),
        "sold": tf.constant(seconds, tf.int64),
        "note": tf.constant([item[4] for item in cells]),
    }
    np.testing.assert_allclose(model(raw), expected, rtol=1e-5)


def test_weights_and_resampling_of_classes(bigmodel, houses) -> None:
    houses("class")
    options = ("dataset.resample=oversample", "training.epochs=1", "--run-dir")
    result = bigmodel("train", "houses.yaml", "dataset.class_weights={cheap: 1.0, dear: 5.0}", *options, "a")
    assert result.exit_code == 0, result.stderr
    wrong = bigmodel("train", "houses.yaml", "dataset.class_weights={cheap: 1.0, dea: 5.0}", *options, "b")
    assert wrong.exit_code == 2
    assert "there is no class 'dea'" in wrong.stderr
    assert not Path("b").exists()


def test_class_weights_change_what_is_learned(bigmodel, houses) -> None:
    houses("class")
    weights = "dataset.class_weights={cheap: 0.001, dear: 1.0}"
    # The loss of validation is not weighted, so that its best epoch would be the first.
    last = "training.early_stopping={patience: 9, restore_best: false}"
    options = ("training.epochs=5", last, "--run-dir", "run")
    assert bigmodel("train", "houses.yaml", weights, *options).exit_code == 0
    found = predicted(bigmodel("predict", "run", "--split", "validation", "--json").stdout)
    # Without weights they would follow the rows, of which a third is cheap.
    assert np.mean([item["target"] == "cheap" for item in found]) > 0.25
    assert np.mean([item["prediction"] == "cheap" for item in found]) < 0.05


def test_groups_are_recorded_and_checked(bigmodel, houses, tmp_path: Path) -> None:
    houses()
    assert bigmodel("train", "houses.yaml", "dataset.split_by={group: sold}").exit_code == 0
    splits = json.loads((tmp_path / "runs" / "latest" / "splits.json").read_text())
    assert splits["test"]["describe"].startswith("0.2 of all, held out whole groups of sold, seed 0")
    assert sum(item["examples"] for item in splits.values()) == 400
    assert bigmodel("evaluate").exit_code == 0
    # The same rows in another order: every split would hold other examples.
    table = tmp_path / "my houses" / "häuser.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], *reversed(lines[1:])]), encoding="utf-8")
    result = bigmodel("evaluate")
    assert result.exit_code == 2
    assert "is not what" in result.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.target=prize", "`prize`"),
        ("dataset.columns={colour: ignore}", "`colour`"),
        ("dataset.split_by={group: owner}", "no column `owner` to divide by"),
        ("dataset.prepare.columns={sise: {}}", "no column `sise` to prepare; did you mean `size`"),
        ("dataset.prepare.columns={size: {encode: hash}}", "numeric columns have missing"),
        ("dataset.augment=[random_flip]", "dataset.augment: is for images, but csv gives table inputs"),
        ("model=cnn", "takes images, but dataset `csv` gives 5 table columns"),
        ("dataset.resample=oversample", "is for classification, but csv is for regression"),
    ],
)
def test_mistakes_that_only_the_data_shows(bigmodel, houses, override: str, message: str) -> None:
    houses()
    result = bigmodel("train", "houses.yaml", override)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("runs").exists()


def test_a_table_that_vanishes_while_training(bigmodel, houses, tmp_path: Path, monkeypatch) -> None:
    from bigmodel_cli.training.callbacks.recorder import Recorder

    houses()
    epoch_end = Recorder.on_epoch_end

    def remove(self: Any, epoch: int, logs: Any = None) -> None:
        epoch_end(self, epoch, logs)
        (tmp_path / "my houses" / "häuser.csv").unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_epoch_end", remove)
        result = bigmodel("train", "houses.yaml", "dataset.cache=none", "training.epochs=3")
    assert result.exit_code == 2
    assert "häuser.csv" in result.stderr
    assert "go on when it is mended with   bigmodel train --resume runs/houses/" in result.stderr
    assert "Traceback" not in result.stderr
    houses()
    run = next((tmp_path / "runs" / "houses").iterdir())
    assert bigmodel("train", "--resume", run).exit_code == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


def test_texts_are_predicted_as_they_are_typed(bigmodel, write, tmp_path: Path) -> None:
    for index in range(60):
        kind = ("good", "bad")[index % 2]
        write(f"reviews/{kind}/{index}.txt", f"a {kind} film, number {index}")
    config = (
        "name: reviews\ndataset: {name: text_folder, path: reviews}\nmodel: {name: mlp, hidden: []}\n"
        "optimizer: {name: adam, learning_rate: 0.1}\ntraining: {epochs: 8, tensorboard: false}\n"
    )
    write("reviews.yaml", config)
    result = bigmodel("train", "reviews.yaml")
    assert result.exit_code == 0, result.stderr
    found = predicted(bigmodel("predict", "a good film", "really bad", "reviews/bad", "--json").stdout)
    assert [item["prediction"] for item in found[:2]] == ["good", "bad"]
    assert {item["prediction"] for item in found[2:]} == {"bad"}
    assert len(found) == 32
