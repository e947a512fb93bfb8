"""The configs shown in docs/ are right, and so are the links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bigmodel_cli import validation

DOCS = Path(__file__).parents[1] / "docs"
TRAINING = re.findall(
    r"```yaml\n((?:optimizer|training):.*?)```", (DOCS / "training.md").read_text(encoding="utf-8"), re.S
)
KNOWN = ("csv", "image_folder", "segmentation_folder", "oxford_iiit_pet")
BLOCKS = re.findall(r"```yaml\n(dataset:.*?)```", (DOCS / "data.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_configs_of_data(block, write):
    model = "" if "\nmodel:" in block else "model: mlp\n"
    path = write("shown.yaml", f"name: shown\n{model}training: {{epochs: 30}}\n{block}")
    assert validation.load(path).config.dataset.name in KNOWN


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            assert (DOCS / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("block", TRAINING)
def test_configs_of_training(block, write):
    path = write("shown.yaml", f"name: shown\ndataset: digits\nmodel: resnet\n{block}")
    assert validation.load(path).config.name == "shown"


def test_there_are_configs_to_check():
    assert (len(BLOCKS), len(TRAINING)) == (7, 2)
