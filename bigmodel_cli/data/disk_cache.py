"""Decoded and prepared examples on disk, shared by all runs that need the same ones.

An entry is a folder named by a hash of what it holds: which examples of which content, and their preparation.
It is written under another name and renamed when it is whole, so an entry that is there is complete. A lock
file beside it (`flock`, which the system lets go when a process dies) makes a second run wait for the first
instead of writing the same again, and keeps entries in use from being removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

FORMAT = 1
"""Of the files; part of the hash, so that another version never reads them."""

FREE_SHARE = 0.95
"""Of the free disk space, what an entry may take at most."""


def default_folder() -> Path:
    """`$BIGMODEL_CACHE`, else `~/.cache/bigmodel`."""
    given = os.environ.get("BIGMODEL_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "bigmodel"


@dataclass(frozen=True)
class Leaf:
    """One tensor of a record.

    Attributes:
        shape: without the batch axis.
        dtype: numpy name, of fixed size.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Of one record."""
        import numpy as np

        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))


class Lock:
    """An advisory lock on a file, held until it is closed or forgotten, or the process ends."""

    def __init__(self, path: Path):
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, *, shared: bool = False, wait: bool = True) -> None:
        """Take it, or change how it is held.

        Raises:
            BlockingIOError: another has it, and `wait` is off.
        """
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(self._descriptor, kind if wait else kind | fcntl.LOCK_NB)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True)
class Records:
    """Examples in files, one file for each tensor, all rows of the same size.

    Attributes:
        folder: where they lie.
        size: number of examples.
        leaves: the tensors, flattened.
        lock: keeps the entry from being removed.
    """

    folder: Path
    size: int
    leaves: tuple[Leaf, ...]
    lock: Lock = field(repr=False, compare=False)

    @property
    def row_bytes(self) -> int:
        """Of one example."""
        return sum(leaf.row_bytes for leaf in self.leaves)

    def read(self, start: int, stop: int) -> list[np.ndarray]:
        """Examples start to stop - 1: an array (stop - start, *shape) for each tensor.

        Raises:
            DataError: the files are gone or cut short.
        """
        import numpy as np

        read = []
        for number, leaf in enumerate(self.leaves):
            try:
                flat = np.fromfile(
                    self.folder / str(number),
                    leaf.dtype,
                    (stop - start) * int(np.prod(leaf.shape, dtype=np.int64)),
                    offset=start * leaf.row_bytes,
                )
                read.append(flat.reshape(stop - start, *leaf.shape))
            except (OSError, ValueError) as error:
                raise DataError(
                    f"{self.folder}: the cached examples cannot be read ({error}); remove that folder and "
                    "start again"
                ) from None
        return read


class DiskCache:
    """Entries below one folder, together no larger than a limit."""

    def __init__(self, folder: Path, limit_bytes: float):
        self._folder = folder
        self._limit = limit_bytes

    def obstacle(self, needed: int) -> str:
        """Why an entry of this many bytes cannot be kept; empty where it can."""
        if needed > self._limit:
            allowed = _gigabytes(self._limit)
            return f"{_gigabytes(needed)} are more than dataset.cache_limit_gb allows ({allowed})"
        existing = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if needed > FREE_SHARE * free:
            return f"{_gigabytes(needed)} are more than is free at {self._folder} ({_gigabytes(free)})"
        if not os.access(existing, os.W_OK):
            return f"{existing} cannot be written to"
        return ""

    def records(self, content: Sequence[str], batches: tf.data.Dataset, size: int) -> Records:
        """The entry for this content, written now if it is not there.

        Args:
            content: texts that tell what the examples are and how they were prepared.
            batches: the examples, in order; only read when the entry is not there.
            size: how many there are.

        Raises:
            DataError: there is no room, or the batches do not hold `size` examples.
        """
        leaves = _leaves(batches)
        key = hashlib.sha256(json.dumps([FORMAT, *content, repr(leaves), size]).encode()).hexdigest()[:32]
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(self._folder / f"{key}.lock")
        folder = self._folder / key
        while True:
            lock.take(shared=True)
            if folder.is_dir():
                os.utime(folder)
                return Records(folder, size, leaves, lock)
            # Whoever comes second waits here until the first has written everything, or has died. Changing a
            # lock lets go of it for a moment, in which others may write or remove the entry: hence the loop.
            lock.take()
            if not folder.is_dir():
                needed = size * sum(leaf.row_bytes for leaf in leaves)
                self._make_room(needed)
                if obstacle := self.obstacle(needed):
                    lock.close()
                    raise DataError(
                        f"dataset.cache: {obstacle}; raise the limit, free some space or use `none`"
                    )
                self._write(folder, batches, size, leaves)

    def _write(self, folder: Path, batches: tf.data.Dataset, size: int, leaves: Sequence[Leaf]) -> None:
        import tensorflow as tf

        temporary = folder.with_suffix(".writing")
        # What a killed run has left; it is ours to remove, since we hold the lock.
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            written = 0
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context((temporary / str(n)).open("wb")) for n in range(len(leaves))]
                for batch in batches:
                    arrays = [part.numpy() for part in tf.nest.flatten(batch)]
                    written += len(arrays[0])
                    for file, array in zip(files, arrays, strict=True):
                        file.write(array.tobytes())
                for file in files:
                    file.flush()
                    os.fsync(file.fileno())
            if written != size:
                raise DataError(f"dataset: {size:,} examples were expected and {written:,} were read")
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _make_room(self, needed: int) -> None:
        """Remove the least recently used entries that nobody holds, until the new one fits in the limit."""
        entries = sorted(self._entries(), key=lambda path: path.stat().st_mtime)
        total = sum(map(_folder_bytes, entries))
        for entry in entries:
            if total + needed <= self._limit:
                return
            lock = Lock(entry.with_suffix(".lock"))
            with contextlib.suppress(BlockingIOError):
                lock.take(wait=False)
                total -= _folder_bytes(entry)
                shutil.rmtree(entry)
            lock.close()

    def _entries(self) -> Iterator[Path]:
        return (path for path in self._folder.iterdir() if path.is_dir() and path.suffix != ".writing")


def _leaves(batches: tf.data.Dataset) -> tuple[Leaf, ...]:
    import tensorflow as tf

    specs = tf.nest.flatten(batches.element_spec)
    return tuple(Leaf(tuple(spec.shape[1:]), spec.dtype.name) for spec in specs)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.2f} GiB"
