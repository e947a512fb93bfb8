"""What a config's data is: splits, classes, columns, duplicates, pictures, and how fast its pipeline is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bigmodel_cli.assembly import Data
from bigmodel_cli.config.schema import Config
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.data_report.copies import DuplicatesReport, find_copies, leaks
from bigmodel_cli.data_report.description import Description, describe, sample
from bigmodel_cli.data_report.drawing import draw
from bigmodel_cli.data_report.shards import Prepared, write_prepared
from bigmodel_cli.data_report.speed import SpeedReport, Training, measure_speed
from bigmodel_cli.reconstruction import labelled

__all__ = [
    "DataReport", "Description", "DuplicatesReport", "Prepared", "SpeedReport", "Training", "examine",
    "write_prepared",
]  # fmt: skip


@dataclass(frozen=True)
class DataReport:
    """What a config's data is.

    Attributes:
        description: splits, classes and columns.
        warnings: what is likely to be a mistake or a trouble.
        duplicates: within train and between train and the others; None when they were not looked for.
        speed: None when it was not measured.
        pictures: the PNGs that were written.
    """

    description: Description
    warnings: tuple[str, ...]
    duplicates: tuple[DuplicatesReport, ...] | None
    speed: SpeedReport | None
    pictures: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain lists, numbers and strings; the description is not nested."""
        rest = asdict(self) | {"pictures": list(map(str, self.pictures))}
        del rest["description"]
        return self.description.to_json() | rest


def examine(
    config: Config,
    data: Data,
    folder: Path,
    *,
    search_duplicates: bool = True,
    training: Training | None = None,
    seconds: float = 5.0,
    doing: Callable[[str], None] = lambda text: None,
) -> DataReport:
    """Describe a config's data, look for duplicates, time the pipeline and draw pictures.

    The test split is counted and searched for duplicates; nothing is learned from it.

    Args:
        config: complete.
        data: of `assembly.load_data`.
        folder: where the pictures go; it is made.
        search_duplicates: this reads every example once.
        training: what to time; None for nothing.
        seconds: that each measurement takes at most, beside its start.
        doing: told what takes the time now.

    Raises:
        DataError: the data cannot be read.
        UsageError: the folder cannot be written to.
    """
    # Whatever a model learns of them, the examples have the targets that they have.
    data = replace(data, spec=labelled(data.spec))
    copies, speed = None, None
    with data_errors_told():
        doing("describing the data")
        sampled = sample(data)
        description = describe(config, data, sampled)
        warnings = description.warnings
        if search_duplicates:
            doing("looking for duplicates")
            copies = find_copies(config, data)
            warnings = (*warnings, *leaks(copies))
        if training is not None:
            doing("timing the pipeline")
            speed = measure_speed(config, data, training, seconds, doing)
        doing("drawing")
        pictures = draw(config, data, description, sampled, folder)
    return DataReport(description, warnings, copies, speed, pictures)
