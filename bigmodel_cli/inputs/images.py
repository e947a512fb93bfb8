"""Image files for a trained model: found one after the other, and decoded in parallel."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
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
_IN_GRAPH = 64
"""Files decoded by one call of TensorFlow."""


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
            # As os.path.splitext, in a fraction of its time: dots at the beginning begin no extension.
            elif name[name.rfind(".") :].lower() in SUFFIXES and name.strip(".").count("."):
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
    rows = max(1, min(BLOCK_FILES, DECODED_BYTES // int(np.prod(spec.shape))))
    first = list(islice(files, rows))
    # A few files are not worth a graph.
    decode_some = _Decoder(spec) if len(first) == rows else partial(_by_pillow, spec=spec)
    cores = devices.cpu_cores()
    under_way: deque[tuple[list[File], Future[tuple[np.ndarray, list[str]]]]] = deque()
    workers = ThreadPoolExecutor(cores, "decode")
    try:
        some = first
        while some or under_way:
            if some:
                under_way.append((some, workers.submit(decode_some, [file.path for file in some])))
                some = list(islice(files, rows))
            if not some or len(under_way) == cores + _DECODED_AHEAD:
                names, found = under_way.popleft()
                yield _block(names, *found.result(), labels)
    finally:
        workers.shutdown(cancel_futures=True)


def _block(files: list[File], images: np.ndarray, texts: list[str], labels: Labels | None) -> Block:
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


def _by_pillow(paths: Sequence[str], spec: InputSpec) -> tuple[np.ndarray, list[str]]:
    """Images (n, *shape), and why there is none: a text for each, empty where there is one."""
    height, width, channels = spec.shape
    images, errors = [], []
    for path in paths:
        try:
            images.append(decode(path, channels, (height, width), spec.resize))
            errors.append("")
        except DataError as error:
            images.append(np.zeros(spec.shape, np.uint8))
            errors.append(str(error))
    return np.stack(images), errors


class _Decoder:
    """As `_by_pillow`, of many files.

    TensorFlow decodes a block in which every file is a plain PNG of the model's size, in half the time and
    without Python's lock. Every other block is Pillow's: it knows all variants, resizes, and says what is
    wrong.
    """

    def __init__(self, spec: InputSpec):
        """Trace the graph.

        Args:
            spec: of the model's input.
        """
        self._spec = spec
        height, width, channels = spec.shape
        head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4) + height.to_bytes(4)
        # 8 bits of grey, or of colours where the model takes them; no interlacing.
        kinds = {1: (0,), 3: (0, 2)}.get(channels, ())
        self._heads = frozenset(head + bytes([8, kind, 0, 0, 0]) for kind in kinds)
        self._decode = _graph(tuple(spec.shape)) if kinds else None

    def __call__(self, paths: Sequence[str]) -> tuple[np.ndarray, list[str]]:
        """Images (n, *shape), and why there is none: a text for each, empty where there is one."""
        plain = None if self._decode is None else self._plain(paths)
        if plain is None:
            return _by_pillow(paths, self._spec)
        return plain, [""] * len(paths)

    def _plain(self, paths: Sequence[str]) -> np.ndarray | None:
        """Images (n, *shape); None where any file is no plain PNG."""
        import tensorflow as tf

        contents = []
        for path in paths:
            try:
                content = _content(path)
            except OSError:
                return None
            if not self._is_plain(content):
                return None
            contents.append(content)
        missing = -len(contents) % _IN_GRAPH
        contents += contents[-1:] * missing
        assert self._decode is not None
        try:
            found = [
                self._decode(tf.constant(contents[start : start + _IN_GRAPH])).numpy()
                for start in range(0, len(contents), _IN_GRAPH)
            ]
        except tf.errors.InvalidArgumentError:
            return None
        return np.concatenate(found)[: len(paths)]

    def _is_plain(self, content: bytes) -> bool:
        """Whether a file is a PNG of the model's size, of 8 bits, with nothing in it but its pixels.

        Of these TensorFlow gives the very pixels that Pillow gives. They hold IHDR, one IDAT and IEND (W3C,
        Portable Network Graphics, section 5), which the lengths tell.
        """
        return (
            content[:29] in self._heads
            and content[37:41] == b"IDAT"
            and int.from_bytes(content[33:37]) + 57 == len(content)
        )


def _content(path: str) -> bytes:
    # A Path, or a file object, takes longer to open a small file than the system does to read it.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _graph(shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """What decodes PNGs, (_IN_GRAPH,) string -> (_IN_GRAPH, *shape) uint8, an operation each.

    A loop over them, or a tf.data map, takes longer to come from one image to the next than to decode a
    small one.
    """
    import tensorflow as tf

    def decode_all(contents: tf.Tensor) -> tf.Tensor:
        with tf.device("CPU:0"):
            images = [tf.io.decode_png(content, shape[2]) for content in tf.unstack(contents)]
            return tf.stack([tf.ensure_shape(image, shape) for image in images])

    graph: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        decode_all, input_signature=[tf.TensorSpec((_IN_GRAPH,), tf.string)], autograph=False
    ).get_concrete_function()
    return graph
