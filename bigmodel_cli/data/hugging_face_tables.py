"""Data sets of Hugging Face as its library holds them: Arrow tables with features."""

from __future__ import annotations

import hashlib
import importlib
import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.contracts import DataSpec, InputSpec
from bigmodel_cli.data.array_meaning import AskedTask, Learned, learn
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup, Part

PROBED = 1000
"""Images of each split whose size and colours are looked at beforehand."""

PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
"""How every PNG begins: its signature, then the length and name of the chunk IHDR."""

LABEL_SEPARATOR = "\x1f"
"""Between the labels of a list when it becomes a cell (ASCII's unit separator, which no name holds)."""

TARGET_NAMES = ("label", "labels", "target", "class")
"""How a target is usually called, where no feature is a class label."""


def library() -> Any:
    """The package `datasets`.

    Raises:
        DataError: it is not there, or so old that it would run code that comes with data.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "dataset: `hugging_face` needs the package `datasets`: pip install bigmodel-cli[hugging-face]"
        ) from error
    if int(datasets.__version__.split(".")[0]) < 4:
        raise DataError(
            f"dataset: `hugging_face` needs datasets 4 or later, this is {datasets.__version__}: pip install "
            "--upgrade bigmodel-cli[hugging-face]"
        )
    return datasets


def origin() -> str:
    """The library and its version, for the user's eyes."""
    return f"Hugging Face datasets {library().__version__}"


def first_line(error: BaseException) -> str:
    """What an error of the library says, in one line."""
    # The library wraps what a reader says into an error that only says that it failed.
    while error.__cause__ is not None and type(error).__name__ == "DatasetGenerationError":
        error = error.__cause__
    text = str(error).strip()
    return text.splitlines()[0][:500] if text else type(error).__name__


class HubTables:
    """The splits of a data set and their features.

    Attributes:
        place: for messages.
        bases: base split -> dataset.
    """

    def __init__(self, place: str, bases: Mapping[str, Any]):
        self.place, self.bases = place, dict(bases)
        self._features = next(iter(self.bases.values())).features
        for base, one in self.bases.items():
            if one.features.type != self._features.type:
                raise DataError(
                    f"dataset: the splits of {place} differ: `{next(iter(self.bases))}` has "
                    f"{', '.join(self._features)}, `{base}` {', '.join(one.features)}; name those to take in "
                    "dataset.base_splits"
                )

    def with_splits(self, asked: Sequence[str] | None, targets: Sequence[str]) -> tuple[HubTables, list[str]]:
        """Those that are asked for, else those with labels; and a note of what was left out."""
        if asked is not None:
            for name in asked:
                if name not in self.bases:
                    raise DataError(
                        f"dataset.base_splits: {self.place} has no split `{name}`; it has "
                        f"{', '.join(self.bases)}"
                    )
            return HubTables(self.place, {name: self.bases[name] for name in asked}), []
        empty = [base for base in self.bases if not len(self.bases[base]) or self._unlabelled(base, targets)]
        if len(empty) == len(self.bases):
            raise DataError(f"dataset: no split of {self.place} has examples with a `{targets[0]}`")
        kept = {base: one for base, one in self.bases.items() if base not in empty}
        note = f"left out, since they have no labels: {', '.join(f'`{base}`' for base in empty)}"
        return HubTables(self.place, kept), [note] if empty else []

    def _unlabelled(self, base: str, targets: Sequence[str]) -> bool:
        import pyarrow as pa

        if self.is_label_list(targets[0]):
            # A list without labels is an answer.
            return False
        labels = self.column(base, targets[0])
        return bool(not pa.types.is_nested(labels.type) and labels.null_count == len(labels))

    def target(self, asked: str | Sequence[str] | None) -> tuple[str, ...]:
        """Features that are the target.

        Raises:
            DataError: they are not there, or nothing says which.
        """
        if asked is not None:
            names = (asked,) if isinstance(asked, str) else tuple(asked)
            self.require(names, "target")
            return names
        labels = [name for name in self._features if self.is_label(name) or self.is_label_list(name)]
        found = labels if len(labels) == 1 else [name for name in TARGET_NAMES if name in self._features]
        if not found:
            raise DataError(
                f"dataset.target: nothing says which feature of {self.place} is the target; it holds "
                f"{self._holds()}"
            )
        return (found[0],)

    def require(self, names: Sequence[str], parameter: str) -> None:
        """Check that features are there, once each.

        Raises:
            DataError: one is not.
        """
        for name in names:
            if name not in self._features:
                raise DataError(
                    f"dataset.{parameter}: {self.place} has no feature `{name}`; it holds {self._holds()}"
                )
            if list(names).count(name) > 1:
                raise DataError(f"dataset.{parameter}: `{name}` is named twice; leave one out")

    def images(self) -> list[str]:
        """Features that are images."""
        datasets = library()
        return [name for name, one in self._features.items() if isinstance(one, datasets.Image)]

    def feature(self, name: str) -> Any:
        """A feature, as the library describes it."""
        return self._features[name]

    def is_label(self, name: str) -> bool:
        """Whether a feature is a class label with names."""
        one = self._features[name]
        return isinstance(one, library().ClassLabel) and bool(one.names)

    def is_label_list(self, name: str) -> bool:
        """Whether a feature is a list of class labels with names: an example may have any number."""
        inner = getattr(self._features[name], "feature", None)
        return isinstance(inner, library().ClassLabel) and bool(inner.names)

    def column(self, base: str, name: str) -> pa.ChunkedArray:
        """A column as it is stored; class labels by name, null where there is none.

        Lists of them become texts, with LABEL_SEPARATOR in between.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        stored = self.bases[base].data.table.column(name)
        if self.is_label_list(name):
            known = self._features[name].feature.names
            lists = ([known[one] for one in labels or () if one is not None] for labels in stored.to_pylist())
            return pa.chunked_array([pa.array(map(LABEL_SEPARATOR.join, lists), pa.string())])
        if not self.is_label(name):
            return stored
        names = pa.array(self._features[name].names, pa.string())
        indices = [
            pc.if_else(pc.less(chunk, 0), pa.scalar(None, pa.int32()), pc.cast(chunk, pa.int32()))
            for chunk in stored.chunks
        ]
        chunks = [pa.DictionaryArray.from_arrays(chunk, names) for chunk in indices]
        return pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string()))

    def batches(self, base: str, name: str) -> tuple[list[pa.RecordBatch], np.ndarray]:
        """A column in the pieces it is stored in, and the rows up to the end of each."""
        import numpy as np

        pieces = self.bases[base].data.table.select([name]).to_batches()
        return pieces, np.cumsum([piece.num_rows for piece in pieces], dtype=np.int64)

    def cells(self, base: str) -> pa.Table:
        """All columns but images."""
        import pyarrow as pa

        images = self.images()
        return pa.table({name: self.column(base, name) for name in self._features if name not in images})

    def stamps(self) -> dict[str, str]:
        """What the library knows a content by, of each base split."""
        return {base: f"{one._fingerprint} {len(one)}" for base, one in self.bases.items()}

    def _holds(self) -> str:
        return ", ".join(f"{name} ({_described(one)})" for name, one in self._features.items())


def _described(feature: Any) -> str:
    dtype = getattr(feature, "dtype", None)
    kind = type(feature).__name__
    return str(dtype) if kind == "Value" else kind


class ImageTable:
    """A `contracts.Source` over images in Arrow tables, with access by position; targets are in memory.

    Attributes:
        spec: what the table holds.
        sizes: examples in each base split.
        example_bytes: memory of one example, input and target.
        notes: what was inferred.
    """

    def __init__(
        self,
        name: str,
        table: HubTables,
        image: str,
        targets: Sequence[str],
        task: AskedTask,
        image_size: Sequence[int] | None,
        channels: Literal[1, 3] | None,
        notes: Sequence[str],
    ):
        """Look at some images, and at all targets.

        Args:
            name: of the dataset.
            table: its splits.
            image: feature that is the input.
            targets: features to predict.
            task: what they are for.
            image_size: height and width that images are resized to; None for their own.
            channels: of the images; None goes by them.
            notes: of how the data was found.

        Raises:
            DataError: images of several sizes without `image_size`, or targets that cannot be used.
        """
        self._table, self._image = table, image
        self._batches = {base: table.batches(base, image) for base in table.bases}
        self._resize = image_size is not None
        shape = self._probe(image_size, channels)
        learned = self._learn(targets, task)
        self._targets = learned.targets
        self.spec = DataSpec(name, origin(), learned.task, InputSpec(shape, "uint8", "image"), learned.spec)
        self.sizes: Mapping[str, int] = {base: len(one) for base, one in table.bases.items()}
        one = next(iter(learned.targets.values()))
        self.example_bytes = shape[0] * shape[1] * shape[2] + one[:1].nbytes
        self.notes: Sequence[str] = (*notes, *learned.notes)

    def fingerprint(self) -> str:
        """What the library knows the content by, and what is read of it."""
        text = repr((self._table.stamps(), self.spec.input, self.spec.target, self._image))
        return hashlib.sha256(text.encode()).hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part."""
        return self._targets[part.base][part.indices]

    def arrays(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Images and targets of a part.

        Raises:
            DataError: an image that cannot be read, or has another size than the others.
        """
        import tensorflow as tf

        from bigmodel_cli.data.reading import collect

        try:
            images, targets = collect(self.batches(part), part.size)
        except tf.errors.OpError:
            # TensorFlow does not say which image it failed on; Pillow does, or takes what was refused.
            return self._decoded(
                part.base, part.indices, self._stored(part.base, part.indices)
            ), self.targets(part)
        return images, targets

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (images, targets) of a part, in order; `key` has nothing to order."""
        from bigmodel_cli.data.arrays import in_batches

        return in_batches(part, self.lookup(part.base), self.example_bytes)

    def lookup(self, base: str) -> Lookup:
        """Images, decoded, and targets by position."""
        import tensorflow as tf

        shape = self.spec.input.shape
        as_written = tf.autograph.experimental.do_not_convert
        with tf.device("CPU:0"):
            targets = tf.convert_to_tensor(self._targets[base])

        def fetch(positions: np.ndarray) -> tuple[np.ndarray, np.bool_]:
            stored = self._stored(base, positions)
            return stored, self._all_plain(stored)

        def by_pillow(positions: np.ndarray, stored: np.ndarray) -> np.ndarray:
            return self._decoded(base, positions, stored)

        def look_up(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            stored, plain = tf.numpy_function(fetch, [positions], (tf.string, tf.bool), stateful=False)
            stored = tf.ensure_shape(stored, (None,))
            signature = tf.TensorSpec(shape, tf.uint8)
            decode = as_written(lambda one: tf.ensure_shape(tf.io.decode_png(one, shape[2]), shape))
            images = tf.cond(
                plain,
                lambda: tf.map_fn(decode, stored, fn_output_signature=signature),
                lambda: tf.numpy_function(by_pillow, [positions, stored], tf.uint8, stateful=False),
            )
            return tf.ensure_shape(images, (None, *shape)), tf.gather(targets, positions)

        return look_up

    def values(self, base: str, name: str) -> np.ndarray:
        """A column with one value for each example: numbers as stored, or `str` objects.

        Raises:
            DataError: there is none of that name.
        """
        import pyarrow as pa

        cells = self._table.cells(base)
        names = [field.name for field in cells.schema if not pa.types.is_nested(field.type)]
        if name not in names:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no column `{name}` to divide by; it has "
                f"{', '.join(names[:20]) or 'none'}"
            )
        column = cells.column(name)
        if pa.types.is_dictionary(column.type) or pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        if pa.types.is_string(column.type):
            column = column.fill_null("")
        return column.to_numpy()

    def _learn(self, targets: Sequence[str], task: AskedTask) -> Learned:
        import numpy as np
        import pyarrow as pa

        table = self._table
        if len(targets) == 1 and table.is_label_list(targets[0]):
            return self._learn_labels(targets[0])
        found: dict[str, np.ndarray] = {}
        names = None
        if len(targets) == 1 and table.is_label(targets[0]):
            names = table.feature(targets[0]).names
        for base in table.bases:
            columns = []
            for target in targets:
                cells = table.column(base, target)
                if pa.types.is_nested(cells.type):
                    raise DataError(
                        f"dataset.target: `{target}` is {cells.type}; a class or a number is needed"
                    )
                if cells.null_count:
                    row = cells.is_null().to_numpy().argmax()
                    raise DataError(
                        f"dataset.target: {table.place}, {base}, row {row}: `{target}` is missing; leave out "
                        "what has no label, or name the splits to take in dataset.base_splits"
                    )
                if pa.types.is_dictionary(cells.type) or pa.types.is_large_string(cells.type):
                    cells = cells.cast(pa.string())
                columns.append(cells.to_numpy())
            found[base] = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
        places = {base: f"{table.place}, {base}" for base in table.bases}
        return learn(found, places=places, task=task, class_names=names)

    def _learn_labels(self, target: str) -> Learned:
        """Lists of labels as a column of 0 and 1 for each."""
        import numpy as np

        table = self._table
        names = table.feature(target).feature.names
        found = {}
        for base in table.bases:
            lists = [
                list(filter(None, text.split(LABEL_SEPARATOR)))
                for text in table.column(base, target).to_pylist()
            ]
            rows = np.repeat(np.arange(len(lists)), list(map(len, lists)))
            place = {name: index for index, name in enumerate(names)}
            flags = np.zeros((len(lists), len(names)), np.uint8)
            flags[rows, [place[label] for labels in lists for label in labels]] = 1
            found[base] = flags
        places = {base: f"{table.place}, {base}" for base in table.bases}
        return learn(found, places=places, task="multi_label", class_names=names)

    def _probe(self, size: Sequence[int] | None, channels: int | None) -> tuple[int, int, int]:
        """Height, width and channels of all images.

        Raises:
            DataError: they vary in size, and no size is given.
        """
        import numpy as np

        sizes: set[tuple[int, int]] = set()
        modes: set[str] = set()
        for base, one in self._table.bases.items():
            for row in np.unique(np.linspace(0, len(one) - 1, min(len(one), PROBED)).astype(int)):
                with self._opened(self._stored(base, row[np.newaxis])[0], self._place(base, row)) as image:
                    modes.add(image.mode)
                    sizes.add(image.size)
        if channels is None:
            channels = 1 if modes <= {"1", "L"} else 3
        if size is not None:
            return size[0], size[1], channels
        if len(sizes) > 1:
            several = ", ".join(f"{width} x {height}" for width, height in sorted(sizes)[:3])
            raise DataError(
                f"dataset.image_size: the images of {self._table.place} vary in size ({several}, ...); give "
                "the "
                "[height, width] that all are resized to, such as [224, 224]"
            )
        ((width, height),) = sizes
        return height, width, channels

    def _stored(self, base: str, indices: np.ndarray) -> np.ndarray:
        """Encoded images (n,) at these positions, in any order, as `bytes` objects.

        Raises:
            DataError: there is none.
        """
        import numpy as np
        import pyarrow.compute as pc

        from bigmodel_cli.data.tables.arrow_tables import combined, taken

        column = combined(taken(*self._batches[base], np.asarray(indices, np.int64)).column(0))
        contents, paths = (pc.struct_field(column, [name]).to_pylist() for name in ("bytes", "path"))
        for place, (content, path) in enumerate(zip(contents, paths, strict=True)):
            if content is None and path is not None:
                contents[place] = self._of_file(path, self._place(base, indices[place]))
            elif content is None:
                raise DataError(
                    f"dataset: {self._place(base, indices[place])}: there is no image; leave such rows out"
                )
        found = np.empty(len(contents), object)
        found[:] = contents
        return found

    def _of_file(self, path: str, place: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"dataset: {place}: {path} cannot be read: {error.strerror or error}") from error

    def _place(self, base: str, row: int) -> str:
        return f"{self._table.place}, {base}, row {row}"

    def _all_plain(self, stored: np.ndarray) -> np.bool_:
        """Whether TensorFlow decodes all of these as Pillow does, twice as fast (32 x 32 pixels).

        So it is with PNGs of 8 bits that have nothing beside their pixels (W3C, PNG, section 11.2), and the
        height, width and channels that are wanted; grey ones become colours alike.
        """
        import numpy as np

        height, width, channels = self.spec.input.shape
        size = struct.pack(">II", width, height)
        colors = (0,) if channels == 1 else (0, 2)
        return np.bool_(
            all(
                one[:16] == PNG_HEAD
                and one[16:24] == size
                and one[24] == 8
                and one[25] in colors
                # Neither interlaced nor with another chunk before the pixels.
                and one[28] == 0
                and one[37:41] == b"IDAT"
                for one in stored
            )
        )

    def _opened(self, stored: bytes, place: str) -> Any:
        """An image as Pillow opens it, turned upright as its EXIF says.

        Raises:
            DataError: it cannot be read.
        """
        from PIL import Image, ImageOps

        try:
            image = Image.open(io.BytesIO(stored))
            if image.mode.startswith(("I", "F")):
                raise DataError(f"dataset: {place}: the image is {image.mode}, not one of 8 bits a channel")
            return ImageOps.exif_transpose(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"dataset: {place}: the image cannot be read: {first_line(error)}") from error

    def _decoded(self, base: str, indices: np.ndarray, stored: np.ndarray) -> np.ndarray:
        """Images (n, *shape) uint8 out of encoded ones at these positions, by Pillow.

        Raises:
            DataError: one cannot be read, or has another size than the others.
        """
        import numpy as np
        from PIL import Image

        height, width, channels = self.spec.input.shape
        found = np.empty((len(indices), height, width, channels), np.uint8)
        for number, (row, content) in enumerate(zip(indices, stored, strict=True)):
            place = self._place(base, row)
            with self._opened(content, place) as image:
                pixels = image.convert("L" if channels == 1 else "RGB")
            if self._resize:
                pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
            elif pixels.size != (width, height):
                raise DataError(
                    f"dataset.image_size: {place}: the image is {pixels.width} x {pixels.height}, others "
                    f"{width} x "
                    f"{height}; give the [height, width] that all are resized to"
                )
            found[number] = np.asarray(pixels, np.uint8).reshape(height, width, channels)
        return found
