"""A config's data written as shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.data import prepared
from bigmodel_cli.data.pipeline import Keeping, TrainingPipeline
from bigmodel_cli.data.prepared.reading import BATCH_BYTES
from bigmodel_cli.data.reading import data_errors_told


@dataclass(frozen=True)
class Prepared:
    """A data set that was written as shards.

    Attributes:
        folder: where it lies.
        sizes: examples in each split.
        order: of the training examples.
        config: what to write as `dataset` in a config.
    """

    folder: str
    sizes: Mapping[str, int]
    order: str
    config: Mapping[Literal["name", "path"], str]

    def to_json(self) -> dict[str, Any]:
        """As plain strings and numbers."""
        return asdict(self)


def write_prepared(
    config: Config, data: Data, folder: str, report: Callable[[str, int], None] = lambda split, count: None
) -> Prepared:
    """Write a config's data as shards that `dataset: {name: prepared}` reads.

    Train, validation and test become base splits, so that they are used as they are. Examples are raw: not
    augmented, not resampled, and of a table nothing is learned yet. Training examples are written in a random
    order, that of an epoch: the reader of shards mixes those that lie near each other, which is not enough
    for a source that is sorted by class. A source that can only be read in order is mixed shard by shard, or
    in windows of `pipeline.STREAM_WINDOW_BYTES`. The other splits keep their order.

    Args:
        config: complete; its seed decides the order.
        data: of `assembly.load_data`.
        folder: local or gs://.
        report: called with the split and its examples written so far.

    Raises:
        DataError: the data cannot be read, or the folder not be written to.
    """
    train = data.splits["train"]
    size = max(1, min(1024, BATCH_BYTES // train.source.example_bytes))
    mixed = TrainingPipeline(train, batch_size=size, seed=config.seed, keeping=Keeping("none"))
    batches = {name: split.batches() for name, split in data.splits.items()} | {"train": mixed.batches()}
    sizes: dict[str, int] = {name: split.size for name, split in data.splits.items()}
    # What the source says of itself: without anything learned.
    spec = replace(train.source.spec, name=data.spec.name)
    with data_errors_told():
        prepared.write(batches, spec, sizes, folder, report=report)
    return Prepared(folder, sizes, mixed.shuffle, {"name": "prepared", "path": folder})
