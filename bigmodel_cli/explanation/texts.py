"""What the words of a text are worth: by the gradients of its tokens' embeddings, or by leaving words out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli.assembly import Restored
from bigmodel_cli.columns import Column, tokens_name
from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.integrated_gradients import METHOD, Attribution, integrate
from bigmodel_cli.explanation.scores import Score
from bigmodel_cli.hidden_layers import trained_layers
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.targets import original_units

Row = Mapping[str, Any]
"""A table's row: column key -> cell."""


@dataclass(frozen=True)
class Text:
    """What the parts of one text add to a score.

    Attributes:
        column: name of the column.
        words: the text in order, each with the white space behind it.
        scores: of the words, (words,) float64.
        tokens: what the model reads, from its vocabulary; `[unseen]` for what training never saw.
        token_scores: of these, (tokens,) float64; empty where words were left out.
    """

    column: str
    words: tuple[str, ...]
    scores: np.ndarray
    tokens: tuple[str, ...] = ()
    token_scores: np.ndarray = field(default_factory=lambda: np.zeros(0))


def words_of(text: str) -> tuple[str, ...]:
    """A text's words with the white space behind each; together they are the text."""
    return tuple(re.findall(r"^\s+|\S+\s*", text))


def leave_words_out(
    predict: Callable[[Any], np.ndarray], row: Row, columns: Sequence[Column], index: int
) -> tuple[list[Text], float]:
    """Leave the words of a row's texts out, one after the other, and see what that costs.

    Li, Monroe and Jurafsky 2016 ("Understanding Neural Networks through Representation Erasure"); of an
    image it is `occlusion`.

    Args:
        predict: dict of column key -> (n,) -> probabilities or values (n, outputs).
        row: one input.
        columns: those of text.
        index: of the class or target.

    Returns:
        The texts with the loss of the output by each word, and the output of the whole row.
    """
    output = float(predict(_repeated(row, {}, 1))[0, index])
    found = []
    for column in columns:
        words = words_of(_decoded(row[column.key]))
        # Of objects, as cells are.
        shorter = np.empty(len(words), object)
        for place in range(len(words)):
            shorter[place] = "".join(words[:place] + words[place + 1 :]).strip().encode()
        losses = np.zeros(0)
        if words:
            rest = predict(_repeated(row, {column.key: shorter}, len(words)))
            losses = output - rest[:, index].astype(np.float64)
        found.append(Text(column.name, words, losses))
    return found, output


def _decoded(cell: Any) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def _repeated(row: Row, changed: Mapping[str, np.ndarray], times: int) -> dict[str, np.ndarray]:
    return {key: changed[key] if key in changed else np.array([cell] * times) for key, cell in row.items()}


class Embedded:
    """Integrated gradients of the tokens of a run's texts."""

    def __init__(self, restored: Restored):
        """Find the embeddings.

        Args:
            restored: a run on a table with columns of text.

        Raises:
            UsageError: a text's tokens do not go into an embedding layer.
        """
        spec = restored.spec
        self._columns = [column for column in spec.input.columns if column.kind == "text"]
        self._prepare = preparation(spec.input.columns)
        self._core = trained_layers(restored)
        self._layers = [_embedding(self._core, tokens_name(place)) for place in range(len(self._columns))]
        outputs = self._core.outputs[0]
        if spec.task == "regression" and spec.target.scaling != "none":
            outputs = original_units(outputs, spec.target)
        embedded = [layer.output for layer in self._layers]
        self._sizes = [tuple(tensor.shape[1:]) for tensor in embedded]
        self._names = list(self._core.input)
        self._tail = keras.Model([*(self._core.input[name] for name in self._names), *embedded], outputs)
        self._score = Score(self._outputs, METHOD)

    def __call__(self, row: Row, index: int) -> tuple[list[Text], Attribution]:
        """Explain a row.

        The baseline has zeros for the embeddings of all tokens (section 6.4 of the paper), and the same
        number of them; the attribution of a token is the sum over its embedding.

        Returns:
            Its texts, whose words' scores are the sums of those of the tokens in them (a run of several
            shares its score equally among these), and the attribution of all numbers of the embeddings.
        """
        raw = {key: tf.constant(np.array([cell])) for key, cell in row.items()}
        prepared = dict(self._prepare(raw))
        tokens = [np.asarray(prepared[tokens_name(place)])[0] for place in range(len(self._columns))]
        point = np.concatenate(
            [
                np.asarray(layer(prepared[tokens_name(place)])).ravel()
                for place, layer in enumerate(self._layers)
            ]
        )
        found = integrate(self._score.beside(prepared), point, np.zeros_like(point), index)
        ends = np.cumsum([int(np.prod(size)) for size in self._sizes])
        parts = np.split(found.values, ends[:-1])
        texts = [
            _text(column, _decoded(row[column.key]), ids, part.reshape(size).sum(axis=1))
            for column, ids, part, size in zip(self._columns, tokens, parts, self._sizes, strict=True)
        ]
        return texts, found

    def _outputs(self, points: tf.Tensor, prepared: Mapping[str, tf.Tensor]) -> tf.Tensor:
        count = tf.shape(points)[0]
        given = [tf.repeat(prepared[name], count, axis=0) for name in self._names]
        parts = tf.split(points, [int(np.prod(size)) for size in self._sizes], axis=1)
        given += [tf.reshape(part, (-1, *size)) for part, size in zip(parts, self._sizes, strict=True)]
        return self._tail(given, training=False)


def _embedding(core: keras.Model, name: str) -> keras.layers.Layer:
    """The layer that takes these tokens.

    Raises:
        UsageError: there is none.
    """
    tokens = core.input[name]
    for layer in core.layers:
        if isinstance(layer, keras.layers.Embedding) and layer.input is tokens:
            return layer
    raise UsageError(
        f"--explain {METHOD}: the tokens `{name}` of this model do not go into an embedding layer; take "
        "occlusion"
    )


def _text(column: Column, text: str, ids: np.ndarray, values: np.ndarray) -> Text:
    """The words of a text, from the scores of its tokens (length,)."""
    count = int((ids != 0).sum())
    tokens = tuple("[unseen]" if item == 1 else column.vocabulary[item - 2] for item in ids[:count])
    words = words_of(text)
    counts = _tokens_in(column, words)
    singles = sum(counts)
    shares = np.zeros(singles)
    place = 0
    # Single tokens come first, then all runs of two, of three, and so on.
    for width in range(1, max(column.ngrams, 1) + 1):
        for start in range(singles - width + 1):
            if place < count:
                shares[start : start + width] += values[place] / width
                place += 1
    ends = np.cumsum(counts)
    scores = np.array([shares[end - size : end].sum() for end, size in zip(ends, counts, strict=True)])
    return Text(column.name, words, scores, tokens, values[:count])


def _tokens_in(column: Column, words: Sequence[str]) -> list[int]:
    """How many single tokens each word becomes: none, for instance, where it is a comma alone."""
    if not words:
        return []
    longest = max(len(word) for word in words)
    single = preparation([replace(column, ngrams=1, length=longest)])
    cells = tf.constant([word.encode() for word in words])
    ids = np.asarray(single({column.key: cells})[tokens_name(0)])
    return [int(number) for number in (ids != 0).sum(axis=1)]
