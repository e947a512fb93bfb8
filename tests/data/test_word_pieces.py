from __future__ import annotations

from itertools import pairwise

import numpy as np
import tensorflow as tf

from bigmodel_cli.data.word_pieces import CountedWords, learn_pieces, pieces_of


def test_the_most_frequent_pair_is_joined_first():
    # Sennrich et al. 2016, figure 1, without its end of a word: `es`, then `est`, then `lo` and `low`.
    words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    letters = ["##e", "##w", "##s", "##t", "l", "##o", "n", "##d", "##i", "w", "##r"]
    assert set(learn_pieces(words, 11)) == set(letters)
    assert learn_pieces(words, 13)[11:] == ("##es", "##est")
    assert set(learn_pieces(words, 100)) > {"low", "lower", "newest", "widest"}
    assert learn_pieces(words, 3) == ("##e", "##w", "##s")


def test_pairs_are_counted_as_if_anew():
    """The running counts against counting everything again before each joining."""
    rng = np.random.default_rng(0)
    words = {"".join(rng.choice([*"abc"], rng.integers(1, 7))): int(rng.integers(1, 9)) for _ in range(60)}
    spelled = {word: [word[0], *("##" + letter for letter in word[1:])] for word in words}
    expected = []
    while True:
        counts: dict[tuple[str, str], int] = {}
        for word, pieces in spelled.items():
            for pair in pairwise(pieces):
                counts[pair] = counts.get(pair, 0) + words[word]
        if not counts:
            break
        first, second = best = min(counts, key=lambda pair: (-counts[pair], pair))
        joined = first + second.removeprefix("##")
        if joined not in expected:
            expected.append(joined)
        for word, pieces in spelled.items():
            after, place = [], 0
            while place < len(pieces):
                match = tuple(pieces[place : place + 2]) == best
                after.append(joined if match else pieces[place])
                place += 2 if match else 1
            spelled[word] = after
    found = learn_pieces(words, 10_000)
    letters = {piece for word in words for piece in [word[0], *("##" + letter for letter in word[1:])]}
    assert found[len(letters) :] == tuple(piece for piece in expected if piece not in letters)


def test_the_longest_piece_counts():
    known = frozenset(["un", "u", "##n", "##aff", "##able", "##a", "##b"])
    assert pieces_of("unaffable", known) == ["un", "##aff", "##able"]
    assert pieces_of("unaffb", known) == ["un", "##aff", "##b"]
    assert pieces_of("unx", known) == ["[UNK]"]
    assert pieces_of("u" + "n" * 99, known)[-1] == "##n"
    assert pieces_of("u" + "n" * 100, known) == ["[UNK]"]


def test_words_are_counted_over_batches():
    counted = CountedWords("lower_and_strip_punctuation")
    counted.update(tf.constant(["Aa, ab", ""]))
    counted.update(tf.constant(["aa! ä"]))
    vocabulary = counted.learned(100)
    assert vocabulary == ("a", "##a", "##b", "ä", "aa", "ab")
    assert counted.lengths(vocabulary).tolist() == [2, 0, 2]
    assert counted.lengths(("a", "##a")).tolist() == [3, 0, 3]
