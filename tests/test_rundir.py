"""Run directories: created, found, read and written."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigmodel_cli import rundir
from bigmodel_cli.config.document import read
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ConfigError, UsageError
from bigmodel_cli.rundir import Run

SPEC = DataSpec(
    "mine", "test", "regression",
    InputSpec((2,), "float32", "tabular", ("a", "b"), (0.5, 1.0), (1.0, 2.0)),
    TargetSpec((1,), "float32", ("y",), mean=(3.0,)),
    {"train": 8, "test": 2},
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(path, config="dataset: digits\nmodel: mlp\n"):
    """A folder that looks like a run."""
    folder = Path(path)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "environment.json").write_text("{}")
    return folder


class TestWriteAtomically:
    def test_a_failing_writer_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "model.keras"
        path.write_text("old")

        def write(temporary):
            assert temporary.suffix == ".keras"
            temporary.write_text("half")
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            rundir.write_atomically(path, write)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_text("old")

        def write(temporary):
            temporary.write_text("new")
            assert path.read_text() == "old"

        rundir.write_atomically(path, write)
        assert path.read_text() == "new"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_failing_writer_leaves_no_new_file(self, tmp_path):
        with pytest.raises(ZeroDivisionError):
            rundir.write_atomically(tmp_path / "a.json", lambda temporary: temporary.write_text(str(1 / 0)))
        assert list(tmp_path.iterdir()) == []


def test_json_has_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "a.json"
    rundir.write_json(path, {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}, "e": "é"})
    assert json.loads(path.read_text("utf-8")) == {"a": None, "b": [None, 1.5], "c": {"d": None}, "e": "é"}


TRICKY = [
    "1e-3",
    "1e5",
    "0o17",
    "0x1f",
    "010",
    "12:30",
    "on",
    "no",
    "null",
    "~",
    "",
    "2026-01-31",
    ".inf",
    "1_000",
    "<<",
]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.sampled_from(TRICKY),
    st.text(CHARACTERS, max_size=9),
)
KEYS = st.text(CHARACTERS, max_size=5).filter("<<".__ne__)


@settings(deadline=None)
@given(
    st.dictionaries(
        KEYS,
        st.recursive(
            SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
        ),
        max_size=4,
    )
)
def test_yaml_is_read_back_as_it_was_written(tmp_path_factory, document):
    path = tmp_path_factory.getbasetemp() / "round_trip.yaml"
    rundir.write_yaml(path, document)
    got = read(path).values
    assert got == document
    assert repr(got) == repr(document)


@pytest.mark.parametrize("text", TRICKY)
def test_text_that_looks_like_something_else_stays_text(tmp_path, text):
    rundir.write_yaml(tmp_path / "a.yaml", {"name": text})
    assert read(tmp_path / "a.yaml").values == {"name": text}


class TestCreate:
    def test_lies_under_its_name_and_time(self):
        run = rundir.create("mine")
        assert re.fullmatch(r"runs/mine/\d{8}-\d{6}", str(run))
        assert run.path.is_dir()

    def test_twice_in_one_second(self):
        runs = [rundir.create("mine").path for _ in range(2)]
        assert len(set(runs)) == 2
        assert all(path.is_dir() for path in runs)

    def test_latest_points_to_it(self):
        rundir.create("first")
        run = rundir.create("second")
        assert Path("runs/latest").is_symlink()
        assert Path("runs/latest").resolve() == run.path.resolve()
        assert not Path("runs/latest").readlink().is_absolute()

    def test_a_place_of_ones_own(self, tmp_path):
        run = rundir.create("mine", tmp_path / "a" / "b")
        assert (run.path, run.path.is_dir()) == (tmp_path / "a" / "b", True)
        assert not Path("runs").exists()

    def test_a_place_of_ones_own_in_runs_is_the_latest(self):
        rundir.create("mine", Path("runs/demo"))
        assert Path("runs/latest").readlink() == Path("demo")

    def test_an_empty_folder_is_free(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert rundir.create("mine", tmp_path / "empty").path == tmp_path / "empty"

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_a_place_that_is_taken(self, tmp_path, kind):
        place = tmp_path / "taken"
        if kind == "folder":
            place.mkdir()
            (place / "notes.txt").write_text("mine")
        else:
            place.write_text("mine")
        with pytest.raises(UsageError, match=r"--run-dir .*taken: is not empty; name a new folder"):
            rundir.create("mine", place)

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "runs").write_text("a file")
        with pytest.raises(UsageError, match=r"runs: cannot be written: "):
            rundir.create("mine")

    def test_a_folder_where_the_link_should_be(self):
        Path("runs/latest").mkdir(parents=True)
        assert rundir.create("mine").path.is_dir()
        assert not Path("runs/latest").is_symlink()


class TestFind:
    def test_the_newest_of_all(self):
        make("runs/a/20260101-000000")
        newest = make("runs/b/20260301-000000")
        make("runs/a/20260201-000000")
        assert rundir.find(None) == Run(newest)

    def test_the_newest_where_a_run_has_a_name_of_its_own(self):
        make("runs/a/20260101-000000")
        named = make("runs/zzz/baseline")
        os.utime(named / "environment.json", (datetime(2026, 2, 1).timestamp(),) * 2)
        assert rundir.find(None) == Run(named)
        newest = make("runs/a/20260301-000000")
        assert rundir.find(None) == Run(newest)

    def test_a_run_directly_in_runs(self):
        demo = make("runs/demo")
        Path("runs/latest").symlink_to("demo")
        assert list(rundir.all_runs()) == [Run(demo)]

    def test_the_runs_of_a_series(self):
        folds = [make(f"runs/a/cv-20260301-000000/fold-{number}") for number in (1, 2)]
        alone = make("runs/a/20260101-000000")
        assert {run.path for run in rundir.all_runs()} == {*folds, alone}

    def test_a_run_directory(self, tmp_path):
        path = make(tmp_path / "elsewhere")
        assert rundir.find(path) == Run(path)

    def test_the_link_to_the_latest(self):
        run = make("runs/a/20260101-000000")
        Path("runs/latest").symlink_to("a/20260101-000000")
        assert rundir.find(Path("runs/latest")) == Run(run.resolve())

    @pytest.mark.parametrize("folder", ["runs", "runs/a", "./runs/a/"])
    def test_a_folder_of_runs(self, folder):
        make("runs/a/20260101-000000")
        newest = make("runs/a/20260201-000000")
        assert rundir.find(Path(folder)) == Run(newest)

    def test_the_newest_run_of_a_config(self, write):
        make("runs/mine/20260101-000000")
        newest = make("runs/mine/20260201-000000")
        make("runs/other/20260301-000000")
        assert rundir.find(write("c.yaml", "name: mine\n")) == Run(newest)
        assert rundir.find(write("mine.yaml", "seed: 1\n")) == Run(newest)

    def test_unfinished_folders_are_no_runs(self):
        Path("runs/a/20260101-000000").mkdir(parents=True)
        with pytest.raises(
            UsageError, match=r"there is no run under runs/ yet; `bigmodel train CONFIG` makes one"
        ):
            rundir.find(None)

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("empty", "empty: is not a run directory (config.yaml or environment.json is missing), and "
             "no run lies "
             "in it"),
            ("nowhere", "nowhere: there is no such run directory or config; `bigmodel runs` lists the runs"),
            ("notes.txt", "notes.txt: there is no such run directory or config; `bigmodel runs` lists "
             "the runs"),
            ("c.yaml", "c.yaml: has no run under runs/c yet; `bigmodel train c.yaml` makes one"),
        ],
    )  # fmt: skip
    def test_nothing(self, reference, message, write, tmp_path):
        (tmp_path / "empty").mkdir()
        write("notes.txt", "")
        write("c.yaml", "seed: 1\n")
        with pytest.raises(UsageError) as caught:
            rundir.find(Path(reference))
        assert str(caught.value) == message

    def test_a_config_that_cannot_be_read(self):
        with pytest.raises(ConfigError, match="there is no such file"):
            rundir.find(Path("no.yaml"))


class TestRead:
    def test_data(self, tmp_path):
        run = Run(tmp_path)
        rundir.write_json(run.data, SPEC.to_json())
        assert run.read_data() == SPEC

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            "{}",
            '{"input": 3, "target": {}}',
            '{"input": {}, "target": {}}',
            "\ufffd",
            '{"a": \x00}',
        ],
    )
    def test_damaged_data(self, tmp_path, text):
        run = Run(tmp_path)
        run.data.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=r"data\.json: is damaged .*; train again"):
            run.read_data()

    def test_data_that_is_no_text(self, tmp_path):
        run = Run(tmp_path)
        run.data.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(UsageError, match=r"data\.json: is damaged"):
            run.read_data()

    def test_missing_data(self, tmp_path):
        with pytest.raises(UsageError, match=r"data\.json: is missing; .* is not a complete run directory"):
            Run(tmp_path).read_data()

    def test_summary(self, tmp_path):
        run = Run(tmp_path)
        assert run.read_summary() == {"status": "running"}
        run.summary.write_text('{"status": "done", "epochs": 3}')
        assert run.read_summary() == {"status": "done", "epochs": 3}
        run.summary.write_text('{"status": "do')
        with pytest.raises(UsageError, match=r"summary\.json: is damaged"):
            run.read_summary()

    def test_history_leaves_out_an_unfinished_line(self, tmp_path):
        run = Run(tmp_path)
        assert run.history() == []
        run.metrics.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
        assert run.history() == [{"epoch": 1}, {"epoch": 2}]
