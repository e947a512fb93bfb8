"""Data sets of Hugging Face, from its hub or from disk."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from bigmodel_cli.contracts import PathText, Source
from bigmodel_cli.data.array_meaning import AskedTask
from bigmodel_cli.data.downloads import unreachable
from bigmodel_cli.data.hugging_face_tables import (
    LABEL_SEPARATOR,
    HubTables,
    ImageTable,
    first_line,
    library,
    origin,
)
from bigmodel_cli.data.tables.arrow_tables import ArrowSource, ArrowTables
from bigmodel_cli.data.tables.cells import CellReader, DateOrder, is_string
from bigmodel_cli.data.tables.column_kinds import DeclaredKind
from bigmodel_cli.data.tables.scan import TableOptions
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BUILDERS = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow",
    ".txt": "text",
}  # fmt: skip
"""Which reader of the library takes which file."""

Names = Annotated[Sequence[str], Field(min_length=1)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]


def hugging_face(
    seed: int,
    *,
    dataset: str | None = None,
    path: PathText | None = None,
    config: str | None = None,
    revision: str | None = None,
    base_splits: Names | None = None,
    inputs: str | Names | None = None,
    target: str | Names | None = None,
    columns: Mapping[str, DeclaredKind] | None = None,
    drop_missing: Literal["none", "any", "target"] = "none",
    date_order: DateOrder | None = None,
    task: AskedTask = "auto",
    image_size: Annotated[Sequence[Pixels], Field(min_length=2, max_length=2)] | None = None,
    channels: Literal[1, 3] | None = None,
    download: bool = True,
) -> Source:
    """A data set of Hugging Face (https://huggingface.co/datasets), or one in a form that its library reads.

    The input is an image, or columns: numbers, booleans, dates, categories, texts. Needs the package
    `datasets`: pip install bigmodel-cli[hugging-face]. Code that comes with a data set is never run.

    Args:
        dataset: name on the hub, such as ylecun/mnist. Either this or `path`.
        path: folder that `save_to_disk` wrote, folder of files, or file (.csv, .tsv, .json, .jsonl, .parquet,
            .arrow, .txt).
        config: which of the data set's configurations on the hub.
        revision: branch, tag or commit on the hub; null takes the newest.
        base_splits: names of its splits to take; null takes all that have labels.
        inputs: feature or features that are the input; null takes its only image, else all but the target.
        target: feature or features to predict; null takes its only class label, else `label` or `target`.
        columns: kind of a column, where the inferred one is not what is wanted. Ignored ones are no features.
        drop_missing: rows of columns to leave out: none, those with any missing cell, or with a missing
            target.
        date_order: how dates such as 03/04/2024 in strings are meant; null does not read them as dates.
        task: classification, multi_label or regression; auto goes by the target. A list of class labels is
            for multi_label; so are, where you say so, several columns of 0 and 1, or strings such as
            `comedy|drama`.
        image_size: [height, width] in pixels that every image is resized to (bilinear, antialiased); needed
            where images vary in size. Null keeps them as they are.
        channels: 1 for grey images, 3 for colours; null goes by the images.
        download: whether absent data may be downloaded.
    """
    library()
    if (dataset is None) == (path is None):
        raise DataError("dataset: give either `dataset`, a name on the hub, or `path`, a folder or file")
    if path is not None and (config is not None or revision is not None):
        name = "config" if config is not None else "revision"
        raise DataError(f"dataset.{name}: only a data set on the hub has it; leave it out with `path`")
    place = str(dataset if path is None else path)
    bases = _of_hub(place, config, revision, download) if path is None else _of_disk(Path(path))
    notes: list[str] = []
    table = HubTables(place, bases)
    targets = table.target(target)
    if labels := any(map(table.is_label_list, targets)):
        task = _task_of_lists(targets, task)
    table, left_out = table.with_splits(base_splits, targets)
    notes += left_out
    name = place.rstrip("/").split("/")[-1]
    images = table.images()
    chosen = (inputs,) if isinstance(inputs, str) else tuple(inputs or ())
    if chosen:
        table.require(chosen, "inputs")
    elif len(images) == 1:
        chosen = tuple(images)
        notes.append(f"the input is `{chosen[0]}`, the only image")
    if len(chosen) == 1 and chosen[0] in images:
        for key, given in (
            ("columns", columns is not None),
            ("drop_missing", drop_missing != "none"),
            ("date_order", date_order is not None),
        ):
            if given:
                raise DataError(f"dataset.{key}: the input of {name} is an image; leave it out")
        return ImageTable(name, table, chosen[0], targets, task, image_size, channels, notes)
    for key, value in (("image_size", image_size), ("channels", channels)):
        if value is not None:
            raise DataError(f"dataset.{key}: the inputs of {name} are not images; leave it out")
    if mixed := [key for key in chosen if key in images]:
        raise DataError(f"dataset.inputs: `{mixed[0]}` is an image, which cannot stand beside others")
    tables, kinds = _cells(table, chosen, targets, columns or {})
    # Values in typed columns are missing when they are null, whatever they are called.
    reader = CellReader(missing_values=(), date_order=date_order)
    separator = LABEL_SEPARATOR if labels else None
    options = TableOptions(targets, kinds, task, drop_missing, reader=reader, label_separator=separator)
    stored = ArrowTables(place, tables, table.stamps())
    return ArrowSource(name, origin(), stored, options, notes)


def _task_of_lists(targets: Sequence[str], asked: AskedTask) -> AskedTask:
    """The task that lists of class labels are for.

    Raises:
        DataError: another one is asked for, or there is a target beside them.
    """
    if len(targets) > 1:
        raise DataError(
            f"dataset.target: {', '.join(f'`{name}`' for name in targets)}: a list of class labels must be "
            "the only target; name it alone"
        )
    if asked not in ("auto", "multi_label"):
        raise DataError(
            f"dataset.task: `{asked}`, but the target `{targets[0]}` is a list of class labels, which is for "
            "multi_label; leave it `auto`"
        )
    return "multi_label"


def _cells(
    table: HubTables,
    inputs: Sequence[str],
    targets: Sequence[str],
    declared: Mapping[str, DeclaredKind],
) -> tuple[dict[str, pa.Table], dict[str, DeclaredKind]]:
    """Tables of each base split, and the kinds of their columns that are not to be inferred."""
    if both := [key for key in inputs if key in targets]:
        raise DataError(f"dataset.inputs: `{both[0]}` is the target; leave it out")
    tables = {base: table.cells(base) for base in table.bases}
    schema = next(iter(tables.values())).schema
    kinds: dict[str, DeclaredKind] = dict(declared)
    if inputs:
        kinds |= {key: "ignore" for key in schema.names if key not in (*inputs, *targets)}
    # A string that is the whole input is more than the name of a category.
    if len(inputs) == 1 and is_string(schema.field(inputs[0]).type) and not table.is_label(inputs[0]):
        kinds.setdefault(inputs[0], "text")
    return tables, kinds


def _of_hub(name: str, config: str | None, revision: str | None, download: bool) -> dict[str, Any]:
    """Base splits of a data set on the hub, out of the library's cache where it is there.

    Raises:
        DataError: it is neither there nor to be had.
    """
    datasets = library()
    said_offline = bool(datasets.config.HF_HUB_OFFLINE)
    host = None if said_offline or not download else unreachable(datasets.config.HF_ENDPOINT)
    offline = said_offline or not download or host is not None
    with _quiet(datasets), _offline(datasets, offline):
        try:
            return _bases(datasets.load_dataset(name, config, revision=revision))
        except Exception as error:
            # Whatever the library or the network throws: the data is not there, which the user can mend.
            reason = first_line(error)
            if not offline or not isinstance(error, OSError):
                raise DataError(f"dataset: `{name}` on the Hugging Face hub: {reason}") from error
            why = f"no connection to {host}" if host else "dataset.download is false"
            why = "HF_HUB_OFFLINE is set" if said_offline else why
            raise DataError(
                f"dataset: `{name}` is not in the cache of Hugging Face "
                f"({datasets.config.HF_DATASETS_CACHE}), "
                f"and it cannot be downloaded: {why}; run once on a machine with network and copy the cache, "
                "or "
                "save the data there with save_to_disk and give dataset.path"
            ) from error


def _of_disk(path: Path) -> dict[str, Any]:
    """Base splits of a folder or file.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    datasets = library()
    if not path.exists():
        raise DataError(f"dataset.path: there is no file or folder {path}")
    with _quiet(datasets), _offline(datasets, True):
        try:
            if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
                return _bases(datasets.load_from_disk(str(path)))
            if path.is_dir():
                return _bases(datasets.load_dataset(str(path)))
            if (builder := BUILDERS.get(path.suffix.lower())) is None:
                raise DataError(
                    f"dataset.path: {path} ends in `{path.suffix}`; files that can be read end in "
                    f"{', '.join(BUILDERS)}"
                )
            options = {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
            return _bases(datasets.load_dataset(builder, data_files=str(path), **options))
        except DataError:
            raise
        except Exception as error:
            # Many kinds of errors of as many readers; each is about the files.
            raise DataError(f"dataset.path: {path} cannot be read: {first_line(error)}") from error


def _bases(loaded: Any) -> dict[str, Any]:
    """Base split -> dataset; rows that were only selected become rows of their own."""
    found = dict(loaded) if isinstance(loaded, Mapping) else {"all": loaded}
    return {str(base): one.flatten_indices() if one._indices else one for base, one in found.items()}


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without progress bars where nobody watches."""
    if sys.stderr.isatty() or not datasets.is_progress_bar_enabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


@contextmanager
def _offline(datasets: Any, wanted: bool) -> Iterator[None]:
    """The library looks into its cache alone, instead of trying a network five times over.

    Its switch is an environment variable that it reads when it is imported.
    """
    constants: Any = importlib.import_module("huggingface_hub.constants")

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if wanted:
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
