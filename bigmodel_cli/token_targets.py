"""Targets of a language model: the tokens of its own input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import CONTINUES, Column, tokens_name
from bigmodel_cli.contracts import LANGUAGE_TASKS, DataSpec, TargetSpec
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np

NOT_COUNTED = -1
"""In targets, a place that no loss and no metric counts."""

END, UNSEEN = "[END]", "[UNK]"
"""Names of the tokens 0, where a text has ended, and 1, which training never saw."""


def is_language(data: DataSpec) -> bool:
    """Whether the targets are tokens."""
    return data.task in LANGUAGE_TASKS


def text_column(data: DataSpec) -> Column:
    """The one column, whose tokens are learned.

    Raises:
        DataError: there are others, or runs of tokens are tokens, too.
    """
    columns = data.input.columns
    if len(columns) != 1 or columns[0].kind != "text":
        named = ", ".join(f"{column.name} ({column.kind})" for column in columns[:10])
        raise DataError(
            f"dataset: a language model learns one column of text, but {data.name} has {named or 'none'}; "
            "leave the others out with dataset.columns: {NAME: ignore}"
        )
    (column,) = columns
    if column.ngrams > 1:
        raise DataError(
            f"dataset.prepare.text.ngrams: {column.ngrams} tokens at a time have no order that a language "
            "model could learn; leave it 1"
        )
    return column


def described(data: DataSpec, counts: Sequence[int]) -> DataSpec:
    """A data set whose targets are tokens, with its vocabulary.

    Args:
        data: with the preparation of its one column of text.
        counts: of each token among the targets of the training split.
    """
    column = text_column(data)
    names = (END, UNSEEN, *column.vocabulary)
    return replace(data, target=TargetSpec((column.length,), "int32", names, counts=tuple(map(int, counts))))


def next_tokens(tokens: Any) -> Any:
    """What a language model learns of each place: the token there, from those before it.

    Behind the last token its end is learned, unless the text was cut off; what is behind the end does not
    count.

    Args:
        tokens: (n, length) int32, 0 where the text has ended.

    Returns:
        (n, length) int32, `NOT_COUNTED` where nothing is to be learned.
    """
    import tensorflow as tf

    first = tf.ones_like(tokens[:, :1], tf.bool)
    counted = tf.concat([first, tf.not_equal(tokens[:, :-1], 0)], axis=1)
    return tf.where(counted, tokens, NOT_COUNTED)


def deriving(data: DataSpec) -> Callable[[Any], Any] | None:
    """What makes the targets of a language model of what the preparation gives; None for other tasks.

    Of a masked language model each token of a text is one; the pipeline hides some of them and keeps these.
    """
    import tensorflow as tf

    name = tokens_name(0)
    if data.task == "language_model":
        return lambda prepared: next_tokens(prepared[name])
    if data.task == "masked_language_model":
        return lambda prepared: tf.where(tf.equal(prepared[name], 0), NOT_COUNTED, prepared[name])
    return None


def counted(targets: Any, tokens: int) -> np.ndarray:
    """How often each of so many tokens stands among targets (n, length): (tokens,) int64."""
    import numpy as np

    flat = np.asarray(targets).ravel()
    return np.bincount(flat[flat != NOT_COUNTED], minlength=tokens)


def text_of(column: Column, tokens: Sequence[int]) -> str:
    """Tokens as a text: up to the first end; an unseen one is a replacement character."""
    words = []
    for token in tokens:
        if token == 0:
            break
        words.append("\N{REPLACEMENT CHARACTER}" if token == 1 else column.vocabulary[token - 2])
    if column.split == "character":
        return "".join(words)
    # A piece that does not begin its word goes on without a space.
    return " ".join(words).replace(f" {CONTINUES}", "") if column.split == "word_piece" else " ".join(words)
