"""Which rows of a global batch this process reads, and how a batch travels that the devices cannot share.

All processes know the same global batch, a function of (seed, epoch, step) alone; each takes its own rows, so
the order of the examples does not depend on how many there are.

The devices of a job get equal parts. The last, smaller batch of an epoch may not divide by their number: it
travels with a few rows more, copies of its last one, in a size of its own, by which the step knows it and
cuts them off again before the model sees them (`training.remainder`). No example is left out or counted
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """This process's part of every batch.

    Attributes:
        rank: of this process.
        processes: that share a batch.
        devices: of all processes together, as many in each.
    """

    rank: int = 0
    processes: int = 1
    devices: int = 1

    def sent(self, rows: int, batch_size: int) -> int:
        """Rows that travel for a batch of `rows`: a multiple of the devices, `batch_size` only for itself."""
        total = -(-rows // self.devices) * self.devices
        return total + self.devices if total == batch_size and rows < batch_size else total

    def uneven(self, size: int, batch_size: int) -> tuple[int, int] | None:
        """Rows sent and rows meant of the last batch of `size` examples; None where they are the same."""
        rest = size % batch_size
        sent = self.sent(rest, batch_size)
        return (sent, rest) if sent != rest else None

    def cut(self, size: int, batch_size: int) -> Cut | None:
        """How to cut the batches of `size` examples; None where they stay as they are."""
        if self.processes == 1 and self.uneven(size, batch_size) is None:
            return None
        return Cut(self, batch_size, self.sent(size % batch_size, batch_size))


@dataclass(frozen=True)
class Cut:
    """Takes this process's rows of global batches.

    Attributes:
        share: of this process.
        batch_size: of all batches but the last one.
        last: rows that travel for the last one.
    """

    share: Share
    batch_size: int
    last: int

    def rows(self, count: tf.Tensor) -> tf.Tensor:
        """Numbers, (n,) int64, of this process's rows in a global batch of `count` rows."""
        import tensorflow as tf

        count = tf.cast(count, tf.int64)
        sent = tf.where(count == self.batch_size, tf.cast(self.batch_size, tf.int64), self.last)
        first = self.share.rank * sent // self.share.processes
        last = (self.share.rank + 1) * sent // self.share.processes
        return tf.minimum(tf.range(first, last), count - 1)

    def __call__(self, batch: Any) -> Any:
        """A nest of tensors (count, ...) -> this process's rows of them."""
        import tensorflow as tf

        rows = self.rows(tf.shape(tf.nest.flatten(batch)[0])[0])
        return tf.nest.map_structure(lambda part: tf.gather(part, rows), batch)
