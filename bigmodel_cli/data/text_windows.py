"""One long text, cut into windows: what language models of characters learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, Lookup, Part, PathText, Rate, SplitName, TargetSpec
from bigmodel_cli.data.arrays import in_batches
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

LanguageTask = Literal["language_model", "masked_language_model"]
TEXT, POSITION = "text", "position"

Window = Annotated[int, Field(ge=2, le=100_000)]


def text_file(
    seed: int,
    *,
    path: PathText,
    window: Window = 128,
    validation: Rate = 0.1,
    test: Rate = 0.1,
    encoding: str = "utf-8",
    task: LanguageTask = "language_model",
) -> TextWindows:
    """One long text for a language model, cut into windows that do not overlap.

    The last characters are the test split, those before them the validation split: windows drawn at random
    would leave the sentences of a window that is held out half in the training split.

    Args:
        path: a file of text.
        window: characters of an example; the last one of a split may have fewer.
        validation: share of the text, from 0 to below 1; 0 leaves it to dataset.splits.
        test: share of the text, from 0 to below 1; 0 leaves it to dataset.splits.
        encoding: of the text, such as utf-8, latin-1 or cp1252.
        task: language_model, each token from those before it; masked_language_model, hidden tokens from all
            others.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise DataError(
            f"dataset.encoding: there is no `{encoding}`; usual ones are utf-8, latin-1, cp1252, utf-16"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}:{line}: the byte 0x{error.object[error.start]:02x} is not {encoding}; name the file's "
            "own, such as dataset.encoding: latin-1 or cp1252"
        ) from error
    except OSError as error:
        raise DataError(f"dataset.path: {file}: cannot be read: {error.strerror or error}") from error
    return TextWindows(file.name, "file of text", text, window, validation, test, task)


def python_reference(
    seed: int,
    *,
    window: Window = 128,
    validation: Rate = 0.1,
    test: Rate = 0.1,
    task: LanguageTask = "language_model",
) -> TextWindows:
    """The chapters of Python's language reference that `help()` shows: some 465,000 characters of English.

    Part of every Python, in its own version; no network.

    Args:
        window: characters of an example; the last one of a split may have fewer.
        validation: share of the text, from 0 to below 1; 0 leaves it to dataset.splits.
        test: share of the text, from 0 to below 1; 0 leaves it to dataset.splits.
        task: language_model, each token from those before it; masked_language_model, hidden tokens from all
            others.
    """
    import platform

    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "dataset.name: `python_reference` is the module pydoc_data, which this Python was installed "
            "without; take `text_file`"
        ) from None
    text = "\n".join(topics[name].strip() + "\n" for name in sorted(topics))
    origin = f"Python {platform.python_version()}"
    return TextWindows("python_reference", origin, text, window, validation, test, task)


class TextWindows:
    """A `contracts.Source` over a text in memory, for the language tasks.

    Attributes:
        spec: a table with one column of text.
        sizes: windows in each base split: `train`, `validation` and `test`, as far as there are any.
        example_bytes: memory of one window.
        notes: what the text is.
    """

    def __init__(
        self,
        name: str,
        origin: str,
        text: str,
        window: int,
        validation: float = 0.0,
        test: float = 0.0,
        task: LanguageTask = "language_model",
    ):
        """Cut a text.

        Args:
            name: of the dataset.
            origin: where it comes from, for the user's eyes.
            text: all of it.
            window: characters of an example.
            validation: share of the text.
            test: share of the text.
            task: what is learned of it.

        Raises:
            DataError: it is too short, or nothing is left to train on.
        """
        if validation + test >= 1:
            raise DataError(
                f"dataset.validation, dataset.test: {validation:g} and {test:g} leave nothing to train on"
            )
        length = len(text)
        ends = (round(length * (1 - validation - test)), round(length * (1 - test)), length)
        names: tuple[SplitName, ...] = ("train", "validation", "test")
        shares = (1.0, validation, test)
        self._windows: dict[str, np.ndarray] = {}
        start = 0
        for split, share, end in zip(names, shares, ends, strict=True):
            if share:
                self._windows[split] = _cut(text[start:end], window)
            start = end
        short = [split for split, windows in self._windows.items() if not len(windows)]
        if short:
            raise DataError(
                f"dataset: {name} has {length:,} characters, too few for a {short[0]} split; take a longer "
                "text"
            )
        column = Column(TEXT, "text")
        self.spec = DataSpec(
            name=name,
            origin=origin,
            task=task,
            input=InputSpec((1,), "", "table", (TEXT,), columns=(column,)),
            # The tokens are known when the vocabulary is.
            target=TargetSpec((), "int32", ()),
        )
        self.sizes: Mapping[str, int] = {split: len(windows) for split, windows in self._windows.items()}
        self.example_bytes = 4 * window + 16
        self.notes: Sequence[str] = (
            f"text: {length:,} characters, {len(set(text)):,} different ones, in windows of {window:,}",
        )

    def fingerprint(self) -> str:
        """A hash of all windows."""
        digest = hashlib.sha256()
        for split, windows in self._windows.items():
            digest.update(split.encode())
            for window in windows:
                digest.update(b"\0" + window)
        return digest.hexdigest()

    def targets(self, part: Part) -> np.ndarray:
        """Zeros (n,): the tokens are the targets, and they are known behind the preparation."""
        import numpy as np

        return np.zeros(part.size, np.int32)

    def arrays(self, part: Part) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The windows of a part, as bytes, and zeros."""
        return {TEXT: self._windows[part.base][part.indices]}, self.targets(part)

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches of windows and zeros, in order; `key` has nothing to order."""
        return in_batches(part, self.lookup(part.base), self.example_bytes)

    def lookup(self, base: str) -> Lookup:
        """Gather by position."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            windows = tf.convert_to_tensor(self._windows[base])
        return lambda positions: (
            {TEXT: tf.gather(windows, positions)},
            tf.zeros(tf.shape(positions), tf.int32),
        )

    def values(self, base: str, name: str) -> np.ndarray:
        """The text (n,) of objects, or `position`, the number of a window in its base split (n,) int64.

        Raises:
            DataError: another name.
        """
        import numpy as np

        if name == POSITION:
            return np.arange(self.sizes[base])
        if name != TEXT:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no column `{name}` to divide by; it has {TEXT} and "
                f"{POSITION}"
            )
        return np.array([window.decode() for window in self._windows[base]], object)


def _cut(text: str, window: int) -> np.ndarray:
    """Windows (n,) of bytes; in order they are the text."""
    import numpy as np

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(text), window):
            yield text[start : start + window].encode()

    return np.array([*pieces()], object)
