"""Places for the boxes of a layered graph: rows by depth, few crossings, straight main lines.

Sugiyama, Tagawa and Toda 1981, "Methods for Visual Understanding of Hierarchical System Structures": longest
paths give the rows, edges over several rows are led through places of their own, and rows are sorted by the
mean place of their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 6
_BOX, _LINE = 1.0, 0.3
"""Widths of a box and of a line that passes by, in columns."""

_YIELDING = 1e-3
"""Weight of a line's wishes beside those of boxes: it makes way."""

Edge = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Places, in columns from 0 and rows from 0.

    Attributes:
        boxes: (column, row) of the middle of each box.
        lines: of each edge the places that it leads through, its boxes first and last.
    """

    boxes: tuple[tuple[float, int], ...]
    lines: tuple[tuple[tuple[float, int], ...], ...]

    @property
    def columns(self) -> float:
        """The last one's middle."""
        return max((column for line in (self.boxes, *self.lines) for column, _ in line), default=0.0)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return max((row for _, row in self.boxes), default=-1) + 1


def lay_out(count: int, edges: Sequence[Edge]) -> Layout:
    """Place so many boxes, numbered in an order in which each edge leads to a larger number.

    Args:
        count: of the boxes.
        edges: from box to box.
    """
    depth = _depths(count, edges)
    chains: list[list[int]] = []
    links: list[Edge] = []
    rows = list(depth)
    for start, end in edges:
        chain = [start]
        for row in range(depth[start] + 1, depth[end]):
            chain.append(len(rows))
            rows.append(row)
        chain.append(end)
        chains.append(chain)
        links += list(pairwise(chain))
    columns = _columns(count, rows, links)
    places = [(column, row) for column, row in zip(columns, rows, strict=True)]
    return Layout(tuple(places[:count]), tuple(tuple(places[item] for item in chain) for chain in chains))


def _depths(count: int, edges: Sequence[Edge]) -> list[int]:
    """Row of each box, by its longest path; what nothing leads to stands right above what it leads to."""
    depth = [0] * count
    for start, end in sorted(edges):
        depth[end] = max(depth[end], depth[start] + 1)
    targets = {end for _, end in edges}
    for box in range(1, count):
        below = [depth[end] for start, end in edges if start == box]
        if box not in targets and below:
            depth[box] = min(below) - 1
    return depth


def _columns(boxes: int, rows: Sequence[int], links: Sequence[Edge]) -> list[float]:
    near: list[list[tuple[int, float]]] = [[] for _ in rows]
    for one, other in links:
        # Long lines are kept straight, and do not pull at the boxes.
        lines = (one >= boxes) + (other >= boxes)
        weight = (1.0, _YIELDING, 8.0)[lines]
        near[one].append((other, weight))
        near[other].append((one, weight))
    members: list[list[int]] = [[] for _ in range(max(rows, default=-1) + 1)]
    for item, number in enumerate(rows):
        members[number].append(item)
    columns = [0.0] * len(rows)
    for row in members:
        for place, item in enumerate(row):
            columns[item] = float(place)
    for sweep in range(_SWEEPS):
        # Downwards and upwards in turn.
        for row in members[:: 1 if sweep % 2 == 0 else -1]:
            wished = {item: _mean(columns, near[item], columns[item]) for item in row}
            # A line stands to the right of a box that wishes for the same place.
            order = sorted((round(wish, 3), item >= boxes, item) for item, wish in wished.items())
            row[:] = [item for _, _, item in order]
            _settle(row, wished, columns, boxes)
    left = min(columns, default=0.0)
    return [column - left for column in columns]


def _mean(columns: Sequence[float], near: Sequence[tuple[int, float]], default: float) -> float:
    total = sum(weight for _, weight in near)
    return sum(columns[item] * weight for item, weight in near) / total if total else default


def _settle(row: Sequence[int], wished: dict[int, float], columns: list[float], boxes: int) -> None:
    """Put a row where it wishes to be, as near as the widths allow (weighted least squares by pooling)."""
    offsets, reach = [], 0.0
    for place, item in enumerate(row):
        if place:
            wide = (row[place - 1] < boxes) + (item < boxes)
            reach += (_LINE, (_BOX + _LINE) / 2, _BOX)[wide]
        offsets.append(reach)
    # (weighted sum of the wishes, weight, members) of neighbours that stand as close as they may.
    pools: list[tuple[float, float, int]] = []
    for item, offset in zip(row, offsets, strict=True):
        weight = 1.0 if item < boxes else _YIELDING
        total, size = (wished[item] - offset) * weight, 1
        while pools and pools[-1][0] / pools[-1][1] > total / weight:
            before, more, many = pools.pop()
            total, weight, size = total + before, weight + more, size + many
        pools.append((total, weight, size))
    settled = [total / weight for total, weight, size in pools for _ in range(size)]
    for item, offset, base in zip(row, offsets, settled, strict=True):
        columns[item] = base + offset
