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
    assert (len(BLOCKS), len(TRAINING)) == (6, 2)


COUNTS = re.findall(
    r"^\| `(\{name: .*\})` \| (\d+)x(\d+)x(\d) \| ([\d,]+) \| ([\d,]+) \|",
    (DOCS / "models.md").read_text(),
    re.M,
)


def test_there_are_counts_to_check():
    assert len(COUNTS) > 12


@pytest.mark.slow
@pytest.mark.parametrize(("model", "height", "width", "channels", "classes", "count"), COUNTS)
def test_published_parameter_counts(model, height, width, channels, classes, count, write):
    import math

    import keras

    from bigmodel_cli import build
    from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec

    config = validation.load(write("c.yaml", f"dataset: digits\nmodel: {model}\n")).config
    names = tuple(map(str, range(int(classes.replace(",", "")))))
    data = DataSpec(
        "drawn", "here", "classification",
        InputSpec((int(height), int(width), int(channels)), "uint8", "image"),
        TargetSpec((), "int32", names, counts=(1,) * len(names)), {"train": 1},
    )  # fmt: skip
    # Without values: most of these would take seconds to be drawn.
    built = build.build_model(config, data, scope=keras.StatelessScope(initialize_variables=False))
    assert sum(math.prod(weight.shape) for weight in built.trainable_weights) == int(count.replace(",", ""))
