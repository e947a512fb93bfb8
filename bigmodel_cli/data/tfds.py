"""Data sets of TensorFlow Datasets, by name.

Prepared data is read from its folder alone: the code that once made it is not needed, so one's own sets work
too. Records are parsed and decoded in batches, which takes about half the time of TFDS's own reading, and a
fifteenth of it where only the targets are wanted.
"""

from __future__ import annotations

import difflib
import math
import re
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, InputSpec, PathText, Piece, TargetSpec
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from etils import epath

CONNECTION_SECONDS = 3.0
"""How long to wait for a host's answer before a download; TFDS itself would try for minutes."""

BATCH_BYTES = 16 * 2**20
"""Decoded size of the batches that records are read in."""

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
    image_size: Annotated[Sequence[Pixels], Field(min_length=2, max_length=2)] | None = None,
    download: bool = True,
) -> TfdsSource:
    """A data set of TensorFlow Datasets (https://www.tensorflow.org/datasets/catalog).

    Prepared data is looked for first; only what is absent is downloaded and prepared. Sets with an image or
    numbers as input, and a class or numbers as target, can be used.

    Args:
        dataset: name, name/config, name:version or name/config:version.
        data_dir: folder of prepared TFDS data; null takes $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        image_size: [height, width] in pixels that every image is resized to (bilinear, antialiased); needed
            where the images of a set vary in size. Null keeps them as they are.
        download: whether absent data may be downloaded.
    """
    folder = _Folder.of(dataset, data_dir)
    path = folder.prepared()
    if path is None:
        path = _prepare(folder, download)
    return TfdsSource(folder, path, image_size)


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
    if (host := _unreachable(builder.url_infos)) is not None:
        raise DataError(f"{absent}, and it cannot be downloaded: no connection to {host}; {remedy}")
    try:
        builder.download_and_prepare()
    except Exception as error:
        # Whatever a set's own code or the network throws: the data is not there, which the user can mend.
        raise DataError(
            f"{absent}, and preparing it failed: {type(error).__name__}: {str(error).strip()[:500]}; {remedy}"
        ) from error
    return builder.data_path


def _unreachable(urls: Mapping[str, Any]) -> str | None:
    """The host of the first download, if it does not answer within `CONNECTION_SECONDS`."""
    if not urls:
        return None
    url = urllib.parse.urlsplit(next(iter(urls)))
    if url.hostname is None or url.scheme not in ("http", "https"):
        return None
    proxy = urllib.request.getproxies().get(url.scheme)
    if proxy is not None and not urllib.request.proxy_bypass(url.hostname):
        url = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 80)
    answered = []

    def connect() -> None:
        with suppress(OSError):
            socket.create_connection((url.hostname, port), timeout=CONNECTION_SECONDS).close()
            answered.append(True)

    # In a thread, because looking up a name has no time-out of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECTION_SECONDS)
    return None if answered else url.hostname


@dataclass(frozen=True)
class _Field:
    """How the numbers of an input or target lie in the stored records.

    Attributes:
        keys: in the record, one for each feature; several are joined along the last axis.
        parse: key -> how TensorFlow reads it.
        shape: of one decoded example.
        dtype: of one decoded example.
        decode: of one stored image; None for numbers.
    """

    keys: tuple[str, ...]
    parse: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str
    decode: Callable[[tf.Tensor], tf.Tensor] | None = None

    def read(self, parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """A batch (n, *shape) in dtype."""
        import tensorflow as tf

        if self.decode is not None:
            signature = tf.TensorSpec(self.shape, self.dtype)
            return tf.map_fn(self.decode, parsed[self.keys[0]], fn_output_signature=signature)
        columns = [tf.cast(parsed[key], self.dtype) for key in self.keys]
        if len(columns) > 1:
            return tf.stack(columns, axis=-1)
        return tf.reshape(columns[0], [-1, *self.shape])


class TfdsSource:
    """A `contracts.Source` over prepared TFDS data.

    Attributes:
        spec: what the set holds.
        sizes: examples in each split of the set.
        example_bytes: memory of one decoded example.
    """

    def __init__(self, folder: _Folder, path: epath.Path, image_size: Sequence[int] | None):
        import numpy as np
        import tensorflow_datasets as tfds
        from google.protobuf.json_format import ParseError

        self._name, self._path = folder.text, path
        try:
            self._builder = tfds.builder_from_directory(path)
        except (ParseError, ValueError, KeyError, OSError) as error:
            raise self._damaged(error) from error
        info = self._builder.info
        if info.file_format != tfds.core.FileFormat.TFRECORD:
            raise DataError(
                f"dataset: `{self._name}` in {path} is stored as {info.file_format.value}; prepare it "
                "as tfrecord"
            )
        input_key, target_key = self._pair(info)
        self._target, target_spec = self._read_target(info.features, target_key)
        self._input, input_spec = self._read_input(info.features, input_key, image_size)
        version = ":".join(filter(None, (info.config_name, str(info.version))))
        self.spec = DataSpec(
            name=self._name,
            origin=f"TFDS {version}",
            task="classification" if target_spec.dtype == "int32" else "regression",
            input=input_spec,
            target=target_spec,
        )
        self.sizes: Mapping[str, int] = {name: part.num_examples for name, part in info.splits.items()}
        self.example_bytes = sum(
            math.prod(field.shape) * np.dtype(field.dtype).itemsize for field in (self._input, self._target)
        )

    def arrays(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a piece.

        Raises:
            DataError: damaged or incomplete files, or examples without a label.
        """
        inputs, targets = self._load(piece, (self._input, self._target))
        return inputs, self._labelled(targets)

    def targets(self, piece: Piece) -> np.ndarray:
        """Targets of a piece.

        Raises:
            DataError: damaged or incomplete files, or examples without a label.
        """
        return self._labelled(*self._load(piece, (self._target,)))

    def examples(self, piece: Piece) -> tf.data.Dataset:
        """Single (input, target) of a piece, in order."""
        import tensorflow as tf

        batches = self._batches(piece, (self._input, self._target))
        return batches.unbatch().apply(tf.data.experimental.assert_cardinality(piece.size))

    def _batches(self, piece: Piece, fields: Sequence[_Field]) -> tf.data.Dataset:
        import tensorflow as tf
        import tensorflow_datasets as tfds

        instruction = tfds.core.ReadInstruction(piece.base, from_=piece.start, to=piece.stop, unit="abs")
        files = self._builder.info.splits[instruction].file_instructions
        parse = {key: spec for field in fields for key, spec in field.parse.items()}

        def read(records: tf.Tensor) -> tuple[tf.Tensor, ...]:
            parsed = tf.io.parse_example(records, parse)
            return tuple(field.read(parsed) for field in fields)

        # File after file: TFDS's own reading interleaves them, and then the first n examples of a split
        # would depend on n.
        names = tf.constant([file.filename for file in files], tf.string)
        ranges = tf.constant([(file.skip, file.take) for file in files], tf.int64, (len(files), 2))

        def read_file(name: tf.Tensor, skip: tf.Tensor, take: tf.Tensor) -> tf.data.Dataset:
            return tf.data.TFRecordDataset(name, buffer_size=8 * 2**20).skip(skip).take(take)

        # AutoGraph looks for control flow to rewrite, for half a second; there is none.
        as_written = tf.autograph.experimental.do_not_convert
        pieces = tf.data.Dataset.from_tensor_slices((names, ranges[:, 0], ranges[:, 1]))
        size = max(1, min(512, BATCH_BYTES // self.example_bytes))
        records = pieces.flat_map(as_written(read_file)).batch(size)
        return records.map(as_written(read), num_parallel_calls=cpu_cores()).prefetch(2)

    def _load(self, piece: Piece, fields: Sequence[_Field]) -> list[np.ndarray]:
        import numpy as np
        import tensorflow as tf

        loaded = [np.empty((piece.size, *field.shape), field.dtype) for field in fields]
        done = 0
        batches = self._batches(piece, fields)
        try:
            for batch in batches:
                stop = done + len(batch[0])
                for array, part in zip(loaded, batch, strict=True):
                    array[done:stop] = part
                done = stop
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            raise self._damaged(error.message) from error
        if done < piece.size:
            raise self._damaged(f"the split `{piece.base}` ends after {done:,} of {piece.size:,} examples")
        return loaded

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

    def _pair(self, info: Any) -> tuple[str, str]:
        """Keys of the input and the target."""
        import tensorflow_datasets as tfds

        pair = info.supervised_keys
        if pair is None:
            # Own data is often written without supervised keys; one image and one label leave no doubt.
            kinds = (tfds.features.Image, tfds.features.ClassLabel)
            found = [
                [key for key, feature in info.features.items() if isinstance(feature, kind)] for kind in kinds
            ]
            if all(len(keys) == 1 for keys in found):
                pair = (found[0][0], found[1][0])
        if pair is None or len(pair) != 2 or not all(isinstance(key, str) for key in pair):
            raise self._unusable(info.features, "it has no pair of input and label")
        return str(pair[0]), str(pair[1])

    def _unusable(self, features: Any, why: str) -> DataError:
        holds = ", ".join(f"{key} ({_kind(feature)})" for key, feature in features.items())
        return DataError(
            f"dataset: `{self._name}` cannot be used for training: {why}. It holds {holds}. Needed is an "
            "image or numbers as input, and a class label or numbers as target; choose another data set"
        )

    def _read_target(self, features: Any, key: str) -> tuple[_Field, TargetSpec]:
        import tensorflow_datasets as tfds

        feature = features[key]
        if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes:
            names = tuple(feature.names)
            return _Field((key,), _parse(features, key), (), "int32"), TargetSpec((), "int32", names)
        if not _is_numbers(feature) or len(feature.shape) > 1:
            raise self._unusable(features, f"its target `{key}` is {_kind(feature)}")
        count = math.prod(feature.shape)
        names = (key,) if count == 1 else tuple(f"{key}_{i}" for i in range(count))
        return _Field((key,), _parse(features, key), (count,), "float32"), TargetSpec(
            (count,), "float32", names
        )

    def _read_input(
        self, features: Any, key: str, image_size: Sequence[int] | None
    ) -> tuple[_Field, InputSpec]:
        import tensorflow_datasets as tfds

        feature = features[key]
        if isinstance(feature, tfds.features.Image):
            return self._read_image(features, key, image_size)
        if image_size is not None:
            raise DataError(f"dataset.image_size: the inputs of `{self._name}` are not images; leave it out")
        if isinstance(feature, tfds.features.FeaturesDict) and all(
            _is_numbers(part) and not part.shape for part in feature.values()
        ):
            names = tuple(sorted(feature))
            keys = tuple(f"{key}/{name}" for name in names)
            parse = {k: spec for k in keys for k, spec in _parse(features, k).items()}
            return (
                _Field(keys, parse, (len(names),), "float32"),
                InputSpec((len(names),), "float32", "tabular", names),
            )
        if not _is_numbers(feature):
            raise self._unusable(features, f"its input `{key}` is {_kind(feature)}")
        shape = tuple(feature.shape) or (1,)
        if len(shape) == 3 and feature.np_dtype == "uint8":
            return _Field((key,), _parse(features, key), shape, "uint8"), InputSpec(shape, "uint8", "image")
        names = tuple(f"{key}_{i}" for i in range(shape[0])) if len(shape) == 1 else ()
        return (
            _Field((key,), _parse(features, key), shape, "float32"),
            InputSpec(shape, "float32", "tabular", names),
        )

    def _read_image(
        self, features: Any, key: str, image_size: Sequence[int] | None
    ) -> tuple[_Field, InputSpec]:
        import tensorflow as tf

        feature = features[key]
        height, width, channels = feature.shape
        if feature.np_dtype != "uint8" or channels is None:
            raise self._unusable(
                features, f"its input `{key}` is {_kind(feature)}, not an image of 8 bits a channel"
            )
        if image_size is None and None in (height, width):
            raise DataError(
                f"dataset.image_size: the images of `{self._name}` vary in size; give the [height, width] "
                "that all are resized to, such as [224, 224]"
            )
        shape = (*(image_size or (height, width)), channels)

        def decode(stored: tf.Tensor) -> tf.Tensor:
            image = feature.decode_example(stored)
            if image_size is not None:
                resized = tf.image.resize(image, image_size, antialias=True)
                image = tf.saturate_cast(tf.round(resized), tf.uint8)
            return tf.ensure_shape(image, shape)

        return _Field((key,), _parse(features, key), shape, "uint8", decode), InputSpec(
            shape, "uint8", "image"
        )


def _is_numbers(feature: Any) -> bool:
    """Whether TFDS stores the feature as plain numbers of a fixed shape."""
    import numpy as np
    import tensorflow_datasets as tfds

    if not isinstance(feature, tfds.features.Tensor) or isinstance(feature, tfds.features.ClassLabel):
        return False
    stored = feature.get_serialized_info()
    return None not in stored.shape and np.dtype(stored.np_dtype).kind in "iufb"


def _kind(feature: Any) -> str:
    import numpy as np

    if isinstance(feature.shape, tuple):
        return f"{type(feature).__name__} {np.dtype(feature.np_dtype).name} {feature.shape}"
    return type(feature).__name__


def _parse(features: Any, key: str) -> dict[str, Any]:
    """How `tf.io.parse_example` reads one key."""
    return {key: features.tf_example_spec[key]}
