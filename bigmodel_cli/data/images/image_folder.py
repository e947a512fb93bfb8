"""Images in folders, a folder for each class.

All heads are read before training, so that a broken file among thousands costs seconds and not a run.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field

from bigmodel_cli.contracts import SPLIT_NAMES, DataSpec, InputSpec, PathText, Resize, TargetSpec
from bigmodel_cli.data.images.decoding import SUFFIXES, Header, decoder, probe, shown, way
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup, Part

BATCH_BYTES = 16 * 2**20
"""Of the decoded images that are read at once."""

PROBED_AT_ONCE, PROBING_THREADS = 256, 16
WAIT_SECONDS = 200e-6
"""Of waiting for a file's head, on average, from which threads read them: on a disk that answers from memory
they only contend for Python's lock (60,000 heads in 2 s without threads, 6 s with)."""

LISTED = 5
"""How many files or folders a message names."""

Pixels = Annotated[int, Field(ge=1, le=16_384)]


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    if groups < 1:
        raise ValueError("needs a group in parentheses, whose text is the value, such as `(patient[0-9]+)`")
    return text


GroupPattern = Annotated[str, AfterValidator(_pattern)]


def image_folder(
    seed: int,
    *,
    path: PathText,
    image_size: Annotated[Sequence[Pixels], Field(min_length=2, max_length=2)] | None = None,
    color: Literal["auto", "gray", "rgb", "rgba"] = "auto",
    on_error: Literal["strict", "skip"] = "strict",
    resize: Resize = "stretch",
    group_pattern: GroupPattern | None = None,
) -> ImageFolderSource:
    """Images in folders, a folder for each class: JPEG, PNG, GIF (first frame), BMP and WebP.

    Either `path/CLASS/...` (one pool, from which validation and test are held out) or `path/SPLIT/CLASS/...`
    with the splits train, validation (or val, valid, dev) and test. Folders within a class belong to it.
    Images are turned upright as their EXIF says; transparency is dropped, except with `color: rgba`; of 16
    bits a channel the upper 8 are kept.

    Args:
        path: the folder.
        image_size: [height, width] in pixels that every image is brought to; needed where the images vary in
            size. Null keeps them as they are.
        color: channels of the images; auto takes gray where every file is grey, else rgb.
        on_error: what a file that cannot be read does: strict stops and names it, skip leaves it out and
            counts it.
        resize: how an image of another aspect ratio is brought to image_size: stretch changes the ratio, crop
            cuts out the middle, pad adds black borders.
        group_pattern: regular expression searched in each file's path within the folder; its first group is
            the value of `group`, to divide by in dataset.split_by, such as a patient.
    """
    return ImageFolderSource(path, image_size, color, on_error, resize, group_pattern)


class _File(NamedTuple):
    """An image file: its place, its path within the folder, with `/`, its class and what its head says."""

    path: str
    relative: str
    label: str
    header: Header | None = None


@dataclass
class _Found:
    """What a walk through the folder found, besides images."""

    others: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    circles: int = 0
    beside: list[str] = field(default_factory=list)
    empty: list[tuple[str, str]] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        if self.others:
            kinds = ", ".join(
                f"{suffix or 'no suffix'} {count:,}" for suffix, count in self.others.most_common(LISTED)
            )
            yield f"{_count(sum(self.others.values()), 'file')} of other kinds left aside ({kinds})"
        if self.circles:
            yield f"{_count(self.circles, 'link', 'links')} to a folder around it left aside"
        if self.hidden:
            yield f"{_count(self.hidden, 'hidden file or folder', 'hidden files or folders')} left aside"
        if self.beside:
            images = _count(len(self.beside), "image")
            yield f"{images} beside the class folders left aside: {listed(self.beside)}"
        for base, label in self.empty:
            yield f"class `{label}` has no images in {base}"


def _count(number: int, one: str, many: str = "") -> str:
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


class ImageFolderSource:
    """A `contracts.Source` over image files.

    Their order in storage is that of a hash of their path within the folder, so that the first n examples,
    or any slice, hold all classes; it is the same on every machine and stays when files are added.

    Attributes:
        spec: images (height, width, channels) uint8; the classes are sorted naturally.
        sizes: images in each base split.
        example_bytes: memory of one decoded example.
        notes: what was left out or changed.
    """

    def __init__(
        self,
        path: str,
        image_size: Sequence[int] | None,
        color: Literal["auto", "gray", "rgb", "rgba"],
        on_error: Literal["strict", "skip"],
        resize: Resize,
        group_pattern: str | None,
    ):
        import numpy as np

        self._path = path
        found = _Found()
        files = _scan(path, found)
        labels = [(base, label) for base, part in files.items() for label in sorted({f.label for f in part})]
        files, broken = _probed(files, path, strict=on_error == "strict")
        left = {(base, file.label) for base, part in files.items() for file in part}
        found.empty += [pair for pair in labels if pair not in left]
        classes = _classes(files, found, path)
        headers = [file.header for part in files.values() for file in part if file.header is not None]
        channels, about_color = channels_of(color, headers)
        height, width = image_size or common_size(headers)
        self._size = None if image_size is None else (height, width)
        self._channels, self._resize = channels, resize
        self._files = {
            base: sorted(part, key=lambda file: hashed_place(file.relative)) for base, part in files.items()
        }
        label_of = {name: index for index, name in enumerate(classes)}
        self._labels = {
            base: np.asarray([label_of[file.label] for file in part], np.int32)
            for base, part in self._files.items()
        }
        self._groups = _groups(group_pattern, self._files)
        self._options = (self._size, channels, resize)
        self.spec = DataSpec(
            name="image_folder",
            origin=f"folder {shown(path)}",
            task="classification",
            input=InputSpec((height, width, channels), "uint8", "image", resize=resize),
            target=TargetSpec((), "int32", tuple(map(shown, classes))),
        )
        self.sizes: Mapping[str, int] = {base: len(part) for base, part in self._files.items()}
        self.example_bytes = height * width * channels + 4
        left_out = (
            [f"{_count(len(broken), 'file')} that cannot be read left out: {'; '.join(broken[:LISTED])}"
             + (f"; and {len(broken) - LISTED:,} more" if len(broken) > LISTED else "")]
            if broken else []
        )  # fmt: skip
        self.notes: Sequence[str] = (*left_out, *about_color, *found.notes())

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times, and of how they are decoded."""
        digest = hashlib.sha256(repr(self._options).encode())
        for base, files in sorted(self._files.items()):
            for file in files:
                header = file.header
                assert header is not None
                digest.update(os.fsencode(f"{base}\0{file.relative}\0{header.bytes}\0{header.changed}\n"))
        return digest.hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Classes of a part, (n,) int32."""
        return self._labels[part.base][part.indices]

    def arrays(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, height, width, channels) uint8 and classes (n,) int32 of a part.

        Raises:
            DataError: a file has vanished, changed or proves to be broken.
        """
        import tensorflow as tf

        from bigmodel_cli.data.reading import collect

        try:
            images, targets = collect(self.batches(part), part.size)
        except tf.errors.OpError as error:
            told = re.search(r"DataError: (.+)", error.message or "")
            if told is None:
                raise
            raise DataError(f"dataset.path: {told[1]}") from None
        return images, targets

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (images, classes) of a part, in order; `key` has nothing to order, see `lookup`."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            indices = tf.convert_to_tensor(part.indices)
        look_up = self.lookup(part.base)
        positions = tf.data.Dataset.range(part.size).batch(
            max(1, min(256, BATCH_BYTES // self.example_bytes))
        )
        read = tf.autograph.experimental.do_not_convert(lambda places: look_up(tf.gather(indices, places)))
        return positions.map(read, num_parallel_calls=cpu_cores()).prefetch(2)

    def lookup(self, base: str) -> Lookup:
        """Decode by position.

        A file that cannot be read any more is a `tf.errors.UnknownError`; its message has `DataError: ` and
        the path.
        """
        import numpy as np
        import tensorflow as tf

        files = self._files[base]
        headers = [file.header for file in files if file.header is not None]
        ways = np.asarray([way(header, self._channels, self._size) for header in headers], np.uint8)
        decode = decoder(
            np.unique(ways).tolist(), self._channels, self.spec.input.shape, self._size, self._resize
        )
        # tf.data reads them on the host.
        with tf.device("CPU:0"):
            paths = tf.constant([os.fsencode(file.path) for file in files], tf.string)
            way_of, label_of = tf.constant(ways), tf.constant(self._labels[base])

        def look_up(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = decode(tf.gather(paths, positions), tf.gather(way_of, positions))
            return images, tf.gather(label_of, positions)

        return look_up

    def values(self, base: str, name: str) -> np.ndarray:
        """`group` (what `group_pattern` found), `folder` or `file` (paths within the folder), (n,) of texts.

        Raises:
            DataError: another name, or `group` without a `group_pattern`.
        """
        import numpy as np

        files = self._files[base]
        if name == "file":
            return np.asarray([shown(file.relative) for file in files], object)
        if name == "folder":
            return np.asarray([shown(file.relative.rpartition("/")[0]) for file in files], object)
        if name == "group" and self._groups is not None:
            return np.asarray(self._groups[base], object)
        if name == "group":
            raise DataError(
                "dataset.split_by: `group` needs dataset.group_pattern, a regular expression whose first "
                "group is "
                "the value, such as `(patient[0-9]+)`"
            )
        raise DataError(
            f"dataset.split_by: images have no column `{name}` to divide by; they have `group` (with "
            "dataset.group_pattern), `folder` and `file`"
        )


def hashed_place(relative: str) -> bytes:
    """Sorts files by a hash of their path within the folder."""
    return hashlib.blake2b(os.fsencode(relative), digest_size=8).digest()


def _scan(path: str, found: _Found) -> dict[str, list[_File]]:
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


def _check_splits(path: str, by_base: Mapping[str, Sequence[str]], found: _Found) -> None:
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
    strange = [name for name in by_base.get("", ()) if any(_walk(f"{path}/{name}", name, _Found()))]
    if strange:
        raise DataError(
            f"dataset.path: {shown(path)}: has folders of splits "
            f"({', '.join(sorted(set(by_base) - {''}))}) and beside "
            f"them images in {listed(strange)}; move these elsewhere, or into a split"
        )


def _scan_classes(
    path: str, prefix: str, folders: Sequence[str], found: _Found, beside: Sequence[str], base: str = "all"
) -> list[_File]:
    if not folders:
        where = shown(f"{path}/{prefix}").rstrip("/")
        what = (
            f"{_count(len(beside), 'image')}, but no folders of classes"
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
            _File(f"{path}/{name}", name, folder) for name in _walk(f"{path}/{relative}", relative, found)
        ]
        if not inside:
            found.empty.append((base, folder))
        files += inside
    return files


def _content(path: str, found: _Found) -> tuple[list[str], list[str]]:
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


def _walk(path: str, relative: str, found: _Found) -> Iterator[str]:
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


def _probed(
    files: Mapping[str, Sequence[_File]], path: str, strict: bool
) -> tuple[dict[str, list[_File]], list[str]]:
    """The files that can be read, with their heads, and why others cannot.

    Raises:
        DataError: one cannot, and `strict`.
    """
    whole = [file for part in files.values() for file in part]
    found = list(heads([file.path for file in whole]))
    broken = [head for head in found if isinstance(head, str)]
    if broken and strict:
        more = f" (and {_count(len(broken) - 1, 'more file')} cannot be read)" if len(broken) > 1 else ""
        raise DataError(
            f"dataset.path: {broken[0]}{more}; mend or remove such files, or set dataset.on_error: skip"
        )
    known = iter(found)
    intact = {
        base: [file._replace(header=head) for file in part if isinstance(head := next(known), Header)]
        for base, part in files.items()
    }
    prefix = f"{shown(path)}/"
    return intact, [reason.removeprefix(prefix) for reason in broken]


def heads(paths: Sequence[str]) -> Iterator[Header | str]:
    """What each file's head says, or why it cannot be read."""
    first, rest = paths[:PROBED_AT_ONCE], paths[PROBED_AT_ONCE:]
    started, worked = time.perf_counter(), time.thread_time()
    yield from _some_heads(first)
    waited = (time.perf_counter() - started) - (time.thread_time() - worked)
    if waited < WAIT_SECONDS * len(first):
        yield from _some_heads(rest)
        return
    chunks = [rest[start : start + PROBED_AT_ONCE] for start in range(0, len(rest), PROBED_AT_ONCE)]
    with ThreadPoolExecutor(PROBING_THREADS) as threads:
        for some in threads.map(_some_heads, chunks):
            yield from some


def _some_heads(paths: Iterable[str]) -> list[Header | str]:
    heads: list[Header | str] = []
    for path in paths:
        try:
            heads.append(probe(path))
        except DataError as error:
            heads.append(str(error))
    return heads


def _classes(files: Mapping[str, Sequence[_File]], found: _Found, path: str) -> list[str]:
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
    inner = _content(f"{path}/{label}", _Found())[0] if Path(path, label).is_dir() else []
    if len(inner) > 1:
        within = shown(f"{path}/{label}")
        message += f"; should the folders within it be the classes ({listed(inner)}), give {within}"
    return message


def channels_of(color: str, headers: Sequence[Header]) -> tuple[int, list[str]]:
    """Channels of the images, and what to say of it."""
    notes = []
    grey = sum(header.grey for header in headers)
    if color == "auto":
        color = "gray" if grey == len(headers) else "rgb"
        why = (
            "every file is grey"
            if color == "gray"
            else f"{len(headers) - grey:,} of {len(headers):,} files have colours"
        )
        notes.append(f"color {color} (auto: {why})")
    if color != "rgba" and (alpha := sum(header.alpha for header in headers)):
        notes.append(f"transparency dropped in {_count(alpha, 'file')} (color: rgba keeps it)")
    if deep := sum(header.deep for header in headers):
        notes.append(f"16 bits a channel reduced to 8 in {_count(deep, 'file')}")
    return {"gray": 1, "rgb": 3, "rgba": 4}[color], notes


def common_size(headers: Sequence[Header]) -> tuple[int, int]:
    """The one (height, width) that all have.

    Raises:
        DataError: there are several; the message says which, and proposes one.
    """
    sizes = Counter((header.height, header.width) for header in headers)
    if len(sizes) == 1:
        return next(iter(sizes))
    frequent = ", ".join(f"{h} x {w} ({count:,})" for (h, w), count in sizes.most_common(LISTED))
    more = f" and {len(sizes) - LISTED:,} other sizes" if len(sizes) > LISTED else ""
    middle = (median(header.height for header in headers), median(header.width for header in headers))
    scale = min(1.0, 224 / max(middle))
    # Multiples of 32 are halved five times without a rest, as most networks do.
    proposed = [max(round(side * scale / 32) * 32, 32) if side >= 32 else int(side) for side in middle]
    raise DataError(
        f"dataset.image_size: the images vary in size (height x width): {frequent}{more}; give the "
        "[height, width] "
        f"that all are brought to, such as {proposed}"
    )


def _groups(pattern: str | None, files: Mapping[str, Sequence[_File]]) -> dict[str, list[str]] | None:
    if pattern is None:
        return None
    search = re.compile(pattern).search
    found = {base: [search(file.relative) for file in part] for base, part in files.items()}
    lacking = sorted(
        file.relative for base, part in files.items() for file, match in zip(part, found[base], strict=True)
        if match is None or match[1] is None
    )  # fmt: skip
    if lacking:
        raise DataError(
            f"dataset.group_pattern: `{pattern}` finds no group in {listed(lacking)}; it is searched in "
            "the path "
            "within the folder"
        )
    return {base: [shown(match[1]) for match in part if match is not None] for base, part in found.items()}
