"""Tables and a picture as one HTML page that needs nothing else: no script, no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import write_atomically


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


# On a phone each row becomes a block whose cells carry the names of their columns. Browsers take `display:
# block` for the end of a table, so the roles are said again.
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --line: #d0d7de;
  --mark: #116329; --mark-paper: #dafbe1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b3; --paper: #15191e;
  --line: #3d444d; --mark: #7ee787; --mark-paper: #12261e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
table { border-collapse: collapse; width: 100%; margin: 2rem 0 .5rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: 1.15rem; font-weight: 600; padding-bottom: .4rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; }
.number { text-align: right; }
.best { font-weight: 700; }
.best span { color: var(--mark); background: var(--mark-paper); border-radius: .25rem; padding: 0 .3rem;
  font-size: .8rem; margin-left: .35rem; }
p.note { color: var(--soft); margin: .25rem 0; }
figure { margin: 2rem 0; }
img { max-width: 100%; height: auto; }
figcaption { color: var(--soft); }
@media (max-width: 40rem) {
  table, caption, tbody, tr, th, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: .4rem 0; border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: .1rem 0; }
  tbody th { font-weight: 700; }
  td { display: flex; justify-content: space-between; gap: 1rem; text-align: right; }
  td::before { content: attr(data-column); color: var(--soft); text-align: left; flex: 0 1 45%; }
  td > div { flex: 1 1 50%; }
}
@media print { body { max-width: none; } tr, figure { break-inside: avoid; } }
"""


def write_page(
    path: Path, title: str, intro: Sequence[str], tables: Sequence[Table], picture: Picture | None
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: the heading.
        intro: paragraphs below it.
        tables: in order; the picture follows the last one.
        picture: None for none.

    Raises:
        UsageError: the file cannot be written.
    """
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(text)}</p>" for text in intro)]
    body += [_table(table) for table in tables]
    if picture is not None:
        body.append(_figure(picture))
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without it a browser asks the network for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )
    try:
        write_atomically(path, lambda temporary: _write(temporary, text))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _figure(picture: Picture) -> str:
    dark = ""
    if picture.dark is not None:
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_source(picture.dark)}">'
    return (
        f'<figure><picture>{dark}<img src="{_source(picture.png)}" alt="{escape(picture.alt)}"></picture>'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _source(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _table(table: Table) -> str:
    notes = [f'<p class="note">{escape(note)}</p>' for note in table.notes]
    if not table.rows:
        return "\n".join([f"<h2>{escape(table.caption)}</h2>", *notes])
    head = "".join(
        f'<th scope="col" role="columnheader"{_number(table, column)}>{escape(name)}</th>'
        for column, name in enumerate(table.columns)
    )
    rows = [_row(table, number) for number in range(len(table.rows))]
    lines = [
        '<table role="table">',
        f"<caption>{escape(table.caption)}</caption>",
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>',
        '<tbody role="rowgroup">',
        *rows,
        "</tbody>",
        "</table>",
    ]
    return "\n".join([*lines, *notes])


def _row(table: Table, number: int) -> str:
    first, *others = table.rows[number]
    cells = [f'<th scope="row" role="rowheader">{escape(first)}</th>']
    for column, text in enumerate(others, 1):
        best = (number, column) in table.best
        mark = "<span>best</span>" if best else ""
        inner = f"<div{_class('best' if best else '')}>{escape(text)}{mark}</div>"
        name = escape(table.columns[column])
        cells.append(f'<td role="cell" data-column="{name}"{_number(table, column)}>{inner}</td>')
    return f'<tr role="row">{"".join(cells)}</tr>'


def _number(table: Table, column: int) -> str:
    return _class("number" if column in table.right else "")


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
