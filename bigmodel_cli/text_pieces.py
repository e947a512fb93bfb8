"""Texts to word pieces, as a layer that is saved in the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from bigmodel_cli.columns import CONTINUES, LONGEST_WORD, normalized


@keras.saving.register_keras_serializable(package="bigmodel")
class WordPieces(keras.layers.Layer):
    """Ids (batch, length) int32 of texts (batch,): 0 where the text has ended, 1 unseen, then the pieces.

    A word becomes the longest piece that it begins with, then the longest one that goes on there, and so on;
    one that cannot be put together so is unseen as a whole (Schuster and Nakajima 2012, "Japanese and Korean
    Voice Search"; Devlin et al. 2019). Words are what stands between white space.

    Keras has no operations on parts of strings: these are TensorFlow's, and a file with this layer
    loads where bigmodel is imported.

    Args:
        vocabulary: the pieces; those that do not begin a word with `##` in front.
        normalize: as TextVectorization's `standardize`, or `none`.
        length: pieces of a text that are kept.
    """

    def __init__(self, vocabulary: Sequence[str], normalize: str, length: int, **options: Any):
        super().__init__(**{"trainable": False, "dtype": "int32", **options})
        self._vocabulary, self._normalize, self._length = tuple(vocabulary), normalize, length
        self._longest = max((len(piece.removeprefix(CONTINUES)) for piece in vocabulary), default=1)
        self.ids = keras.layers.StringLookup(vocabulary=list(vocabulary), mask_token="")

    def build(self, input_shape: Any = None) -> None:
        """There are no weights."""
        self.ids.build(input_shape)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """What it is built of."""
        own = {"vocabulary": self._vocabulary, "normalize": self._normalize, "length": self._length}
        return {**super().get_config(), **own}

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """(batch, length) int32."""
        return keras.KerasTensor((inputs.shape[0], self._length), dtype="int32")

    def call(self, inputs: Any) -> Any:
        """Ids of texts."""
        import tensorflow as tf

        words = tf.strings.split(normalized(inputs, self._normalize))
        pieces = self._pieces(words.flat_values)
        whole = tf.RaggedTensor.from_row_splits(pieces.values, tf.gather(pieces.row_splits, words.row_splits))
        return tf.ensure_shape(whole.to_tensor(0, shape=(None, self._length)), (None, self._length))

    def _pieces(self, words: Any) -> Any:
        """Ids of the pieces of each word, ragged (words, pieces) int32."""
        import tensorflow as tf

        letters = tf.strings.length(words, unit="UTF8_CHAR")
        lengths = tf.range(self._longest, 0, -1)

        def step(start: Any, ids: Any, failed: Any) -> tuple[Any, Any, Any]:
            active = (start < letters) & ~failed
            # Beyond its end a word has nothing to cut; its last place stands for those that are done.
            first = tf.minimum(start, tf.maximum(letters - 1, 0))
            fits = lengths[None] <= (letters - first)[:, None]
            cut = tf.strings.substr(
                tf.repeat(words[:, None], self._longest, 1), tf.repeat(first[:, None], self._longest, 1),
                tf.repeat(lengths[None], tf.shape(words)[0], 0), unit="UTF8_CHAR",
            )  # fmt: skip
            pieces = tf.where((first > 0)[:, None], tf.strings.join([CONTINUES, cut]), cut)
            found = tf.cast(self.ids(tf.where(fits, pieces, "")), tf.int32)
            # The longest comes first.
            place = tf.argmax(tf.cast(found > 1, tf.int32), axis=1, output_type=tf.int32)
            best = tf.gather(found, place, batch_dims=1)
            hit = active & (best > 1)
            column = tf.where(hit, best, 0)[:, None]
            moved = tf.where(hit, start + tf.gather(lengths, place), start)
            return moved, tf.concat([ids, column], 1), failed | (active & (best <= 1))

        count = tf.shape(words)[0]
        state = (tf.zeros(count, tf.int32), tf.zeros((count, 0), tf.int32), letters > LONGEST_WORD)
        shapes = (tf.TensorShape([None]), tf.TensorShape([None, None]), tf.TensorShape([None]))
        _, ids, failed = tf.while_loop(
            lambda start, ids, failed: tf.reduce_any((start < letters) & ~failed),
            step, state, shape_invariants=shapes,
        )  # fmt: skip
        unseen = tf.concat([tf.ones((count, 1), tf.int32), tf.zeros_like(ids)], 1)
        ids = tf.where(failed[:, None], unseen, tf.pad(ids, [(0, 0), (0, 1)]))
        return tf.RaggedTensor.from_tensor(ids, padding=0)
