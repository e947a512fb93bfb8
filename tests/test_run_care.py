"""Tags, archive and deletion of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bigmodel_cli import run_care, rundir
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import ARCHIVED, Run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(path: str) -> Run:
    folder = Path(path)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: a\n")
    (folder / "environment.json").write_text("{}")
    return Run(folder)


def latest() -> str:
    return str(Path("runs/latest").readlink())


class TestNamedRuns:
    def test_each_once_and_links_as_what_they_point_to(self):
        run = make("runs/a/20260101-000000")
        Path("runs/latest").symlink_to("a/20260101-000000")
        found = run_care.named_runs([Path("runs/latest"), run.path])
        assert [item.path.resolve() for item in found] == [run.path.resolve()]

    @pytest.mark.parametrize("path", ["runs", "runs/a", "c.yaml", "nowhere"])
    def test_nothing_stands_for_its_newest_run(self, path):
        make("runs/a/20260101-000000")
        Path("c.yaml").write_text("name: a\n")
        with pytest.raises(UsageError, match=f"{path}: is not a run directory"):
            run_care.named_runs([Path(path)])

    def test_none(self):
        with pytest.raises(UsageError, match="name at least one run directory"):
            run_care.named_runs([])


class TestTags:
    def test_given_and_taken(self):
        runs = [make("runs/a/20260101-000000"), make("runs/a/20260201-000000")]
        run_care.change_tags(runs, ["paper", "baseline"])
        run_care.change_tags(runs[:1], ["paper"], ["baseline", "never-given"])
        assert [run.read_tags() for run in runs] == [["paper"], ["baseline", "paper"]]
        assert json.loads(runs[0].tags.read_text()) == {"tags": ["paper"]}

    @pytest.mark.parametrize("tag", ["", "two words", "a=b", "a,b", "a*", "x" * 51, "new\nline"])
    def test_wrong_names(self, tag):
        run = make("runs/a/20260101-000000")
        with pytest.raises(UsageError, match="must have 1 to 50 characters"):
            run_care.change_tags([run], [tag])
        assert not run.tags.exists()

    def test_a_damaged_file(self):
        run = make("runs/a/20260101-000000")
        run.tags.write_text("{")
        with pytest.raises(UsageError, match=r"tags\.json: is damaged"):
            run_care.change_tags([run], ["a"])

    def test_a_run_that_has_only_begun_may_have_tags(self):
        run = make("runs/mine")
        run_care.change_tags([run], ["a"])
        rundir.check_free(run.path, begun=True)


class TestArchive:
    @pytest.mark.parametrize("old", ["runs/a/20260101-000000", "runs/demo"])
    def test_there_and_back(self, old):
        run, other = make(old), make("runs/b/20250101-000000")
        rundir.point_latest(run.path)
        (moved,) = run_care.archive([run])
        assert str(moved) == old.replace("runs/", "runs/archive/")
        assert not run.path.exists()
        assert list(rundir.all_runs()) == [other]
        assert list(rundir.all_runs(archived=True)) == [moved]
        assert latest() == "b/20250101-000000"
        assert run_care.restore([moved]) == [run]
        assert {item.path for item in rundir.all_runs()} == {run.path, other.path}
        assert list(rundir.all_runs(archived=True)) == []
        assert latest() == old.removeprefix("runs/")
        assert not Path("runs/archive").exists()

    def test_an_experiment_called_archive_is_listed(self):
        run = make("runs/archive/20260101-000000")
        assert list(rundir.all_runs()) == [run]
        (moved,) = run_care.archive([run])
        assert list(rundir.all_runs()) == []
        assert run_care.restore([moved]) == [run]

    def test_cut_off_between_mark_and_move(self):
        run = make("runs/a/20260101-000000")
        (run.path / ARCHIVED).write_text('{"from": "a/20260101-000000"}')
        assert list(rundir.all_runs(archived=True)) == [run]
        assert run_care.restore([run]) == [run]
        assert list(rundir.all_runs()) == [run]

    def test_refused(self):
        run, outside = make("runs/a/20260101-000000"), make("elsewhere")
        with pytest.raises(UsageError, match="elsewhere: lies outside runs/"):
            run_care.archive([run, outside])
        with pytest.raises(UsageError, match="is not archived"):
            run_care.restore([run])
        (moved,) = run_care.archive([run])
        with pytest.raises(UsageError, match="is archived already; `bigmodel runs --restore"):
            run_care.archive([moved])
        make("runs/a/20260101-000000")
        with pytest.raises(UsageError, match="where something lies already"):
            run_care.restore([moved])

    @pytest.mark.parametrize("origin", ["../../etc", "/etc", ""])
    def test_a_mark_that_leads_elsewhere(self, origin):
        run = make("runs/archive/a/20260101-000000")
        (run.path / ARCHIVED).write_text(json.dumps({"from": origin}))
        with pytest.raises(UsageError, match=r"archived\.json: is damaged"):
            run_care.restore([run])


class TestDelete:
    def test_gone_and_latest_points_to_the_newest_left(self):
        old, new = make("runs/a/20260101-000000"), make("runs/b/20260201-000000")
        rundir.point_latest(new.path)
        run_care.delete([new])
        assert not Path("runs/b").exists()
        assert latest() == "a/20260101-000000"
        run_care.delete([old])
        assert list(Path("runs").iterdir()) == []

    @pytest.mark.parametrize("change", [run_care.delete, run_care.archive])
    def test_a_run_that_is_trained_stays_and_so_do_the_others(self, change):
        free, busy = make("runs/a/20260101-000000"), make("runs/a/20260201-000000")
        with (
            rundir.locked(busy),
            pytest.raises(UsageError, match=r"is training there; wait .* before it is (deleted|archived)"),
        ):
            change([free, busy])
        assert set(rundir.all_runs()) == {free, busy}

    def test_a_folder_with_other_runs_in_it(self):
        outer, inner = make("runs/a"), make("runs/a/20260201-000000")
        with pytest.raises(UsageError, match="runs/a: holds another run, runs/a/20260201-000000"):
            run_care.delete([outer])
        assert inner.path.is_dir()
