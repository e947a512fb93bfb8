"""Every config that is shipped: valid, and saying in its first comment what it costs and gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bigmodel_cli import validation

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def comment(path: Path) -> str:
    """The comment lines above the first key."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
class TestConfig:
    def test_is_valid(self, path):
        assert validation.load(path).config.name

    def test_refers_to_the_schema(self, path):
        first = comment(path).splitlines()[0]
        match = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", first)
        assert match, first
        assert (path.parent / match[1]).is_file()

    def test_says_its_command_time_and_score(self, path):
        text = comment(path)
        assert f"bigmodel train {path.relative_to(ROOT)}\n" in text
        assert re.search(r"\b((\d+|an?) (s|seconds|minutes?|hours?)|weeks)\b", text), "how long it takes"
        assert re.search(r"test (accuracy|R2|MSE|RMSE|perplexity)\b.*\d", text), "what it reaches"


def test_names_are_different():
    names = [validation.load(path).config.name for path in CONFIGS]
    assert len(names) == len(set(names)) > 0
