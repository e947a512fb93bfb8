"""Word pieces: a vocabulary of frequent parts of words, so that hardly any word is unseen."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import TYPE_CHECKING

from bigmodel_cli.columns import CONTINUES, LONGEST_WORD, normalized

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


class CountedWords:
    """The words of a text column, counted batch by batch."""

    def __init__(self, normalize: str):
        self._normalize = normalize
        self._counts: list[int] = []
        self._numbers: dict[bytes, int] = {}
        self._texts: list[np.ndarray] = []

    def update(self, cells: tf.Tensor) -> None:
        """Take some more texts (n,)."""
        import numpy as np

        for text in normalized(cells, self._normalize).numpy():
            numbers = [self._numbers.setdefault(word, len(self._numbers)) for word in text.split()]
            self._counts += [0] * (len(self._numbers) - len(self._counts))
            for number in numbers:
                self._counts[number] += 1
            self._texts.append(np.array(numbers, np.int64))

    def learned(self, size: int) -> tuple[str, ...]:
        """A vocabulary of their pieces, of this size at most."""
        counts = zip(self._numbers, self._counts, strict=True)
        return learn_pieces({word.decode("utf-8", "replace"): count for word, count in counts}, size)

    def lengths(self, vocabulary: Sequence[str]) -> np.ndarray:
        """Pieces of each text (n,)."""
        import numpy as np

        known = frozenset(vocabulary)
        each = np.array(
            [len(pieces_of(word.decode("utf-8", "replace"), known)) for word in self._numbers], np.int64
        )
        return np.array([each[numbers].sum() for numbers in self._texts])


def pieces_of(word: str, vocabulary: AbstractSet[str]) -> list[str]:
    """A word as the longest pieces, from its beginning; `[UNK]` where it is not made of them."""
    found: list[str] = []
    start = 0
    while start < len(word) and len(word) <= LONGEST_WORD:
        before = CONTINUES if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if before + word[start:end] in vocabulary), None)
        if end is None:
            return ["[UNK]"]
        found.append(before + word[start:end])
        start = end
    return found or ["[UNK]"]


def learn_pieces(words: Mapping[str, int], size: int) -> tuple[str, ...]:
    """A vocabulary of pieces: all characters, then what is joined of the most frequent pairs.

    Byte-pair encoding (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
    section 3.2), written with `##` as BERT's; what is in it is used by the longest match (`pieces_of`), as
    in Schuster and Nakajima 2012.

    Args:
        words: word -> how often it occurs.
        size: of the vocabulary, at most; characters that do not fit are left out, the rarest first.

    Returns:
        Pieces, the earliest learned first; equally frequent ones in the order of the alphabet.
    """
    spelled = {word: [word[0], *(CONTINUES + letter for letter in word[1:])] for word in words if word}
    letters: Counter[str] = Counter()
    for word, pieces in spelled.items():
        for piece in pieces:
            letters[piece] += words[word]
    vocabulary = [piece for piece, _ in sorted(letters.items(), key=lambda item: (-item[1], item[0]))][:size]
    pairs: Counter[tuple[str, str]] = Counter()
    places: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for word, pieces in spelled.items():
        for pair in pairwise(pieces):
            pairs[pair] += words[word]
            places[pair].add(word)
    known = set(vocabulary)
    waiting = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(waiting)
    while len(vocabulary) < size and waiting:
        count, pair = heapq.heappop(waiting)
        # Entries of before a pair's count changed are passed over.
        if -count != pairs[pair] or not count:
            continue
        joined = _joined(*pair)
        if joined not in known:
            known.add(joined)
            vocabulary.append(joined)
        for word in places.pop(pair):
            for changed in _join(spelled, word, pair, joined, words[word], pairs, places):
                if pairs[changed] > 0:
                    heapq.heappush(waiting, (-pairs[changed], changed))
    return tuple(vocabulary)


def _joined(first: str, second: str) -> str:
    return first + second.removeprefix(CONTINUES)


def _join(
    spelled: dict[str, list[str]],
    word: str,
    pair: tuple[str, str],
    joined: str,
    times: int,
    pairs: Counter[tuple[str, str]],
    places: defaultdict[tuple[str, str], set[str]],
) -> set[tuple[str, str]]:
    """Join a pair wherever it stands in a word; gives the pairs whose counts have changed."""
    before = spelled[word]
    after: list[str] = []
    place = 0
    while place < len(before):
        if tuple(before[place : place + 2]) == pair:
            after.append(joined)
            place += 2
        else:
            after.append(before[place])
            place += 1
    changed = set()
    for pieces, sign in ((before, -times), (after, times)):
        for some in pairwise(pieces):
            pairs[some] += sign
            changed.add(some)
            if sign > 0:
                places[some].add(word)
    spelled[word] = after
    return changed
