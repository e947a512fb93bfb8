"""Some inputs at a time, with what could not be read among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Block:
    """Consecutive inputs.

    Attributes:
        ids: file name, row number, or the value itself; of every input.
        errors: why an input cannot be read, one for each id; empty for one that can.
        values: of the readable ones, as the model takes them: (m, *shape), of a table column key -> (m,);
            None where none can be read.
        paths: of image files, one for each id; else empty.
        targets: of a split's examples, and of inputs that are read with their labels, (n, *target.shape);
            else None.
        unlabelled: of inputs that are read with their labels, why an input's is not known, one for each id:
            empty where it is. Else empty.
        beside: further columns of such inputs, name -> (n,); empty cells of inputs that cannot be read.
    """

    ids: Sequence[str]
    errors: Sequence[str]
    values: Any
    paths: Sequence[str] = ()
    targets: np.ndarray | None = None
    unlabelled: Sequence[str] = ()
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        """Inputs in it."""
        return len(self.ids)

    @property
    def readable(self) -> np.ndarray:
        """Positions of the inputs that could be read, (m,) int64."""
        return np.flatnonzero([not error for error in self.errors])

    @cached_property
    def _readable_before(self) -> np.ndarray:
        """How many of the inputs before each place could be read, (n + 1,) int64.

        Counted once: a large block is cut into many parts.
        """
        return np.concatenate([[0], np.cumsum([not error for error in self.errors], dtype=np.int64)])

    def part(self, start: int, stop: int) -> Block:
        """The inputs from start to stop - 1."""
        if start <= 0 and stop >= len(self):
            return self
        low, high = (int(self._readable_before[min(end, len(self))]) for end in (start, stop))
        return Block(
            self.ids[start:stop],
            self.errors[start:stop],
            None if low == high else _each(lambda array: array[low:high], self.values),
            self.paths[start:stop],
            None if self.targets is None else self.targets[start:stop],
            self.unlabelled[start:stop],
            {name: cells[start:stop] for name, cells in self.beside.items()},
        )


def block_of(rows: Sequence[tuple[str, np.ndarray | Mapping[str, Any] | str]]) -> Block:
    """A block of pairs: an id, and a value, or a text that says why there is none."""
    values: list[Any] = [value for _, value in rows if not isinstance(value, str)]
    stacked: Any = None
    if values:
        keys = values[0] if isinstance(values[0], Mapping) else None
        stacked = {key: np.array([value[key] for value in values]) for key in keys} if keys else values
        stacked = stacked if keys else np.stack(values)
    return Block(
        [name for name, _ in rows],
        [value if isinstance(value, str) else "" for _, value in rows],
        stacked,
    )


def recut(blocks: Iterable[Block], size: int, limit: int | None = None) -> Iterator[Block]:
    """The same inputs in blocks of a given size; only the last one may be smaller.

    Args:
        blocks: of any sizes.
        size: inputs in a block, readable or not, so that a block holds the same inputs whatever can be read.
        limit: end after so many.
    """
    kept: list[Block] = []
    held = 0
    for block in blocks:
        start = 0
        while start < len(block) and limit != 0:
            wanted = size - held if limit is None else min(size - held, limit)
            piece = block.part(start, min(start + wanted, len(block)))
            start += len(piece)
            kept.append(piece)
            held += len(piece)
            limit = None if limit is None else limit - len(piece)
            if held == size:
                yield joined(kept)
                kept, held = [], 0
        if limit == 0:
            break
    if kept:
        yield joined(kept)


def joined(blocks: Sequence[Block]) -> Block:
    """Several blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    values = [block.values for block in blocks if block.values is not None]
    targets = [block.targets for block in blocks if block.targets is not None]
    return Block(
        [name for block in blocks for name in block.ids],
        [error for block in blocks for error in block.errors],
        _concatenated(values) if values else None,
        # Inputs of other kinds may stand between image files.
        [path for block in blocks for path in block.paths or [""] * len(block)]
        if any(block.paths for block in blocks)
        else (),
        np.concatenate(targets) if targets else None,
        [error for block in blocks for error in block.unlabelled],
        _beside(blocks),
    )


def file_stem(place: int, name: str) -> str:
    """Part of a file name for an input, `000012_name`: its place among all, and the last part of its id."""
    last = re.sub(r"[^\w.\[\]-]+", "_", name.replace("\\", "/").rpartition("/")[2])
    # File names are limited in bytes, and a text may be its own id.
    return f"{place:06d}_{last.encode()[-80:].decode(errors='ignore')}"


def _concatenated(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
    return np.concatenate(values)


def _beside(blocks: Sequence[Block]) -> dict[str, np.ndarray]:
    """Columns of all blocks; cells of blocks that lack a column are empty."""
    names = dict.fromkeys(name for block in blocks for name in block.beside)
    return {
        name: np.concatenate([block.beside.get(name, np.full(len(block), "", object)) for block in blocks])
        for name in names
    }


def _each(function: Any, values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: function(array) for key, array in values.items()}
    return function(values)
