"""Examples that occur more than once, within a split or in two of them.

A test example that was trained on measures memory, not learning. Found are exact copies of the inputs, by a
64-bit hash of their content: among ten million different examples the chance that any two are taken for
copies is about 3 in a million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bigmodel_cli.data.reading import collect
from bigmodel_cli.devices import cpu_cores

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.data.splits import SplitData


@dataclass(frozen=True)
class Copies:
    """Examples that equal another one.

    Attributes:
        positions: of the copies, (n,) int64, ascending.
        originals: of the first example that each equals, (n,) int64.
    """

    positions: np.ndarray
    originals: np.ndarray

    @property
    def count(self) -> int:
        """Number of copies."""
        return len(self.positions)


def content_hashes(split: SplitData) -> np.ndarray:
    """A hash of each example's input, (size,) uint64: FarmHash, as `tf.fingerprint` gives it.

    The split is streamed, so that it takes 8 bytes of memory an example.

    Raises:
        tf.errors.OpError, DataError: it cannot be read.
    """
    import tensorflow as tf

    digest = tf.autograph.experimental.do_not_convert(lambda inputs, targets: _digest(inputs))
    digests = split.batches().map(digest, num_parallel_calls=cpu_cores(), deterministic=True).prefetch(2)
    return cast("np.ndarray", collect(digests, split.size).view("<u8")[:, 0])


def _digest(inputs: Any) -> tf.Tensor:
    """Hashes (n, 8) uint8 of inputs (n, ...), or of a table's columns."""
    import tensorflow as tf

    parts = [_bytes_hash(part) for part in tf.nest.flatten(inputs)]
    # Of equal length each, so that cells do not run into their neighbours.
    return parts[0] if len(parts) == 1 else tf.fingerprint(tf.concat(parts, axis=1))


def _bytes_hash(values: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    if values.dtype.is_floating:
        # Equal numbers in equal bytes: there are two zeros, and many bit patterns of NaN.
        missing = tf.constant(float("nan"), values.dtype)
        values = tf.where(tf.math.is_nan(values), missing, values + tf.zeros([], values.dtype))
    return tf.fingerprint(values)


def repeated(hashes: np.ndarray) -> Copies:
    """Examples of a split that equal an earlier one of it.

    Args:
        hashes: (n,) uint64, of `content_hashes`.
    """
    import numpy as np

    if not len(hashes):
        return _in_order(np.zeros(0, np.int64), np.zeros(0, np.int64))
    # Stable: within a group of equal ones the earliest comes first.
    order = np.argsort(hashes, kind="stable")
    begins = np.append(True, np.diff(hashes[order]) != 0)
    firsts = order[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    return _in_order(order[~begins], firsts[~begins])


def shared(known: np.ndarray, others: np.ndarray) -> Copies:
    """Examples of one split that equal one of another.

    Args:
        known: hashes (n,) uint64 of the split in which the originals lie.
        others: hashes (m,) uint64 of the split in which copies are looked for.

    Returns:
        Positions in `others`, and those of the originals in `known`.
    """
    import numpy as np

    order = np.argsort(known, kind="stable")
    places = np.searchsorted(known[order], others)
    found = np.flatnonzero(places < len(known))
    found = found[known[order[places[found]]] == others[found]]
    return Copies(found, order[places[found]])


def _in_order(positions: np.ndarray, originals: np.ndarray) -> Copies:
    import numpy as np

    order = np.argsort(positions)
    return Copies(positions[order], originals[order])
