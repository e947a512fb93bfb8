"""The layout of a prepared data set: its files, and how an example is stored.

    FOLDER/prepared.json                      what it holds; written last
    FOLDER/train-00000-of-00012.tfrecord      one tf.train.Example for each example

An example has `target`, and either `input` or, of a table, `input/COLUMN` for every column. `input` is a PNG
for images of more than `RAW_BYTES`, else the bytes of the array in little-endian order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from bigmodel_cli.columns import RAW_DTYPES
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import DataError

FORMAT = 1
"""Version of the layout; a reader refuses others."""

INDEX = "prepared.json"

RAW_BYTES = 16 * 2**10
"""Images of up to as many bytes are not compressed: decoding PNGs takes nearly all of the time of reading
them (28 x 28 pixels: 77,000 images/s as they are, 20,000 as PNG, on 2 cores)."""

REMEDY = "write the data set again"


@dataclass(frozen=True)
class Shard:
    """One file.

    Attributes:
        file: its name.
        examples: how many it holds.
        bytes: its size.
        sha256: of its records: of each the length as 8 bytes, little-endian, then the record.
    """

    file: str
    examples: int
    bytes: int
    sha256: str


Storage = Literal["png", "raw", "float", "int", "bytes"]


def input_storage(spec: DataSpec) -> Storage:
    """How the input of one example is best stored, unless it is a row of a table."""
    image = spec.input.kind == "image" and spec.input.dtype == "uint8" and spec.input.shape[-1] <= 4
    return _image_storage(spec.input.shape) if image else "raw"


def _image_storage(shape: Sequence[int]) -> Storage:
    return "png" if math.prod(shape) > RAW_BYTES else "raw"


def stored_features(spec: DataSpec, inputs: Storage) -> dict[str, tuple[Storage, tuple[int, ...], str]]:
    """Name of a feature -> how it is stored, shape of one example, numpy dtype; the target first."""
    target = spec.target
    # A mask has thousands of small numbers, which as protocol buffers take several times their memory.
    ways: dict[str, Storage] = {"int32": "int", "uint8": "raw"}
    features: dict[str, tuple[Storage, tuple[int, ...], str]] = {
        "target": (ways.get(target.dtype, "float"), target.shape, target.dtype)
    }
    if spec.input.kind != "table":
        return features | {"input": (inputs, spec.input.shape, spec.input.dtype)}
    kinds: dict[str, Storage] = {"float32": "float", "int64": "int", "string": "bytes"}
    for column in spec.input.columns:
        dtype = RAW_DTYPES[column.kind]
        way = _image_storage(column.shape) if column.kind == "image" else kinds[dtype]
        features[f"input/{column.key}"] = (way, column.shape, dtype)
    return features


def read_index(folder: str) -> dict[str, Any]:
    """The checked content of `prepared.json`.

    Raises:
        DataError: it is not there, not what `write` writes, or of another version.
    """
    import tensorflow as tf

    name = join(folder, INDEX)
    try:
        with tf.io.gfile.GFile(name, "r") as file:
            document = json.loads(file.read())
        version = document["format"]
        if version != FORMAT:
            raise DataError(
                f"{name}: has the format {version}, this version of bigmodel reads {FORMAT}; {REMEDY}, or "
                "use the version of bigmodel that wrote it"
            )
        DataSpec.from_json(document["spec"])
        for split in document["splits"].values():
            shards = [Shard(**shard) for shard in split["shards"]]
            if sum(shard.examples for shard in shards) != split["examples"]:
                raise ValueError("its counts of examples contradict each other")
        if document["inputs"] not in ("png", "raw") or not isinstance(document["example_bytes"], int):
            raise ValueError("its values are of another kind")
    except tf.errors.NotFoundError:
        what = "holds no prepared data set" if tf.io.gfile.isdir(folder) else "there is no such folder"
        raise DataError(
            f"dataset.path: {folder}: {what} (no {INDEX}); write one with `bigmodel data CONFIG --prepare "
            "FOLDER`"
        ) from None
    except tf.errors.OpError as error:
        raise DataError(f"dataset.path: {name}: cannot be read: {first_line(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise DataError(
            f"dataset.path: {name}: is damaged ({type(error).__name__}: {error}); {REMEDY}"
        ) from None
    return cast(dict[str, Any], document)


def join(folder: str, name: str) -> str:
    """Path of a file in a folder, local or gs://."""
    return f"{folder.rstrip('/')}/{name}"


def first_line(error: Any) -> str:
    """What TensorFlow says, without its details."""
    return (str(getattr(error, "message", "") or error).strip().splitlines() or [type(error).__name__])[0]
