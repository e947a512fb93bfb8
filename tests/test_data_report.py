from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import assembly, data_report, rundir, validation
from bigmodel_cli.data.pipeline import Scheduled
from bigmodel_cli.data_report.drawing import _captions, _varied
from bigmodel_cli.data_report.speed import settled
from bigmodel_cli.errors import DataError, UsageError

HEAD = "name: small\nmodel: {name: mlp, hidden: [4]}\ntraining: {batch_size: 8}\n"


@pytest.fixture
def examine(write: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., Any]:
    """The report of a config's data, without its speed."""

    def run(dataset: str, **options: Any) -> Any:
        config = validation.load(write("small.yaml", f"{HEAD}dataset: {dataset}\n")).config
        return data_report.examine(config, assembly.load_data(config), tmp_path / "pictures", **options)

    return run


def table(rows: int = 120) -> str:
    """A CSV table with a bit of everything."""
    generator = random.Random(0)
    lines = ["size,color,when,said,label"]
    for row in range(rows):
        color = "" if row % 10 == 0 else generator.choice(["red", "red", "green"])
        said = " ".join(generator.choices(["good", "bad", "so", "very"], k=1 + row % 9)) + f" {row}"
        lines.append(f"{row / 7:.3f},{color},2024-0{1 + row % 9}-11,{said},{'no' if row % 20 else 'yes'}")
    return "\n".join(lines) + "\n"


def test_classes_and_features(examine: Callable[..., Any], tmp_path: Path) -> None:
    report = examine("iris")
    found = report.description
    assert [(split.name, split.examples, split.counts) for split in found.splits] == [
        ("train", 108, (36, 36, 36)), ("validation", 12, (4, 4, 4)), ("test", 30, (10, 10, 10)),
    ]  # fmt: skip
    first = found.columns[0]
    assert (first.contents.name, first.contents.kind) == ("sepal length (cm)", "numeric")
    assert (first.contents.numbers.low, first.contents.numbers.high) == pytest.approx((4.4, 7.9))
    assert found.channels == ()
    assert [path.name for path in report.pictures] == ["classes.png", "columns.png"]
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"classes.png", "columns.png"}
    assert "test has very few examples: 30; each is 3.3% of its accuracy" in report.warnings


def test_the_copy_in_iris_is_found_and_named(examine: Callable[..., Any]) -> None:
    report = examine("iris")
    within, validation_split, test = report.duplicates
    # Rows 101 and 142 of iris are equal; the seed puts one in train and one in validation.
    assert (within.copies, test.copies) == (0, 0)
    assert (validation_split.copies, validation_split.contradicting) == (1, 0)
    assert validation_split.first == (("all[142]", "all[101]"),)
    assert "leave the copies out of the source" in validation_split.remedy
    assert any(warning.startswith("1 of validation (8.33%) also in train") for warning in report.warnings)
    assert examine("iris", search_duplicates=False).duplicates is None


def test_channels_of_images(examine: Callable[..., Any]) -> None:
    found = examine("digits").description
    (grey,) = found.channels
    assert (found.kind, found.shape, found.dtype) == ("image", (8, 8, 1), "uint8")
    assert (grey.low, grey.high) == (0, 255)
    assert found.columns == ()


def test_a_sample_is_taken_of_what_is_large(
    examine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = examine("digits").description
    monkeypatch.setattr("bigmodel_cli.data_report.description.SAMPLE_BYTES", 300 * 68)
    some = examine("digits").description
    assert (whole.sampled, some.sampled) == (whole.splits[0].examples, 300)
    assert some.channels[0].mean == pytest.approx(whole.channels[0].mean, rel=0.05)


def test_targets_of_a_regression(examine: Callable[..., Any]) -> None:
    report = examine("diabetes")
    train = report.description.splits[0]
    assert train.counts == ()
    assert (train.targets[0].low, train.targets[0].high) == (25, 346)
    assert [path.name for path in report.pictures] == ["targets.png", "columns.png"]


def test_columns_of_a_table_and_their_preparation(examine: Callable[..., Any], write: Any) -> None:
    path = write("table.csv", table())
    prepare = "{numeric: {clip: [0.1, 0.9], scale: log}, columns: {color: {encode: hash}}}"
    kinds = "{said: text, when: date}"
    report = examine(f"{{name: csv, path: {path}, target: label, columns: {kinds}, prepare: {prepare}}}")
    columns = {item.contents.name: item for item in report.description.columns}
    train = report.description.splits[0].examples
    assert columns["size"].prepared.startswith("clip ")
    assert columns["size"].prepared.endswith(", log")
    color = columns["color"]
    assert color.contents.frequent[0][0] == "red"
    assert color.contents.missing > 0
    assert color.missing_share == color.contents.missing / train
    assert color.prepared.startswith("hash 1,024x")
    assert columns["when"].contents.earliest == "2024-01-11"
    assert columns["when"].prepared == "elapsed month weekday"
    assert columns["said"].prepared.startswith("tokens ")
    assert ", first 10" in columns["said"].prepared
    ratio = [warning for warning in report.warnings if "times the smallest" in warning]
    assert ratio == [
        "the largest class of train is 20 times the smallest; dataset.class_weights: balanced or "
        "dataset.resample even this out"
    ]
    assert any("fewer than 10 examples of yes" in warning for warning in report.warnings)


def test_copies_in_a_table_with_another_target(examine: Callable[..., Any], write: Any) -> None:
    rows = table().splitlines()
    train = "\n".join([*rows, rows[3], rows[4].replace(",no", ",yes")])
    test = "\n".join([*rows[:1], rows[5].replace(",no", ",yes"), "0.1,red,2024-01-01,new,no"])
    paths = f"{{train: {write('train.csv', train)}, test: {write('test.csv', test)}}}"
    options = "columns: {said: text}, splits: {validation: 'train[118:]', train: 'train[:118]'}"
    report = examine(f"{{name: csv, path: {paths}, target: label, {options}}}")
    within, held_out, other = report.duplicates
    assert (within.copies, held_out.copies, other.copies) == (0, 2, 1)
    assert held_out.first == (("train[2]", "train[120]"), ("train[3]", "train[121]"))
    assert held_out.contradicting == 1
    assert held_out.remedy.startswith("dataset.drop_duplicates: true leaves out")
    assert held_out.remedy.endswith("those with another target stay: decide which is right")
    assert other.first == (("train[4]", "test[0]"),)
    assert other.contradicting == 1
    # Rows are dropped within a base split only.
    assert other.remedy == "leave the copies out of the source's `test`, or of what is trained on"


def test_absent_classes_and_constant_columns(examine: Callable[..., Any], tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    x[:, 1] = 5
    y = np.arange(60) % 3
    arrays = {"x_train": x, "y_train": y, "x_test": x[y < 2] + 1, "y_test": y[y < 2]}
    np.savez(tmp_path / "a.npz", **arrays)
    report = examine(f"{{name: npz, path: {tmp_path / 'a.npz'}}}")
    assert "test has no example of 2" in report.warnings
    assert any(warning.startswith("constant in train, so of no use: ") for warning in report.warnings)


def test_images_are_drawn_class_by_class(examine: Callable[..., Any], figures: list[Any]) -> None:
    examine("{name: digits, augment: [{name: random_translation}, {name: cut_mix, until_epoch: 1}]}")
    (axes,) = figures[0].axes
    drawn = [np.asarray(image.get_array()) for image in axes.images]
    assert len(drawn) == 8 * 6
    texts = [text.get_text() for text in axes.texts]
    names, mixed = texts[:8], [text for text in texts[8:] if "%" in text]
    assert len(set(names)) == 8
    assert names == sorted(names)
    assert texts[-6:] == ["original", *["augmented"] * 5]
    # The words above the others say what was mixed.
    assert len(mixed) == 8 * 5
    assert any(len(text.splitlines()) == 2 for text in mixed)
    assert any((drawn[0] != form).any() for form in drawn[8::8])


def test_a_grid_of_originals_without_augmentation(examine: Callable[..., Any], figures: list[Any]) -> None:
    examine("digits")
    (axes,) = figures[0].axes
    names = [text.get_text() for text in axes.texts]
    assert len(names) == len(axes.images) == 25
    # As many of each class as can be.
    assert {names.count(name) for name in names} == {2, 3}


def test_shares_of_mixed_classes(write: Any) -> None:
    data = assembly.load_data(validation.load(write("c.yaml", HEAD + "dataset: iris\n")).config)
    mixed = np.array([[0.5, 0.3, 0.2], [0, 1, 0], [0.001, 0.299, 0.7]], np.float32)
    assert _captions(data, mixed) == [
        "50% setosa\n30% versicolor\n20% others", "100% versicolor", "70% virginica\n30% versicolor",
    ]  # fmt: skip
    images, targets = _varied(data, data.splits["train"], 7, 0)
    assert sorted(np.bincount(targets).tolist()) == [2, 2, 3]
    assert len(np.unique(images, axis=0)) == 7


def test_augmentations_that_begin_late_or_end_early_are_shown_as_in_between() -> None:
    item = settled(Scheduled(lambda images, seed: images, 0.5, ramp_epochs=9, until_epoch=3))
    assert (item.probability, item.ramp_epochs, item.until_epoch) == (0.5, 0, None)


def test_mixing_the_images_of_a_regression_is_refused(examine: Callable[..., Any], tmp_path: Path) -> None:
    x, y = np.zeros((40, 8, 8, 1), np.uint8), np.linspace(0, 1, 40).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(DataError, match="for classification only"):
        examine(f"{{name: npz, path: {tmp_path / 'a.npz'}, augment: [mix_up]}}")


def test_a_folder_that_cannot_be_made(examine: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file")
    with pytest.raises(UsageError, match=r"--output .*pictures: cannot be written to"):
        examine("iris")


def test_what_fails_while_it_is_streamed_is_one_message(write: Any) -> None:
    path = write("table.csv", table())
    dataset = f"{{name: csv, path: {path}, target: label}}"
    config = validation.load(write("c.yaml", f"{HEAD}dataset: {dataset}\n")).config
    data = assembly.load_data(config)
    path.unlink()
    with pytest.raises(DataError, match=r"table\.csv") as caught:
        data_report.write_prepared(config, data, str(path.parent / "shards"))
    assert "\n" not in str(caught.value)


def test_json_is_plain(examine: Callable[..., Any]) -> None:
    document = json.loads(rundir.json_text(examine("iris").to_json()))
    assert document["columns"][0]["numbers"]["low"] == pytest.approx(4.4)
    assert document["splits"][0]["counts"] == [36, 36, 36]
    assert document["duplicates"][1]["first"] == [["all[142]", "all[101]"]]
    assert document["speed"] is None
    assert document["pictures"][0].endswith("pictures/classes.png")


@pytest.mark.parametrize(
    ("pipeline", "model", "device", "share"),
    [
        (900.0, 100.0, "cpu", 0.1),
        (100.0, 100.0, "cpu", 0.5),
        (50.0, 100.0, "gpu", 0.5),
        (200.0, 100.0, "gpu", 0.0),
    ],
)
def test_the_share_of_the_data(
    pipeline: float, model: float, device: str, share: float, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigmodel_cli.data_report import speed
    from bigmodel_cli.training import planning

    config = validation.load(write("c.yaml", HEAD + "dataset: iris\n")).config
    plan = planning.prepare(config)
    monkeypatch.setattr(speed.timing, "examples_per_second", lambda batches, seconds: pipeline)
    monkeypatch.setattr(speed, "_consumption", lambda training, batch, seconds: model)
    training = data_report.Training(plan.pipeline, plan.model, None, device)  # type: ignore[arg-type]
    found = speed.measure_speed(config, plan.data, training, 1, lambda text: None)
    assert found.data_share == pytest.approx(share)
    assert found.remedy == (plan.pipeline.remedy if share > 0.1 else "")


def test_speed_of_data_and_model(examine: Callable[..., Any], write: Any) -> None:
    from bigmodel_cli.training import planning

    text = HEAD.replace("{name: mlp, hidden: [4]}", "{name: cnn, filters: [2]}")
    text += "dataset: {name: digits, limit: 64, augment: [{name: random_flip}], class_weights: balanced}\n"
    config = validation.load(write("c.yaml", text)).config
    plan = planning.prepare(config)
    training = data_report.Training(plan.pipeline, plan.model, plan.class_weights, plan.devices.kind)
    told: list[str] = []
    report = data_report.examine(
        config, plan.data, write("c.yaml", text).parent / "p", training=training, seconds=0.2,
        doing=told.append,
    )  # fmt: skip
    speed = report.speed
    assert speed is not None
    assert min(speed.reading, speed.pipeline, speed.model) > 10
    assert speed.batch_size == 8
    assert [name for name, took in speed.augmentations if took > 0] == ["random_flip"]
    assert 0 < speed.data_share < 1
    assert told == [
        "describing the data", "looking for duplicates", "timing the pipeline", "timing random_flip",
        "timing the model", "drawing",
    ]  # fmt: skip


class TestWritePrepared:
    def prepared(self, write: Any, dataset: str, folder: Path) -> tuple[Any, Any, Any]:
        config = validation.load(write("a.yaml", f"{HEAD}dataset: {dataset}\n")).config
        before = assembly.load_data(config)
        written = data_report.write_prepared(config, before, str(folder))
        text = f"{HEAD}dataset: {json.dumps(dict(written.config))}\n"
        return written, before, assembly.load_data(validation.load(write("b.yaml", text)).config)

    @pytest.mark.parametrize("dataset", ["digits", "iris", "{name: diabetes, limit: 50}"])
    def test_splits_stay_as_they_are(self, write: Any, tmp_path: Path, dataset: str) -> None:
        written, before, after = self.prepared(write, dataset, tmp_path / "shards")
        assert written.sizes == dict(before.spec.sizes) == dict(after.spec.sizes)
        assert after.spec.target.counts == before.spec.target.counts
        assert after.spec.target.names == before.spec.target.names
        for name in ("validation", "test"):
            for old, new in zip(before.splits[name].arrays(), after.splits[name].arrays(), strict=True):
                np.testing.assert_array_equal(old, new)

    def test_training_examples_are_mixed_and_complete(self, write: Any, tmp_path: Path) -> None:
        written, before, after = self.prepared(write, "iris", tmp_path / "shards")
        # Iris is sorted by class.
        old, new = before.splits["train"].targets(), after.splits["train"].targets()
        assert len(set(old[:30].tolist())) == 1
        assert len(set(new[:30].tolist())) == 3
        splits = (before.splits["train"], after.splits["train"])
        rows = [np.concatenate([split.arrays()[0], split.targets()[:, None]], axis=1) for split in splits]
        np.testing.assert_array_equal(*[row[np.lexsort(row.T)] for row in rows])
        assert written.order == "a permutation of all examples"

    def test_what_is_learned_of_a_table_is_learned_again(self, write: Any, tmp_path: Path) -> None:
        path = write("table.csv", table())
        dataset = f"{{name: csv, path: {path}, target: label, columns: {{said: text}}}}"
        _, before, after = self.prepared(write, dataset, tmp_path / "shards")
        assert [column.vocabulary for column in after.spec.input.columns] == [
            column.vocabulary for column in before.spec.input.columns
        ]
        index = json.loads((tmp_path / "shards" / "prepared.json").read_text())
        assert all(column["vocabulary"] == [] for column in index["spec"]["input"]["columns"])
        old, _ = before.splits["test"].arrays()
        new, _ = after.splits["test"].arrays()
        for name, cells in old.items():
            np.testing.assert_array_equal(cells, new[name])

    def test_progress(self, write: Any, tmp_path: Path) -> None:
        config = validation.load(write("a.yaml", HEAD + "dataset: iris\n")).config
        told: dict[str, int] = {}
        data_report.write_prepared(config, assembly.load_data(config), str(tmp_path / "s"), told.__setitem__)
        assert told == {"train": 108, "validation": 12, "test": 30}
