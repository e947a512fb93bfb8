from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.errors import UsageError


def _row(text: str) -> dict[str, Any]:
    return {"text": text.encode(), "price": np.float32(2.5), "shop": b"a"}


@pytest.mark.parametrize("text", ["", " ", "one", " a  b\n", "don't , stop"])
def test_words_are_the_text(text: str) -> None:
    from bigmodel_cli.explanation.texts import words_of

    assert "".join(words_of(text)) == text


def test_the_word_that_makes_the_class_counts_most(reviews: Any) -> None:
    from bigmodel_cli.explanation.texts import Embedded, leave_words_out

    columns = [column for column in reviews.spec.input.columns if column.kind == "text"]
    embedded = Embedded(reviews)
    for word, index in (("good", 1), ("bad", 0)):
        assert reviews.spec.target.names[index] == ("yes" if word == "good" else "no")
        row = _row(f"A {word}, thing , zzz")
        (text,), attribution = embedded(row, index)
        assert text.words == ("A ", f"{word}, ", "thing ", ", ", "zzz")
        assert text.tokens == ("a", word, "thing", "[unseen]")
        assert text.words[text.scores.argmax()].startswith(word)
        # A comma alone is no token, and what training never saw says nothing.
        assert text.scores[3] == text.scores[4] == 0
        difference = attribution.score - attribution.baseline_score
        assert text.scores.sum() == pytest.approx(difference, rel=1e-3)
        (other,), output = leave_words_out(reviews.predict, row, columns, index)
        assert other.words[other.scores.argmax()].startswith(word)
        assert output == pytest.approx(
            float(reviews.predict({key: np.array([cell]) for key, cell in row.items()})[0, index])
        )


def test_an_empty_text_says_nothing(reviews: Any) -> None:
    from bigmodel_cli.explanation.texts import Embedded, leave_words_out

    columns = [column for column in reviews.spec.input.columns if column.kind == "text"]
    (text,), attribution = Embedded(reviews)(_row(""), 0)
    assert text.words == text.tokens == ()
    assert attribution.gap == 0
    (other,), _ = leave_words_out(reviews.predict, _row(""), columns, 0)
    assert other.words == ()


def test_runs_of_characters_share_their_score_among_them() -> None:
    from bigmodel_cli.explanation.texts import _text

    column = Column("t", "text", vocabulary=("a", "b"), length=20, split="character", ngrams=2)
    # Of `ab a`: four single characters, then `ab`, `b `, ` a`.
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0] + [0.0] * 13)
    ids = np.array([2, 3, 1, 2, 1, 1, 1] + [0] * 13)
    found = _text(column, "ab a", ids, values)
    assert found.words == ("ab ", "a")
    np.testing.assert_allclose(found.scores, [1 + 2 + 4 + 16 + 32 + 32, 8 + 32])
    assert found.scores.sum() == values.sum()
    assert found.tokens[:4] == ("a", "b", "[unseen]", "a")


def test_tokens_that_go_into_no_embedding_are_refused() -> None:
    import keras

    from bigmodel_cli.explanation.texts import _embedding

    tokens = keras.Input((4,), dtype="int32", name="tokens_0")
    model = keras.Model({"tokens_0": tokens}, keras.ops.one_hot(tokens, 3))
    with pytest.raises(UsageError, match="do not go into an embedding layer; take occlusion"):
        _embedding(model, "tokens_0")
