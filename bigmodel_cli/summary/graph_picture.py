"""A model's graph as an SVG picture, for a browser: a box for each layer, its shape and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import keras

from bigmodel_cli import formatting
from bigmodel_cli.flops import count_flops, nodes
from bigmodel_cli.summary.graph_layout import Edge, Layout, lay_out

_WIDTH, _HEIGHT = 240, 44
"""Of a box, in pixels."""

_COLUMN, _ROW = 264, 72
"""From the middle of one to the middle of the next."""

_MARGIN = 24
_TITLE = 40
_LETTERS = 30
"""Of a name that fit into a box."""

_COLOURS = (
    ("Conv", "#dbe9f9", "#2b6cb0"), ("Dense", "#e3dcf7", "#6b46c1"), ("Attention", "#e3dcf7", "#6b46c1"),
    ("Embedding", "#e3dcf7", "#6b46c1"), ("Normalization", "#e2f3e6", "#2f855a"),
    ("Pool", "#fdebd3", "#b7791f"), ("Input", "#e8e8e8", "#4a5568"),
)  # fmt: skip
"""Part of a class' name -> fill and border; the others are white."""

_STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#1a202c;text-anchor:middle}"
    ".name{font-weight:600}.facts{font-size:11px;fill:#4a5568}"
    ".title{font-size:15px;font-weight:600;text-anchor:start}"
    "path{fill:none;stroke:#718096;stroke-width:1.4}"
)


@dataclass(frozen=True)
class _Box:
    """What a box says."""

    name: str
    kind: str
    shape: str
    parameters: int
    flops: int


def picture(model: keras.Model) -> str:
    """The graph of a model, as the text of an SVG file.

    A model inside it is one box. A model without a graph is a single box.

    Args:
        model: built, with values or without.
    """
    boxes, edges = _graph(model)
    layout = lay_out(len(boxes), edges)
    width = round(layout.columns * _COLUMN) + _WIDTH + 2 * _MARGIN
    height = max(0, layout.rows - 1) * _ROW + _HEIGHT + 2 * _MARGIN + _TITLE
    title = f"{model.name}: {model.count_params():,} parameters"
    width = max(width, 9 * len(title) + 2 * _MARGIN)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:#718096;stroke:none"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 12}">{escape(title)}</text>',
        *(_line(line) for line in layout.lines),
        *_drawn(boxes, layout),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _graph(model: keras.Model) -> tuple[list[_Box], list[Edge]]:
    """Boxes in the order of computation, and which leads to which."""
    flops = count_flops(model).layers
    boxes: list[_Box] = []
    made: dict[int, int] = {}
    edges: dict[Edge, None] = {}
    for tensor in getattr(model, "inputs", None) or ():
        made[id(tensor)] = len(boxes)
        boxes.append(_Box(tensor.name, f"Input {tensor.dtype}", _shape([tensor]), 0, 0))
    for node in nodes(model) or ():
        here = len(boxes)
        edges.update(
            ((made[id(tensor)], here), None) for tensor in node.arguments.keras_tensors if id(tensor) in made
        )
        made.update((id(tensor), here) for tensor in node.outputs)
        operation = node.operation
        # Operations that are no layers have no weights.
        count = operation.count_params() if isinstance(operation, keras.Layer) else 0
        made_of = operation.name, type(operation).__name__, _shape(node.outputs)
        boxes.append(_Box(*made_of, count, flops.get(operation.name, 0)))
    if not boxes:
        boxes.append(_Box(model.name, type(model).__name__, "", model.count_params(), 0))
    return boxes, list(edges)


def _shape(tensors: Sequence[Any]) -> str:
    return ", ".join("x".join(str(size or "?") for size in tensor.shape[1:]) or "1" for tensor in tensors)


def _drawn(boxes: Sequence[_Box], layout: Layout) -> list[str]:
    lines = []
    for box, place in zip(boxes, layout.boxes, strict=True):
        x, y = _point(place)
        fill, border = next(
            ((fill, border) for part, fill, border in _COLOURS if part in box.kind), ("#ffffff", "#718096")
        )
        facts = [box.shape, *([f"{box.parameters:,} weights"] if box.parameters else [])]
        whole = [box.name, box.kind, *facts, *([formatting.si(box.flops, "FLOP")] if box.flops else [])]
        lines += [
            f"<g><title>{escape(', '.join(filter(None, whole)))}</title>",
            f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" height="{_HEIGHT}" '
            f'rx="6" fill="{fill}" stroke="{border}"/>',
            f'<text class="name" x="{x:g}" y="{y - 4:g}">{escape(_short(box))}</text>',
            f'<text class="facts" x="{x:g}" y="{y + 13:g}">{escape(" · ".join(filter(None, facts)))}</text>',
            "</g>",
        ]
    return lines


def _short(box: _Box) -> str:
    """The name, and the class where there is room for it."""
    name = box.name if len(box.name) <= _LETTERS else f"{box.name[: _LETTERS - 1]}…"
    both = f"{name}: {box.kind}"
    return both if len(both) <= _LETTERS else name


def _line(places: Sequence[tuple[float, int]]) -> str:
    """An arrow from the lower edge of a box to the upper edge of another."""
    points = [_point(place) for place in places]
    x, y = points[0][0], points[0][1] + _HEIGHT / 2
    parts = [f"M{x:g} {y:g}"]
    for number, (next_x, middle) in enumerate(points[1:], start=2):
        top = middle - _HEIGHT / 2
        bend = (y + top) / 2
        parts.append(
            f"L{x:g} {top:g}" if x == next_x else f"C{x:g} {bend:g} {next_x:g} {bend:g} {next_x:g} {top:g}"
        )
        x, y = next_x, top
        if number < len(points):
            # Past the boxes of the row.
            y = middle + _HEIGHT / 2
            parts.append(f"L{x:g} {y:g}")
    return f'<path d="{"".join(parts)}" marker-end="url(#tip)"/>'


def _point(place: tuple[float, int]) -> tuple[float, float]:
    """Middle of a place, in pixels."""
    column, row = place
    return (
        round(_MARGIN + _WIDTH / 2 + column * _COLUMN, 1),
        _MARGIN + _TITLE + _HEIGHT / 2 + row * _ROW,
    )
