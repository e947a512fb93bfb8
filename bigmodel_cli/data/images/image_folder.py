"""Images in folders, a folder for each class.

All heads are read before training, so that a broken file among thousands costs seconds and not a run.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from bigmodel_cli.contracts import DataSpec, InputSpec, PathText, Resize, TargetSpec
from bigmodel_cli.data.images.class_folders import (
    LISTED,
    Found,
    ImageFile,
    classes_of,
    listed,
    number_of,
    scan,
)
from bigmodel_cli.data.images.decoding import Header, decoder, shown, way
from bigmodel_cli.data.images.heads import channels_of, common_size, heads
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup, Part

BATCH_BYTES = 16 * 2**20
"""Of the decoded images that are read at once."""

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
        found = Found()
        files = scan(path, found)
        labels = [(base, label) for base, part in files.items() for label in sorted({f.label for f in part})]
        files, broken = _probed(files, path, strict=on_error == "strict")
        left = {(base, file.label) for base, part in files.items() for file in part}
        found.empty += [pair for pair in labels if pair not in left]
        classes = classes_of(files, found, path)
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
            [f"{number_of(len(broken), 'file')} that cannot be read left out: {'; '.join(broken[:LISTED])}"
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


def _probed(
    files: Mapping[str, Sequence[ImageFile]], path: str, strict: bool
) -> tuple[dict[str, list[ImageFile]], list[str]]:
    """The files that can be read, with their heads, and why others cannot.

    Raises:
        DataError: one cannot, and `strict`.
    """
    whole = [file for part in files.values() for file in part]
    found = list(heads([file.path for file in whole]))
    broken = [head for head in found if isinstance(head, str)]
    if broken and strict:
        more = f" (and {number_of(len(broken) - 1, 'more file')} cannot be read)" if len(broken) > 1 else ""
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


def _groups(pattern: str | None, files: Mapping[str, Sequence[ImageFile]]) -> dict[str, list[str]] | None:
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
