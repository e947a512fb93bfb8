"""Image files for a trained model: found one after the other, and decoded in parallel."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigmodel_cli import devices
from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.images.decoding import decode, shown
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs.blocks import Block
from bigmodel_cli.inputs.labels import Labels

if TYPE_CHECKING:
    import tensorflow as tf

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
"""Of files that are taken for images in folders."""

DECODED_BYTES = 16 * 2**20
"""Of decoded images in a block, at most: several blocks are decoded at a time and wait for the model."""
BLOCK_FILES = 256
_DECODED_AHEAD = 4


@dataclass(frozen=True)
class File:
    """An image file that is not read yet.

    Attributes:
        id: its name, or its path in the folder that was named.
        path: where it lies.
        folder: the first folder on its path in the folder that was named; empty where it lies in that itself.
    """

    id: str
    path: str
    folder: str = field(default="", compare=False)


def files_of(folder: Path) -> Iterator[File]:
    """The images in a folder and the folders in it, in the order of their paths.

    Of the names only those of the folders on the way down are held in memory.
    """

    def within(path: str, prefix: str) -> Iterator[File]:
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for name, is_folder in found:
            place = f"{path}{os.sep}{name}"
            if is_folder:
                yield from within(place, f"{prefix}{name}/")
            elif os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122 - a Path costs ten times as much
                yield File(shown(prefix + name), place, prefix.partition("/")[0])

    yield from within(str(folder), "")


def changed_since(paths: Iterable[str], moment: int) -> str | None:
    """The first of these files that is gone, or was changed after a moment (nanoseconds since 1970)."""
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - for thousands of files
        except OSError:
            return path
        if max(status.st_mtime_ns, status.st_ctime_ns) > moment:
            return path
    return None


def decoded(files: Iterator[File], spec: InputSpec, labels: Labels | None = None) -> Iterator[Block]:
    """Decode files as in training: upright, in the model's size and channels; uint8.

    Args:
        files: in order.
        spec: of the model's input.
        labels: of the folders that the files lie in; None for none.
    """
    import tensorflow as tf

    rows = max(1, min(BLOCK_FILES, DECODED_BYTES // int(np.prod(spec.shape))))
    first = list(islice(files, rows))
    if len(first) < rows:
        # A few files are not worth a pipeline.
        if first:
            images, errors = _by_pillow([os.fsencode(file.path) for file in first], spec)
            yield _block(first, images, errors, labels)
        return

    # What is being decoded, in order; names need not pass through TensorFlow.
    under_way: deque[list[File]] = deque()

    def paths() -> Iterator[list[bytes]]:
        some = first
        while some:
            under_way.append(some)
            yield [os.fsencode(file.path) for file in some]
            some = list(islice(files, rows))

    stream = tf.data.Dataset.from_generator(paths, output_signature=tf.TensorSpec((None,), tf.string))
    stream = stream.map(_decoder(spec), num_parallel_calls=devices.cpu_cores(), deterministic=True)
    options = tf.data.Options()
    options.autotune.enabled = False
    for images, errors in stream.prefetch(_DECODED_AHEAD).with_options(options).as_numpy_iterator():
        yield _block(under_way.popleft(), images, errors, labels)


def _block(files: list[File], images: np.ndarray, errors: Iterable[bytes], labels: Labels | None) -> Block:
    texts = [error.decode() for error in errors]
    values: Any = images
    if any(texts):
        values = images[[not text for text in texts]]
    block = Block(
        [file.id for file in files], texts, values if len(values) else None, [file.path for file in files]
    )
    if labels is None:
        return block
    targets, unlabelled = labels.of_folders(block.ids, [file.folder for file in files])
    return replace(block, targets=targets, unlabelled=unlabelled)


def _by_pillow(paths: Iterable[bytes], spec: InputSpec) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, *shape) and why there is none, (n,) of bytes."""
    height, width, channels = spec.shape
    images, errors = [], []
    for path in paths:
        try:
            images.append(decode(os.fsdecode(path), channels, (height, width), spec.resize))
            errors.append(b"")
        except DataError as error:
            images.append(np.zeros(spec.shape, np.uint8))
            errors.append(str(error).encode("utf-8", "backslashreplace"))
    return np.stack(images), np.array(errors, object)


def _decoder(spec: InputSpec) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Paths (n,) string -> images (n, *shape) uint8 and errors (n,) string, in a tf.data map.

    TensorFlow decodes a block in which every file is a plain PNG of the model's size, which takes half the
    time and no Python. Every other block is Pillow's: it knows all variants, resizes, and says what is wrong.
    """
    import tensorflow as tf

    as_written = tf.autograph.experimental.do_not_convert
    shape = tuple(spec.shape)

    def by_pillow(paths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, errors = tf.numpy_function(
            lambda some: _by_pillow(some, spec), [paths], (tf.uint8, tf.string), stateful=False
        )
        return tf.ensure_shape(images, (None, *shape)), tf.ensure_shape(errors, (None,))

    if shape[2] not in (1, 3):
        return by_pillow

    def decode_plain(path: tf.Tensor) -> tf.Tensor:
        content = tf.io.read_file(path)
        with tf.control_dependencies([tf.raw_ops.Assert(condition=_plain_png(content, shape), data=[path])]):
            return tf.ensure_shape(tf.io.decode_png(tf.identity(content), shape[2]), shape)

    def read(paths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(paths, tf.int64)[0]
        # Files for which it fails are left out, by which the block is known. The image at the end keeps the
        # stream from being empty.
        images = tf.data.Dataset.from_tensor_slices(paths).map(as_written(decode_plain)).ignore_errors()
        images = images.concatenate(tf.data.Dataset.from_tensors(tf.zeros(shape, tf.uint8)))
        decoded = images.batch(count + 1).get_single_element()
        found: tuple[tf.Tensor, tf.Tensor] = tf.cond(
            tf.equal(tf.shape(decoded, tf.int64)[0], count + 1),
            lambda: (decoded[:-1], tf.fill([count], b"")),
            lambda: by_pillow(paths),
        )
        return found

    reader: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] = as_written(read)
    return reader


def _plain_png(content: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Whether a file is a PNG of a shape, of 8 bits, with nothing in it but its pixels.

    Of these TensorFlow gives the very pixels that Pillow gives. They hold IHDR, one IDAT and IEND (W3C,
    Portable Network Graphics, section 5), which the lengths tell. Fails for a file of a few bytes.
    """
    import tensorflow as tf

    height, width, channels = shape
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4) + height.to_bytes(4)
    # Grey, or colours where the model takes them; no interlacing.
    heads = [head + bytes([8, color, 0, 0, 0]) for color in ((0,) if channels == 1 else (0, 2))]
    known = tf.reduce_any(tf.equal(tf.strings.substr(content, 0, 29), tf.constant(heads)))
    length = tf.io.decode_raw(tf.strings.substr(content, 33, 4), tf.int32, little_endian=False)[0]
    ends = tf.equal(length + 57, tf.strings.length(content))
    return known & ends & tf.equal(tf.strings.substr(content, 37, 4), b"IDAT")
