"""HTML pages that need nothing else: no script, no network, every picture inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from bigmodel_cli.errors import UsageError
from bigmodel_cli.pages.parts import Code, Figures, Gallery, Paragraph, Part, Picture, Section, Table, Terms
from bigmodel_cli.pages.style import STYLE
from bigmodel_cli.rundir import write_atomically

__all__ = [
    "Code",
    "Figures",
    "Gallery",
    "Paragraph",
    "Part",
    "Picture",
    "Section",
    "Table",
    "Terms",
    "write_page",
]

CONTENTS_FROM = 3
"""Sections from which on a page has a table of contents."""


def write_page(path: Path, title: str, intro: Sequence[Part], sections: Sequence[Section]) -> None:
    """Write a page.

    Args:
        path: the HTML file.
        title: the heading.
        intro: what stands below it, before the table of contents.
        sections: in order.

    Raises:
        UsageError: the file cannot be written.
    """
    body = [f"<h1>{escape(title)}</h1>", *(part.html() for part in intro)]
    if len(sections) >= CONTENTS_FROM:
        links = "".join(
            f'<li><a href="#part-{number}">{escape(section.title)}</a></li>'
            for number, section in enumerate(sections, 1)
        )
        body.append(f'<nav aria-label="Contents"><ul>{links}</ul></nav>')
    body += [section.html(number) for number, section in enumerate(sections, 1)]
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without it a browser asks the network for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    try:
        write_atomically(path, write)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
