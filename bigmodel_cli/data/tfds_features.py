"""Which features of a TFDS set are input and target, and how they lie in the stored records."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import Column, ColumnKind
from bigmodel_cli.contracts import IGNORED, InputSpec, TargetSpec, Task
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

STRING_BYTES = 64
"""What a string takes beside its bytes: a Python object and a pointer to it."""


@dataclass(frozen=True)
class Reader:
    """How a part of an example is read from stored records.

    Attributes:
        parse: key in the record -> how `tf.io.parse_example` reads it.
        read: parsed records -> batch (n, ...); for a table a dict of them.
        example_bytes: memory of one; of a string without its characters.
        strings: whether it reads any.
    """

    parse: Mapping[str, Any]
    read: Callable[[Mapping[str, tf.Tensor]], Any]
    example_bytes: int
    strings: bool = False


@dataclass(frozen=True)
class Pair:
    """What is input and what is target.

    Attributes:
        inputs: feature -> name of its column; nested features are `outer/inner`.
        targets: features.
        notes: what was decided, for the user's eyes.
    """

    inputs: Mapping[str, str]
    targets: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


class Features:
    """The features of one TFDS set.

    Args:
        name: of the set, for messages.
        features: its `tfds.features.FeaturesDict`.
    """

    def __init__(self, name: str, features: Any):
        self._name = name
        # Prepared data keeps them in no order; another one each time would be another dataset.
        self._leaves = dict(sorted(_leaves(features)))
        self._specs = features.tf_example_spec

    def pair(
        self,
        supervised: Any,
        inputs: str | Sequence[str] | None,
        target: str | Sequence[str] | None,
    ) -> Pair:
        """What is input and what is target: as asked for, else as the set says, else if there is no doubt.

        Args:
            supervised: the set's `supervised_keys`: None, or (input, target) or (input, target, weight).
            inputs: what the user asks for.
            target: what the user asks for.

        Raises:
            DataError: a feature that does not exist or is asked for twice, or nothing says which to take.
        """
        notes = []
        said: tuple[Any, Any] = (None, None)
        if isinstance(supervised, Sequence) and len(supervised) in (2, 3):
            said = (supervised[0], supervised[1])
            if len(supervised) == 3:
                notes.append(f"the weights that `{self._name}` keeps in `{supervised[2]}` are not used")
        targets = self._expanded(target if target is not None else said[1], "target")
        chosen = self._expanded(inputs if inputs is not None else said[0], "inputs")
        if not targets and (only := self._only(("ClassLabel",), without=chosen)):
            targets = {only: only}
            notes.append(f"the target is `{only}`, the only class label")
        lists = [key for key in self._leaves if self._is_label_list(key) and key not in chosen]
        if not targets and len(lists) == 1:
            targets = {lists[0]: lists[0]}
            notes.append(f"the target is `{lists[0]}`, the only list of class labels")
        if not targets:
            raise self.unusable("nothing says which feature is the target; name it in dataset.target")
        if not chosen and (only := self._only(("Image",), targets) or self._only(("Text",), targets)):
            chosen = {only: only}
            notes.append(f"the input is `{only}`, the only {self._kind(only)}")
        if not chosen:
            raise self.unusable("nothing says which features are the input; name them in dataset.inputs")
        both = sorted(set(chosen) & set(targets))
        if both and inputs is not None:
            raise DataError(f"dataset.inputs: `{both[0]}` of `{self._name}` is the target; leave it out")
        # A target that the user chose may be an input by the set's own description.
        if both and target is not None:
            chosen = {key: column for key, column in chosen.items() if key not in both}
        if not chosen:
            raise self.unusable(f"its only input `{both[0]}` is the target; name another in dataset.inputs")
        return Pair(chosen, tuple(targets), tuple(notes))

    def target(
        self,
        keys: Sequence[str],
        image_size: Sequence[int] | None = None,
        mask_classes: Mapping[str, int] | None = None,
    ) -> tuple[Reader, TargetSpec, Task]:
        """How the target is read, and what it is for: one class label or boolean; a list of class labels, or
        several booleans, each a label; an image, which is a mask; or numbers.

        Args:
            keys: features.
            image_size: height and width that masks are resized to.
            mask_classes: name of each class of a mask -> its value; None where the set says them itself.

        Raises:
            DataError: features that cannot be a target.
        """
        import numpy as np
        import tensorflow as tf

        if len(keys) == 1 and self._kind(keys[0]) in ("Image", "LabeledImage"):
            return self._mask(keys[0], image_size, mask_classes)
        if mask_classes is not None:
            raise DataError(
                f"dataset.mask_classes: the target of `{self._name}` is no mask: it is "
                f"{', '.join(self._describe(key) for key in keys)}; leave it out"
            )
        for key in keys:
            label, boolean = self._is_label(key), self._is_scalar(key, "b")
            if len(keys) == 1 and (label or boolean):
                names = tuple(self._leaves[key].names) if label else ("false", "true")
                reader = self._reader([key], lambda parsed: tf.cast(parsed[keys[0]], tf.int32), 4)
                return reader, TargetSpec((), "int32", names), "classification"
            if len(keys) == 1 and self._is_label_list(key):
                return self._label_list(key)
            if not self._is_numbers(key) or len(self._leaves[key].shape) > 1:
                alone = "; a class label must be the only target" if label else ""
                raise self.unusable(f"its target `{key}` is {self._describe(key)}{alone}")
        names = tuple(name for key in keys for name in self._numbered(key, key))
        flags = all(np.dtype(self._leaves[key].np_dtype).kind == "b" for key in keys)
        task: Task = "multi_label" if flags and len(names) > 1 else "regression"
        reader = self._reader(keys, self._vector(keys), 4 * len(names))
        return reader, TargetSpec((len(names),), "float32", names), task

    def inputs(self, keys: Mapping[str, str], image_size: Sequence[int] | None) -> tuple[Reader, InputSpec]:
        """How the input is read: one image, one text, numbers, or columns of several kinds.

        Args:
            keys: feature -> name of its column.
            image_size: height and width that images are resized to.

        Raises:
            DataError: features that cannot be an input, or not together.
        """
        first = next(iter(keys))
        if len(keys) == 1 and self._kind(first) == "Image":
            return self._image(first, image_size)
        if image_size is not None:
            raise DataError(f"dataset.image_size: the inputs of `{self._name}` are not images; leave it out")
        if len(keys) == 1 and self._is_numbers(first):
            return self._numbers(first)
        if all(self._is_numbers(key) and not self._is_scalar(key, "b") for key in keys):
            if (deep := next((key for key in keys if len(self._leaves[key].shape) > 1), None)) is not None:
                raise self.unusable(
                    f"its input `{deep}` is {self._describe(deep)}, which cannot stand beside others"
                )
            names = tuple(name for key, column in keys.items() for name in self._numbered(key, column))
            reader = self._reader(list(keys), self._vector(list(keys)), 4 * len(names))
            return reader, InputSpec((len(names),), "float32", "tabular", names)
        return self._table(keys)

    def scalars(self) -> tuple[str, ...]:
        """Features with one value for each example."""
        return tuple(key for key in self._leaves if self._cell(key) is not None)

    def values(self, key: str) -> Reader:
        """How one of `scalars` is read: numbers as stored, the name of a class, or a string."""
        if self._is_label(key):
            return self._reader([key], self._class_names(key), 8, strings=True)
        return self._reader([key], lambda parsed: parsed[key], 8, strings=self._is_string(key))

    def unusable(self, why: str) -> DataError:
        """An error that lists the features there are."""
        return DataError(
            f"dataset: `{self._name}` cannot be used for training: {why}. It holds {self._holds()}. "
            "Needed is an image, a text or numbers as input, or several numbers, strings and class labels; "
            "and a class label, a list of them, a mask, or numbers as target (dataset.inputs, dataset.target)"
        )

    def _expanded(self, asked: Any, parameter: str) -> dict[str, str]:
        """Feature -> column name, from a name, several, or the dict and tuples of supervised keys."""
        names = _flat(asked)
        found: dict[str, str] = {}
        for name in names:
            inside = {key: key for key in self._leaves if key == name or key.startswith(f"{name}/")}
            if not inside:
                near = difflib.get_close_matches(name, self._leaves, n=2)
                meant = f"; did you mean {' or '.join(f'`{key}`' for key in near)}?" if near else "."
                raise DataError(
                    f"dataset.{parameter}: `{self._name}` has no feature `{name}`{meant} It holds "
                    f"{self._holds()}"
                )
            if set(inside) & set(found):
                raise DataError(f"dataset.{parameter}: `{name}` is named twice; leave one out")
            if len(names) == 1 and name not in inside:
                # All come from one feature, whose name says nothing more.
                inside = {key: key.removeprefix(f"{name}/") for key in inside}
            found |= inside
        return found

    def _only(self, kinds: Sequence[str], without: Mapping[str, str]) -> str | None:
        found = [key for key in self._leaves if self._kind(key) in kinds and key not in without]
        return found[0] if len(found) == 1 else None

    def _kind(self, key: str) -> str:
        return type(self._leaves[key]).__name__

    def _describe(self, key: str) -> str:
        import numpy as np

        feature = self._leaves[key]
        if not isinstance(feature.shape, tuple):
            return self._kind(key)
        dtype = np.dtype(feature.np_dtype)
        return f"{self._kind(key)} {'string' if dtype.kind == 'O' else dtype.name} {feature.shape}"

    def _holds(self) -> str:
        return ", ".join(f"{key} ({self._describe(key)})" for key in self._leaves)

    def _is_label(self, key: str) -> bool:
        import tensorflow_datasets as tfds

        feature = self._leaves[key]
        return isinstance(feature, tfds.features.ClassLabel) and bool(feature.num_classes)

    def _is_label_list(self, key: str) -> bool:
        """Whether an example may have any number of a feature's class labels."""
        import tensorflow_datasets as tfds

        feature = self._leaves[key]
        inner = feature.feature if isinstance(feature, tfds.features.Sequence) else None
        return isinstance(inner, tfds.features.ClassLabel) and bool(inner.num_classes)

    def _label_list(self, key: str) -> tuple[Reader, TargetSpec, Task]:
        """A list of class labels as a column of 0 and 1 for each."""
        import tensorflow as tf

        names = tuple(self._leaves[key].feature.names)

        def read(parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
            # Shorter lists are filled up with -1, whose one-hot row is all zeros; a label may be there twice.
            return tf.minimum(tf.reduce_sum(tf.one_hot(parsed[key], len(names)), axis=1), 1)

        # TFDS's own description fills up with 0, which is a label.
        stored = tf.io.FixedLenSequenceFeature((), tf.int64, allow_missing=True, default_value=-1)
        reader = Reader({key: stored}, read, 4 * len(names))
        return reader, TargetSpec((len(names),), "float32", names), "multi_label"

    def _mask(
        self, key: str, image_size: Sequence[int] | None, classes: Mapping[str, int] | None
    ) -> tuple[Reader, TargetSpec, Task]:
        """An image whose values are classes."""
        import tensorflow as tf

        feature = self._leaves[key]
        if feature.shape[-1] != 1:
            raise self.unusable(f"its target `{key}` is {self._describe(key)}, not a mask of one channel")
        names = getattr(feature, "names", None)
        known = dict(classes or {name: index for index, name in enumerate(names or ())})
        if len(known) < 2 or len(set(known.values())) < len(known):
            raise DataError(
                f"dataset.mask_classes: the target `{key}` of `{self._name}` is an image, whose values stand "
                "for classes: say which, each once, such as {background: 0, object: 1}; other values are "
                "an error, 255 is ignored"
            )
        height, width, _ = feature.shape
        if image_size is None and None in (height, width):
            raise DataError(
                f"dataset.image_size: the masks of `{self._name}` vary in size; give the [height, width] "
                "that all are resized to, such as [128, 128]"
            )
        shape = tuple(image_size or (height, width))

        def decode(stored: tf.Tensor) -> tf.Tensor:
            mask = feature.decode_example(stored)
            if image_size is not None:
                mask = tf.image.resize(mask, image_size, method="nearest")
            values = tf.ensure_shape(mask[..., 0], shape)
            # In 32 bits, as values may have 16.
            return tf.cast(values, tf.int32)

        def read(parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
            signature = tf.TensorSpec(shape, tf.int32)
            values = tf.map_fn(decode, parsed[key], fn_output_signature=signature)
            classes = tf.numpy_function(
                classes_of_values(known, self._name, key), [values], tf.uint8, stateful=False
            )
            return tf.ensure_shape(classes, (None, *shape))

        target = TargetSpec(shape, "uint8", tuple(map(str, known)))
        return self._reader([key], read, math.prod(shape)), target, "segmentation"

    def _is_numbers(self, key: str) -> bool:
        """Whether TFDS stores the feature as plain numbers of a fixed shape."""
        import numpy as np
        import tensorflow_datasets as tfds

        feature = self._leaves[key]
        if not isinstance(feature, tfds.features.Tensor) or isinstance(feature, tfds.features.ClassLabel):
            return False
        stored = feature.get_serialized_info()
        return None not in stored.shape and np.dtype(stored.np_dtype).kind in "iufb"

    def _is_scalar(self, key: str, kinds: str) -> bool:
        import numpy as np

        return (
            self._is_numbers(key)
            and not self._leaves[key].shape
            and np.dtype(self._leaves[key].np_dtype).kind in kinds
        )

    def _is_string(self, key: str) -> bool:
        import numpy as np
        import tensorflow_datasets as tfds

        feature = self._leaves[key]
        return (
            isinstance(feature, tfds.features.Tensor)
            and feature.shape == ()
            and np.dtype(feature.np_dtype).kind == "O"
        )

    def _cell(self, key: str) -> ColumnKind | None:
        """What column of a table the feature makes; None when it cannot be one."""
        if self._is_string(key):
            return "text" if self._kind(key) == "Text" else "categorical"
        if self._is_label(key):
            return "categorical"
        if self._is_scalar(key, "b"):
            return "boolean"
        return "numeric" if self._is_scalar(key, "iuf") else None

    def _reader(self, keys: Sequence[str], read: Any, example_bytes: int, strings: bool = False) -> Reader:
        return Reader({key: self._specs[key] for key in keys}, read, example_bytes, strings)

    def _numbered(self, key: str, column: str) -> list[str]:
        """Names of a feature's numbers."""
        count = math.prod(self._leaves[key].shape)
        return [column] if count == 1 else [f"{column}_{i}" for i in range(count)]

    def _vector(self, keys: Sequence[str]) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
        """Numbers of several features side by side: (n, numbers) float32."""
        import tensorflow as tf

        counts = [math.prod(self._leaves[key].shape) for key in keys]

        def read(parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
            parts = [
                tf.reshape(tf.cast(parsed[key], tf.float32), [-1, count])
                for key, count in zip(keys, counts, strict=True)
            ]
            return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)

        return read

    def _class_names(self, key: str) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
        """A class label as its name; the empty string where there is none."""
        import tensorflow as tf

        names = list(self._leaves[key].names)

        def read(parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
            return tf.gather(tf.constant(["", *names]), tf.maximum(parsed[key] + 1, 0))

        return read

    def _numbers(self, key: str) -> tuple[Reader, InputSpec]:
        """One tensor of numbers."""
        import tensorflow as tf

        feature = self._leaves[key]
        shape = tuple(feature.shape) or (1,)
        image = len(shape) == 3 and feature.np_dtype == "uint8"
        dtype = "uint8" if image else "float32"

        def read(parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
            return tf.reshape(tf.cast(parsed[key], dtype), [-1, *shape])

        names = tuple(f"{key}_{i}" for i in range(shape[0])) if feature.shape and len(shape) == 1 else ()
        spec = InputSpec(shape, dtype, "image" if image else "tabular", names if feature.shape else (key,))
        return self._reader([key], read, math.prod(shape) * (1 if image else 4)), spec

    def _table(self, keys: Mapping[str, str]) -> tuple[Reader, InputSpec]:
        import tensorflow as tf

        columns, reads, size = [], {}, 0

        def number(key: str) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
            return lambda parsed: tf.cast(parsed[key], tf.float32)

        def string(key: str) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
            return lambda parsed: parsed[key]

        for key, name in keys.items():
            kind = self._cell(key)
            if kind is None:
                together = "" if len(keys) == 1 else ", which cannot stand beside others"
                raise self.unusable(f"its input `{key}` is {self._describe(key)}{together}")
            # A string that is the whole input is more than the name of a category.
            if len(keys) == 1 and self._is_string(key):
                kind = "text"
            columns.append(Column(name, kind))
            if self._is_label(key):
                reads[name] = self._class_names(key)
            else:
                reads[name] = string(key) if self._is_string(key) else number(key)
            size += STRING_BYTES if kind in ("text", "categorical") else 4

        def read(parsed: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return {name: one(parsed) for name, one in reads.items()}

        strings = any(map(self._is_string, keys))
        spec = InputSpec((len(columns),), "", "table", columns=tuple(columns))
        return self._reader(list(keys), read, size, strings), spec

    def _image(self, key: str, image_size: Sequence[int] | None) -> tuple[Reader, InputSpec]:
        import tensorflow as tf

        feature = self._leaves[key]
        height, width, channels = feature.shape
        if feature.np_dtype != "uint8" or channels is None:
            raise self.unusable(
                f"its input `{key}` is {self._describe(key)}, not an image of 8 bits a channel"
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

        def read(parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
            signature = tf.TensorSpec(shape, tf.uint8)
            return tf.map_fn(decode, parsed[key], fn_output_signature=signature)

        return self._reader([key], read, math.prod(shape)), InputSpec(shape, "uint8", "image")


def classes_of_values(known: Mapping[str, int], name: str, key: str) -> Callable[[np.ndarray], np.ndarray]:
    """Values of masks -> indices of classes, uint8; the value 255 is `IGNORED`, unless it is a class.

    Args:
        known: name -> value of the classes.
        name: of the set, for messages.
        key: the feature, for messages.
    """
    import numpy as np

    order = sorted(known.values())
    values = np.array([*order, IGNORED] if IGNORED not in order else order)
    indices = [list(known.values()).index(value) for value in order]
    indices += [IGNORED] * (len(values) - len(order))
    by_value = np.argsort(values)
    values, classes = values[by_value], np.array(indices, np.uint8)[by_value]

    def classes_of(masks: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(values, masks), len(values) - 1)
        wrong = values[places] != masks
        if wrong.any():
            raise DataError(
                f"dataset.mask_classes: a mask of `{name}` has the value {masks[wrong][0]}, which "
                f"is none of {', '.join(f'{what}: {value}' for what, value in known.items())}; add it to "
                f"`mask_classes` (`{key}`)"
            )
        return classes[places]

    return classes_of


def _leaves(features: Any, outer: str = "") -> list[tuple[str, Any]]:
    """Features by their path, those inside of others after an `outer/`."""
    import tensorflow_datasets as tfds

    found: list[tuple[str, Any]] = []
    for key, feature in features.items():
        # Subclasses, such as those of translations, store otherwise.
        nested = type(feature) is tfds.features.FeaturesDict
        found += _leaves(feature, f"{outer}{key}/") if nested else [(f"{outer}{key}", feature)]
    return found


def _flat(asked: Any) -> list[str]:
    """Names out of a name, a list, or the dicts and tuples of supervised keys."""
    if asked is None:
        return []
    if isinstance(asked, Mapping):
        return [name for key in sorted(asked) for name in _flat(asked[key])]
    if isinstance(asked, str):
        return [asked]
    return [name for part in asked for name in _flat(part)]
