"""The page: whole by itself, its tables told as tables, whatever the texts hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from bigmodel_cli.comparison.page import Picture, Table, write_page
from bigmodel_cli.errors import UsageError

TABLE = Table(
    "Test <metrics>", ("metric", 'run "a"', "b&c"), (("loss", "0.1", "0.2"), ("<script>", "1", "2")),
    best=frozenset({(0, 1)}), right=(1, 2), notes=("a < b",),
)  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_page(tmp_path):
    path = tmp_path / "page.html"
    picture = Picture(b"PNG", "Curves", 'of "a"', b"DARK")
    write_page(path, "a & b", ["one"], [TABLE, Table("Nothing", (), (), notes=("not evaluated",))], picture)
    text = path.read_text(encoding="utf-8")
    parser = Tags()
    parser.feed(text)
    tags = [tag for tag, _ in parser.found]
    assert (tags.count("table"), tags.count("caption"), tags.count("script"), tags.count("th")) == (
        1,
        1,
        0,
        5,
    )
    assert [attrs["data-column"] for tag, attrs in parser.found if tag == "td"] == ['run "a"', "b&c"] * 2
    assert [attrs["scope"] for tag, attrs in parser.found if tag == "th"] == ["col"] * 3 + ["row"] * 2
    (image,) = [attrs for tag, attrs in parser.found if tag == "img"]
    assert (image["alt"], image["src"]) == ('of "a"', "data:image/png;base64,UE5H")
    (source,) = [attrs for tag, attrs in parser.found if tag == "source"]
    assert source == {"media": "(prefers-color-scheme: dark)", "srcset": "data:image/png;base64,REFSSw=="}
    assert text.count("<span>best</span>") == 1
    assert "<h2>Nothing</h2>" in text
    # Nothing is fetched.
    assert not re.search(r"""(src|href|srcset)="(?!data:)|url\(|@import|https?:""", text)


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere/p\.html: cannot be written"):
        write_page(tmp_path / "nowhere" / "p.html", "t", [], [TABLE], None)
