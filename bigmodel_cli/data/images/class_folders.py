"""Folders of images, a folder for each class: which files there are, and of what class."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_cli.contracts import SPLIT_NAMES
from bigmodel_cli.data.images.decoding import SUFFIXES, Header, shown
from bigmodel_cli.errors import DataError

LISTED = 5
"""How many files or folders a message names."""


class ImageFile(NamedTuple):
    """An image file: its place, its path within the folder, with `/`, its class and what its head says."""

    path: str
    relative: str
    label: str
    header: Header | None = None


@dataclass
class Found:
    """What a walk through the folder found, besides images."""

    others: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    circles: int = 0
    beside: list[str] = field(default_factory=list)
    empty: list[tuple[str, str]] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """For people, a line each."""
        if self.others:
            kinds = ", ".join(
                f"{suffix or 'no suffix'} {count:,}" for suffix, count in self.others.most_common(LISTED)
            )
            yield f"{number_of(sum(self.others.values()), 'file')} of other kinds left aside ({kinds})"
        if self.circles:
            yield f"{number_of(self.circles, 'link', 'links')} to a folder around it left aside"
        if self.hidden:
            yield f"{number_of(self.hidden, 'hidden file or folder', 'hidden files or folders')} left aside"
        if self.beside:
            images = number_of(len(self.beside), "image")
            yield f"{images} beside the class folders left aside: {listed(self.beside)}"
        for base, label in self.empty:
            yield f"class `{label}` has no images in {base}"


def number_of(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """The first of some names of files or folders, and how many more there are."""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(map(shown, names[:LISTED])) + more


def _natural(name: str) -> tuple[Any, ...]:
    """Sorts `c10` after `c9`."""
    return (
        *((0, int(run), "") if run.isdecimal() else (1, 0, run) for run in re.split(r"(\d+)", name) if run),
        name,
    )


def scan(path: str, found: Found) -> dict[str, list[ImageFile]]:
    """The image files of every base split, by their names alone.

    Raises:
        DataError: there is no such folder, or it has no class folders.
    """
    if "://" in path:
        raise DataError(f"dataset.path: {path} is not on this machine; image_folder reads local folders")
    if not Path(path).is_dir():
        why = "is a file, not a folder" if Path(path).exists() else "there is no such folder"
        raise DataError(f"dataset.path: {shown(path)}: {why}")
    folders, images = _content(path, found)
    by_base: dict[str, list[str]] = {}
    for folder in folders:
        by_base.setdefault(SPLIT_NAMES.get(folder.lower(), ""), []).append(folder)
    if by_base.keys() <= {""}:
        found.beside += images
        return {"all": _scan_classes(path, "", folders, found, images)}
    _check_splits(path, by_base, found)
    found.beside += images
    files = {}
    for base in sorted(by_base.keys() - {""}, key=["train", "validation", "test"].index):
        (folder,) = by_base[base]
        inner, beside = _content(f"{path}/{folder}", found)
        found.beside += [f"{folder}/{name}" for name in beside]
        files[base] = _scan_classes(path, f"{folder}/", inner, found, beside, base)
    return files


def _check_splits(path: str, by_base: Mapping[str, Sequence[str]], found: Found) -> None:
    for base, names in by_base.items():
        if base and len(names) > 1:
            raise DataError(
                f"dataset.path: {shown(path)}: the folders {listed(names)} are all {base}; bring them "
                "into one"
            )
    if "train" not in by_base:
        raise DataError(
            f"dataset.path: {shown(path)}: has "
            f"{listed([n for names in by_base.values() for n in names])}, but no "
            "folder `train`; add it, or give the folder of the classes"
        )
    strange = [name for name in by_base.get("", ()) if any(_walk(f"{path}/{name}", name, Found()))]
    if strange:
        raise DataError(
            f"dataset.path: {shown(path)}: has folders of splits "
            f"({', '.join(sorted(set(by_base) - {''}))}) and beside "
            f"them images in {listed(strange)}; move these elsewhere, or into a split"
        )


def _scan_classes(
    path: str, prefix: str, folders: Sequence[str], found: Found, beside: Sequence[str], base: str = "all"
) -> list[ImageFile]:
    if not folders:
        where = shown(f"{path}/{prefix}").rstrip("/")
        what = (
            f"{number_of(len(beside), 'image')}, but no folders of classes"
            if beside
            else "no folders of classes"
        )
        raise DataError(
            f"dataset.path: {where}: has {what}; put the images of each class into a folder of its name"
        )
    files = []
    for folder in sorted(folders, key=_natural):
        relative = prefix + folder
        inside = [
            ImageFile(f"{path}/{name}", name, folder) for name in _walk(f"{path}/{relative}", relative, found)
        ]
        if not inside:
            found.empty.append((base, folder))
        files += inside
    return files


def _content(path: str, found: Found) -> tuple[list[str], list[str]]:
    """Names of the folders and of the images in a folder; what is neither is counted."""
    folders, images = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    found.hidden += 1
                elif entry.is_dir():
                    folders.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - of 60,000 names
                    images.append(entry.name)
                else:
                    found.others[os.path.splitext(entry.name)[1].lower()] += 1  # noqa: PTH122
    except OSError as error:
        raise DataError(f"dataset.path: {shown(path)}: cannot be read: {error.strerror}") from None
    return sorted(folders), sorted(images)


def _walk(path: str, relative: str, found: Found) -> Iterator[str]:
    """Paths of all images in a folder, as `relative`/....

    Links are followed, but every folder is entered once only: links may run in circles. One that leads to a
    folder around it would bring the images of other classes into this one.
    """
    depth = len(Path(relative).parts)
    around = {_identity(str(parent)) for parent in (Path(path).parents[:depth])}
    entered, left = set[tuple[int, int]](), [(path, relative)]
    while left:
        folder, name = left.pop()
        identity = _identity(folder)
        if identity in around:
            found.circles += 1
        if identity in entered | around:
            continue
        entered.add(identity)
        folders, images = _content(folder, found)
        yield from (f"{name}/{image}" for image in images)
        left += [(f"{folder}/{inner}", f"{name}/{inner}") for inner in reversed(folders)]


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116 - a folder may be deep in a tree of thousands
    return status.st_dev, status.st_ino


def classes_of(files: Mapping[str, Sequence[ImageFile]], found: Found, path: str) -> list[str]:
    """The classes, sorted naturally.

    Raises:
        DataError: a class without images or without images to train on, or one class only.
    """
    labels = {base: {file.label for file in part} for base, part in files.items()}
    learned = labels.get("train", labels.get("all", set()))
    everywhere = set().union(*labels.values())
    named = {label for _, label in found.empty}
    lacking = sorted((named | everywhere) - learned, key=_natural)
    where = shown(path)
    if nowhere := [label for label in lacking if label not in everywhere]:
        raise DataError(
            f"dataset.path: {where}: {_folders(nowhere)} {'has' if len(nowhere) == 1 else 'have'} no "
            "images; add some, "
            "or remove what is empty"
        )
    if lacking:
        base = next(base for base, part in labels.items() if lacking[0] in part)
        raise DataError(
            f"dataset.path: {where}: there are images of {listed(lacking)} in {base}, but none in "
            "train; add some "
            f"there, or remove {'that class' if len(lacking) == 1 else 'these classes'}"
        )
    for base, part in labels.items():
        found.empty += [(base, label) for label in sorted(learned - part, key=_natural)]
    found.empty = [*dict.fromkeys(found.empty)]
    if len(learned) < 2:
        raise DataError(_too_few_classes(where, path, *learned))
    return sorted(learned, key=_natural)


def _folders(names: Sequence[str]) -> str:
    return f"the class folder{'' if len(names) == 1 else 's'} {listed(names)}"


def _too_few_classes(where: str, path: str, label: str) -> str:
    message = f"dataset.path: {where}: has one class only, {shown(label)}; at least two are needed"
    inner = _content(f"{path}/{label}", Found())[0] if Path(path, label).is_dir() else []
    if len(inner) > 1:
        within = shown(f"{path}/{label}")
        message += f"; should the folders within it be the classes ({listed(inner)}), give {within}"
    return message
