"""The package that `bigmodel init --plugin` writes, really installed and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bigmodel_cli import plugin_package
from bigmodel_cli.errors import UsageError


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package's folder, and the one that it is installed into."""
    folder = tmp_path_factory.mktemp("plug-in")
    package, site = folder / "two-towers", folder / "site"
    plugin_package.write("two-towers", package)
    # From what is here: no network.
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(package)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return package, site


COMMANDS = [
    ("list", "models"),
    ("list", "models", "two_towers"),
    ("validate", "two_towers.yaml"),
    ("validate", "two_towers.yaml", "wrong.yaml"),
    ("train", "two_towers.yaml", "training.epochs=2", "dataset.examples=200"),
    ("evaluate",),
]


def test_it_is_used_like_a_built_in_and_its_own_tests_pass(installed):
    package, site = installed
    (package / "wrong.yaml").write_text("dataset: two_towers_rings\nmodel: {name: two_towers, blokcs: 3}\n")
    # Everything in one process: the start of TensorFlow takes longer than the rest.
    code = f"""
import sys
from bigmodel_cli.cli import main
for arguments in {COMMANDS!r}:
    print("#", *arguments, flush=True)
    try:
        main(list(arguments))
    except SystemExit as stop:
        print("exit", stop.code or 0, flush=True)
    else:
        print("exit 0", flush=True)
sys.path.insert(0, "tests")
import test_two_towers
for name in ("test_installed", "test_config", "test_model_fits_the_data"):
    getattr(test_two_towers, name)()
"""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parts = dict(part.split("\n", 1) for part in done.stdout.split("# ")[1:])
    said = {name: text.rpartition("exit ")[0] for name, text in parts.items()}
    codes = [int(text.rpartition("exit ")[2]) for text in parts.values()]
    assert codes == [0, 0, 0, 2, 0, 0], done.stderr
    assert "\ntwo_towers " in said["list models"]
    assert "blocks     2        int >= 1 and <= 100" in said["list models two_towers"]
    assert said["validate two_towers.yaml"] == "two_towers.yaml: no mistakes\n"
    assert "wrong.yaml:2:27: model.blokcs: unknown key; did you mean `blocks`?" in done.stderr
    (run,) = (package / "runs" / "two-towers").iterdir()
    assert json.loads((run / "summary.json").read_text())["model"] == "two_towers"
    metrics = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())
    assert 0 <= metrics["scores"]["accuracy"]["value"] <= 1


def test_what_is_written(bigmodel, tmp_path):
    result = bigmodel("init", "--plugin", "my-net", "here")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("next   pip install -e here\n")
    written = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "here")) for path in written) == [
        "README.md", "my_net.yaml", "my_net/__init__.py", "my_net/dataset.py", "my_net/model.py",
        "pyproject.toml", "tests/test_my_net.py",
    ]  # fmt: skip
    assert all(str(path.relative_to(tmp_path)) in result.stdout for path in written)
    assert not any("@" in path.read_text() for path in written)


@pytest.mark.parametrize("name", ["Two", "2towers", "class", "a__b", "a b", "-a", "../x", ""])
def test_no_name_of_a_package(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot be the name of a package"):
        plugin_package.write(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlp", "there is a model `mlp` already"),
        ("json", "a Python module `json` already"),
        ("numpy", "a Python module `numpy` already"),
        ("bigmodel-cli", "a Python module `bigmodel_cli` already"),
    ],
)
def test_a_name_that_is_taken(name, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        plugin_package.write(name, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(bigmodel, write, tmp_path):
    mine = write("my_net/model.py", "mine\n")
    result = bigmodel("init", "--plugin", "my_net")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("my_net: is there already and not empty; name a new folder")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    write("file", "")
    assert "file: is a file" in bigmodel("init", "--plugin", "my_net", "file").stderr
    assert "--output: is for a config" in bigmodel("init", "--plugin", "my_net", "-o", "x.yaml").stderr
