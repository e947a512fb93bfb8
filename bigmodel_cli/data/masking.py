"""Hiding tokens of a text, for a masked language model to find."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import Column, tokens_name
from bigmodel_cli.token_targets import NOT_COUNTED

if TYPE_CHECKING:
    import tensorflow as tf

HIDDEN, AS_MASK, AS_OTHER = 0.15, 0.8, 0.1
"""Shares of Devlin et al. 2019, section 3.1: of the tokens that are asked for, where a column has no share of
its own; of these, those that [MASK] and those that a random token stands for. The rest stays: the model
cannot tell what it is asked for."""

Masking = Callable[[Any, "tf.Tensor", "tf.Tensor"], tuple[Any, "tf.Tensor"]]
"""(prepared inputs of a batch, tokens (n, length), key (2,) int32) -> inputs with some tokens hidden, and
targets (n, length), `NOT_COUNTED` where nothing is asked for. Stateless: the same key hides the same."""


def masking(column: Column) -> Masking:
    """What hides tokens of a column of text.

    The token that stands for a hidden one is the number after all others, as `text_encoder.mask_token` says.
    """
    name, mask, share = tokens_name(0), column.ids, column.hidden or HIDDEN

    def hide(
        inputs: dict[str, tf.Tensor], tokens: tf.Tensor, key: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        import tensorflow as tf

        given = inputs[name]
        shape = tf.shape(given)
        asked = tf.random.stateless_uniform(shape, tf.random.fold_in(key, 0)) < share
        # What does not count, such as padding, is not asked for.
        asked &= tf.not_equal(tokens, NOT_COUNTED)
        how = tf.random.stateless_uniform(shape, tf.random.fold_in(key, 1))
        # From the first known token on: neither padding nor the one for unseen words.
        others = tf.random.stateless_uniform(shape, tf.random.fold_in(key, 2), 2, mask, tf.int32)
        changed = tf.where(how < AS_MASK, mask, tf.where(how < AS_MASK + AS_OTHER, others, given))
        hidden = tf.where(asked, changed, given)
        return {**inputs, name: hidden}, tf.where(asked, tokens, NOT_COUNTED)

    return hide
