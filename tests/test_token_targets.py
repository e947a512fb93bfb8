from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import DataError
from bigmodel_cli.token_targets import NOT_COUNTED, counted, described, next_tokens, text_column, text_of

COLUMN = Column("text", "text", vocabulary=("a", "b"), length=3, split="character")


def data(*columns):
    names = tuple(column.name for column in columns)
    data_input = InputSpec((len(columns),), "", "table", names, columns=columns)
    return DataSpec("t", "test", "language_model", data_input, TargetSpec((), "int32", ()))


def test_the_end_of_a_text_is_learned_once_and_what_is_behind_it_never():
    tokens = np.array([[2, 3, 2, 3], [2, 3, 0, 0], [0, 0, 0, 0]], np.int32)
    expected = [[2, 3, 2, 3], [2, 3, 0, NOT_COUNTED], [0, NOT_COUNTED, NOT_COUNTED, NOT_COUNTED]]
    assert next_tokens(tokens).numpy().tolist() == expected


def test_tokens_are_counted_where_they_count():
    assert counted(np.array([[2, 3, 0, -1], [1, 2, 2, 2]]), 5).tolist() == [1, 1, 4, 1, 0]


def test_vocabulary_becomes_the_target():
    found = described(data(COLUMN), np.array([1, 0, 4, 2]))
    assert found.target.names == ("[END]", "[UNK]", "a", "b")
    assert found.target.counts == (1, 0, 4, 2)
    assert found.target.shape == (3,)
    assert found.output_shape == (3, 4)


@pytest.mark.parametrize(
    ("split", "expected"), [("character", "ab\N{REPLACEMENT CHARACTER}"), ("whitespace", "a b \ufffd")]
)
def test_tokens_become_a_text_again(split, expected):
    column = Column("text", "text", vocabulary=("a", "b"), length=3, split=split)
    assert text_of(column, [2, 3, 1, 0, 2]) == expected


def test_word_pieces_are_put_together():
    column = Column("text", "text", vocabulary=("run", "##ning", "far"), length=3, split="word_piece")
    assert text_of(column, [2, 3, 4, 2, 0]) == "running far run"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            [COLUMN, Column("n", "numeric")],
            r"learns one column of text, but t has text \(text\), n \(numeric\)",
        ),
        ([Column("n", "numeric")], "learns one column of text"),
        ([Column("text", "text", ngrams=2)], r"dataset.prepare.text.ngrams: 2 tokens"),
    ],
)
def test_other_columns_are_refused(columns, message):
    with pytest.raises(DataError, match=message):
        text_column(data(*columns))
