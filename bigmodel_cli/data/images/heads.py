"""Heads of image files: read cheaply, before any is decoded, and what they say of all images together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bigmodel_cli.data.images.class_folders import LISTED, number_of
from bigmodel_cli.data.images.decoding import Header, probe
from bigmodel_cli.errors import DataError

PROBED_AT_ONCE, PROBING_THREADS = 256, 16
WAIT_SECONDS = 200e-6
"""Of waiting for a file's head, on average, from which threads read them: on a disk that answers from memory
they only contend for Python's lock (60,000 heads in 2 s without threads, 6 s with)."""


def heads(paths: Sequence[str]) -> Iterator[Header | str]:
    """What each file's head says, or why it cannot be read."""
    first, rest = paths[:PROBED_AT_ONCE], paths[PROBED_AT_ONCE:]
    started, worked = time.perf_counter(), time.thread_time()
    yield from _some_heads(first)
    waited = (time.perf_counter() - started) - (time.thread_time() - worked)
    if waited < WAIT_SECONDS * len(first):
        yield from _some_heads(rest)
        return
    chunks = [rest[start : start + PROBED_AT_ONCE] for start in range(0, len(rest), PROBED_AT_ONCE)]
    with ThreadPoolExecutor(PROBING_THREADS) as threads:
        for some in threads.map(_some_heads, chunks):
            yield from some


def _some_heads(paths: Iterable[str]) -> list[Header | str]:
    heads: list[Header | str] = []
    for path in paths:
        try:
            heads.append(probe(path))
        except DataError as error:
            heads.append(str(error))
    return heads


def channels_of(color: str, headers: Sequence[Header]) -> tuple[int, list[str]]:
    """Channels of the images, and what to say of it."""
    notes = []
    grey = sum(header.grey for header in headers)
    if color == "auto":
        color = "gray" if grey == len(headers) else "rgb"
        why = (
            "every file is grey"
            if color == "gray"
            else f"{len(headers) - grey:,} of {len(headers):,} files have colours"
        )
        notes.append(f"color {color} (auto: {why})")
    if color != "rgba" and (alpha := sum(header.alpha for header in headers)):
        notes.append(f"transparency dropped in {number_of(alpha, 'file')} (color: rgba keeps it)")
    if deep := sum(header.deep for header in headers):
        notes.append(f"16 bits a channel reduced to 8 in {number_of(deep, 'file')}")
    return {"gray": 1, "rgb": 3, "rgba": 4}[color], notes


def common_size(headers: Sequence[Header]) -> tuple[int, int]:
    """The one (height, width) that all have.

    Raises:
        DataError: there are several; the message says which, and proposes one.
    """
    sizes = Counter((header.height, header.width) for header in headers)
    if len(sizes) == 1:
        return next(iter(sizes))
    frequent = ", ".join(f"{h} x {w} ({count:,})" for (h, w), count in sizes.most_common(LISTED))
    more = f" and {len(sizes) - LISTED:,} other sizes" if len(sizes) > LISTED else ""
    middle = (median(header.height for header in headers), median(header.width for header in headers))
    scale = min(1.0, 224 / max(middle))
    # Multiples of 32 are halved five times without a rest, as most networks do.
    proposed = [max(round(side * scale / 32) * 32, 32) if side >= 32 else int(side) for side in middle]
    raise DataError(
        f"dataset.image_size: the images vary in size (height x width): {frequent}{more}; give the "
        "[height, width] "
        f"that all are brought to, such as {proposed}"
    )
