"""What a page is made of, each part as its own HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol


class Part(Protocol):
    """Something that stands on a page."""

    def html(self) -> str:
        """As HTML, all texts escaped."""
        ...


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several.

    Attributes:
        text: plain.
        kind: `` for the text itself, `note` for what is said beside it, `warning` for what must be seen.
    """

    text: str
    kind: str = ""

    def html(self) -> str:
        """A paragraph."""
        return f"<p{_class(self.kind)}>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Figures:
    """The few numbers that count, in large type.

    Attributes:
        items: name, value and what it is held against, each.
    """

    items: Sequence[tuple[str, str, str]]

    def html(self) -> str:
        """A list."""
        rows = "".join(
            f'<li><span class="name">{escape(name)}</span><span class="value">{escape(value)}</span>'
            f'<span class="detail">{escape(detail)}</span></li>'
            for name, value, detail in self.items
        )
        return f'<ul class="figures">{rows}</ul>'


@dataclass(frozen=True)
class Terms:
    """Names and what they are.

    Attributes:
        items: name and text, each.
    """

    items: Sequence[tuple[str, str]]

    def html(self) -> str:
        """A description list."""
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in self.items)
        return f'<dl class="facts">{rows}</dl>'


@dataclass(frozen=True)
class Code:
    """Text to be copied: a config, commands.

    Attributes:
        text: as it stands.
    """

    text: str

    def html(self) -> str:
        """A block whose lines wrap."""
        return f"<pre><code>{escape(self.text)}</code></pre>"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        caption: what it shows.
        columns: their names; the first column names its row.
        rows: as many texts as columns.
        best: (row, column) of the cells to mark as best.
        right: indices of the columns of numbers.
        notes: sentences below it; a table without rows has these alone.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    right: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def html(self) -> str:
        """A table with the roles of one, whatever the style makes of it."""
        notes = [Paragraph(note, "note").html() for note in self.notes]
        if not self.rows:
            return "\n".join([f"<h3>{escape(self.caption)}</h3>", *notes])
        head = "".join(
            f'<th scope="col" role="columnheader"{self._number(column)}>{escape(name)}</th>'
            for column, name in enumerate(self.columns)
        )
        lines = [
            '<table role="table">',
            f"<caption>{escape(self.caption)}</caption>",
            f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>',
            '<tbody role="rowgroup">',
            *(self._row(number) for number in range(len(self.rows))),
            "</tbody>",
            "</table>",
        ]
        return "\n".join([*lines, *notes])

    def _row(self, number: int) -> str:
        first, *others = self.rows[number]
        # A row that is named after a blank, such as a character, has a name all the same.
        first = first if first.strip() else repr(first)
        cells = [f'<th scope="row" role="rowheader">{escape(first)}</th>']
        for column, text in enumerate(others, 1):
            best = (number, column) in self.best
            mark = "<span>best</span>" if best else ""
            inner = f"<div{_class('best' if best else '')}>{escape(text)}{mark}</div>"
            name = escape(self.columns[column])
            cells.append(f'<td role="cell" data-column="{name}"{self._number(column)}>{inner}</td>')
        return f'<tr role="row">{"".join(cells)}</tr>'

    def _number(self, column: int) -> str:
        return _class("number" if column in self.right else "")


@dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Attributes:
        png: its bytes.
        caption: what it shows.
        alt: the same for those who cannot see it.
        dark: the bytes of the same for a dark page; None where there is no such.
    """

    png: bytes
    caption: str
    alt: str
    dark: bytes | None = None

    def html(self) -> str:
        """A figure that holds the picture itself."""
        dark = ""
        if self.dark is not None:
            dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_source(self.dark)}">'
        return (
            f'<figure><picture>{dark}<img src="{_source(self.png)}" alt="{escape(self.alt)}"></picture>'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Gallery:
    """Pictures beside each other where there is room.

    Attributes:
        pictures: in order.
    """

    pictures: Sequence[Picture]

    def html(self) -> str:
        """A grid of figures."""
        return f'<div class="gallery">{"".join(picture.html() for picture in self.pictures)}</div>'


@dataclass(frozen=True)
class Section:
    """Parts under a heading.

    Attributes:
        title: the heading.
        parts: in order.
    """

    title: str
    parts: Sequence[Part]

    def html(self, number: int) -> str:
        """A section that a table of contents can point to by its number."""
        inner = "\n".join(part.html() for part in self.parts)
        return f'<section id="part-{number}">\n<h2>{escape(self.title)}</h2>\n{inner}\n</section>'


def _source(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
