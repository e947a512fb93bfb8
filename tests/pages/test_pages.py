"""The page: whole by itself, its tables told as tables, whatever the texts hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from bigmodel_cli.errors import UsageError
from bigmodel_cli.pages import Code, Figures, Paragraph, Picture, Section, Table, Terms, write_page

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
    tables = [TABLE, Table("Nothing", (), (), notes=("not evaluated",))]
    write_page(path, "a & b", [Paragraph("one")], [Section("<All>", tables), Section("Curves", [picture])])
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
    assert "<h3>Nothing</h3>" in text and "<h2>&lt;All&gt;</h2>" in text
    assert "nav" not in tags
    # Nothing is fetched.
    assert not re.search(r"""(src|href|srcset)="(?!data:)|url\(|@import|https?:""", text)


def test_a_row_named_after_a_blank_has_a_name():
    blank = Table("Tokens", ("token", "times"), ((" ", "3"), ("\n", "2")))
    assert re.findall(r"<th scope=\"row\"[^>]*>([^<]*)</th>", blank.html()) == [
        "&#x27; &#x27;",
        "&#x27;\\n&#x27;",
    ]


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere/p\.html: cannot be written"):
        write_page(tmp_path / "nowhere" / "p.html", "t", [], [Section("s", [TABLE])])


def test_contents_point_to_the_sections(tmp_path):
    path = tmp_path / "page.html"
    parts = (
        Figures([("accuracy", "<0.9>", "baseline 0.1")]),
        Terms([("seed", "a & b")]),
        Code("x: <1>\n  y: 2"),
    )
    write_page(path, "t", [], [Section(f"part {index}", [part]) for index, part in enumerate(parts)])
    text = path.read_text(encoding="utf-8")
    parser = Tags()
    parser.feed(text)
    targets = [attrs["href"] for tag, attrs in parser.found if tag == "a"]
    assert targets == [f"#{attrs['id']}" for tag, attrs in parser.found if tag == "section"]
    assert len(targets) == 3
    assert "&lt;0.9&gt;" in text and "<dd>a &amp; b</dd>" in text and "x: &lt;1&gt;\n  y: 2" in text
