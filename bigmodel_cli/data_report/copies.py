"""Copies of training examples, within train and in what they are measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.data import contents, duplicates
from bigmodel_cli.data.duplicates import Copies
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.statistics import mask_batches
from bigmodel_cli.plots import Array

EXAMPLES_NAMED = 5
"""Of duplicates."""


@dataclass(frozen=True)
class DuplicatesReport:
    """Examples of a split whose input equals one of the training split.

    Attributes:
        split: where the copies lie; `train` for those of an earlier training example.
        copies: how many.
        share: of the split, 0 to 1.
        contradicting: copies whose target differs from that of the original.
        first: original and copy of the first few, as `train[17]`.
        remedy: what to do; empty where there are none.
    """

    split: str
    copies: int
    share: float
    contradicting: int
    first: tuple[tuple[str, str], ...]
    remedy: str


def find_copies(config: Config, data: Data) -> tuple[DuplicatesReport, ...]:
    """Copies within train, then in validation and in the test split of what is in train."""
    train = data.splits["train"]
    known, targets = duplicates.content_hashes(train), _told_apart(data, train)
    found = [_copies(config, train, train, duplicates.repeated(known), targets, targets)]
    for name in ("validation", "test"):
        other = data.splits[name]
        copies = duplicates.shared(known, duplicates.content_hashes(other))
        found.append(_copies(config, train, other, copies, targets, _told_apart(data, other)))
    return tuple(found)


def _told_apart(data: Data, split: SplitData) -> Array:
    """Targets, by which copies contradict one another; of masks, which are large, a hash of each (n,)."""
    if data.spec.task != "segmentation":
        return split.targets()
    digests = [
        int.from_bytes(hashlib.blake2b(mask.tobytes(), digest_size=8).digest())
        for masks in mask_batches(split)
        for mask in masks
    ]
    return np.array(digests, np.uint64)


def _copies(
    config: Config, train: SplitData, other: SplitData, copies: Copies, targets: Array, others: Array
) -> DuplicatesReport:
    differ = targets[copies.originals] != others[copies.positions]
    contradicting = int(np.count_nonzero(differ if differ.ndim == 1 else differ.any(axis=1)))
    pairs = zip(copies.originals[:EXAMPLES_NAMED], copies.positions[:EXAMPLES_NAMED], strict=True)
    return DuplicatesReport(
        split=other.name,
        copies=copies.count,
        share=copies.count / other.size,
        contradicting=contradicting,
        first=tuple((contents.place(train, int(a)), contents.place(other, int(b))) for a, b in pairs),
        remedy=_remedy(config, train, other, contradicting) if copies.count else "",
    )


def _remedy(config: Config, train: SplitData, other: SplitData, contradicting: int) -> str:
    bases = {part.base for part in train.parts} & {part.base for part in other.parts}
    if "drop_duplicates" in config.dataset.parameters and bases:
        return (
            "dataset.drop_duplicates: true leaves out rows that equal an earlier one in every feature and "
            "target" + ("; those with another target stay: decide which is right" if contradicting else "")
        )
    if other is train:
        return "leave the copies out of the source, or know that they count several times"
    if bases:
        return (
            "leave the copies out of the source, or keep them in one split (dataset.split_by.group, where a "
            "column tells them)"
        )
    return f"leave the copies out of the source's `{other.parts[0].base}`, or of what is trained on"


def leaks(found: Sequence[DuplicatesReport]) -> Iterator[str]:
    """A warning for each split that is not apart from train."""
    for item in found:
        if item.copies and item.split != "train":
            yield (
                f"{item.copies:,} of {item.split} ({item.share:.2%}) also in train: what is measured there "
                "is partly memory"
            )
