"""One image file: what its head says, and its pixels.

JPEG, PNG, GIF (the first frame), BMP and WebP are read, by content rather than by the file's name. There are
two ways to the same pixels: Pillow, which knows every variant and resizes, and TensorFlow's decoders, which
are faster for small files. `probe` and `way` say which of both a file can take.

An image is turned upright as its EXIF says, brought to the number of channels, then to the size:

- transparency is dropped for 1 and 3 channels, as most image readers do: the pixels keep the colour that is
  stored;
- colours become grey by ITU-R BT.601 luma; CMYK becomes RGB; of 16 bits a channel the upper 8 are kept;
- resizing is bilinear and antialiased. JPEGs of at least four times the size are reduced by 2, 4 or 8 while
  they are decoded, which costs a fraction of decoding them whole.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from bigmodel_cli.contracts import Resize
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from PIL import Image

Format = Literal["jpeg", "png", "other"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"})
"""Of files that are taken for images, in lower case."""

MAX_PIXELS = 89_478_485
"""An image of more is refused before it is decoded: it may be made to exhaust the memory. Pillow's own
bound."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's name for the numbers of channels."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_UNREAD = (
    (rb"II\*\0|MM\0\*", "a TIFF"),
    (rb"....ftyp(heic|heix|hevc|mif1|msf1)", "a HEIC"),
    (rb"....ftypavi[fs]", "an AVIF"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL"),
    (rb"8BPS", "a Photoshop"),
)
_HEAD_BYTES, _TAIL_BYTES = 16 * 2**10, 4 * 2**10
_CHUNK_BYTES = 768  # a palette of 256 colours
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_ORIENTATION = 0x0112


class Header(NamedTuple):
    """What can be known of an image without decoding it.

    Attributes:
        width: in pixels, turned upright.
        height: likewise.
        grey: whether it has no colours: a JPEG or PNG of one channel, or a palette of greys.
        alpha: whether it has transparency.
        deep: whether it has 16 bits a channel.
        format: whose TensorFlow decoder gives what `decode` gives; `other` where none does.
        bytes: size of the file.
        changed: time of its last change, in nanoseconds since 1970.
    """

    width: int
    height: int
    grey: bool
    alpha: bool
    deep: bool
    format: Format
    bytes: int = 0
    changed: int = 0


def shown(path: str) -> str:
    """A path as text that can be printed: bytes that are no UTF-8 are escaped."""
    # For thousands of files: nearly all are named so.
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def probe(path: str) -> Header:
    """Read the head of an image file, and find out cheaply whether the rest is there.

    Files that do not end as their format demands are decoded to see; damage amid a large file is not found.

    Raises:
        DataError: there is no such file, or it is no image, is cut off, or too large. The message begins
            with the path.
    """
    try:
        with Path(path).open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            head = file.read(_HEAD_BYTES)
            tail = head
            if status.st_size > len(head):
                file.seek(-min(_TAIL_BYTES, status.st_size - len(head)), os.SEEK_END)
                tail = file.read(_TAIL_BYTES)
            whole = len(head) == status.st_size
            header = _probe_jpeg(head, tail) or _probe_png(head, tail, whole)
            if header is None:
                header = _probe_by_pillow(path, _complete(head, tail, status.st_size))
    except OSError as error:
        raise DataError(_reason(path, error)) from None
    _check_size(path, header.width, header.height)
    return header._replace(bytes=status.st_size, changed=status.st_mtime_ns)


def _probe_jpeg(head: bytes, tail: bytes) -> Header | None:
    """Of a common JPEG (ITU-T T.81, annex B); None for anything unusual."""
    if not head.startswith(b"\xff\xd8\xff") or not _ends(b"\xff\xd9", tail):
        return None
    start = 2
    while start + 10 < len(head) and head[start] == 0xFF:
        marker, length = head[start + 1], int.from_bytes(head[start + 2 : start + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, channels = head[start + 4], head[start + 9]
            height, width = (int.from_bytes(head[start + i : start + i + 2]) for i in (5, 7))
            if precision != 8 or channels not in (1, 3) or not height or not width:
                return None
            return Header(width, height, channels == 1, False, False, "jpeg")
        # This segment may say that the image is turned (EXIF, XMP).
        segment = head[start + 4 : start + 2 + length]
        if (marker == 0xE1 and (segment.startswith(b"Exif") or b"Orientation" in segment)) or length < 2:
            return None
        start += 2 + length
    return None


def _probe_png(head: bytes, tail: bytes, whole: bool) -> Header | None:
    """Of a common PNG (W3C, Portable Network Graphics, section 5); None for anything unusual."""
    if not head.startswith(_PNG_SIGNATURE) or not tail.endswith(_PNG_END) or b"eXIf" in tail:
        return None
    chunks: dict[bytes, bytes] = {}
    start = len(_PNG_SIGNATURE)
    while start + 12 <= len(head):
        length = int.from_bytes(head[start : start + 4])
        kind, stop = head[start + 4 : start + 8], start + 8 + length
        # Only of a file that lies in the head as a whole is every check sum at hand.
        if whole and zlib.crc32(head[start + 4 : stop]) != int.from_bytes(head[stop : stop + 4]):
            return None
        if kind == b"IDAT" and not whole:
            break
        # There may be several texts; of each the keyword at its beginning matters.
        chunks[kind] = chunks.get(kind, b"") + head[start + 8 : min(stop, start + 8 + _CHUNK_BYTES)]
        start = stop + 4
    else:
        if not whole:
            return None
    # Turned by EXIF, of several frames, or with texts that may hold EXIF.
    if chunks.keys() & {b"eXIf", b"acTL", b"zTXt", b"iTXt", b"tEXt"} and _may_be_turned(chunks):
        return None
    head_chunk = chunks.get(b"IHDR", b"")
    if len(head_chunk) != 13 or (whole and b"IDAT" not in chunks):
        return None
    width, height = (int.from_bytes(head_chunk[i : i + 4]) for i in (0, 4))
    depth, color = head_chunk[8], head_chunk[9]
    palette = chunks.get(b"PLTE", b"")
    grey = color in (0, 4) or (color == 3 and palette[::3] == palette[1::3] == palette[2::3])
    return Header(width, height, grey, color in (4, 6) or b"tRNS" in chunks, depth == 16, "png")


def _may_be_turned(chunks: dict[bytes, bytes]) -> bool:
    texts = b"".join(chunks.get(kind, b"") for kind in (b"zTXt", b"iTXt", b"tEXt"))
    return b"eXIf" in chunks or b"acTL" in chunks or b"xmp" in texts or b"Raw profile" in texts


def _ends(mark: bytes, tail: bytes) -> bool:
    return tail.rstrip(b"\0").endswith(mark)


def _complete(head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file ends as its format demands."""
    if head.startswith(b"\xff\xd8"):
        return _ends(b"\xff\xd9", tail)
    if head.startswith(_PNG_SIGNATURE):
        return tail.endswith(_PNG_END)
    if head.startswith(b"GIF8"):
        return _ends(b"\x3b", tail)
    if head.startswith(b"RIFF"):
        return size >= int.from_bytes(head[4:8], "little") + 8
    return head.startswith(b"BM") and size >= int.from_bytes(head[2:6], "little")


def _probe_by_pillow(path: str, complete: bool) -> Header:
    image = _opened(path)
    with image:
        try:
            turned = image.getexif().get(_ORIENTATION, 1)
            # Pillow's own sizes and modes, before anything is decoded.
            (width, height), mode = image.size, image.mode
            _check_size(path, width, height)
            if not complete:
                image.load()
        except _broken() as error:
            raise DataError(_reason(path, error)) from None
        alpha = mode in ("LA", "PA", "RGBA") or "transparency" in image.info
        palette = bytes(image.getpalette() or ()) if mode in ("P", "PA") else b""
    grey = (
        mode in ("1", "L", "LA")
        or mode.startswith("I")
        or (bool(palette) and (palette[::3] == palette[1::3] == palette[2::3]))
    )
    deep = mode.startswith("I")
    # Whatever else is special, TensorFlow and Pillow share the decoders of JPEG.
    plain = image.format in ("JPEG", "MPO") and turned not in range(2, 9) and mode in ("L", "RGB")
    if turned in range(5, 9):
        width, height = height, width
    return Header(width, height, grey, alpha, deep, "jpeg" if plain else "other")


def _opened(path: str) -> Image.Image:
    from PIL import Image

    try:
        return Image.open(path, formats=_FORMATS)
    except _broken() as error:
        raise DataError(_reason(path, error)) from None


def _broken() -> tuple[type[BaseException], ...]:
    """What Pillow raises for files that are no images, or damaged, or suspiciously large."""
    from PIL import Image

    return (
        OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
        struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
    )  # fmt: skip


def _reason(path: str, error: BaseException) -> str:
    """Why a file cannot be read, in words that begin with its path."""
    from PIL import Image, UnidentifiedImageError

    name = shown(path)
    if isinstance(error, FileNotFoundError):
        return f"{name} is not there"
    if isinstance(error, PermissionError):
        return f"{name} may not be read by this user"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return _too_large(path, f"more than {MAX_PIXELS:,} pixels")
    if not isinstance(error, UnidentifiedImageError):
        return f"{name} is broken: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    with Path(path).open("rb") as file:
        head = file.read(16)
    if not head:
        return f"{name} is empty"
    for pattern, kind in _UNREAD:
        if re.match(pattern, head, re.DOTALL):
            return f"{name} is {kind} image, which is not read; make a JPEG or PNG of it"
    if head.startswith((_PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")):
        return f"{name} is broken: its head cannot be read"
    return f"{name} is not an image"


def _too_large(path: str, pixels: str) -> str:
    return f"{shown(path)} has {pixels}, which may be made to exhaust the memory; make it smaller"


def _check_size(path: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(_too_large(path, f"{width} x {height} pixels, more than {MAX_PIXELS:,}"))
    if width < 1 or height < 1:
        raise DataError(f"{shown(path)} is broken: it has {width} x {height} pixels")


def reduction(width: int, height: int, size: Sequence[int] | None) -> int:
    """By what a JPEG is reduced while it is decoded: 1, 2, 4 or 8.

    At least twice the size is left, so that the antialiased resizing still decides what the image looks like.

    Args:
        width: of the image, in pixels.
        height: likewise.
        size: (height, width) that it is resized to; None for its own.
    """
    if size is None:
        return 1
    smaller = min(height / size[0], width / size[1])
    return next((factor for factor in (8, 4, 2) if smaller >= 2 * factor), 1)


def decode(
    path: str, channels: int, size: Sequence[int] | None = None, resize: Resize = "stretch"
) -> np.ndarray:
    """The pixels of an image file, by Pillow.

    Args:
        path: of the file.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA, transparent is 0).
        size: (height, width) to bring it to; None keeps its own.
        resize: how.

    Returns:
        (height, width, channels) uint8.

    Raises:
        DataError: the file cannot be read; the message begins with the path.
    """
    import numpy as np
    from PIL import ImageOps

    image = _opened(path)
    with image:
        try:
            _check_size(path, *image.size)
            if image.format in ("JPEG", "MPO"):
                upright = image.size
                if image.getexif().get(_ORIENTATION, 1) in range(5, 9):
                    upright = upright[::-1]
                factor = reduction(*upright, size)
                smaller = (image.width // factor, image.height // factor)
                image.draft("L" if channels == 1 else "RGB", smaller if factor > 1 else None)
            pixels = _with_channels(ImageOps.exif_transpose(image), channels)
            pixels = pixels if size is None else resized(pixels, size, resize)
        except _broken() as error:
            raise DataError(_reason(path, error)) from None
        return np.asarray(pixels, np.uint8).reshape(pixels.height, pixels.width, channels)


def _with_channels(image: Image.Image, channels: int) -> Image.Image:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255 instead of scaling them.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the only conversion that Pillow does not warn of
    if channels == 1 and image.mode not in ("1", "L", "LA"):
        # From a palette Pillow would round otherwise than from its colours.
        image = image.convert("RGB")
    return image.convert(MODES[channels])


def resized(
    image: Image.Image, size: Sequence[int], resize: Resize, border: int | None = None
) -> Image.Image:
    """An image brought to a size: bilinear and antialiased, its borders black; a mask to the nearest pixel.

    Args:
        image: of any mode that can be resized.
        size: (height, width).
        resize: how.
        border: of a mask, the value of borders that `pad` adds; None for an image.
    """
    from PIL import Image

    height, width = size
    if image.size == (width, height):
        return image
    how = Image.Resampling.BILINEAR if border is None else Image.Resampling.NEAREST
    if resize == "stretch":
        return image.resize((width, height), how)
    ratios = (width / image.width, height / image.height)
    if resize == "crop":
        left, top = (
            (old - new / max(ratios)) / 2 for old, new in zip(image.size, (width, height), strict=True)
        )
        # Rounding may lay the box a hair outside the image, which Pillow refuses.
        left, top = max(left, 0), max(top, 0)
        return image.resize((width, height), how, box=(left, top, image.width - left, image.height - top))
    inner = (max(1, round(image.width * min(ratios))), max(1, round(image.height * min(ratios))))
    padded = Image.new(image.mode, (width, height), border or 0)
    padded.paste(image.resize(inner, how), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return padded


PILLOW, JPEG, PNG, PNG_LUMA, PNG_OPAQUE = range(5)
"""Ways to decode a file."""


def way(header: Header, channels: int, size: Sequence[int] | None) -> int:
    """The fastest way to decode a file, as a number that `decoder` takes; `PILLOW` takes every file.

    TensorFlow's decoders are as fast as Pillow, or twice as fast for small PNGs, and need no Python; its
    antialiased resizing takes more than twice as long (500 x 375 to 224 x 224: 4.7 and 2.1 ms).
    """
    if size is not None and tuple(size) != (header.height, header.width):
        return PILLOW
    if header.format == "jpeg":
        return JPEG
    if header.format == "png":
        # TensorFlow has libpng make grey of colours, with other weights than those of BT.601, and add an
        # opacity of 1 to images of 1 bit.
        if channels == 1 and not header.grey:
            return PNG_LUMA
        return PNG_OPAQUE if channels == 4 and not header.alpha else PNG
    return PILLOW


def decoder(
    ways: Sequence[int], channels: int, shape: Sequence[int], size: Sequence[int] | None, resize: Resize
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """What decodes a batch of files inside a tf.data map.

    Args:
        ways: all that occur.
        channels: as for `decode`.
        shape: (height, width, channels) of every decoded image.
        size: as for `decode`.
        resize: as for `decode`.

    Returns:
        (paths (n,) string, their ways (n,) uint8) -> images (n, *shape) uint8. A file that cannot be decoded
        any more is a `tf.errors.UnknownError` whose message has `DataError: ` and what `decode` says, path
        included.
    """
    import numpy as np
    import tensorflow as tf

    as_written = tf.autograph.experimental.do_not_convert
    codes = sorted(set(ways))
    index_of = np.zeros(256, np.int32)
    index_of[codes] = np.arange(len(codes))

    def by_pillow(path: bytes) -> np.ndarray:
        name = os.fsdecode(path)
        image = decode(name, channels, size, resize)
        if image.shape != tuple(shape):
            was, now = (" x ".join(map(str, sides[1::-1])) for sides in (shape, image.shape))
            raise DataError(f"{shown(name)} has changed: it had {was} pixels and has {now}")
        return image

    def all_by_pillow(paths: np.ndarray) -> np.ndarray:
        return np.stack([by_pillow(path) for path in paths])

    def read(path: tf.Tensor, code: int) -> tf.Tensor:
        if code == PILLOW:
            return tf.ensure_shape(tf.numpy_function(by_pillow, [path], tf.uint8), shape)
        return tf.ensure_shape(_by_tensorflow(tf.io.read_file(path), code, channels), shape)

    def one(path: tf.Tensor, branch: tf.Tensor) -> tf.Tensor:
        if len(codes) == 1:
            return read(path, codes[0])
        return tf.switch_case(branch, [lambda code=code: read(path, code) for code in codes])

    def batch(paths: tf.Tensor, ways: tf.Tensor) -> tf.Tensor:
        count = tf.shape(paths, tf.int64)[0]
        branches = tf.gather(index_of, tf.cast(ways, tf.int32))
        files = tf.data.Dataset.from_tensor_slices((paths, branches))
        # TensorFlow's decoders do not say which file they fail on. So failures are left out, and where there
        # are any, Pillow reads the batch: it says which, or takes what they refused. The image appended at
        # the end keeps the stream from being empty.
        images = files.map(as_written(one)).ignore_errors()
        images = images.concatenate(tf.data.Dataset.from_tensors(tf.zeros(shape, tf.uint8)))
        decoded = images.batch(count + 1).get_single_element()
        decoded = tf.cond(
            tf.equal(tf.shape(decoded, tf.int64)[0], count + 1),
            lambda: decoded[:-1],
            lambda: tf.numpy_function(all_by_pillow, [paths], tf.uint8),
        )
        return tf.ensure_shape(decoded, (None, *shape))

    return as_written(batch)


def _by_tensorflow(content: tf.Tensor, code: int, channels: int) -> tf.Tensor:
    """An image (height, width, channels) uint8, as `decode` gives it."""
    import tensorflow as tf

    if code == PNG:
        return tf.io.decode_png(content, channels)
    if code == PNG_LUMA:
        image = tf.cast(tf.io.decode_png(content, 3), tf.int32)
        luma = tf.reduce_sum(image * (19_595, 38_470, 7_471), axis=-1, keepdims=True) + 2**15
        return tf.cast(tf.bitwise.right_shift(luma, 16), tf.uint8)
    if code == PNG_OPAQUE:
        image = tf.io.decode_png(content, 3)
    else:
        image = tf.io.decode_jpeg(content, min(channels, 3), dct_method="INTEGER_ACCURATE")
    return image if channels < 4 else tf.pad(image, ((0, 0), (0, 0), (0, 1)), constant_values=255)
