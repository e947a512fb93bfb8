"""Tables as Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from bigmodel_cli.contracts import PathText, Resize
from bigmodel_cli.data.tables.cells import MISSING_VALUES, CellReader, DateOrder
from bigmodel_cli.data.tables.column_kinds import FileColumnKind
from bigmodel_cli.data.tables.files import GivenPaths, find_tables
from bigmodel_cli.data.tables.image_cells import Color, ImageSize
from bigmodel_cli.data.tables.image_cells import options as image_options
from bigmodel_cli.data.tables.parquet_reading import SUFFIXES, Parquet
from bigmodel_cli.data.tables.scan import AskedTask, LabelSeparator, TableOptions
from bigmodel_cli.data.tables.several_targets import AskedTargets, asked_targets
from bigmodel_cli.data.tables.source import TableSource


def parquet(
    seed: int,
    *,
    path: PathText | Sequence[PathText] | Mapping[str, PathText | Sequence[PathText]],
    target: AskedTargets,
    columns: Mapping[str, FileColumnKind] | None = None,
    task: AskedTask = "auto",
    label_separator: LabelSeparator | None = None,
    drop_missing: Literal["none", "any", "target"] | Sequence[str] = "none",
    drop_duplicates: bool = False,
    missing_values: Sequence[str] = MISSING_VALUES,
    date_order: DateOrder | None = None,
    image_root: PathText | None = None,
    image_size: ImageSize | None = None,
    color: Color = "auto",
    resize: Resize = "stretch",
) -> TableSource:
    """A table in Parquet files; read in batches, of any size.

    Kinds follow from the types of the columns: numbers are numeric, timestamps are dates, dictionaries are
    categorical; strings are looked at, and columns of lists or structs are left out. A folder with files or
    folders named train, validation (val, valid, dev) and test gives these base splits; other files are one
    base split, `all`.

    Args:
        path: a file, a glob or a folder (.parquet, .pq), a list of these, or a mapping of split to these.
        target: the column to predict; several are the targets of a regression, or with the task multi_label
            the labels: columns of 0 and 1 (or true and false, yes and no). Several with a task each are a
            mapping of column to `task` (auto, classification or regression), `weight` and `loss`.
        columns: kind of a column, where the inferred one is not what is wanted. Ignored ones are no features;
            an image is the path of a file, and has to be declared.
        task: auto takes strings, booleans and up to 20 different integers for classes, other numbers for a
            regression. With multi_label a row may have any number of labels: of several columns in `target`,
            or in the cells of one. A language_model, or masked_language_model, learns the column of text that
            `target` names, and leaves the others out.
        label_separator: between the labels in a cell, where one column holds them, such as `comedy|drama`;
            null takes `|`. A row with an empty cell has none.
        drop_missing: rows to leave out: none, those with any missing cell in a feature or the target, with a
            missing target, or with a missing cell in one of these columns.
        drop_duplicates: whether to leave out rows that equal an earlier one of their base split in every
            feature and target.
        missing_values: strings that stand for a missing cell, as nulls do.
        date_order: how dates such as 03/04/2024 in strings are meant; null does not read them as dates.
        image_root: folder that the paths in columns of images lie in; null for that of the table.
        image_size: [height, width] in pixels that every image is brought to; needed where those of a column
            vary in size.
        color: channels of the images; auto takes gray where every file of a column is grey, else rgb.
        resize: how an image of another aspect ratio is brought to image_size: stretch changes the ratio, crop
            cuts out the middle, pad adds black borders.
    """
    given: GivenPaths = path
    files, notes = find_tables(given, SUFFIXES)
    missing = tuple(missing_values)
    target_names, several = asked_targets(target)
    options = TableOptions(
        target=target_names,
        columns=dict(columns or {}),
        task=task,
        label_separator=label_separator,
        drop_missing=drop_missing if isinstance(drop_missing, str) else tuple(drop_missing),
        drop_duplicates=drop_duplicates,
        several=several,
        reader=CellReader(missing, date_order=date_order),
        images=image_options(image_root, image_size, color, resize),
    )
    first = next(iter(files.values()))[0]
    name = Path(given).name if isinstance(given, str) else first.parent.name
    return TableSource(name or first.name, "Parquet", Parquet(missing), files, options, notes)
