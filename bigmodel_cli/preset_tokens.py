"""Texts to the tokens of a KerasHub preset, as a layer that is saved in the model."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import keras

from bigmodel_cli import presets


@keras.saving.register_keras_serializable(package="bigmodel")
class PresetTokens(keras.layers.Layer):
    """Ids (batch, length) int32 of texts (batch,), as the preset's own preprocessing gives them.

    Its special tokens are among them, as [CLS] and [SEP] of BERT. Padding is 0, as of all our tokens: where a
    preset has another id for it, that one and 0 change places (`swapped`). A file with this layer loads
    where bigmodel and keras_hub are imported.

    Args:
        preset: from `presets.read`.
        length: tokens of a text that are kept, special ones included.
    """

    def __init__(self, preset: str, length: int, **options: Any):
        super().__init__(**{"trainable": False, "dtype": "int32", **options})
        self._preset, self._length = preset, length

    @cached_property
    def _preprocess(self) -> Any:
        import tensorflow as tf

        # Not before it is needed: while a model is loaded, Keras lets no tokenizer read files beside it. Its
        # tables must not belong to the graph that happens to be built then.
        with tf.init_scope(), presets.opened(self._preset) as folder:
            return presets.library().models.TextClassifierPreprocessor.from_preset(
                folder, sequence_length=self._length
            )

    @property
    def padding(self) -> int:
        """The id that the preset has for it."""
        return int(self._preprocess.tokenizer.pad_token_id or 0)

    @property
    def vocabulary_size(self) -> int:
        """Number of the preset's tokens."""
        return int(self._preprocess.tokenizer.vocabulary_size())

    def build(self, input_shape: Any = None) -> None:
        """There are no weights."""
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """What it is built of."""
        return {**super().get_config(), "preset": self._preset, "length": self._length}

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """(batch, length) int32."""
        return keras.KerasTensor((inputs.shape[0], self._length), dtype="int32")

    def call(self, inputs: Any) -> Any:
        """Ids of texts."""
        import tensorflow as tf

        # Within a graph, KerasHub works with TensorFlow's operations; outside, with lists of Python.
        @tf.function  # type: ignore[untyped-decorator]
        def tokens(texts: Any) -> Any:
            return self._preprocess(texts)["token_ids"]

        ids = swapped(tf.cast(tokens(inputs), tf.int32), self.padding)
        return tf.ensure_shape(ids, (None, self._length))


def swapped(ids: Any, padding: int) -> Any:
    """Ids with 0 and the padding's in each other's place; doing it twice changes nothing."""
    if not padding:
        return ids
    zero, padded = keras.ops.equal(ids, 0), keras.ops.equal(ids, padding)
    return keras.ops.where(zero, padding, keras.ops.where(padded, 0, ids))
