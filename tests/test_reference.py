"""The generated reference page is current."""

from pathlib import Path

from bigmodel_cli.reference import reference

ROOT = Path(__file__).parents[1]


def test_page_is_current():
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == reference(), "run `python -m bigmodel_cli.reference > docs/config.md`"
