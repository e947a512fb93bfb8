"""Every command that the README shows is run, and every file that it names is there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.splitlines()]
# Enough to go through everything; the configs say what the whole takes.
SHORT = {
    "digits_cnn.yaml": ["training.epochs=2"],
    "penguins_mlp.yaml": ["training.epochs=2"],
    "mnist_cnn.yaml": ["training.epochs=1", "dataset.limit=512"],
    "linear_regression.yaml": ["training.epochs=5"],
}


def penguins() -> str:
    """A table with the columns of penguins.csv."""
    generator = np.random.default_rng(0)
    lines = ["species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex"]
    for number in range(90):
        kind = number % 3
        sizes = generator.normal(
            (39 + 4 * kind, 18 - kind, 190 + 9 * kind, 3700 + 500 * kind), (2, 1, 5, 300)
        )
        cells = [f"{size:.1f}" for size in sizes] if number % 20 else [""] * 4
        sex = ("MALE", "FEMALE", "")[number % 7 % 3]
        lines.append(
            ",".join([("Adelie", "Chinstrap", "Gentoo")[kind], ("Dream", "Biscoe")[number % 2], *cells, sex])
        )
    return "\n".join(lines)


@pytest.mark.slow
def test_commands(bigmodel, tmp_path, request):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "penguins.csv").write_text(penguins(), encoding="utf-8")
    for name, *arguments in COMMANDS:
        if name == "make":
            continue
        assert name == "bigmodel"
        if "configs/mnist_cnn.yaml" in arguments:
            try:
                request.getfixturevalue("tfds_dir")
            except pytest.skip.Exception:
                continue
        if arguments[0] in ("train", "cross-validate"):
            given = [argument for argument in arguments if "=" in argument]
            config = arguments[1].rpartition("/")[2]
            arguments += [] if any("training.epochs" in item for item in given) else SHORT.get(config, [])
        if arguments[0] == "data":
            arguments += ["--seconds", "0.2"]
        result = bigmodel(*arguments)
        assert result.exit_code == 0, f"{arguments}: {result.stderr}"
        assert result.stdout
        assert "Traceback" not in result.stderr


def test_make_targets():
    """`make demo` itself is run by CI, before the tests."""
    targets = {arguments[0] for name, *arguments in COMMANDS if name == "make"}
    assert targets == {"demo", "test"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}: " in makefile for target in targets)


def test_links_and_configs():
    for path in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / path).exists(), path
    for path in (ROOT / "configs").glob("*.yaml"):
        assert f"`{path.stem}`" in README, f"{path.name} is not in the README"


def test_example_of_mistakes(bigmodel, write):
    """The report of mistakes in the README is what `validate` prints."""
    write(
        "broken.yaml",
        "name: broken\ndataset:\n  name: mnist\n  limt: 100\nmodel:\n  name: resnett\n"
        "optimizer:\n  name: adam\n  learning_rate: -0.001\n",
    )
    result = bigmodel("validate", "broken.yaml")
    assert result.exit_code == 2
    shown = re.search(r"\$ bigmodel validate broken.yaml\n(.*?)```", README, re.S)
    assert shown is not None
    assert result.stderr == shown[1]
