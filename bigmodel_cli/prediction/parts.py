"""Predictions on their way: whole parts on the disk, so that nothing is lost when the work is cut off.

The parts lie in a hidden folder beside the file that they will become: each a file of its own, written under
another name and renamed, and `position.json`, which says how far they go, of what. The folder is removed when
the file is written.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bigmodel_cli import rundir
from bigmodel_cli.errors import BigmodelError, UsageError
from bigmodel_cli.prediction.content import NOT_FINITE, Result, joined

PART_NUMBERS = 2**22
"""Numbers in a part, at most about as many: 16 MiB."""
PART_ROWS = 16_384
PART_SECONDS = 30.0
"""After which a part is written whatever it holds: what a cut costs at most."""

TOLD = 10
"""Errors whose words are kept; of the others the number."""


@dataclass(frozen=True)
class State:
    """How far the work is.

    Attributes:
        rows: inputs that are done.
        unread: how many of them could not be read.
        not_finite: of how many the prediction is not finite.
        errors: of the first of both: `not read` or `not finite`, and the message.
        digest: a hash of the ids of these inputs, in order.
    """

    rows: int = 0
    unread: int = 0
    not_finite: int = 0
    errors: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    def after(self, result: Result, unread: int) -> State:
        """With one more result, of which so many inputs could not be read."""
        bad = [error for error in result.errors if error]
        told = [("not finite" if error.endswith(NOT_FINITE) else "not read", error) for error in bad[:TOLD]]
        return State(
            self.rows + len(result),
            self.unread + unread,
            self.not_finite + len(bad) - unread,
            (*self.errors, *told)[:TOLD],
            chained(self.digest, result.ids),
        )


class Parts:
    """Results in order, held on the disk.

    Attributes:
        folder: where they lie.
        begun: when the work began first, in nanoseconds since 1970.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]):
        """Begin anew; nothing is written before the first part.

        Args:
            folder: which may hold the parts of earlier work; they go with the first part.
            identity: of the inputs, the models and the options; JSON.
        """
        self.folder = folder
        self.begun = time.time_ns()
        self._identity: dict[str, Any] = json.loads(json.dumps(dict(identity)))
        # Files, how far they go, and results after them with how far those go. In one place, because Ctrl-C
        # may come between any two assignments.
        self._at: tuple[list[str], State, list[tuple[Result, State]]] = ([], State(), [])
        self._since = time.monotonic()
        self._lock: IO[str] | None = None

    @property
    def state(self) -> State:
        """How far the work is, in whole parts or not."""
        _, state, kept = self._at
        return kept[-1][1] if kept else state

    @property
    def _position(self) -> Path:
        return self.folder / "position.json"

    def resume(self) -> bool:
        """Take up what lies there; whether there is anything.

        Raises:
            UsageError: it is of other inputs, another model or other options, is damaged, or is another
                process's.
        """
        if not self._position.is_file():
            return False
        try:
            stored = json.loads(self._position.read_text(encoding="utf-8"))
            then = dict(stored["identity"])
            state = dict(stored["state"])
            state["errors"] = tuple((kind, text) for kind, text in state["errors"])
            self._at = (list(stored["parts"]), State(**state), [])
            self.begun = int(stored["begun"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"--resume: {self._position} is damaged ({error}); leave --resume out to begin anew"
            ) from None
        for name, now in self._identity.items():
            if then.get(name) != now:
                raise UsageError(
                    f"--resume: what lies in {self.folder} was begun with other {name}; give the same "
                    "command as then, or leave --resume out to begin anew"
                )
        self._take()
        return True

    def add(self, result: Result, unread: int) -> None:
        """Add what was said of the next inputs; now and then it is written.

        Args:
            result: of these inputs.
            unread: of how many the error is that they could not be read; it is that their prediction is not
                finite of the others that have one.

        Raises:
            BigmodelError: it cannot be written.
        """
        kept = self._at[2]
        kept.append((result, self.state.after(result, unread)))
        rows = sum(len(some) for some, _ in kept)
        numbers = rows * sum(array[:1].size for array in result.arrays.values())
        waited = time.monotonic() - self._since
        if rows >= PART_ROWS or numbers >= PART_NUMBERS or waited >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet as a whole part.

        Raises:
            BigmodelError: it cannot be written.
        """
        files, _, kept = self._at
        if not kept:
            return
        whole, state = joined([result for result, _ in kept]), kept[-1][1]
        name = f"{len(files):06d}.npz"
        try:
            self._take()
            rundir.write_atomically(self.folder / name, lambda path: _write(path, whole))
            document = {"identity": self._identity, "state": asdict(state), "begun": self.begun}
            rundir.write_json(self._position, {**document, "parts": [*files, name]})
        except OSError as error:
            raise BigmodelError(
                f"{self.folder}: cannot be written: {error.strerror}; make room, and go on with --resume"
            ) from None
        self._at = ([*files, name], state, [])
        self._since = time.monotonic()

    def _take(self) -> None:
        """Make the folder this process's own, and rid it of other work."""
        if self._lock is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise UsageError(
                f"{self.folder}: another process is writing these predictions; wait for it, or name another "
                "--output"
            ) from None
        for path in self.folder.iterdir():
            if path.name not in ("lock", self._position.name, *self._at[0]):
                path.unlink()

    def __iter__(self) -> Iterator[Result]:
        """All results, a part at a time.

        Raises:
            BigmodelError: a part is gone or damaged.
        """
        for name in self._at[0]:
            try:
                yield _read(self.folder / name)
            except (OSError, ValueError, KeyError, EOFError) as error:
                raise BigmodelError(f"{self.folder / name}: is damaged ({error}); begin anew") from None
        if self._at[2]:
            yield joined([result for result, _ in self._at[2]])

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> None:
        """Remove what was written, and let go of the folder."""
        if self._lock is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


def chained(digest: str, ids: Sequence[str]) -> str:
    """The hash of inputs, from that of those before them and their ids."""
    return hashlib.sha256("\0".join((digest, *ids)).encode("utf-8", "backslashreplace")).hexdigest()


def _write(path: Path, result: Result) -> None:
    texts = json.dumps([list(result.ids), list(result.errors)]).encode()
    arrays: dict[str, Any] = {f"a_{name}": array for name, array in result.arrays.items()}
    np.savez(path, texts=np.frombuffer(texts, np.uint8), **arrays)


def _read(path: Path) -> Result:
    with np.load(path, allow_pickle=False) as stored:
        ids, errors = json.loads(stored["texts"].tobytes())
        arrays = {name[2:]: stored[name] for name in stored.files if name.startswith("a_")}
    return Result(ids, errors, arrays)
