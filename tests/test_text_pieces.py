from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli.columns import Column
from bigmodel_cli.data.word_pieces import learn_pieces, pieces_of
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.text_pieces import WordPieces


def ids_of(vocabulary, text):
    known = frozenset(vocabulary)
    pieces = [piece for word in text.split() for piece in pieces_of(word, known)]
    return [vocabulary.index(piece) + 2 if piece != "[UNK]" else 1 for piece in pieces]


def test_the_layer_cuts_words_as_the_plain_loop_does():
    rng = np.random.default_rng(0)
    letters = [*"abcdä"]
    texts = [
        " ".join("".join(rng.choice(letters, rng.integers(1, 12))) for _ in range(rng.integers(0, 6)))
        for _ in range(200)
    ]
    words = {word: 1 for text in texts[:50] for word in text.split()}
    vocabulary = learn_pieces(words, 60)
    # Some words cannot be put together.
    vocabulary = tuple(piece for piece in vocabulary if piece not in ("##ä", "d"))
    found = WordPieces(vocabulary, "none", 12)(tf.constant(texts)).numpy()
    assert found.shape == (200, 12)
    expected = [ids_of(vocabulary, text) for text in texts]
    assert any(1 in row for row in expected) and any(len(row) > 12 for row in expected)
    assert [[number for number in row if number] for row in found.tolist()] == [row[:12] for row in expected]


def test_texts_are_normalized_cut_and_padded():
    vocabulary = ("it", "##s", "ok")
    layer = WordPieces(vocabulary, "lower_and_strip_punctuation", 3)
    texts = tf.constant(["It's OK!", "ok ok ok ok", "", "x ok", "a" * 101])
    assert layer(texts).numpy().tolist() == [[2, 3, 4], [4, 4, 4], [0, 0, 0], [1, 4, 0], [1, 0, 0]]


def test_it_is_part_of_the_saved_preparation(tmp_path):
    column = Column(
        "t", "text", vocabulary=("it", "##s", "ok"), length=4, split="word_piece", normalize="lower"
    )
    model = preparation([column])
    cells = {"t": tf.constant(["its OK", "ok"])}
    expected = [[2, 3, 4, 0], [4, 0, 0, 0]]
    assert model(cells)["tokens_0"].numpy().tolist() == expected
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras")(cells)["tokens_0"].numpy().tolist() == expected
    batches = tf.data.Dataset.from_tensor_slices(cells).batch(2).map(lambda some: model(some))
    assert next(iter(batches))["tokens_0"].numpy().tolist() == expected
    module = tf.Module()
    module.model = model
    module.prepare = tf.function(
        lambda texts: module.model({"t": texts}), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert loaded.prepare(cells["t"])["tokens_0"].numpy().tolist() == expected
