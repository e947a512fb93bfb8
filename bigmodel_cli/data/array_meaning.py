"""What arrays hold that nobody described: images or numbers, classes or values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec, Task
from bigmodel_cli.data.label_flags import label_flags
from bigmodel_cli.data.mask_arrays import mask_arrays
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np

AskedTask = Literal["auto", "classification", "multi_label", "regression"]
ArrayTask = Literal["auto", "classification", "multi_label", "segmentation", "regression"]
AskedKind = Literal["auto", "image", "tabular"]

MOST_CLASSES = 1000
"""Whole numbers of more distinct values are taken for a regression, unless the config says otherwise."""

SEARCHED_BYTES = 2 * 2**30
"""Inputs up to this size are searched for NaN and infinity before anything is trained on them."""

BLOCK = 65_536
"""Rows that are searched at once."""


@dataclass(frozen=True)
class Meaning:
    """What arrays hold.

    Attributes:
        spec: of the dataset.
        bases: base split -> inputs (n, *spec.input.shape) in the dtype that they are stored in, and targets
            in the dtype of the spec.
        notes: what was inferred, a line each.
    """

    spec: DataSpec
    bases: Mapping[str, tuple[np.ndarray, np.ndarray]]
    notes: tuple[str, ...]


def interpret(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    name: str,
    origin: str,
    places: Mapping[str, str],
    task: ArrayTask = "auto",
    kind: AskedKind = "auto",
    class_names: Sequence[str] | None = None,
) -> Meaning:
    """Find out what arrays hold, and check that it can be learned from.

    Args:
        pairs: base split -> inputs (n, ...) and targets (n,), (n, 1), (n, targets), one-hot (n, classes), or
            masks (n, height, width) where `task` says so.
        name: of the dataset.
        origin: where it comes from, for the user's eyes.
        places: base split -> where its arrays come from, for messages.
        task: what to learn; `auto` by the targets.
        kind: what the inputs are; `auto` by dtype and shape.
        class_names: of the classes, in the order of their numbers, None for the sorted values; or of the
            labels, in the order of the columns.

    Raises:
        DataError: arrays that contradict each other, or that cannot be used.
    """
    for base, (inputs, targets) in pairs.items():
        if inputs.ndim == 0 or targets.ndim == 0:
            raise DataError(f"dataset: {places[base]}: a single value is no array of examples")
        if len(inputs) != len(targets):
            raise DataError(
                f"dataset: {places[base]}: {len(inputs):,} inputs and {len(targets):,} targets; there must "
                "be a "
                "target for each input"
            )
        if not len(inputs):
            raise DataError(f"dataset: {places[base]}: there are no examples; leave out `{base}` or fill it")
    images = {base: _is_image(pair[0], places[base], kind) for base, pair in pairs.items()}
    all_inputs = {base: _with_axes(pair[0], images[base]) for base, pair in pairs.items()}
    input_spec = _input_spec(all_inputs, images, places)
    notes = [note for base in pairs for note in _search(all_inputs[base], places[base])]
    if kind == "auto" and len(input_spec.shape) > 1 and input_spec.kind == "tabular":
        dtype = next(iter(all_inputs.values())).dtype
        notes.append(
            f"inputs {dtype} {input_spec.shape} are taken as numbers; images are uint8, (height, width) or "
            "(height, width, channels)"
        )
    all_targets = {base: pair[1] for base, pair in pairs.items()}
    if task == "segmentation":
        masks, target = mask_arrays(all_targets, input_spec.shape, class_names, places)
        learned = Learned("segmentation", target, masks, ())
    else:
        learned = learn(all_targets, places=places, task=task, class_names=class_names)
    notes += learned.notes
    spec = DataSpec(name, origin, learned.task, input_spec, learned.spec)
    return Meaning(spec, {base: (all_inputs[base], learned.targets[base]) for base in pairs}, tuple(notes))


@dataclass(frozen=True)
class Learned:
    """What targets are.

    Attributes:
        task: what to learn.
        spec: theirs.
        targets: of each base split, (n, *spec.shape) in its dtype.
        notes: what was inferred, a line each.
    """

    task: Task
    spec: TargetSpec
    targets: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def learn(
    targets: Mapping[str, np.ndarray],
    *,
    places: Mapping[str, str],
    task: AskedTask = "auto",
    class_names: Sequence[str] | None = None,
) -> Learned:
    """Find out what targets are, and check that they can be learned.

    Args:
        targets: of each base split, (n,), (n, 1), (n, targets) or one-hot (n, classes).
        places: base split -> where they come from, for messages.
        task: what to learn; `auto` by the targets.
        class_names: of the classes, in the order of their numbers, None for the sorted values; or of the
            labels, in the order of the columns.

    Raises:
        DataError: targets that contradict each other, or that cannot be used.
    """
    flat = {base: _flat_targets(array, places[base]) for base, array in targets.items()}
    decided, note = _task(flat, task, places)
    if decided == "classification":
        found, spec = _classes(flat, class_names, places)
    elif decided == "multi_label":
        found, spec = label_flags(flat, class_names, places)
    else:
        if class_names is not None:
            raise DataError("dataset.class_names: a regression has no classes; leave them out")
        found, spec = _values(flat, places)
    return Learned(decided, spec, found, (note,) if note else ())


def _is_image(array: np.ndarray, place: str, kind: AskedKind) -> bool:
    """Whether the inputs are images; else they are numbers.

    Raises:
        DataError: they are neither.
    """
    import numpy as np

    found = f"{array.dtype} {array.shape}"
    if array.dtype.kind not in "buif":
        raise DataError(
            f"dataset: {place}: the inputs are {found}, not numbers; turn them into numbers, or use a "
            "dataset "
            "for tables such as `csv` or `parquet`"
        )
    if array.ndim > 5:
        raise DataError(
            f"dataset: {place}: the inputs are {found}; at most (examples, time, height, width, channels) "
            "can be used"
        )
    if 0 in array.shape[1:]:
        raise DataError(f"dataset: {place}: the inputs are {found}: an example has no numbers")
    if kind == "image" and (array.dtype != np.uint8 or array.ndim not in (3, 4)):
        raise DataError(
            f"dataset.kind: {place}: the inputs are {found}; images must be uint8 from 0 to 255, of shape "
            "(examples, height, width) or (examples, height, width, channels)"
        )
    image = kind != "tabular" and array.dtype == np.uint8 and array.ndim in (3, 4)
    if image and array.ndim == 4 and array.shape[1] <= 4 < array.shape[3]:
        raise DataError(
            f"dataset: {place}: the images are {found}, channels first; put them last "
            "(numpy.moveaxis(x, 1, -1)), or set dataset.kind to tabular"
        )
    return image


def _with_axes(array: np.ndarray, image: bool) -> np.ndarray:
    """The inputs with all their axes: images (n, h, w, c), numbers (n, ...) of at least one."""
    return array[..., None] if array.ndim == 1 or (image and array.ndim == 3) else array


def _input_spec(
    inputs: Mapping[str, np.ndarray], images: Mapping[str, bool], places: Mapping[str, str]
) -> InputSpec:
    base, first = next(iter(inputs.items()))
    for other, array in inputs.items():
        if array.shape[1:] != first.shape[1:] or images[other] != images[base]:
            raise DataError(
                f"dataset: the inputs differ: {places[base]} has {first.dtype} {first.shape[1:]}, "
                f"{places[other]} {array.dtype} {array.shape[1:]}; they must agree"
            )
    shape = first.shape[1:]
    if images[base]:
        return InputSpec(shape, "uint8", "image")
    names = tuple(f"x{i}" for i in range(shape[0])) if len(shape) == 1 else ()
    return InputSpec(shape, "float32", "tabular", ("x",) if shape == (1,) else names)


def _search(inputs: np.ndarray, place: str) -> list[str]:
    """Look for NaN and infinity.

    Raises:
        DataError: there is one.
    """
    import numpy as np

    if inputs.dtype.kind != "f":
        return []
    if inputs.nbytes > SEARCHED_BYTES:
        return [f"{place}: {inputs.nbytes / 2**30:.1f} GiB of inputs were not searched for NaN"]
    for start in range(0, len(inputs), BLOCK):
        # What float32 cannot hold becomes infinite.
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(inputs[start : start + BLOCK].astype(np.float32))
        if bad.any():
            row, *position = (int(index[0]) for index in bad.nonzero())
            value = inputs[start + row][tuple(position)]
            raise DataError(
                f"dataset: {place}: the inputs have {value} at example {start + row}, position {position}; "
                "leave such examples out, or fill the values in"
            )
    return []


def _flat_targets(targets: np.ndarray, place: str) -> np.ndarray:
    """Targets (n,) where there is one for each example, else (n, targets)."""
    import numpy as np

    found = f"{targets.dtype} {targets.shape}"
    if targets.dtype.kind == "O" and all(isinstance(value, str) for value in targets.flat):
        targets = targets.astype(np.str_)
    if targets.dtype.kind not in "buifUS":
        raise DataError(f"dataset: {place}: the targets are {found}; class labels or numbers are needed")
    if targets.ndim > 2 or 0 in targets.shape[1:]:
        raise DataError(
            f"dataset: {place}: the targets are {found}; they must be (examples,) or (examples, targets), or "
            "masks of images with dataset.task: segmentation"
        )
    if targets.dtype.kind == "f" and not (finite := np.isfinite(targets)).all():
        row = int(np.argwhere(~finite)[0][0])
        raise DataError(
            f"dataset: {place}: the target of example {row} is {targets[row]}; leave out examples without a "
            "target"
        )
    return targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets


def _task(targets: Mapping[str, np.ndarray], asked: AskedTask, places: Mapping[str, str]) -> tuple[Task, str]:
    """What to learn, and why."""
    import numpy as np

    first = next(iter(targets.values()))
    base = next(iter(targets))
    for other, array in targets.items():
        if array.shape[1:] != first.shape[1:] or _family(array) != _family(first):
            raise DataError(
                f"dataset: the targets differ: {places[base]} has {first.dtype} {first.shape}, "
                f"{places[other]} "
                f"{array.dtype} {array.shape}; they must agree"
            )
    if asked != "auto":
        return asked, ""
    if first.ndim == 2 and first.dtype.kind in "buif":
        return _task_of_rows(targets.values())
    if first.dtype.kind in "USb":
        return "classification", ""
    if first.ndim == 2:
        return "regression", ""
    if first.dtype.kind == "f":
        return "regression", ""
    examples = sum(map(len, targets.values()))
    values = len(np.unique(np.concatenate(list(targets.values()))))
    other = "set dataset.task to change it"
    if values <= MOST_CLASSES and 2 * values <= examples:
        return "classification", f"{values} distinct whole numbers as targets are taken as classes; {other}"
    return "regression", f"{values:,} distinct whole numbers as targets are taken as values; {other}"


def _task_of_rows(targets: Collection[np.ndarray]) -> tuple[Task, str]:
    """What to learn of rows of numbers, and why."""
    if all(map(_is_one_hot, targets)):
        return "classification", "targets of one 1 a row among zeros are taken as one-hot classes"
    if all(array.dtype.kind == "b" for array in targets):
        return (
            "multi_label",
            "targets of several booleans a row are taken as labels; set dataset.task to change it",
        )
    if all(bool(((array == 0) | (array == 1)).all()) for array in targets):
        return (
            "regression",
            "targets of zeros and ones are taken as values; for labels: dataset.task: multi_label",
        )
    return "regression", ""


def _family(targets: np.ndarray) -> str:
    """What dtypes may stand for the same: numbers, or strings."""
    return "strings" if targets.dtype.kind in "US" else "numbers"


def _is_one_hot(targets: np.ndarray) -> bool:
    if targets.ndim != 2 or targets.shape[1] < 2 or targets.dtype.kind not in "buif":
        return False
    ones = targets == 1
    return bool((ones | (targets == 0)).all() and (ones.sum(1) == 1).all())


def _classes(
    targets: Mapping[str, np.ndarray], class_names: Sequence[str] | None, places: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], TargetSpec]:
    """Class indices (n,) int32."""
    import numpy as np

    first = next(iter(targets.values()))
    if first.ndim == 2:
        for base, array in targets.items():
            if not _is_one_hot(array):
                raise DataError(
                    f"dataset: {places[base]}: targets {array.dtype} {array.shape} are no classes; give one "
                    "label "
                    "an example, or one-hot rows of zeros and a single 1"
                )
        count = first.shape[1]
        if class_names is not None and len(class_names) != count:
            raise DataError(
                f"dataset.class_names: {len(class_names)} names for the {count} classes of the one-hot "
                "targets"
            )
        names = tuple(class_names or map(str, range(count)))
        found = {base: array.argmax(1).astype(np.int32) for base, array in targets.items()}
        return found, TargetSpec((), "int32", names)
    labels = {base: _labels(array, places[base]) for base, array in targets.items()}
    known = np.unique(np.concatenate(list(labels.values())))
    texts = [str(value) for value in known]
    if class_names is None:
        names = tuple(texts)
        index = np.arange(len(known))
    elif known.dtype.kind == "i" and known[0] >= 0 and known[-1] < len(class_names):
        names, index = tuple(class_names), known
    else:
        names = tuple(class_names)
        if unknown := [text for text in texts if text not in names]:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            place = next(
                place for base, place in places.items() if unknown[0] in map(str, np.unique(labels[base]))
            )
            raise DataError(
                f"dataset.class_names: {place} has the label{'s' if len(unknown) > 1 else ''} "
                f"{', '.join(f'`{text}`' for text in unknown[:5])}{more}, for which there is no class; the "
                "classes "
                f"are {', '.join(f'`{text}`' for text in names[:20])}"
            )
        index = np.array([names.index(text) for text in texts])
    if len(names) < 2:
        raise DataError(f"dataset: all targets are `{names[0]}`; a classification needs at least two classes")
    if (double := next((text for text in names if names.count(text) > 1), None)) is not None:
        raise DataError(f"dataset.class_names: `{double}` is there twice")
    found = {base: index[np.searchsorted(known, array)].astype(np.int32) for base, array in labels.items()}
    return found, TargetSpec((), "int32", names)


def _labels(targets: np.ndarray, place: str) -> np.ndarray:
    """Labels as whole numbers or strings."""
    import numpy as np

    if targets.dtype.kind == "b":
        return np.where(targets, "true", "false")
    if targets.dtype.kind == "S":
        return np.char.decode(targets, "utf-8", "replace")
    if targets.dtype.kind == "U":
        return targets
    if targets.dtype.kind == "f" and (fractions := targets != np.round(targets)).any():
        row = int(fractions.argmax())
        raise DataError(
            f"dataset.task: {place}: the target of example {row} is {targets[row]}, which is no class; use "
            "whole "
            "numbers or strings, or the task `regression`"
        )
    return targets.astype(np.int64)


def _values(
    targets: Mapping[str, np.ndarray], places: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], TargetSpec]:
    """Values (n, targets) float32."""
    import numpy as np

    found = {}
    for base, array in targets.items():
        if array.dtype.kind in "US":
            raise DataError(
                f"dataset.task: {places[base]}: the targets are strings, such as `{array.flat[0]}`, which a "
                "regression cannot learn; use `classification`, or numbers"
            )
        with np.errstate(over="ignore"):
            values = array.astype(np.float32).reshape(len(array), -1)
        if not (finite := np.isfinite(values).all(axis=1)).all():
            row = int(finite.argmin())
            raise DataError(
                f"dataset: {places[base]}: the target of example {row}, {array[row]}, is beyond what float32 "
                "can hold; scale the targets"
            )
        found[base] = values
    count = math.prod(next(iter(found.values())).shape[1:])
    names = ("y",) if count == 1 else tuple(f"y{i}" for i in range(count))
    return found, TargetSpec((count,), "float32", names)
