from __future__ import annotations

import re
from pathlib import Path

import pytest

from bigmodel_cli.summary.published import PUBLISHED, Published, count, page

PAGE = Path(__file__).parents[2] / "docs" / "parameters.md"
# One or two of each family: the others have more of the same, take a minute, and are built when the page is
# written.
LARGER = re.compile(
    r"resnet, depth: (44|56|110|34|101|152)|width: (1|2|8|12)}|patch: (32|14)|patch: 16, layers: 24"
    r"|(transformer|gpt), layers: (24|36|48)"
    r"|architecture: .*(_b[1-7]|_[ml]|small|base|large|169|201|152.*|101.*|vgg19|inception_resnet_v2)\b"
)
BUILT = [entry for entry in PUBLISHED if not LARGER.search(entry.model)]


def test_the_page_is_that_of_the_list():
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.model)
def test_a_count_is_the_published_one(entry):
    assert entry.agrees


@pytest.mark.parametrize(
    ("parameters", "stated", "agrees"),
    [
        (1_000_000, "1,000,000", True), (1_000_001, "1,000,000", False),
        (850_000, "0.85 M", True), (845_100, "0.85 M", True), (844_000, "0.85 M", False),
        (859_999, "0.85 M", True), (860_001, "0.85 M", False),
    ],
)  # fmt: skip
def test_how_counts_agree(parameters, stated, agrees):
    assert Published("", (), 1, parameters, stated, "").agrees is agrees


@pytest.mark.slow
@pytest.mark.parametrize("entry", BUILT, ids=lambda entry: entry.model)
def test_a_model_has_its_published_parameters(entry):
    assert count(entry) == entry.parameters


def test_every_architecture_of_keras_has_its_entry():
    from typing import get_args

    from bigmodel_cli.models.application import Architecture

    named = {match[1] for entry in PUBLISHED if (match := re.search(r"architecture: (\w+)", entry.model))}
    assert named == set(get_args(Architecture))
    assert len(BUILT) > 25
