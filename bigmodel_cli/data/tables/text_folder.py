"""Texts in one folder for each class."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import PathText
from bigmodel_cli.data.tables.cells import CellReader
from bigmodel_cli.data.tables.files import WHOLE, split_folders, stamp, suggest, unreadable
from bigmodel_cli.data.tables.scan import TableOptions
from bigmodel_cli.data.tables.source import TableSource
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".txt"

TEXT, LABEL = "text", "class"

BATCH_FILES, BATCH_CHARACTERS = 1024, 4 * 2**20


def text_folder(
    seed: int,
    *,
    path: PathText,
    encoding: str = "utf-8",
    classes: Sequence[str] | None = None,
) -> TableSource:
    """Texts to classify: one folder for each class, a .txt file for each text.

    The class folders lie in `path`, or below its folders train, validation (val, valid, dev) and test, which
    then are the base splits.

    Args:
        path: the folder.
        encoding: of the texts, such as utf-8, latin-1 or cp1252.
        classes: names of the class folders to take; null takes all.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"dataset.path: there is no folder {path}")
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise DataError(
            f"dataset.encoding: there is no `{encoding}`; usual ones are utf-8, latin-1, cp1252, utf-16"
        ) from None
    bases = split_folders(folder) or {WHOLE: folder}
    table = TextFolders(encoding, None if classes is None else tuple(classes))
    # The texts are taken as they are: none of them stands for a missing one.
    options = TableOptions((LABEL,), {TEXT: "text"}, "classification", reader=CellReader(missing_values=()))
    files = {base: [place] for base, place in bases.items()}
    return TableSource(folder.resolve().name, "folder of texts", table, files, options, table.notes(bases))


@dataclass(frozen=True)
class TextFolders:
    """A `table_files.TableFormat` in which a folder of class folders is a table of texts and classes.

    Attributes:
        encoding: of the texts.
        classes: names of the class folders; None for all.
    """

    encoding: str
    classes: tuple[str, ...] | None = None

    def head(self, path: Path) -> Mapping[str, pa.DataType]:
        """The two columns."""
        import pyarrow as pa

        self._folders(path)
        return {TEXT: pa.string(), LABEL: pa.string()}

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Texts and the names of their folders, by folder and file name."""
        import pyarrow as pa

        columns: dict[str, list[str]] = {TEXT: [], LABEL: []}
        size = 0

        def batch() -> pa.RecordBatch:
            arrays = [pa.array(columns[name], pa.string()) for name in names]
            return pa.RecordBatch.from_arrays(arrays, names=list(names))

        for file, label in self._files(path):
            text = self._text(file) if TEXT in names else ""
            columns[TEXT].append(text)
            columns[LABEL].append(label)
            size += len(text)
            if len(columns[LABEL]) >= BATCH_FILES or size >= BATCH_CHARACTERS:
                yield batch()
                columns, size = {TEXT: [], LABEL: []}, 0
        if columns[LABEL]:
            yield batch()

    def place(self, path: Path, row: int) -> str:
        """The text's file."""
        files = list(self._files(path))
        return str(files[row][0]) if row < len(files) else str(path)

    def stamp(self, path: Path) -> str:
        """Names, sizes and times of all texts."""
        digest = hashlib.sha256()
        for file, label in self._files(path):
            digest.update(f"{label} {stamp(file)}\n".encode())
        return digest.hexdigest()

    def notes(self, bases: Mapping[str, Path]) -> list[str]:
        """Files beside the texts, which are not read."""
        found = [
            file.name
            for path in bases.values()
            for folder in self._folders(path)
            for file in sorted(folder.iterdir())
            if file.is_file() and file.suffix.lower() != SUFFIX and not file.name.startswith(".")
        ]
        return (
            [f"not read, since they do not end in {SUFFIX}: {len(found):,} files, such as {found[0]}"]
            if found
            else []
        )

    def _folders(self, path: Path) -> list[Path]:
        folders = sorted(item for item in path.iterdir() if item.is_dir() and item.name[0] not in "._")
        if self.classes is not None:
            names = [folder.name for folder in folders]
            for name in self.classes:
                if name not in names:
                    raise DataError(f"dataset.classes: {path} has no folder `{name}`; {suggest(name, names)}")
            folders = [folder for folder in folders if folder.name in self.classes]
        if not folders:
            raise DataError(
                f"dataset.path: {path} holds no folders; put the {SUFFIX} files of each class into one"
            )
        return folders

    def _files(self, path: Path) -> Iterator[tuple[Path, str]]:
        for folder in self._folders(path):
            files = sorted(
                file for file in folder.iterdir() if file.suffix.lower() == SUFFIX and file.is_file()
            )
            if not files:
                raise DataError(f"{folder}: the class holds no {SUFFIX} files; fill or remove it")
            yield from ((file, folder.name) for file in files)

    def _text(self, file: Path) -> str:
        try:
            return file.read_bytes().decode(self.encoding).removeprefix("\ufeff")
        except OSError as error:
            raise unreadable(file, error) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise DataError(
                f"{file}:{line}: the byte 0x{error.object[error.start]:02x} is not {self.encoding}; name the "
                "file's own, such as dataset.encoding: latin-1 or cp1252"
            ) from error
