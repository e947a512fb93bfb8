"""The order of the examples in an epoch: a function of (seed, epoch) alone, reachable at any step.

Where every example can be had by its position (in memory, or in a file of its own) each position is mapped by
a stateless permutation of all. Otherwise blocks or shards are read in a permuted order, and the examples of a
large window of them are permuted: two examples that lie side by side in storage part as soon as their blocks
do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.data.disk_cache import Records

ROUNDS = 12
"""Of the cipher that permutes the positions. With TensorFlow's default of 4 the orders of successive epochs
of 48,000 examples have a correlation of 0.7; from 8 on it is that of random permutations."""

BLOCK_BYTES = 256 * 2**10
"""Of cached examples that are read at once: large enough for a disk, small enough that a window mixes many.
"""

WINDOW_BYTES = 64 * 2**20
"""Of the blocks that are permuted together: 256 of them. A constant, because the order depends on it: the
same config must give the same order on a machine with more memory."""


def permuted(positions: tf.Tensor, size: int, *words: tf.Tensor | int) -> tf.Tensor:
    """Where a random permutation takes these positions.

    Args:
        positions: (n,) int64, each below `size`.
        size: of the permuted range; may be a tensor.
        words: up to 3 numbers, of which 32 bits each count, that choose the permutation.
    """
    import tensorflow as tf

    key = [tf.cast(word, tf.int64) for word in words] + [tf.constant(0, tf.int64)] * (3 - len(words))
    return tf.raw_ops.RandomIndexShuffle(
        index=positions,
        seed=tf.cast(tf.stack(key), tf.uint32),
        max_index=tf.cast(size, tf.int64) - 1,
        rounds=ROUNDS,
    )


class Windows:
    """Cached examples in windows of permuted blocks.

    Attributes:
        rows: examples in a window, except the last one; a multiple of the batch size.
        count: number of windows.
    """

    def __init__(self, records: Records, batch_size: int, seed: int):
        import numpy as np

        self._records = records
        self._seed = seed
        block = max(1, BLOCK_BYTES // records.row_bytes)
        self._starts = np.arange(0, records.size, block)
        self._stops = np.minimum(self._starts + block, records.size)
        self.rows = max(1, round(WINDOW_BYTES / records.row_bytes / batch_size)) * batch_size
        self.count = -(-records.size // self.rows)
        self._order = lru_cache(maxsize=2)(self._epoch_order)

    def _epoch_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The blocks of an epoch in order, and where each begins in it."""
        import numpy as np

        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._starts))
        sizes = (self._stops - self._starts)[order]
        return order, np.cumsum(sizes) - sizes

    def read(self, epoch: int, number: int) -> list[np.ndarray]:
        """The examples of a window, permuted: an array (n, *shape) for each tensor."""
        import numpy as np

        order, begins = self._order(epoch)
        first = number * self.rows
        last = min(first + self.rows, self._records.size)
        place = int(np.searchsorted(begins, first, side="right")) - 1
        pieces: list[list[np.ndarray]] = []
        while place < len(order) and begins[place] < last:
            start, stop = self._starts[order[place]], self._stops[order[place]]
            begin = int(begins[place])
            # A window may begin and end in the middle of a block.
            stop = min(stop, start + last - begin)
            start = start + max(0, first - begin)
            pieces.append(self._records.read(int(start), int(stop)))
            place += 1
        mixed = np.random.default_rng([self._seed, epoch, number + 1]).permutation(last - first)
        return [np.concatenate(parts)[mixed] for parts in zip(*pieces, strict=True)]


def cut(window: Any, batch_size: int, start: tf.Tensor | int = 0) -> tf.data.Dataset:
    """The batches of one window of examples (rows, ...), from batch number `start` on."""
    import tensorflow as tf

    rows = tf.cast(tf.shape(tf.nest.flatten(window)[0])[0], tf.int64)
    count = -(-rows // batch_size)

    def batch(number: tf.Tensor) -> Any:
        first = number * batch_size
        last = tf.minimum(first + batch_size, rows)
        return tf.nest.map_structure(lambda part: part[first:last], window)

    steps = tf.data.Dataset.range(tf.cast(start, tf.int64), count)
    return steps.map(tf.autograph.experimental.do_not_convert(batch))
