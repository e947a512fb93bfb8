"""`bigmodel compare`, on runs as they are trained and evaluated, without TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
optimizer: {name: adam, learning_rate: 0.05}
training: {epochs: 2, batch_size: 32, tensorboard: false}
"""
WITHOUT_TENSORFLOW = (
    "import sys; sys.modules.update(tensorflow=None, keras=None); from bigmodel_cli.cli import main; main()"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs `a` and `b`, both evaluated."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("compare"), Path.cwd()
    os.chdir(folder)
    try:
        Path("iris.yaml").write_text(IRIS)
        for arguments in (
            ("train", "iris.yaml", "--run-dir", "a", "--quiet"),
            ("train", "iris.yaml", "--run-dir", "b", "--quiet", "training.epochs=1", "model.hidden=[2]"),
            ("evaluate", "a", "--json"),
            ("evaluate", "b", "--json"),
        ):
            main(list(arguments))
    finally:
        os.chdir(before)
    return folder


def test_tables_picture_and_page(folder):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_TENSORFLOW,
            "compare",
            "a",
            "b",
            "-o",
            "curves.png",
            "--html",
            "page.html",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["model.hidden", "[8]", "[2]"] in rows
    assert ["training.epochs", "2", "1"] in rows
    assert ["test", "examples", "30", "30", "yes"] in rows
    assert [row for row in rows if row[:2] == ["b", "accuracy"] and "McNemar," in row]
    assert [row for row in rows if row[:2] == ["b", "loss"] and row[-2:] == ["paired", "bootstrap"]]
    assert ["epochs", "2", "1"] in rows
    assert done.stdout.endswith("written to curves.png\nwritten to page.html\n")
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "Paired tests against a" in page
    assert page.count("data:image/png") == 2


def test_json(folder, bigmodel, monkeypatch):
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    result = bigmodel("compare", "a", "b", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    (result,) = document["paired"]
    tests = {test["metric"]: test for test in result["tests"]}
    assert set(tests) >= {"accuracy", "loss", "macro_f1"}
    measured = {row["metric"]: [item["value"] for item in row["scores"]] for row in document["measured"]}
    assert tests["loss"]["difference"] == pytest.approx(measured["loss"][1] - measured["loss"][0], rel=1e-3)
    assert (document["picture"], document["html"]) == (None, None)
    assert set(folder.iterdir()) == before


def test_a_split_that_is_not_evaluated(folder, bigmodel, monkeypatch):
    monkeypatch.chdir(folder)
    result = bigmodel("compare", "a", "b", "--split", "validation")
    assert result.exit_code == 0, result.stderr
    assert "type `bigmodel evaluate a --split validation`" in result.stdout
    assert "not paired, as one of the two is not evaluated" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a",), "comparing takes at least two runs"),
        (("a", "a"), "a: is the same run as a; name each run once"),
        (("a", "nowhere"), "nowhere: there is no such run directory or config"),
        (("a", "b", "-o", "curves.jpg"), "--output curves.jpg: must end in .png"),
        (("a", "b", "--html", "page.txt"), "--html page.txt: must end in .html"),
        (("a", "b", "--html", "nowhere/page.html"), "nowhere/page.html: cannot be written"),
        (("a", "b", "-o", "nowhere/c.png"), "nowhere/c.png: cannot be written"),
    ],
)
def test_wrong_usage(folder, bigmodel, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    result = bigmodel("compare", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
