"""Images in one folder and their masks in another: to learn a class for each pixel.

All heads and all masks are read before training, so that a wrong one among thousands costs seconds and not a
run.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.contracts import (
    IGNORED,
    DataSpec,
    InputSpec,
    PathText,
    Resize,
    TargetSpec,
)
from bigmodel_cli.data.arrays import in_batches
from bigmodel_cli.data.images.decoding import Header, decoder, shown, way
from bigmodel_cli.data.images.heads import channels_of, common_size, heads
from bigmodel_cli.data.images.image_folder import Pixels, hashed_place
from bigmodel_cli.data.images.mask_pairs import Pair, pairs_in
from bigmodel_cli.data.images.masks import MOST_CLASSES, Coding, read_mask
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup, Part

Level = Annotated[int, Field(ge=0, le=255)]
Color = Annotated[Sequence[Level], Field(min_length=3, max_length=3)]
IGNORE = "ignore"
"""Of the colours, the name of the one whose pixels are ignored."""


def segmentation_folder(
    seed: int,
    *,
    path: PathText,
    class_names: Annotated[Sequence[str], Field(min_length=2, max_length=MOST_CLASSES)] | None = None,
    colors: Annotated[Mapping[str, Color], Field(min_length=2)] | None = None,
    ignore: Annotated[int, Field(ge=0, le=65_535)] | None = 255,
    images: str = "images",
    masks: str = "masks",
    image_size: Annotated[Sequence[Pixels], Field(min_length=2, max_length=2)] | None = None,
    color: Literal["auto", "gray", "rgb", "rgba"] = "auto",
    resize: Resize = "stretch",
) -> SegmentationFolderSource:
    """Images and masks in two folders, with equal names but for the extension: a class for each pixel.

    Either `path/images` and `path/masks` (one pool, from which validation and test are held out), or the same
    two in `path/train`, `path/validation` (or val, valid, dev) and `path/test`; or these in each of the two.
    Masks are PNG, GIF or BMP (a JPEG does not keep values): grey values or indices of a palette, each the
    number of a class, or colours that `colors` names. An image and its mask have the same size.

    Args:
        path: the folder.
        class_names: names of the classes by the values 0, 1, ... of the masks, the background first; null
            takes the values there are as names, up to the largest.
        colors: class -> [red, green, blue] of its pixels, in the order of the classes; the name `ignore` is
            for pixels that are ignored. Null takes the values of the masks as numbers of classes.
        ignore: value of pixels that no loss and no metric counts; null for none.
        images: name of the folder of the images.
        masks: name of the folder of the masks.
        image_size: [height, width] in pixels that every image and its mask (to the nearest pixel) are brought
            to; needed where the images vary in size. Null keeps them as they are.
        color: channels of the images; auto takes gray where every file is grey, else rgb.
        resize: how an image of another aspect ratio is brought to image_size: stretch changes the ratio, crop
            cuts out the middle, pad adds black borders, which are ignored.
    """
    if class_names is not None and colors is not None:
        raise DataError("dataset.colors: names the classes; leave dataset.class_names out")
    names = list(class_names or [name for name in colors or () if name != IGNORE])
    if (double := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise DataError(f"dataset.class_names: `{double}` is there twice")
    if colors is not None and len(names) < 2:
        raise DataError(f"dataset.colors: {len(names)} class beside `{IGNORE}`; at least two are needed")
    known: dict[tuple[int, int, int], int] = {}
    for name, (red, green, blue) in (colors or {}).items():
        if (red, green, blue) in known:
            raise DataError(f"dataset.colors.{name}: [{red}, {green}, {blue}] is there twice")
        known[red, green, blue] = IGNORED if name == IGNORE else names.index(name)
    coding = Coding(len(names) or None, known, ignore)
    pairs = pairs_in(path, images, masks)
    return SegmentationFolderSource(path, pairs, names, coding, image_size, color, resize)


class SegmentationFolderSource:
    """A `contracts.Source` over image files and mask files.

    Their order in storage is that of a hash of their names; it is the same on every machine and stays when
    files are added.

    Attributes:
        spec: images (height, width, channels) uint8, masks (height, width) uint8.
        sizes: images in each base split.
        example_bytes: memory of one decoded example.
        notes: what was inferred or changed.
    """

    def __init__(
        self,
        path: str,
        pairs: Mapping[str, Sequence[Pair]],
        names: Sequence[str],
        coding: Coding,
        image_size: Sequence[int] | None,
        color: str,
        resize: Resize,
    ):
        self._pairs = {
            base: sorted(part, key=lambda pair: hashed_place(pair.name)) for base, part in pairs.items()
        }
        whole = [pair for part in self._pairs.values() for pair in part]
        headers = _headers([pair.image for pair in whole])
        coding, found = _checked(whole, headers, coding)
        names = names or [str(value) for value in range(coding.classes or 0)]
        channels, notes = channels_of(color, headers)
        height, width = image_size or common_size(headers)
        known = iter(headers)
        self._headers = {base: [next(known) for _ in part] for base, part in self._pairs.items()}
        self._size = None if image_size is None else (height, width)
        self._channels, self._resize, self._coding = channels, resize, coding
        self.spec = DataSpec(
            name="segmentation_folder",
            origin=f"folder {shown(path)}",
            task="segmentation",
            input=InputSpec((height, width, channels), "uint8", "image", resize=resize),
            target=TargetSpec((height, width), "uint8", tuple(names)),
        )
        self.sizes: Mapping[str, int] = {base: len(part) for base, part in self._pairs.items()}
        self.example_bytes = height * width * (channels + 1)
        self.notes: Sequence[str] = (*notes, *_notes(found, names, coding))

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times, and of how they are decoded."""
        digest = hashlib.sha256(repr((self._size, self._channels, self._resize, self._coding)).encode())
        for base, pairs in sorted(self._pairs.items()):
            for pair, header in zip(pairs, self._headers[base], strict=True):
                mask = Path(pair.mask).stat()
                digest.update(os.fsencode(f"{base}\0{pair.name}\0{header.bytes}\0{header.changed}\0"))
                digest.update(f"{mask.st_size}\0{mask.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Masks of a part, (n, height, width) uint8.

        Raises:
            DataError: a file has vanished, changed or proves to be broken.
        """
        import numpy as np

        pairs = self._pairs[part.base]
        with ThreadPoolExecutor(cpu_cores()) as threads:
            found = list(threads.map(self._mask, (pairs[place].mask for place in part.indices)))
        return np.stack(found) if found else np.zeros((0, *self.spec.target.shape), np.uint8)

    def arrays(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, height, width, channels) uint8 and masks (n, height, width) uint8 of a part.

        Raises:
            DataError: a file has vanished, changed or proves to be broken.
        """
        from bigmodel_cli.data.reading import collect, data_errors_told

        with data_errors_told():
            images, masks = collect(self.batches(part), part.size)
        return images, masks

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (images, masks) of a part, in order; `key` has nothing to order, see `lookup`."""
        return in_batches(part, self.lookup(part.base), self.example_bytes)

    def lookup(self, base: str) -> Lookup:
        """Decode by position.

        A file that cannot be read any more is a `tf.errors.UnknownError`; its message has `DataError: ` and
        the path.
        """
        import numpy as np
        import tensorflow as tf

        pairs, headers, shape = self._pairs[base], self._headers[base], self.spec.input.shape
        ways = np.asarray([way(header, self._channels, self._size) for header in headers], np.uint8)
        decode = decoder(np.unique(ways).tolist(), self._channels, shape, self._size, self._resize)

        def read(positions: np.ndarray) -> np.ndarray:
            return np.stack([self._mask(pairs[place].mask) for place in positions])

        # tf.data reads them on the host.
        with tf.device("CPU:0"):
            paths = tf.constant([os.fsencode(pair.image) for pair in pairs], tf.string)
            way_of = tf.constant(ways)

        def look_up(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = decode(tf.gather(paths, positions), tf.gather(way_of, positions))
            masks = tf.numpy_function(read, [positions], tf.uint8, stateful=False)
            return images, tf.ensure_shape(masks, (None, *shape[:2]))

        return look_up

    def values(self, base: str, name: str) -> np.ndarray:
        """`folder` or `file` (paths within the folder of the images), (n,) of texts.

        Raises:
            DataError: another name.
        """
        import numpy as np

        if name not in ("file", "folder"):
            raise DataError(
                f"dataset.split_by: images have no column `{name}` to divide by; they have `folder` "
                "and `file`"
            )
        names = [shown(pair.name) for pair in self._pairs[base]]
        return np.asarray([n.rpartition("/")[0] if name == "folder" else n for n in names], object)

    def _mask(self, path: str) -> np.ndarray:
        mask = read_mask(path, self._coding, self._size, self._resize)
        if mask.shape != self.spec.target.shape:
            was, now = (" x ".join(map(str, sides[::-1])) for sides in (self.spec.target.shape, mask.shape))
            raise DataError(f"{shown(path)} has changed: it had {was} pixels and has {now}")
        return mask


def _headers(paths: Sequence[str]) -> list[Header]:
    """What the heads of images say.

    Raises:
        DataError: one cannot be read.
    """
    found = []
    for head in heads(paths):
        if isinstance(head, str):
            raise DataError(f"dataset.path: {head}; mend or remove it")
        found.append(head)
    return found


def _checked(pairs: Sequence[Pair], headers: Sequence[Header], coding: Coding) -> tuple[Coding, Counter[int]]:
    """Read every mask once; the coding with its number of classes, and in how many masks each class is.

    Raises:
        DataError: a mask that cannot be read, of another size than its image, or with other values; or fewer
            than two classes.
    """
    import numpy as np

    def classes_in(item: tuple[Pair, Header]) -> list[int]:
        pair, header = item
        mask = read_mask(pair.mask, coding)
        if mask.shape != (header.height, header.width):
            height, width = mask.shape
            raise DataError(
                f"{shown(pair.mask)} has {width} x {height} pixels, but its image {shown(pair.image)} has "
                f"{header.width} x {header.height}; they must have the same size"
            )
        return np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()

    found: Counter[int] = Counter()
    try:
        with ThreadPoolExecutor(cpu_cores()) as threads:
            for present in threads.map(classes_in, zip(pairs, headers, strict=True)):
                found.update(present)
    except DataError as error:
        raise DataError(f"dataset.path: {error}") from None
    if coding.classes is not None:
        return coding, found
    largest = max((value for value in found if value != IGNORED), default=-1)
    if largest < 0:
        raise DataError(
            f"dataset.ignore: every pixel of every mask has the value {coding.ignored}, which is ignored"
        )
    if largest < 1:
        raise DataError(
            "dataset.path: all masks are empty: every pixel is 0 or ignored, and at least two classes "
            "are needed; where 255 is a class: `colors: {background: [0, 0, 0], object: [255, 255, 255]}`"
        )
    return Coding(largest + 1, coding.colors, coding.ignored), found


def _notes(found: Counter[int], names: Sequence[str], coding: Coding) -> Iterator[str]:
    if absent := [name for index, name in enumerate(names) if not found[index]]:
        yield f"no mask has the class {', '.join(absent[:10])}"
    if coding.colors or names != [str(index) for index in range(len(names))]:
        return
    yield f"the values of the masks are taken for {len(names)} classes; dataset.class_names names them"
