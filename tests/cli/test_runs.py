"""`bigmodel runs`: sorted, filtered, tagged, archived and deleted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def runs(bigmodel):
    """Two runs, the second the newer and worse."""
    made = []
    for name, accuracy in (("a/20260101-000000", 0.9), ("a/20260201-000000", 0.8)):
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("name: a\ndataset: {name: iris}\nmodel: {name: mlp}\n")
        (folder / "environment.json").write_text("{}")
        summary = {
            "status": "finished", "epochs": 3, "planned_epochs": 3, "best_epoch": 2, "seconds": 75.0,
            "dataset": "iris", "model": "mlp", "metrics": {"val_accuracy": accuracy, "val_loss": 0.1},
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary))
        made.append(str(folder))
    return made


def listed(result):
    assert result.exit_code == 0, result.stderr
    return [line.split()[0] for line in result.stdout.splitlines()[1:]]


def test_sort_filter_and_limit(bigmodel, runs):
    old, new = runs
    assert listed(bigmodel("runs")) == [new, old]
    assert listed(bigmodel("runs", "--sort", "-val_accuracy")) == [old, new]
    assert listed(bigmodel("runs", "runs", "--filter", "val_accuracy>0.85", "--filter", "dataset=iris")) == [
        old
    ]
    result = bigmodel("runs", "--limit", "1")
    assert listed(result) == [new]
    assert result.stderr == "1 of 2 runs; --limit 2 shows them all\n"
    assert bigmodel("runs", "--filter", "model=cnn").stdout == "none of the 2 runs under runs/ fits\n"


def test_tags(bigmodel, runs):
    old, new = runs
    result = bigmodel("runs", "--tag", "paper", "--tag", "best", old, new)
    assert result.stdout == f"{old}  tags: best, paper\n{new}  tags: best, paper\n"
    result = bigmodel("runs", "--untag", "best", new, "--json")
    assert json.loads(result.stdout) == [{"run": new, "tags": ["paper"]}]
    assert bigmodel("runs").stdout.splitlines()[0].split()[-1] == "tags"
    assert listed(bigmodel("runs", "--filter", "tag=best")) == [old]


def test_delete(bigmodel, runs):
    old, new = runs
    (Path("runs/latest")).symlink_to("a/20260201-000000")
    result = bigmodel("runs", "--delete", new, "--yes")
    assert (result.exit_code, result.stdout) == (0, f"deleted  {new}\n")
    assert listed(bigmodel("runs")) == [old]
    assert Path("runs/latest").resolve() == Path(old).resolve()


def test_archive_and_restore(bigmodel, runs):
    old, new = runs
    result = bigmodel("runs", "--archive", old, "-y", "--json")
    place = "runs/archive/a/20260101-000000"
    assert json.loads(result.stdout) == [{"run": old, "done": "archived", "to": place}]
    assert listed(bigmodel("runs")) == [new]
    assert listed(bigmodel("runs", "--archived")) == [place]
    assert bigmodel("runs", "--restore", place).stdout == f"restored  {place}  to {old}\n"
    assert listed(bigmodel("runs")) == [new, old]
    assert bigmodel("runs", "--archived").stdout == "there is no archived run under runs/\n"


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("y\n", 1)])
def test_the_question(bigmodel, runs, monkeypatch, answer, left):
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    result = bigmodel("runs", "--delete", runs[0])
    assert f"  {runs[0]}  0.0 MiB\n" in result.stderr
    assert "delete this run for good? [y/N]" in result.stderr
    assert result.exit_code == (0 if left == 1 else 1)
    assert ("nothing is deleted" in result.stderr) is (left == 2)
    assert len(list(Path("runs/a").iterdir())) == left


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--delete", "{old}"),
            "--delete: asks before it begins, and there is no terminal to ask on; add --yes",
        ),
        (("--archive", "{old}"), "--archive: asks before it begins"),
        (("--delete", "--yes"), "RUN: name at least one run directory"),
        (("--delete", "--yes", "runs"), "runs: is not a run directory"),
        (("--delete", "--tag", "x", "{old}"), "--delete: cannot go with --tag and --untag"),
        (("--tag", "x", "--untag", "x", "{old}"), "--tag x --untag x: give it or take it"),
        (("--tag", "x", "--limit", "3", "{old}"), "--limit: is for listing"),
        (("--yes",), "--yes: answers the question of --archive and --delete"),
        (("{old}", "{new}"), "of several RUNs say what to do with them"),
        (("--filter", "iris"), "--filter 'iris': must be KEY=VALUE"),
        (("--sort", "val_acuracy"), "did you mean `val_accuracy`"),
        (("--restore", "{old}"), "is not archived"),
    ],
)
def test_wrong_usage(bigmodel, runs, arguments, message, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    old, new = runs
    result = bigmodel("runs", *(item.format(old=old, new=new) for item in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert listed(bigmodel("runs")) == [new, old]


def test_columns_that_fit(bigmodel, runs, monkeypatch):
    from rich.console import Console

    from bigmodel_cli.cli import console

    def terminal(stderr: bool = False) -> Console:
        return Console(force_terminal=True, width=64, color_system=None, highlight=False)

    monkeypatch.setattr(console, "console", terminal)
    result = bigmodel("runs")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["run", "status", "validation"]
    assert all(len(line) <= 64 for line in rows)
    assert "accuracy 0.8000" in rows[0]
    assert result.stderr == "not shown on 64 columns: best, time, epochs, dataset, model\n"
