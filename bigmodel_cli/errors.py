"""The one family of errors that a user can mend, and their exit codes.

Whatever is not a `BigmodelError` is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BigmodelError(Exception):
    """A failure with a message made for the user: place, value received, remedy.

    Attributes:
        exit_code: what the command line exits with. 1: the work itself failed (diverged, out of
            memory, disk full); 2: wrong usage, config or input; 130: interrupted, state saved.
    """

    exit_code = 1


class UsageError(BigmodelError):
    """A wrong command, path, run or input."""

    exit_code = 2


class DataError(UsageError):
    """A dataset that is absent, empty, unreadable, or that does not fit what is asked of it."""


class ModelError(UsageError):
    """A model that cannot be built on this data, or whose stored weights do not fit it."""


class LayerError(ModelError):
    """A layer of `model.layers` that cannot be built.

    Attributes:
        path: of its item, from the root of the config.
        parts: the message; a path among them stands for the place where it was written.
        details: more lines for below the message.
    """

    def __init__(
        self, path: tuple[str | int, ...], parts: Sequence[str | tuple[str | int, ...]], details: str = ""
    ):
        self.path = path
        self.parts = tuple(parts)
        self.details = details
        super().__init__(
            "".join(part if isinstance(part, str) else ".".join(map(str, part)) for part in parts)
        )


class TrainingFailedError(BigmodelError):
    """Training ended without a usable result: diverged, out of memory, disk full."""


class InterruptedTrainingError(BigmodelError):
    """Training was stopped by a signal; its state is saved and the message says how to resume."""

    exit_code = 130


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in a config, with its place.

    Attributes:
        file: the file as the user named it, or `command line`.
        line: from 1; 0 when the mistake has no line (command line, whole file).
        column: from 1; 0 when there is none.
        path: dotted key, such as `model.filters[1]`; empty for the whole file.
        message: what is wrong, with the value received and the remedy.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"
        # One line a mistake, and no escape sequence out of a config reaches the terminal.
        return "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )


class ConfigError(UsageError):
    """All mistakes found in a config, in the order of the file.

    Attributes:
        source: the config as the user named it.
        mistakes: at least one, sorted by place.
    """

    def __init__(self, source: str, mistakes: Sequence[Mistake], details: str = ""):
        """Mistakes, and what else helps to mend them: lines between them and their count."""
        self.source = source
        self.mistakes = tuple(sorted(set(mistakes)))
        count = len(self.mistakes)
        super().__init__(
            "\n".join([*map(str, self.mistakes), *filter(None, [details])])
            + f"\n{count} mistake{'s' if count > 1 else ''} in {source}"
        )
