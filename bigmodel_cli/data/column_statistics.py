"""How a table's columns become numbers, learned of the training split.

Quantiles, means and deviations of numbers are exact up to `SAMPLE_ROWS` rows; of more rows, those of a random
sample of as many. Categories and tokens are counted over all rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from bigmodel_cli.columns import IMAGES_SCALED, MISSING_DATE, Column, ColumnKind
from bigmodel_cli.config.schema import (
    Prepare,
    PrepareCategorical,
    PrepareDate,
    PrepareNumeric,
    PrepareText,
    Section,
)
from bigmodel_cli.data.preset_texts import PresetTexts
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.word_pieces import CountedWords
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

T = TypeVar("T", bound=Section)

SAMPLE_ROWS = 1_000_000
SAMPLE_CELLS = 64_000_000
"""Of the sample, together: 256 MB. A table of very many columns is sampled by fewer rows."""

ONE_HOT_LIMIT = 32
"""Categories up to which `encode: auto` takes one_hot."""

SECONDS_A_YEAR = 31_556_952.0
"""Of the Gregorian calendar, on average."""

LONGEST_TEXT = 512
"""Tokens that `length: auto` keeps at most."""


def learn_columns(
    columns: Sequence[Column],
    train: SplitData,
    prepare: Prepare,
    texts: Sequence[Column] = (),
    preset: str = "",
) -> tuple[Column, ...]:
    """How each column becomes numbers, learned in one pass over the training split.

    Args:
        columns: names and kinds.
        train: the training split, of a source whose input is a table.
        prepare: what the config asks for.
        texts: columns of text whose tokens are known already.
        preset: whose tokens texts become; empty for none.

    Raises:
        DataError: options for a column that is not there, or that its kind does not have.
    """
    import numpy as np

    _check_names(columns, prepare)
    # Images become numbers in the model alone.
    options = {column.name: _options(column, prepare) for column in columns if column.kind != "image"}
    numeric = [column.name for column in columns if column.kind in ("numeric", "boolean", "date")]
    rows = min(SAMPLE_ROWS, max(1, SAMPLE_CELLS // max(1, len(numeric))))
    share = min(1.0, rows / train.size)
    sample: dict[str, list[np.ndarray]] = {name: [] for name in numeric}
    missing: Counter[str] = Counter()
    categories = {column.name: Counter[bytes]() for column in columns if column.kind == "categorical"}
    tokens = {
        column.name: _tokens(_of(options[column.name], PrepareText), preset)
        for column in columns
        if column.kind == "text"
    }
    earlier = {column.name: column for column in texts}
    for number, (inputs, _) in enumerate(train.batches()):
        size = int(next(iter(inputs.values())).shape[0])
        chosen: Any = slice(None)
        if share < 1:
            chosen = np.random.default_rng([number]).random(size) < share
        for column in columns:
            cells = inputs[column.key]
            if column.kind == "image":
                continue
            if column.kind == "text":
                tokens[column.name].update(cells)
                missing[column.name] += int(np.count_nonzero(cells.numpy() == b""))
            elif column.kind == "categorical":
                counts = _value_counts(cells.numpy())
                missing[column.name] += counts.pop(b"", 0)
                categories[column.name].update(counts)
            else:
                values = cells.numpy()
                gone = values == MISSING_DATE if column.kind == "date" else np.isnan(values)
                missing[column.name] += int(np.count_nonzero(gone))
                sample[column.name].append(values[chosen][~gone[chosen]])
    learned = []
    for column in columns:
        if column.kind == "image":
            learned.append(column)
            continue
        wanted = options[column.name]
        column = replace(column, missing=missing[column.name])
        if column.kind == "text":
            column = tokens[column.name].learned(column)
            if column.name in earlier:
                column = _as_before(column, earlier[column.name], _of(wanted, PrepareText))
        elif column.kind == "categorical":
            column = _category(column, categories[column.name], _of(wanted, PrepareCategorical))
        elif column.kind == "date":
            column = _date(column, np.concatenate(sample[column.name]), _of(wanted, PrepareDate))
        else:
            column = _number(column, np.concatenate(sample[column.name]), _of(wanted, PrepareNumeric), share)
        learned.append(column)
    return tuple(learned)


_SECTIONS: Mapping[ColumnKind, str] = {
    "numeric": "numeric", "boolean": "numeric", "categorical": "categorical", "date": "date", "text": "text",
}  # fmt: skip


def _as_before(column: Column, before: Column, wanted: PrepareText) -> Column:
    """A text with the tokens of an earlier training.

    Raises:
        DataError: the config asks for other tokens.
    """
    if column.preset != before.preset:
        raise DataError(
            f"initialize.weights: the tokens of `{column.name}` there are "
            f"{'those of another preset' if before.preset and column.preset else 'of another kind'}, so that "
            "its weights would mean other words; begin with a run of the same model and preset"
        )
    if column.preset:
        return column
    for key in ("normalize", "split", "ngrams"):
        asked, had = getattr(wanted, key), getattr(before, key)
        if asked != had:
            raise DataError(
                f"dataset.prepare.text.{key}: is `{asked}` for `{column.name}`, but the run that "
                f"`initialize` names has `{had}`; set the same, so that the tokens are those it learned"
            )
    length = before.length if wanted.length == "auto" else wanted.length
    return replace(column, vocabulary=before.vocabulary, length=length)


def _check_names(columns: Sequence[Column], prepare: Prepare) -> None:
    names = [column.name for column in columns]
    for name in prepare.columns:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(names[:20])}"
            raise DataError(f"dataset.prepare.columns: there is no column `{name}` to prepare; {meant}")
        if columns[names.index(name)].kind == "image":
            raise DataError(f"dataset.prepare.columns.{name}: {IMAGES_SCALED}")


def _options(column: Column, prepare: Prepare) -> Section:
    """The options of a column's kind, with what is said of this column.

    Raises:
        DataError: keys or values that the kind does not have.
    """
    section = _SECTIONS[column.kind]
    general: Section = getattr(prepare, section)
    own = prepare.columns.get(column.name, {})
    # What goes with another choice of the kind's is left out where the column chooses anew.
    replaced = {"fill"} if "missing" in own else set()
    replaced |= {"hash_buckets"} if "encode" in own else set()
    try:
        return type(general).model_validate({**general.model_dump(exclude=replaced), **own})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = ", ".join(type(general).model_fields)
        what = f"{section} columns have {known}" if first["type"] == "extra_forbidden" else first["msg"]
        place = ".".join(filter(None, (column.name, key)))
        raise DataError(f"dataset.prepare.columns.{place}: {what}; the column is {column.kind}") from None


def _of(options: Section, kind: type[T]) -> T:
    assert isinstance(options, kind)
    return options


def _value_counts(cells: np.ndarray) -> dict[bytes, int]:
    import pyarrow as pa

    counted = pa.array(cells, pa.binary()).value_counts()
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _number(column: Column, values: np.ndarray, wanted: PrepareNumeric, share: float) -> Column:
    """Of the values that are not missing: fill, bounds, and shift and factor of what is then left.

    Args:
        column: its name and its missing cells in the whole training split.
        values: of the sample, (n,).
        wanted: how to prepare it.
        share: of the training split in the sample.
    """
    import numpy as np

    if not len(values):
        raise DataError(
            f"dataset: the column `{column.name}` has no value at all in the training split; leave it out "
            "with "
            f"dataset.columns: {{{column.name}: ignore}}"
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            f"dataset: the column `{column.name}` holds an infinite number; mend it, or clip it before"
        )
    find: dict[str, Callable[[], float]] = {
        "median": lambda: float(np.median(values)),
        "mean": lambda: float(values.mean()),
        "mode": lambda: _mode(values),
        "constant": lambda: wanted.fill,
    }
    fill = find[wanted.missing]()
    low = high = None
    if wanted.clip is not None:
        low, high = map(float, np.quantile(values, wanted.clip))
        values = values.clip(low, high)
    log = wanted.scale == "log"
    # What is filled in counts as well: the model sees it as often as it is missing.
    values = np.append(values, fill if low is None else np.clip(fill, low, high))
    weights = np.append(np.ones(len(values) - 1), column.missing * share)
    if log:
        values = np.sign(values) * np.log1p(np.abs(values))
    shift, factor = 0.0, 1.0
    if wanted.scale in ("standardize", "log"):
        shift = float(np.average(values, weights=weights))
        deviation = math.sqrt(float(np.average((values - shift) ** 2, weights=weights)))
        # A deviation below float32's resolution of the mean is rounding error, not a scale.
        factor = 1.0 if deviation <= 1e-6 * abs(shift) else 1 / deviation
    elif wanted.scale == "min_max":
        shift = float(values.min())
        span = float(values.max()) - shift
        factor = 1 / span if span > 0 else 1.0
    return replace(
        column, fill=fill, indicator=wanted.indicator, low=low, high=high, log=log, shift=shift, factor=factor
    )


def _mode(values: np.ndarray) -> float:
    import numpy as np

    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()])


def _date(column: Column, seconds: np.ndarray, wanted: PrepareDate) -> Column:
    years = seconds / SECONDS_A_YEAR
    if not len(years):
        raise DataError(f"dataset: the column `{column.name}` has no date at all in the training split")
    deviation = float(years.std())
    return replace(
        column,
        parts=tuple(wanted.parts),
        indicator=wanted.indicator,
        shift=float(years.mean()),
        factor=1 / deviation if deviation > 0 else 1.0,
    )


def _category(column: Column, counts: Mapping[bytes, int], wanted: PrepareCategorical) -> Column:
    # Equally frequent ones in the order of the alphabet, so that the vocabulary does not depend on the rows.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    frequent = [value.decode() for value, count in ranked if count >= wanted.min_count]
    vocabulary = frequent[: wanted.max_categories]
    if not vocabulary and wanted.encode != "hash":
        raise DataError(
            f"dataset: the column `{column.name}` has no category that occurs {wanted.min_count} times or "
            "more "
            "in the training split; leave it out, or lower dataset.prepare.categorical.min_count"
        )
    fill = ""
    if wanted.missing == "mode":
        fill = vocabulary[0] if vocabulary else ranked[0][0].decode()
    elif wanted.missing == "constant":
        assert wanted.fill is not None
        fill = wanted.fill
        if fill not in vocabulary:
            vocabulary.append(fill)
    encoding = wanted.encode
    if encoding == "auto":
        encoding = "one_hot" if len(vocabulary) <= ONE_HOT_LIMIT else "embedding"
    count = wanted.hash_buckets if encoding == "hash" else len(vocabulary)
    # The rule of thumb of fastai's tabular learner.
    dimension = min(50, max(1, round(1.6 * count**0.56)))
    if wanted.dimension != "auto":
        dimension = wanted.dimension
    return replace(
        column,
        encoding=encoding,
        fill_category=fill,
        vocabulary=() if encoding == "hash" else tuple(vocabulary),
        buckets=wanted.hash_buckets if encoding == "hash" else 0,
        dimension=0 if encoding == "one_hot" else dimension,
    )


def _tokens(wanted: PrepareText, preset: str) -> _Tokens | PresetTexts:
    return PresetTexts(preset, wanted, LONGEST_TEXT) if preset else _Tokens(wanted)


class _Tokens:
    """The vocabulary of a text column, counted batch by batch by Keras' own layer."""

    def __init__(self, wanted: PrepareText):
        import keras

        self._wanted = wanted
        self._words = CountedWords(wanted.normalize) if wanted.split == "word_piece" else None
        if self._words is not None:
            return
        options: dict[str, Any] = {
            "standardize": None if wanted.normalize == "none" else wanted.normalize,
            "split": wanted.split,
            "ngrams": wanted.ngrams if wanted.ngrams > 1 else None,
        }
        self._layer = keras.layers.TextVectorization(max_tokens=wanted.max_tokens, **options)
        # Tells how many tokens a text has, whatever they are: 0 stands where it has ended. Ragged ones are
        # for Keras on TensorFlow only.
        self._splitter = keras.layers.TextVectorization(vocabulary=["a"], **options)
        self._lengths: list[np.ndarray] = []

    def update(self, cells: tf.Tensor) -> None:
        import numpy as np

        if self._words is not None:
            self._words.update(cells)
            return
        self._layer.update_state(cells)
        if self._wanted.length == "auto":
            self._lengths.append(np.count_nonzero(np.asarray(self._splitter(cells)), axis=1))

    def learned(self, column: Column) -> Column:
        import numpy as np

        if self._words is not None:
            # Padding and unseen are of the vocabulary, too.
            vocabulary = self._words.learned(self._wanted.max_tokens - 2)
            self._lengths = [self._words.lengths(vocabulary)]
        else:
            self._layer.finalize_state()
            vocabulary = tuple(self._layer.get_vocabulary(include_special_tokens=False))
        if not vocabulary:
            raise DataError(
                f"dataset: the text column `{column.name}` holds no word at all in the training split"
            )
        if self._wanted.length == "auto":
            longest = float(np.quantile(np.concatenate(self._lengths), 0.99))
            length = max(1, min(LONGEST_TEXT, math.ceil(longest)))
        else:
            length = self._wanted.length
        return replace(
            column,
            encoding="embedding",
            vocabulary=vocabulary,
            dimension=self._wanted.dimension,
            length=length,
            normalize=self._wanted.normalize,
            split=self._wanted.split,
            ngrams=self._wanted.ngrams,
            hidden=self._wanted.hidden or 0.0,
        )
