"""Files of images and the files of their masks, by their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bigmodel_cli.contracts import SPLIT_NAMES
from bigmodel_cli.data.images import decoding
from bigmodel_cli.data.images.class_folders import listed
from bigmodel_cli.data.images.decoding import shown
from bigmodel_cli.data.images.masks import SUFFIXES
from bigmodel_cli.errors import DataError


class Pair(NamedTuple):
    """An image and its mask: places, and the image's path within the folder without its extension."""

    image: str
    mask: str
    name: str


def pairs_in(path: str, images: str, masks: str) -> dict[str, list[Pair]]:
    """The pairs of every base split, by the names alone.

    Raises:
        DataError: folders that are not there, an image without a mask or the reverse.
    """
    root = Path(path)
    if not root.is_dir():
        why = "is a file, not a folder" if root.exists() else "there is no such folder"
        raise DataError(f"dataset.path: {shown(path)}: {why}")
    inner = {folder.name: folder for folder in sorted(root.iterdir()) if folder.is_dir()}
    if {images, masks} <= inner.keys():
        return _divided(path, _matched(root / images, root / masks))
    found: dict[str, list[Pair]] = {}
    for name, folder in inner.items():
        base = SPLIT_NAMES.get(name.lower())
        if base is None or not ((folder / images).is_dir() and (folder / masks).is_dir()):
            continue
        if base in found:
            raise DataError(f"dataset.path: {shown(path)}: two folders are both {base}; bring them into one")
        found[base] = _matched(folder / images, folder / masks)
    if "train" not in found:
        there = f"it has {listed(sorted(inner))}" if inner else "it has no folders"
        raise DataError(
            f"dataset.path: {shown(path)}: needs the folders `{images}` and `{masks}`, or `train/{images}` "
            f"and `train/{masks}`; {there} (dataset.images and dataset.masks name others)"
        )
    return found


def _divided(path: str, pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """By split where all lie in folders of splits within the two, else all of them."""
    bases = [
        SPLIT_NAMES.get(pair.name.partition("/")[0].lower()) if "/" in pair.name else None for pair in pairs
    ]
    if None in bases:
        return {"all": list(pairs)}
    if "train" not in bases:
        raise DataError(f"dataset.path: {shown(path)}: its folders of splits hold no `train`; add it")
    found: dict[str, list[Pair]] = {}
    for base, pair in zip(bases, pairs, strict=True):
        found.setdefault(str(base), []).append(pair)
    return found


def _matched(images: Path, masks: Path) -> list[Pair]:
    """Images with their masks.

    Raises:
        DataError: one without the other, two of one name, or none at all.
    """
    pictures, truths = _named(images, decoding.SUFFIXES), _named(masks, SUFFIXES)
    if not pictures:
        raise DataError(f"dataset.path: {shown(str(images))}: there are no images")
    jpegs = _named(masks, decoding.SUFFIXES - SUFFIXES)
    for what, some, others, folder in (
        ("image", pictures, truths, masks), ("mask", truths, pictures, images)
    ):  # fmt: skip
        if lonely := [some[name] for name in some if name not in others]:
            other = "mask" if what == "image" else "image"
            why = ""
            if what == "image" and any(name in jpegs for name in pictures):
                why = "; masks must be PNG, GIF or BMP, as a JPEG does not keep their values"
            raise DataError(
                f"dataset.path: {len(lonely):,} {what}{'s' if len(lonely) > 1 else ''} without a {other} of "
                f"the same name in {shown(str(folder))}: {listed(lonely)}{why}; add or remove"
            )
    return [Pair(pictures[name], truths[name], name) for name in pictures]


def _named(folder: Path, suffixes: frozenset[str]) -> dict[str, str]:
    """Path within a folder without extension -> path, of all files of some kinds, sorted."""
    found: dict[str, str] = {}
    for place, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)  # noqa: PTH122 - of 60,000 names
            if file.startswith(".") or suffix.lower() not in suffixes:
                continue
            name = os.path.relpath(os.path.join(place, stem), folder)  # noqa: PTH118 - likewise
            if name in found:
                raise DataError(
                    f"dataset.path: {shown(found[name])} and {shown(file)} have one name; keep one of them"
                )
            found[name] = os.path.join(place, file)  # noqa: PTH118 - likewise
    return found
