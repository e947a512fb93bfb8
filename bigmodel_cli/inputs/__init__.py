"""New inputs of any form people have them in, read in blocks to what a model takes.

All arguments are looked at first, then read one after the other, so that any number of inputs takes the same
memory. An input that cannot be read becomes a row with an error; it does not cost the others.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.images.decoding import shown
from bigmodel_cli.data.tables import files as table_files
from bigmodel_cli.data.tables import new_rows
from bigmodel_cli.data.tables.delimited import PLAIN_SUFFIXES
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs import arrays, columns, images, number_tables
from bigmodel_cli.inputs.arrays import describe, names
from bigmodel_cli.inputs.blocks import Block, block_of
from bigmodel_cli.inputs.images import File
from bigmodel_cli.inputs.labels import Labels

STANDARD_INPUT = "-"
_LONGEST_PATH = 1024

Item = Block | File
Opener = Callable[[], Iterable[Item]]


class Inputs:
    """All inputs that some arguments name, in order.

    Attributes:
        again: whether they can be read a second time: not from standard input.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        spec: InputSpec,
        standard_input: TextIO,
        *,
        parameters: Mapping[str, Any],
        note: Callable[[str], None],
        labels: Labels | None = None,
    ):
        """Look at every argument, and read nothing yet.

        Args:
            arguments: image files, folders of images, .npy and .npz arrays, tables, numbers, or `-`; texts,
                and files and folders of them, for a model of one text; patterns such as `*.png`.
            spec: what the model takes.
            standard_input: read as a table for `-`.
            parameters: of the dataset in training, by which tables are read in the same way.
            note: hears what is left unread.
            labels: how labels are read, which come along with every input; None for none.

        Raises:
            DataError: an argument that names nothing, or something that the model does not take.
        """
        self._spec, self._standard_input = spec, standard_input
        self._parameters, self._note, self._labels = parameters, note, labels
        self.again = STANDARD_INPUT not in arguments
        expanded = [item for argument in arguments for item in _expanded(argument, spec)]
        self._files = [
            argument for argument, _ in expanded if len(argument) < _LONGEST_PATH and Path(argument).is_file()
        ]
        self._openers = [self._opener(argument, name) for argument, name in expanded]

    def stamps(self) -> list[list[Any]]:
        """Name, size and time of the last change (ns) of every file that is named itself."""
        found = ((name, Path(name).stat()) for name in self._files)
        return [[name, status.st_size, status.st_mtime_ns] for name, status in found]

    def blocks(self, skip: int = 0, passed: Callable[[Item], None] = lambda _: None) -> Iterator[Block]:
        """The inputs in blocks of any size.

        Args:
            skip: so many are left out at the beginning; image files among them are not decoded.
            passed: hears of what is left out.

        Raises:
            DataError: a table or array that does not fit at all, or cannot be read any further.
        """
        items = _skipped(chain.from_iterable(opener() for opener in self._openers), skip, passed)
        while (item := next(items, None)) is not None:
            if isinstance(item, Block):
                yield item
                continue
            # Files that follow each other are decoded together, whichever arguments they come from.
            rest: list[Block] = []
            yield from images.decoded(_files(item, items, rest), self._spec, self._labels)
            yield from rest

    def _opener(self, argument: str, name: str) -> Opener:
        spec = self._spec
        if self._labels is not None:
            return self._labelled(argument, self._labels)
        if spec.kind == "table":
            return self._columns(argument)
        if argument == STANDARD_INPUT:
            _require_numbers("standard input", spec)
            return lambda: number_tables.rows(self._standard_input, "standard input", spec)
        numbers = number_tables.numbers(argument)
        if numbers is not None and not Path(argument).exists():
            row = number_tables.number_row(argument, numbers, spec)
            return lambda: [row]
        return _path_opener(Path(argument), name, spec)

    def _columns(self, argument: str) -> Opener:
        """Of rows of a table, or of texts."""
        spec = self._spec
        path = Path(argument)
        # A text may be longer than any file name.
        is_file = len(argument) < _LONGEST_PATH and path.exists()
        if _takes_text(spec) and argument != STANDARD_INPUT and not _is_table(path):
            column = spec.columns[0]
            if is_file:
                return lambda: columns.texts(path, column, self._encoding)
            return lambda: [block_of([columns.text_row(argument, argument, column)])]
        if not is_file and argument != STANDARD_INPUT:
            raise DataError(
                f"{argument}: there is no such file; this model takes tables ({', '.join(new_rows.SUFFIXES)},"
                f" or - for standard input) with the columns {names(spec)}"
            )
        table = self._standard_input if argument == STANDARD_INPUT else path
        return lambda: columns.rows(table, argument, spec, self._parameters, self._note)

    def _labelled(self, argument: str, labels: Labels) -> Opener:
        """Of inputs with labels: tables, folders of classes, and .npz files."""
        spec, path = self._spec, Path(argument)
        if argument == STANDARD_INPUT and spec.kind != "image":
            return lambda: columns.rows(
                self._standard_input, "standard input", spec, self._parameters, self._note, labels
            )
        if len(argument) >= _LONGEST_PATH or not path.exists():
            shown_argument = argument if len(argument) < _LONGEST_PATH else f"{argument[:80]}..."
            raise DataError(
                f"{shown_argument}: there is no such file or folder to read labels from; {labels.remedy}"
            )
        if path.is_dir():
            if spec.kind != "image" and not _takes_text(spec):
                raise DataError(f"{path}: is a folder, but this model takes {describe(spec)}; give a table")
            labels.require_folders(path)
            if spec.kind == "image":
                return lambda: images.files_of(path)
            return lambda: columns.texts(path, spec.columns[0], self._encoding, labels)
        if path.suffix.lower() in (".npy", ".npz") and spec.kind != "table":
            return lambda: arrays.rows(path, spec, labels)
        if spec.kind == "image":
            raise DataError(
                f"{path}: carries no labels; this model takes {describe(spec)}: give a folder with a folder "
                f"for each class, or an .npz file with `inputs` and `targets`; {labels.remedy}"
            )
        if path.suffix.lower() in (".npy", ".npz"):
            raise DataError(f"{path}: holds arrays, but this model takes columns of a table; give a table")
        if spec.kind == "tabular" and not spec.names:
            raise DataError(
                f"{path}: the features of this model have no names to find them by; give an .npz file with "
                "`inputs` and `targets`"
            )
        return lambda: columns.rows(path, argument, spec, self._parameters, self._note, labels)

    @property
    def _encoding(self) -> str:
        """Of text files, as in training."""
        return str(self._parameters.get("encoding") or "utf-8")


def _takes_text(spec: InputSpec) -> bool:
    return len(spec.columns) == 1 and spec.columns[0].kind == "text"


def _is_table(path: Path) -> bool:
    # A .txt file is a text.
    return table_files.suffix(path) in new_rows.SUFFIXES and table_files.suffix(path) not in PLAIN_SUFFIXES


def _expanded(argument: str, spec: InputSpec) -> list[tuple[str, str]]:
    """An argument and the name of the input in it; a pattern that is no file becomes what it fits."""
    if len(argument) >= _LONGEST_PATH or not glob.has_magic(argument) or Path(argument).exists():
        return [(argument, Path(argument).name if len(argument) < _LONGEST_PATH else argument)]
    found = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - relative names stay relative
    if not found and not (spec.kind == "table" and _takes_text(spec)):
        raise DataError(f"{argument}: no file fits this pattern")
    # Files of several folders may have one name.
    return [(name, name) for name in found] or [(argument, argument)]


def _path_opener(path: Path, name: str, spec: InputSpec) -> Opener:
    suffix = path.suffix.lower()
    if path.is_dir():
        if next(images.files_of(path), None) is None:
            raise DataError(f"{path}: holds no images ({', '.join(sorted(images.SUFFIXES))})")
        _require_images(path, spec)
        return lambda: images.files_of(path)
    if not path.exists():
        raise DataError(
            f"{path}: there is no such file or folder, and it is no number; inputs are images, folders of "
            "images, .npy, .npz, .csv, numbers, or - for standard input"
        )
    if suffix in (".npy", ".npz"):
        return lambda: arrays.rows(path, spec)
    if suffix in (".csv", ".tsv", ".txt"):
        _require_numbers(str(path), spec)
        return lambda: number_tables.file_rows(path, spec)
    if suffix in images.SUFFIXES:
        _require_images(path, spec)
        file = File(shown(name), str(path))
        return lambda: [file]
    raise DataError(
        f"{path}: `{path.suffix}` files cannot be read; inputs are images "
        f"({', '.join(sorted(images.SUFFIXES))}), folders of images, .npy, .npz, .csv, numbers, or -"
    )


def _require_images(path: Path, spec: InputSpec) -> None:
    if spec.kind != "image":
        raise DataError(
            f"{path}: is an image, but this model takes {describe(spec)}; give a .csv or .npy of them"
        )


def _require_numbers(name: str, spec: InputSpec) -> None:
    if spec.kind == "image":
        raise DataError(f"{name}: is a table, but this model takes {describe(spec)}")


def _skipped(items: Iterator[Item], skip: int, passed: Callable[[Item], None]) -> Iterator[Item]:
    for item in items:
        if not skip:
            yield item
            continue
        count = len(item) if isinstance(item, Block) else 1
        dropped = min(skip, count)
        skip -= dropped
        passed(item.part(0, dropped) if isinstance(item, Block) else item)
        if isinstance(item, Block) and dropped < count:
            yield item.part(dropped, count)


def _files(first: File, items: Iterator[Item], rest: list[Block]) -> Iterator[File]:
    """Files up to the first item that is none, which is put into `rest`."""
    yield first
    for item in items:
        if isinstance(item, Block):
            rest.append(item)
            return
        yield item
