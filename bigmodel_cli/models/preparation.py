"""A table's raw columns to the tensors that a model takes, as Keras layers: part of every saved model.

Only layers and operations that Keras ships, so that model.keras loads without bigmodel; but for word pieces,
which Keras has no layer for. What was learned on
the training split stands in `columns.Column`; here nothing is learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bigmodel_cli.columns import (
    CATEGORIES,
    MISSING_DATE,
    NUMBERS,
    RAW_DTYPES,
    Column,
    DatePart,
    image_name,
    tokens_name,
)

if TYPE_CHECKING:
    import keras

SECONDS_A_DAY = 86_400
SECONDS_A_YEAR = 31_556_952.0
_CYCLES: dict[DatePart, float] = {"month": 12, "day": 31, "weekday": 7, "hour": 1}


def preparation(columns: Sequence[Column]) -> keras.Model:
    """A model of raw columns to prepared tensors; it has no weights.

    Takes a dict of column key -> (batch, *column.shape), dtypes as `columns.RAW_DTYPES`. Gives a dict, of
    which each part is there only where columns make it up:

    - `numbers` (batch, n) float32: each numeric and boolean column, then its indicator; each part of a date,
      then its indicator;
    - `categories` (batch, k) int32: the id of each categorical column;
    - `tokens_0`, ... (batch, length) int32: the tokens of each text column, 0 where the text has ended;
    - `image_0`, ... (batch, height, width, channels) uint8: the pixels of each image column, as they are.
    """
    import keras

    raw = {
        column.key: keras.Input(column.shape, dtype=RAW_DTYPES[column.kind], name=column.key)
        for column in columns
    }
    numbers = [part for column in columns for part in _numbers(column, raw[column.key])]
    categories = [_category(column, raw[column.key]) for column in columns if column.kind == "categorical"]
    texts = [column for column in columns if column.kind == "text"]
    prepared: dict[str, Any] = {}
    if numbers:
        prepared[NUMBERS] = keras.ops.stack(numbers, axis=-1)
    if categories:
        prepared[CATEGORIES] = keras.ops.stack(categories, axis=-1)
    for index, column in enumerate(texts):
        prepared[tokens_name(index)] = _tokens(column, raw[column.key])
    for index, column in enumerate(column for column in columns if column.kind == "image"):
        prepared[image_name(index)] = raw[column.key]
    return keras.Model(raw, prepared, name="preparation")


def _numbers(column: Column, cells: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The numbers (batch,) float32 that a column becomes; none for categories and texts."""
    from keras import ops

    if column.kind == "date":
        return _date_numbers(column, cells)
    if column.kind not in ("numeric", "boolean"):
        return []
    missing = ops.isnan(cells)
    values = ops.where(missing, column.fill, cells)
    if column.low is not None and column.high is not None:
        values = ops.clip(values, column.low, column.high)
    if column.log:
        values = ops.sign(values) * ops.log1p(ops.absolute(values))
    found = [(values - column.shift) * column.factor]
    if column.indicator:
        found.append(ops.cast(missing, "float32"))
    return found


def _date_numbers(column: Column, seconds: keras.KerasTensor) -> list[keras.KerasTensor]:
    from keras import ops

    missing = ops.equal(seconds, MISSING_DATE)
    seconds = ops.where(missing, ops.zeros_like(seconds), seconds)
    days = ops.floor_divide(seconds, SECONDS_A_DAY)
    year, month, day = _civil(days)
    of_part: dict[DatePart, Callable[[], keras.KerasTensor]] = {
        "elapsed": lambda: ops.cast(seconds, "float64") / SECONDS_A_YEAR,
        "year": lambda: ops.cast(year - 1970, "float64"),
        "month": lambda: ops.cast(month - 1, "float64"),
        "day": lambda: ops.cast(day - 1, "float64"),
        # The first of January 1970 was a Thursday; Monday is 0.
        "weekday": lambda: ops.cast(ops.mod(days + 3, 7), "float64"),
        "hour": lambda: ops.cast(seconds - days * SECONDS_A_DAY, "float64") / SECONDS_A_DAY,
    }
    found = []
    for part in column.parts:
        value = of_part[part]()
        if part in _CYCLES:
            angle = value * (2 * math.pi / _CYCLES[part])
            found += [ops.sin(angle), ops.cos(angle)]
        else:
            found.append((value - column.shift) * column.factor)
    numbers = [ops.where(missing, 0.0, ops.cast(value, "float32")) for value in found]
    if column.indicator:
        numbers.append(ops.cast(missing, "float32"))
    return numbers


def _civil(days: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Year, month (1 to 12) and day (1 to 31), int64, of days since 1970 in the Gregorian calendar.

    The algorithm `civil_from_days` of Hinnant 2021, https://howardhinnant.github.io/date_algorithms.html.
    """
    from keras import ops

    # Of the years that begin in March, so that a leap day is the last; eras are 400 of them.
    shifted = days + 719_468
    era = ops.floor_divide(shifted, 146_097)
    of_era = shifted - era * 146_097
    leaps = (
        ops.floor_divide(of_era, 1460) - ops.floor_divide(of_era, 36_524) + ops.floor_divide(of_era, 146_096)
    )
    year_of_era = ops.floor_divide(of_era - leaps, 365)
    of_year = of_era - (
        365 * year_of_era + ops.floor_divide(year_of_era, 4) - ops.floor_divide(year_of_era, 100)
    )
    from_march = ops.floor_divide(5 * of_year + 2, 153)
    day = of_year - ops.floor_divide(153 * from_march + 2, 5) + 1
    month = ops.where(from_march < 10, from_march + 3, from_march - 9)
    year = year_of_era + era * 400 + ops.cast(month <= 2, "int64")
    return year, month, day


def _category(column: Column, cells: keras.KerasTensor) -> keras.KerasTensor:
    """Ids (batch,) int32, see `columns.Column`."""
    import keras
    from keras import ops

    if column.encoding == "hash":
        ids = keras.layers.Hashing(column.buckets, mask_value="", dtype="int64")(cells)
        if column.fill_category:
            filled = keras.layers.Hashing(column.buckets, mask_value="")([column.fill_category])
            ids = ops.where(ops.equal(ids, 0), int(filled[0]), ids)
    else:
        ids = keras.layers.StringLookup(vocabulary=list(column.vocabulary), mask_token="")(cells)
        if column.fill_category:
            # The ids of missing and unseen cells come before the vocabulary.
            index = column.vocabulary.index(column.fill_category) + 2
            ids = ops.where(ops.equal(ids, 0), index, ids)
    return ops.cast(ids, "int32")


def _tokens(column: Column, cells: keras.KerasTensor) -> keras.KerasTensor:
    """Token ids (batch, length) int32: 0 where the text has ended, 1 for unseen, then the vocabulary."""
    import keras

    if column.preset:
        from bigmodel_cli.preset_tokens import PresetTokens

        return PresetTokens(column.preset, column.length)(cells)
    if column.split == "word_piece":
        from bigmodel_cli.text_pieces import WordPieces

        return WordPieces(column.vocabulary, column.normalize, column.length)(cells)
    layer = keras.layers.TextVectorization(
        vocabulary=list(column.vocabulary),
        standardize=None if column.normalize == "none" else column.normalize,
        split=column.split,
        ngrams=column.ngrams if column.ngrams > 1 else None,
        output_sequence_length=column.length,
    )
    return keras.ops.cast(layer(cells), "int32")
