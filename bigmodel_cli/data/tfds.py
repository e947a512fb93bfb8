"""Data sets of TensorFlow Datasets, by name.

Prepared data is read from its folder alone: the code that once made it is not needed, so one's own sets work
too. Records are parsed and decoded in batches, which takes about half the time of TFDS's own reading, and a
fifteenth of it where only the targets are wanted.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, PathText
from bigmodel_cli.data.downloads import unreachable
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from etils import epath

    from bigmodel_cli.contracts import Inputs, Lookup, Part
    from bigmodel_cli.data.tfds_features import Reader

BATCH_BYTES = 16 * 2**20
"""Decoded size of the batches that records are read in."""

CHUNK = 1024
"""Records that are read before those are dropped that are not asked for."""

Names = Annotated[Sequence[str], Field(min_length=1)]
MaskValue = Annotated[int, Field(ge=0, le=65_535)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]


def known_names() -> list[str]:
    """Names of all data sets that TensorFlow Datasets can make."""
    import tensorflow_datasets as tfds

    return sorted(tfds.list_builders(with_community_datasets=False))


def tfds(
    seed: int,
    *,
    dataset: str,
    data_dir: PathText | None = None,
    inputs: str | Names | None = None,
    target: str | Names | None = None,
    image_size: Annotated[Sequence[Pixels], Field(min_length=2, max_length=2)] | None = None,
    mask_classes: Annotated[Mapping[str, MaskValue], Field(min_length=2, max_length=255)] | None = None,
    download: bool = True,
) -> TfdsSource:
    """A data set of TensorFlow Datasets (https://www.tensorflow.org/datasets/catalog).

    Prepared data is looked for first; only what is absent is downloaded and prepared. The input is an
    image, a text, numbers, or columns of several kinds; the target a class or numbers.

    Args:
        dataset: name, name/config, name:version or name/config:version.
        data_dir: folder of prepared TFDS data; null takes $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        inputs: feature or features that are the input; one inside of another is `outer/inner`. Null takes
            what the set itself says, else its only image or text.
        target: feature that is the target: a class label, a list of class labels or several booleans (each a
            label), an image (a mask, with a class for each pixel), or one or more with numbers. Null takes
            what the set itself says, else its only class label or list of them.
        image_size: [height, width] in pixels that every image is resized to (bilinear, antialiased); needed
            where the images of a set vary in size; masks likewise, to the nearest pixel. Null keeps them as
            they are.
        mask_classes: where the target is a mask, the name of each class and its value there, such as
            {pet: 1, background: 2, border: 3}; 255 is ignored. Null takes what the set itself says.
        download: whether absent data may be downloaded.
    """
    folder = _Folder.of(dataset, data_dir)
    path = folder.prepared()
    if path is None:
        path = _prepare(folder, download)
    return TfdsSource(folder.text, path, inputs, target, image_size, mask_classes)


@dataclass(frozen=True)
class _Folder:
    """Where a data set would lie: `root`/`name`[/`config`]/`version`."""

    root: epath.Path
    text: str
    name: str
    config: str | None
    version: str | None

    @classmethod
    def of(cls, text: str, data_dir: str | None) -> _Folder:
        from etils import epath
        from tensorflow_datasets.core.constants import get_default_data_dir

        match = re.fullmatch(r"(?P<name>[^/:]+)(/(?P<config>[^/:]+))?(:(?P<version>[^/:]+))?", text)
        if match is None:
            raise DataError(
                f"dataset: `{text}` is not the name of a TFDS set; write name, name/config, name:version or "
                "name/config:version"
            )
        root = epath.Path(data_dir or get_default_data_dir())
        return cls(root, text, match["name"], match["config"], match["version"])

    def prepared(self) -> epath.Path | None:
        """The prepared data, its newest version unless one is asked for.

        Raises:
            DataError: several configs are prepared and none is asked for.
        """
        base = self.root / self.name
        if self.config is not None:
            return self._newest(base / self.config)
        if (found := self._newest(base)) is not None:
            return found
        configs = {path.name: found for path in _folders(base) if (found := self._newest(path)) is not None}
        if len(configs) > 1:
            names = ", ".join(f"`{self.name}/{config}`" for config in sorted(configs))
            raise DataError(f"dataset: `{self.text}` has several configs in {base}; name one of {names}")
        return next(iter(configs.values()), None)

    def _newest(self, folder: epath.Path) -> epath.Path | None:
        versions = [
            (tuple(int(number) for number in path.name.split(".")), path)
            for path in _folders(folder)
            if path.name.replace(".", "").isdecimal()
            and self.version in (None, path.name)
            and (path / "features.json").exists()
        ]
        return max(versions)[1] if versions else None


def _folders(folder: epath.Path) -> list[epath.Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _prepare(folder: _Folder, download: bool) -> epath.Path:
    """Download and prepare, with TFDS's own progress.

    Raises:
        DataError: an unknown name, or data that cannot be fetched.
    """
    import tensorflow_datasets as tfds

    absent = f"dataset: there is no prepared `{folder.text}` in {folder.root}"
    names = known_names()
    if folder.name not in names:
        near = difflib.get_close_matches(folder.name, names, n=3)
        meant = f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""
        raise DataError(
            f"{absent}, and TensorFlow Datasets knows no `{folder.name}`; {meant or 'look it up in '}"
            f"{'' if meant else 'https://www.tensorflow.org/datasets/catalog'}"
        )
    remedy = (
        "point dataset.data_dir or the environment variable TFDS_DATA_DIR to a folder that has it, or run "
        "once on a machine with network"
    )
    if not download:
        raise DataError(f"{absent}, and dataset.download is false; {remedy}")
    try:
        builder = tfds.builder(folder.text, data_dir=folder.root, try_gcs=False)
    except (ValueError, AssertionError, tfds.core.registered.DatasetNotFoundError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise DataError(f"dataset: `{folder.text}`: {reason}") from error
    if (host := unreachable(next(iter(builder.url_infos), ""))) is not None:
        raise DataError(f"{absent}, and it cannot be downloaded: no connection to {host}; {remedy}")
    try:
        builder.download_and_prepare()
    except Exception as error:
        # Whatever a set's own code or the network throws: the data is not there, which the user can mend.
        raise DataError(
            f"{absent}, and preparing it failed: {type(error).__name__}: {str(error).strip()[:500]}; {remedy}"
        ) from error
    return builder.data_path


class TfdsSource:
    """A `contracts.Source` over prepared TFDS data.

    Attributes:
        spec: what the set holds.
        sizes: examples in each split of the set.
        example_bytes: memory of one decoded example; of strings what an example takes in the files.
        notes: how input and target were found, where the set itself does not say.
    """

    def __init__(
        self,
        name: str,
        path: epath.Path,
        inputs: str | Sequence[str] | None = None,
        target: str | Sequence[str] | None = None,
        image_size: Sequence[int] | None = None,
        mask_classes: Mapping[str, int] | None = None,
    ):
        """Read the description of prepared data.

        Args:
            name: for messages, and of the spec.
            path: folder of the prepared data.
            inputs: features that are the input; None for what the set says.
            target: features that are the target; None for what the set says.
            image_size: height and width that images are resized to.
            mask_classes: name -> value of the classes of a mask; None for what the set says.

        Raises:
            DataError: a damaged description, or data that cannot be used so.
        """
        import tensorflow_datasets as tfds
        from google.protobuf.json_format import ParseError

        from bigmodel_cli.data.tfds_features import Features

        self._name, self._path = name, path
        try:
            builder = tfds.builder_from_directory(path)
        except (ParseError, ValueError, KeyError, OSError) as error:
            raise self._damaged(error) from error
        info = builder.info
        if info.file_format != tfds.core.FileFormat.TFRECORD:
            raise DataError(
                f"dataset: `{name}` in {path} is stored as {info.file_format.value}; prepare it as tfrecord"
            )
        self._features = Features(name, info.features)
        pair = self._features.pair(info.supervised_keys, inputs, target)
        self._target, target_spec, task = self._features.target(pair.targets, image_size, mask_classes)
        self._input, input_spec = self._features.inputs(pair.inputs, image_size)
        if task == "segmentation" and (
            input_spec.kind != "image" or input_spec.shape[:2] != target_spec.shape
        ):
            raise DataError(
                f"dataset: the inputs of `{name}` have the shape {input_spec.shape}, its masks "
                f"{target_spec.shape}; masks need images of their size (dataset.inputs, dataset.image_size)"
            )
        self.notes: Sequence[str] = pair.notes
        self.spec = DataSpec(
            name=name,
            origin=f"TFDS {':'.join(filter(None, (info.config_name, str(info.version))))}",
            task=task,
            input=input_spec,
            target=target_spec,
        )
        self.sizes: Mapping[str, int] = {split: part.num_examples for split, part in info.splits.items()}
        self._files = {
            split: [
                (os.fspath(file), length)
                for file, length in zip(part.filepaths, part.shard_lengths, strict=True)
            ]
            for split, part in info.splits.items()
        }
        stored = sum(part.num_bytes for part in info.splits.values()) // max(1, sum(self.sizes.values()))
        self.example_bytes = sum(reader.example_bytes for reader in (self._input, self._target))
        self.example_bytes += stored if self._input.strings else 0

    def fingerprint(self) -> str:
        """A hash of the description, of the files' names, sizes and times, and of what is read of them."""
        from etils import epath

        digest = hashlib.sha256()
        for file in ("dataset_info.json", "features.json"):
            digest.update((self._path / file).read_bytes())
        for files in self._files.values():
            for name, _ in files:
                path = epath.Path(name)
                state = path.stat() if path.exists() else None
                digest.update(f"{path.name} {state and (state.length, state.mtime)}".encode())
        digest.update(repr((self.spec.input, self.spec.target)).encode())
        return digest.hexdigest()

    def arrays(self, part: Part) -> tuple[Inputs, np.ndarray]:
        """Inputs and targets of a part.

        Raises:
            DataError: damaged or incomplete files, or examples without a label.
        """
        inputs, targets = self._load(part, (self._input, self._target))
        return inputs, self._labelled(targets)

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part.

        Raises:
            DataError: damaged or incomplete files, or examples without a label.
        """
        return self._labelled(*self._load(part, (self._target,)))

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (inputs, targets) of a part; with `key` file after file in an order drawn from it."""
        return self._read(part, (self._input, self._target), key)

    def lookup(self, base: str) -> Lookup | None:
        """None: records can only be read one after the other."""
        return None

    def values(self, base: str, name: str) -> np.ndarray:
        """A feature with one value for each example: numbers as stored, or `str` objects.

        Raises:
            DataError: there is none of that name, or the files are damaged.
        """
        import numpy as np

        from bigmodel_cli.contracts import Part

        names = self._features.scalars()
        if name not in names:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no feature `{name}` with one value for each "
                f"example; it has {', '.join(names[:20]) or 'none'}"
            )
        whole = Part.range(base, 0, self.sizes[base])
        (values,) = self._load(whole, (self._features.values(name),))
        if values.dtype != object:
            return values
        return np.array([text.decode("utf-8", "replace") for text in values], object)

    def _read(self, part: Part, readers: Sequence[Reader], key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches of what each reader reads."""
        import tensorflow as tf

        parse = {name: spec for reader in readers for name, spec in reader.parse.items()}

        def read(records: tf.Tensor) -> tuple[Any, ...]:
            parsed = tf.io.parse_example(records, parse)
            return tuple(reader.read(parsed) for reader in readers)

        size = max(1, min(512, BATCH_BYTES // self.example_bytes))
        # AutoGraph looks for control flow to rewrite, for half a second; there is none.
        as_written = tf.autograph.experimental.do_not_convert
        records = self._records(part, size, key)
        return records.map(as_written(read), num_parallel_calls=cpu_cores()).prefetch(2)

    def _records(self, part: Part, size: int, key: tf.Tensor | None) -> tf.data.Dataset:
        """Batches of stored records, of a part alone.

        File after file: TFDS's own reading interleaves them, and then the first n examples of a split would
        depend on n.
        """
        import numpy as np
        import tensorflow as tf

        as_written = tf.autograph.experimental.do_not_convert
        names, spans, start, gaps = [], [], 0, False
        for name, length in self._files[part.base]:
            first, last = np.searchsorted(part.indices, (start, start + length))
            if first < last:
                skip, stop = part.indices[first] - start, part.indices[last - 1] - start + 1
                gaps |= stop - skip > last - first
                names.append(name)
                spans.append((skip, stop - skip, start + skip))
            start += length
        with tf.device("CPU:0"):
            order = tf.range(len(names))
            if key is not None:
                order = tf.random.experimental.stateless_shuffle(order, key)
            files = tf.gather(tf.constant(names, tf.string, (len(names),)), order)
            ranges = tf.gather(tf.constant(spans, tf.int64, (len(names), 3)), order)
            wanted = np.zeros(self.sizes[part.base] if gaps else 0, bool)
            if gaps:
                wanted[part.indices] = True
            mask = tf.constant(wanted)
        pieces = tf.data.Dataset.from_tensor_slices((files, ranges))

        def read_file(name: tf.Tensor, span: tf.Tensor) -> tf.data.Dataset:
            return tf.data.TFRecordDataset(name, buffer_size=8 * 2**20).skip(span[0]).take(span[1])

        if not gaps:
            return pieces.flat_map(as_written(read_file)).batch(size)

        # What is not asked for is dropped before it is decoded, and in chunks: a filter of single records
        # would take longer than reading them.
        def read_some(name: tf.Tensor, span: tf.Tensor) -> tf.data.Dataset:
            def keep(chunk: tf.Tensor, records: tf.Tensor) -> tf.Tensor:
                first = span[2] + chunk * CHUNK
                return tf.boolean_mask(records, mask[first : first + tf.size(records, tf.int64)])

            return read_file(name, span).batch(CHUNK).enumerate().map(as_written(keep))

        return pieces.flat_map(as_written(read_some)).rebatch(size)

    def _load(self, part: Part, readers: Sequence[Reader]) -> Any:
        import tensorflow as tf

        from bigmodel_cli.data.reading import collect

        try:
            return collect(self._read(part, readers), part.size)
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            raise self._damaged(error.message) from error
        except ValueError as error:
            raise self._damaged(f"split `{part.base}`: {error}") from error

    def _labelled(self, targets: np.ndarray) -> np.ndarray:
        if self.spec.task == "classification" and targets.size and targets.min() < 0:
            raise DataError(
                f"dataset: `{self._name}` has examples without a label (label {targets.min()}); leave out "
                "the split that holds them in dataset.splits"
            )
        return targets

    def _damaged(self, why: object) -> DataError:
        return DataError(
            f"dataset: `{self._name}` in {self._path} cannot be read: {str(why).splitlines()[0]}; it is "
            "damaged or incomplete: delete that folder and prepare the data again"
        )
