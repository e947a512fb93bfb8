"""Which files make up a table, and what the table asks of their format."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bigmodel_cli.contracts import SPLIT_NAMES
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = "all"
"""The base split of data that is not divided."""

PACKED = (".gz", ".bz2", ".zst", ".lz4")
"""Compressions that are read as they are."""

Paths = Mapping[str, Sequence[Path]]
"""Base split -> its files, in the order they are read."""

GivenPaths = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""As a config names files: one or several; or each split's."""


class TableFormat(Protocol):
    """How the tables of one format are read. A row is counted from 0, without the head."""

    def head(self, path: Path) -> Mapping[str, pa.DataType]:
        """Columns and their Arrow types, in the order of the file.

        Raises:
            DataError: a file that is empty, cannot be read, or repeats a column's name.
        """
        ...

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows in order, with the columns asked for in the order asked for.

        A cell that equals one of the missing values is null.

        Raises:
            DataError: a file that cannot be read, with its line as far as there is one.
        """
        ...

    def place(self, path: Path, row: int) -> str:
        """Where a row stands, as an editor would show it: `file:line`."""
        ...

    def stamp(self, path: Path) -> str:
        """Changes when the content does."""
        ...


def unreadable(path: Path | str, error: OSError) -> DataError:
    """What the system says of a file; pyarrow wraps that in words of its own."""
    return DataError(f"{path}: cannot be read: {os.strerror(error.errno) if error.errno else error}")


def stamp(path: Path) -> str:
    """Name, size and time of change of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def find_tables(
    given: GivenPaths, suffixes: Sequence[str], plain: Sequence[str] = ()
) -> tuple[Paths, list[str]]:
    """The files that a config's `path` names.

    A folder that holds files or folders named after splits (`train.csv`, `dev/`) gives those base splits;
    so do several files all named that way. Everything else is one base split, `all`.

    Args:
        given: a file, a glob, a folder, a list of these, or a mapping split -> one of these.
        suffixes: of files that are taken from a folder, with a dot, lower case.
        plain: suffixes that are only taken where there is none of the others: a .txt beside tables is a
            readme.

    Returns:
        Files of each base split; and what the user should know.

    Raises:
        DataError: what is named is not there, or holds no such file.
    """
    if isinstance(given, Mapping):
        return _of_mapping(given, suffixes, plain), []
    items = [given] if isinstance(given, str) else list(given)
    if not items:
        raise DataError("dataset.path: names nothing; name a file, a folder, a glob or a list of these")
    if (
        len(items) == 1
        and (folder := Path(items[0])).is_dir()
        and (divided := _divided(folder, suffixes, plain))
    ):
        used = {path for paths in divided.values() for path in paths}
        rest = [path.name for path in _tables(folder, suffixes, plain, required=False) if path not in used]
        notes = [f"not read, since {folder.name} is divided into splits: {', '.join(rest)}"] if rest else []
        return divided, notes
    files = [path for item in items for path in _expand(item, suffixes, plain)]
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault(SPLIT_NAMES.get(stem(path).lower(), ""), []).append(path)
    if len(by_split) > 1 and "" not in by_split:
        return _in_order(by_split), []
    return {WHOLE: files}, []


def stem(path: Path) -> str:
    """File name without the suffixes of format and compression."""
    name = path.name
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).stem


def suffix(path: Path) -> str:
    """Suffix of the format, lower case, without that of a compression."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def require_distinct(names: Sequence[str], place: str) -> None:
    """Refuse a head that holds a name twice.

    Raises:
        DataError: it does.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        numbers = [str(number) for number, name in enumerate(names, 1) if name == twice[0]]
        raise DataError(
            f"{place}: the column name `{twice[0]}` stands at {' and '.join(numbers)}; rename all but one"
        )


def split_folders(folder: Path) -> dict[str, Path]:
    """Sub-folders named after splits, by base split.

    Raises:
        DataError: two of them are the same split.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        split = SPLIT_NAMES.get(path.name.lower())
        if split is None or not path.is_dir():
            continue
        if split in found:
            raise DataError(
                f"{folder}: `{found[split].name}` and `{path.name}` are both the {split} split; keep one, or "
                "name the files with dataset.path: {train: ..., validation: ..., test: ...}"
            )
        found[split] = path
    return {name: found[name] for name in dict.fromkeys(SPLIT_NAMES.values()) if name in found}


def suggest(name: str, names: Sequence[str]) -> str:
    """`; did you mean ...?` or which names there are."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    lower = [other for other in names if other.lower() == name.lower()]
    if lower or near:
        return f"did you mean `{(lower or near)[0]}`?"
    shown = ", ".join(f"`{other}`" for other in names[:20])
    return f"there are {shown}{', ...' if len(names) > 20 else ''}"


def _in_order(by_split: Mapping[str, Sequence[Path]]) -> dict[str, list[Path]]:
    names = [name for name in dict.fromkeys(SPLIT_NAMES.values()) if name in by_split]
    return {name: list(by_split[name]) for name in [*names, *(n for n in by_split if n not in names)]}


def _of_mapping(
    given: Mapping[str, str | Sequence[str]], suffixes: Sequence[str], plain: Sequence[str]
) -> dict[str, list[Path]]:
    if not given:
        raise DataError("dataset.path: names nothing; write {train: FILE, validation: FILE, test: FILE}")
    bases: dict[str, list[Path]] = {}
    for key, value in given.items():
        base = SPLIT_NAMES.get(key, key)
        if re.fullmatch(r"[\w-]+", base) is None:
            raise DataError(f"dataset.path: `{key}` cannot name a split; take letters, digits, _ and -")
        if base in bases:
            raise DataError(
                f"dataset.path: `{key}` is the {base} split, which is named twice; join them in a list"
            )
        items = [value] if isinstance(value, str) else value
        bases[base] = [path for item in items for path in _expand(item, suffixes, plain)]
        if not bases[base]:
            raise DataError(f"dataset.path: `{key}` names no file")
    return _in_order(bases)


def _divided(folder: Path, suffixes: Sequence[str], plain: Sequence[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {
        split: _tables(path, suffixes, plain) for split, path in split_folders(folder).items()
    }
    for path in _tables(folder, suffixes, plain, required=False):
        if (split := SPLIT_NAMES.get(stem(path).lower())) is None:
            continue
        if split in found:
            raise DataError(
                f"{folder}: `{found[split][0].relative_to(folder)}` and `{path.name}` are both the "
                f"{split} split; "
                "name the files with dataset.path: {train: ..., validation: ..., test: ...}"
            )
        found[split] = [path]
    return _in_order(found)


def _expand(item: str, suffixes: Sequence[str], plain: Sequence[str]) -> list[Path]:
    path = Path(item)
    if path.is_dir():
        return _tables(path, suffixes, plain)
    # A file whose name has brackets in it is that file, not a pattern.
    if path.exists():
        return [path]
    if glob.has_magic(item):
        # Not Path.glob: the pattern may be absolute.
        matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207
        files = [Path(name) for name in matches if Path(name).is_file()]
        if files:
            return files
        raise DataError(f"dataset.path: no file matches {item}{_beside(path)}")
    raise DataError(f"dataset.path: there is no {item}{_beside(path)}")


def _beside(path: Path) -> str:
    """What may have been meant instead."""
    folder = path.parent
    if not folder.is_dir():
        parents = [parent for parent in folder.parents if parent.is_dir()]
        return f"; the folder {folder} is not there, {parents[0].resolve()} is" if parents else ""
    names = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=3)
    if near:
        return f"; did you mean {' or '.join(f'`{folder / name}`' for name in near)}?"
    return (
        f"; {folder.resolve()} holds {', '.join(names[:8]) or 'nothing'}{', ...' if len(names) > 8 else ''}"
    )


def _tables(folder: Path, suffixes: Sequence[str], plain: Sequence[str], required: bool = True) -> list[Path]:
    """Tables in a folder, by name; what begins with a dot or underscore is not data."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] not in "._"]
    for wanted in (suffixes, plain):
        chosen = [path for path in files if suffix(path) in wanted]
        if chosen:
            return chosen
    if required:
        raise DataError(
            f"dataset.path: the folder {folder} holds no file that ends in {', '.join((*suffixes, *plain))}"
        )
    return []
