"""The slicing syntax of TensorFlow Datasets (https://www.tensorflow.org/datasets/splits).

It is read here, without TensorFlow, so that a wrong slice in a config is found with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SLICE = re.compile(r"(?P<base>[\w-]+)(\[(?P<start>[^:\[\]]*):(?P<stop>[^:\[\]]*)\])?")
_BOUND = re.compile(r"(?P<value>-?\d+(_\d+)*(\.\d+)?)(?P<percent>%?)")
# Whole numbers stay exact in a float up to here.
_TOO_MANY = 2**53


@dataclass(frozen=True)
class Bound:
    """One end of a slice: a number of examples or a percentage, negative from the end."""

    value: float
    percent: bool

    def absolute(self, size: int) -> int:
        """The number of examples before this bound, in a base split of `size` examples.

        Percentages are rounded to the closest example, as TFDS does, so that `[:80%]` and `[80%:]`
        meet without gap or overlap.

        Raises:
            ValueError: outside the base split.
        """
        offset = round(self.value * size / 100) if self.percent else int(self.value)
        if abs(offset) > size:
            raise ValueError(
                f"{self.value:g}{'%' if self.percent else ''} is outside of its {size:,} examples"
            )
        return offset + size if offset < 0 else offset


@dataclass(frozen=True)
class Slice:
    """A slice of a base split; None is an open end."""

    base: str
    start: Bound | None = None
    stop: Bound | None = None

    def positions(self, size: int) -> range:
        """The examples of the slice, in a base split of `size` examples.

        Raises:
            ValueError: a bound outside the base split.
        """
        start = 0 if self.start is None else self.start.absolute(size)
        stop = size if self.stop is None else self.stop.absolute(size)
        return range(start, max(start, stop))


def parse_instruction(text: str) -> tuple[Slice, ...]:
    """Read the TFDS slicing syntax: `train`, `train[:80%]`, `train[100:-50]`, `test+train[:10%]`.

    Raises:
        ValueError: not that syntax.
    """
    return tuple(_parse_slice(term.strip(), text) for term in text.split("+"))


def _parse_slice(term: str, text: str) -> Slice:
    match = _SLICE.fullmatch(term)
    if match is None:
        raise ValueError(
            f"cannot read the split `{text}`; write a split such as `train`, a slice such as "
            "`train[:80%]` or `train[100:2000]`, or a sum such as `train+test[:10%]`"
        )
    return Slice(match["base"], _parse_bound(match["start"], text), _parse_bound(match["stop"], text))


def _parse_bound(bound: str | None, text: str) -> Bound | None:
    bound = (bound or "").strip()
    if not bound:
        return None
    match = _BOUND.fullmatch(bound)
    if match is None or ("." in bound and not match["percent"]):
        raise ValueError(
            f"`{bound}` in the split `{text}` is neither a whole number of examples nor a percentage"
        )
    value = float(match["value"])
    if match["percent"] and abs(value) > 100:
        raise ValueError(f"`{bound}` in the split `{text}` is beyond 100%")
    if abs(value) >= _TOO_MANY:
        raise ValueError(f"`{bound}` in the split `{text}` is more than any dataset has")
    return Bound(value, bool(match["percent"]))
