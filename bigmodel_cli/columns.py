"""Columns of a table: their kinds, how raw cells look, and how each is prepared for a model.

Reading a table and preparing it are apart: a source gives raw cells, the preparation is learned on the
training split, kept in `Column`, and becomes part of the saved model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ColumnKind = Literal["numeric", "boolean", "categorical", "date", "text", "image"]
DatePart = Literal["elapsed", "year", "month", "day", "weekday", "hour"]
Encoding = Literal["one_hot", "embedding", "hash"]

RAW_DTYPES: Mapping[ColumnKind, str] = {
    "numeric": "float32",
    "boolean": "float32",
    "categorical": "string",
    "date": "int64",
    "text": "string",
    "image": "uint8",
}
"""TensorFlow dtype of a raw cell; in numpy a string is `bytes` in an array of objects.

A missing cell is NaN (numeric, boolean), MISSING_DATE or the empty string. Dates are seconds since 1970
(UTC); booleans 0 and 1; a whole number in a categorical column is written without a decimal point. An image
is decoded, (height, width, channels), and never missing; every other cell is one value.
"""

IMAGES_SCALED = (
    "the column holds images, which the model scales itself; dataset.image_size, color and resize say how "
    "they are read"
)
"""Why nothing is prepared of a column of images."""

MISSING_DATE = -(2**63)

NUMBERS, CATEGORIES = "numbers", "categories"
"""Prepared tensors of a table: (batch, n) float32, and (batch, k) int32 ids, one for each categorical column.
"""


CONTINUES = "##"
"""Before a word piece that does not begin its word."""

LONGEST_WORD = 100
"""Characters; of word pieces, a longer word is unseen, as in BERT's code."""

_PUNCTUATION = r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']'
"""What Keras' TextVectorization strips."""


def normalized(texts: Any, how: str) -> Any:
    """Texts as Keras' TextVectorization writes them before it splits them.

    Args:
        texts: a tensor of strings.
        how: its `standardize`, or `none`.
    """
    import tensorflow as tf

    if how in ("lower", "lower_and_strip_punctuation"):
        texts = tf.strings.lower(texts)
    if how in ("strip_punctuation", "lower_and_strip_punctuation"):
        texts = tf.strings.regex_replace(texts, _PUNCTUATION, "")
    return texts


def tokens_name(index: int) -> str:
    """Prepared tensor of the column with this index among the text columns: (batch, length) int32, 0 is
    padding."""
    return f"tokens_{index}"


def image_name(index: int) -> str:
    """Prepared tensor of the column with this index among those of images: (batch, height, width, channels)
    uint8."""
    return f"image_{index}"


@dataclass(frozen=True)
class Column:
    """One column of a table, and its preparation as learned on the training split.

    Numbers are filled, clipped, taken the logarithm of, then become (x - shift) * factor. The ids of
    categories are 0 for a missing cell, 1 for a value unseen in training, then the vocabulary; with hashing 0
    and then the buckets.

    Attributes:
        name: as in the table's head.
        kind: what its cells are.
        missing: missing cells in the training split.
        fill: what replaces a missing number, in raw units.
        fill_category: what replaces a missing category; empty keeps `missing` as a category of its own.
        indicator: whether a 0 or 1 for `was missing` stands beside the number.
        low: numbers below become it; None for no bound.
        high: numbers above become it; None for no bound.
        log: take sign(x) * log(1 + |x|) before shift and factor.
        shift: of numbers, and of the date parts `elapsed` and `year` (the same for both, in years).
        factor: likewise.
        parts: of a date, what becomes numbers.
        encoding: of a category.
        vocabulary: known categories, the most frequent first; tokens of a text, likewise.
        buckets: of hashing, the one for missing cells included; of a preset, its tokens.
        dimension: numbers that a category or a token becomes in an embedding.
        length: tokens of a text that are kept.
        normalize: what Keras' TextVectorization does to a text first (its `standardize`), or `none`.
        split: what a token is: `whitespace`, `character`, `word_piece`, or `preset` for those of a preset.
        ngrams: longest run of tokens that is a token of its own; 1 for none.
        shape: of an image, (height, width, channels); else empty.
        resize: how images of another size are brought to that one, see `contracts.Resize`.
        hidden: of a masked language model's text, the share of the tokens that it has to find, where that is
            not BERT's; else 0.
        preset: of a text, what of a KerasHub preset is no weight (`presets.read`); empty for none.
    """

    name: str
    kind: ColumnKind
    missing: int = 0
    fill: float = 0.0
    fill_category: str = ""
    indicator: bool = False
    low: float | None = None
    high: float | None = None
    log: bool = False
    shift: float = 0.0
    factor: float = 1.0
    parts: tuple[DatePart, ...] = ()
    encoding: Encoding = "one_hot"
    vocabulary: tuple[str, ...] = ()
    buckets: int = 0
    dimension: int = 0
    length: int = 0
    normalize: str = "none"
    split: str = "whitespace"
    ngrams: int = 1
    hidden: float = 0.0
    shape: tuple[int, ...] = ()
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    preset: str = ""

    @property
    def key(self) -> str:
        """Its name in dicts of raw cells, and that of the saved model's input: Keras allows no slash."""
        return self.name.replace("/", "\N{DIVISION SLASH}")

    @property
    def ids(self) -> int:
        """Number of ids of a category, or of tokens: padding or missing, unseen, then those known."""
        own = self.encoding == "hash" or self.preset
        return self.buckets if own else len(self.vocabulary) + 2

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Column:
        """From the keys and values of the attributes, lists instead of tuples.

        Raises:
            TypeError: other keys than a column has.
        """
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
        return cls(**values)
