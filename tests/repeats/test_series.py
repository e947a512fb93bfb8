"""The folder of a series: made, found again, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bigmodel_cli import validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError
from bigmodel_cli.repeats import series
from bigmodel_cli.repeats.series import CROSS_VALIDATION, SEEDS

TEXT = "name: iris\ndataset: iris\nmodel: mlp\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "iris.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return lambda *overrides: series.base_config(validation.load(path, overrides).config)


FOLDS = series.fold_settings(3, "stratified", None, "auto: classification")


def test_every_fold_is_a_config(config):
    base = config()
    members = series.members(CROSS_VALIDATION, base, FOLDS)
    assert [item.label for item in members] == ["fold-1", "fold-2", "fold-3"]
    assert [item.config.dataset.fold.index for item in members] == [0, 1, 2]
    assert {item.config.seed for item in members} == {0}
    assert base.dataset.fold is None


@pytest.mark.parametrize(("overrides", "expected"), [((), 5), (("dataset.split_seed=1",), 1)])
def test_seeds_keep_the_split(config, overrides, expected):
    base = config("seed=5", *overrides)
    members = series.members(SEEDS, base, series.seed_settings((5, 6, 9), base))
    assert [item.label for item in members] == ["seed-5", "seed-6", "seed-9"]
    assert [item.config.seed for item in members] == [5, 6, 9]
    assert {item.config.data_seed for item in members} == {expected}


def test_folds_that_contradict_the_config(config):
    with pytest.raises(UsageError, match=r"dataset.fold: dataset.split_by divides by the group `x`"):
        series.members(CROSS_VALIDATION, config("dataset.split_by={group: x}"), FOLDS)


def test_the_config_of_a_fold_is_not_divided_again(config):
    with pytest.raises(UsageError, match=r"dataset.fold: this is the config of one fold"):
        config("dataset.fold={index: 0, of: 3}")


def test_found_again(config, tmp_path):
    base = config()
    assert series.find(CROSS_VALIDATION, base, {}, None, "never") is None
    made = series.create(CROSS_VALIDATION, base, FOLDS, None)
    assert made.path.parent == Path("runs/iris")
    for resume in ("must", "auto"):
        assert series.find(CROSS_VALIDATION, base, {"folds": 3}, None, resume) == made
        assert series.find(CROSS_VALIDATION, base, {}, made.path, resume) == made
    newer = series.create(CROSS_VALIDATION, base, FOLDS, None)
    assert newer.path != made.path
    assert series.find(CROSS_VALIDATION, base, {}, None, "must").path == newer.path
    # A finished one is shown again when that is demanded, else another one begins.
    newer.write("finished", {})
    assert series.find(CROSS_VALIDATION, base, {}, None, "must").path == newer.path
    assert series.find(CROSS_VALIDATION, base, {}, None, "auto") is None
    assert series.find(SEEDS, base, {}, None, "auto") is None


def test_what_was_begun_otherwise_is_refused(config):
    made = series.create(CROSS_VALIDATION, config(), FOLDS, None)
    with pytest.raises(UsageError, match=r"folds: 3 then, 5 now; .*epochs: 10 then, 11 now"):
        series.find(CROSS_VALIDATION, config("training.epochs=11"), {"folds": 5}, made.path, "must")


def test_nothing_to_go_on_with(config, tmp_path):
    with pytest.raises(UsageError, match=r"no cross-validation of iris under runs/iris"):
        series.find(CROSS_VALIDATION, config(), {}, None, "must")
    with pytest.raises(UsageError, match=r"no cross-validation in .*empty"):
        series.find(CROSS_VALIDATION, config(), {}, tmp_path / "empty", "must")


@pytest.mark.parametrize("resume", ["never", "auto"])
def test_a_place_that_is_taken(config, tmp_path, resume):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "other.txt").write_text("x")
    with pytest.raises(UsageError, match=r"--run-dir .*taken: is not empty"):
        series.find(SEEDS, config(), {}, tmp_path / "taken", resume)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"status": "running", "folds": 1, "scheme": "x", "by": null, "reason": ""}']
)
def test_a_damaged_document(config, text):
    made = series.create(CROSS_VALIDATION, config(), FOLDS, None)
    made.document.write_text(text)
    with pytest.raises(UsageError, match=r"cross_validation.json: is damaged"):
        series.find(CROSS_VALIDATION, config(), {}, made.path, "must")


def test_a_folder_that_cannot_be_written(config, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"file/cv: cannot be written"):
        series.create(CROSS_VALIDATION, config(), FOLDS, tmp_path / "file" / "cv")


def test_the_document_begins_with_the_settings(config):
    made = series.create(SEEDS, config(), series.seed_settings((0, 1), config()), None)
    document = json.loads(made.document.read_text())
    assert document == {"name": "iris", "status": "running", "seeds": [0, 1], "split_seed": 0}
    assert validation.load(made.path / "config.yaml").config == made.config
