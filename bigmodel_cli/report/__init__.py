"""A run as one page to show around, and as a model card; from the same facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigmodel_cli import pages
from bigmodel_cli.errors import UsageError
from bigmodel_cli.report import card, facts, sections
from bigmodel_cli.rundir import Run

__all__ = ["Report", "write"]


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        run: of which run.
        page: the HTML page.
        card: the model card, Markdown.
        bytes: size of the page.
        evaluated: the splits whose evaluation it shows.
    """

    run: Run
    page: Path
    card: Path
    bytes: int
    evaluated: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain strings and numbers."""
        return {
            "run": str(self.run),
            "report": str(self.page),
            "model_card": str(self.card),
            "bytes": self.bytes,
            "evaluated": list(self.evaluated),
        }


def write(run: Run, page: Path | None = None, model_card: Path | None = None) -> Report:
    """Write the page and the card of a run, from its files alone.

    Args:
        run: which one.
        page: the HTML file; None for report.html in the run.
        model_card: the Markdown file; None for model_card.md in the run.

    Raises:
        UsageError: a file of the run is missing or damaged, or the page or card cannot be written.
    """
    found = facts.read(run)
    page, model_card = page or run.report, model_card or run.model_card
    pages.write_page(page, found.config.name, sections.intro(found), sections.sections(found))
    try:
        facts.write_text(model_card, card.markdown(found))
    except OSError as error:
        raise UsageError(f"{model_card}: cannot be written: {error.strerror}") from None
    return Report(run, page, model_card, page.stat().st_size, _splits(found))


def _splits(found: facts.Facts) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.partition("/")[0] for name in found.evaluations))
