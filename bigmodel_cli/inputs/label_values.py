"""Single labels -> the targets that a run knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.tables.cells import number_texts, quoted
from bigmodel_cli.errors import DataError

Found = tuple[np.ndarray, list[str]]
"""Targets (n, *target.shape), zeros where they are not known, and why they are not, (n,)."""


@dataclass(frozen=True)
class LabelValues:
    """What labels are.

    Attributes:
        spec: of the data that the run was trained on.
        separator: between several labels in a cell.
    """

    spec: DataSpec
    separator: str

    def of_array(self, ids: Sequence[str], array: np.ndarray) -> Found:
        """Targets of the rows of an array: numbers or names of classes (n,), one-hot rows, or values.

        The array was let through by `check_array`.
        """
        if self.spec.task == "regression":
            return self.numbers(ids, array.reshape(len(array), -1).astype(np.float64))
        if self.spec.task == "multi_label":
            return self.flags(ids, array.astype(np.float64))
        if array.ndim == 2:
            one = ((array == 0) | (array == 1)).all(axis=1) & ((array == 1).sum(axis=1) == 1)
            errors = [
                "" if good else f"{name}: is no one-hot row" for name, good in zip(ids, one, strict=True)
            ]
            return np.where(one, array.argmax(axis=1), 0).astype(self.spec.target.dtype), errors
        return self.classes(ids, _texts(array), indices=True)

    def check_array(self, place: str, array: np.ndarray) -> np.ndarray:
        """Make sure that an array holds targets of the run's shape; without an axis of length 1.

        Raises:
            DataError: it does not.
        """
        spec = self.spec
        if array.ndim == 2 and array.shape[1] == 1 and spec.outputs > 1:
            array = array[:, 0]
        numbers = array.dtype.kind in "buif"
        wide = numbers and array.ndim == 2 and array.shape[1] == spec.outputs
        fits = {
            "classification": (array.ndim == 1 and array.dtype.kind in "buifUS") or wide,
            "multi_label": wide,
            "regression": wide or (numbers and array.ndim == 1 and spec.outputs == 1),
        }[spec.task]
        if not fits:
            wanted = {
                "classification": f"(n,) of classes, or (n, {spec.outputs}) one-hot",
                "multi_label": f"(n, {spec.outputs}) of 0 and 1",
                "regression": f"(n, {spec.outputs}) of numbers",
            }[spec.task]
            raise DataError(f"{place}: the targets are {array.dtype} {array.shape}; this run has {wanted}")
        return array

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.spec.target.names)}

    @cached_property
    def _numbers(self) -> dict[float, int]:
        """Classes that are numbers, and only if all are: 1.0 is the class 1."""
        names = self.spec.target.names
        numbers = [_number(name) for name in names]
        plain = [number for number in numbers if number is not None]
        if len(plain) < len(names) or tuple(number_texts(np.array(plain))) != names:
            return {}
        return {number: index for index, number in enumerate(plain)}

    def index(self, text: str, indices: bool) -> int | None:
        """Place of a class among those of the run; None where it is none of them.

        Args:
            text: its name.
            indices: whether a number may be the place itself.
        """
        if text in self._places:
            return self._places[text]
        number = _number(text)
        if number is None or self._numbers:
            return None if number is None else self._numbers.get(number)
        place = number if indices and number.is_integer() and 0 <= number < self.spec.outputs else None
        return None if place is None else int(place)

    def classes(self, ids: Sequence[str], texts: Sequence[str], indices: bool) -> Found:
        """Targets of names of classes; `indices` as in `index`."""
        places = {text: self.index(text.strip(), indices) for text in dict.fromkeys(texts)}
        told = {
            text: "has no label" if not text.strip() else f"the run does not know the label {quoted(text)}"
            for text, place in places.items()
            if place is None
        }
        errors = [
            f"{name}: {told[text]}" if text in told else "" for name, text in zip(ids, texts, strict=True)
        ]
        found = [places[text] or 0 for text in texts]
        return np.array(found, self.spec.target.dtype), errors

    def sets(self, ids: Sequence[str], texts: Sequence[str]) -> Found:
        """Targets of cells that hold any number of labels."""
        targets = np.zeros((len(texts), self.spec.outputs), self.spec.target.dtype)
        errors = [""] * len(texts)
        for row, text in enumerate(texts):
            labels = [part.strip() for part in text.split(self.separator) if part.strip()]
            unknown = [label for label in labels if label not in self._places]
            if unknown:
                errors[row] = f"{ids[row]}: the run does not know the label {quoted(unknown[0])}"
            else:
                targets[row, [self._places[label] for label in labels]] = 1
        return targets, errors

    def flags(self, ids: Sequence[str], flags: np.ndarray) -> Found:
        """Targets of numbers (n, labels), each 0 or 1; NaN where one is missing."""
        good = ((flags == 0) | (flags == 1)).all(axis=1)
        errors = []
        for row, fine in enumerate(good):
            place = int((~np.isin(flags[row], (0, 1))).argmax())
            value = "nothing" if np.isnan(flags[row, place]) else f"{flags[row, place]:g}"
            label = self.spec.target.names[place]
            errors.append("" if fine else f"{ids[row]}: has {value} for the label `{label}`, not 0 or 1")
        return np.where(good[:, None], flags, 0).astype(self.spec.target.dtype), errors

    def numbers(self, ids: Sequence[str], values: np.ndarray) -> Found:
        """Targets of numbers (n, targets)."""
        with np.errstate(over="ignore"):
            values = values.astype(self.spec.target.dtype)
        good = np.isfinite(values).all(axis=1)
        errors = [
            "" if fine else f"{name}: has no finite number as its label"
            for name, fine in zip(ids, good, strict=True)
        ]
        return np.where(good[:, None], values, 0), errors


def _texts(array: np.ndarray) -> list[str]:
    """Classes in an array as texts, empty for a number that is not finite."""
    if array.dtype.kind == "S":
        return [str(text) for text in np.char.decode(array, "utf-8", "replace")]
    if array.dtype.kind == "U":
        return [str(text) for text in array]
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in array]
    if array.dtype.kind in "iu":
        return [str(value) for value in array.tolist()]
    finite = np.isfinite(array)
    texts = np.full(len(array), "", object)
    texts[finite] = number_texts(array[finite])
    return [str(text) for text in texts]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
