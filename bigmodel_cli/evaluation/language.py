"""Evaluation of language models: batch by batch, for the probabilities of all tokens never fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from bigmodel_cli import assembly, plots, rundir
from bigmodel_cli.assembly import Data, Restored
from bigmodel_cli.continuation import Sampling, continued
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.pipeline import Keeping, evaluation_batches
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.evaluation.outcome import Evaluation
from bigmodel_cli.evaluation.subject import Subject
from bigmodel_cli.hidden_layers import trained_layers
from bigmodel_cli.metrics import Baseline, language_metrics, language_values, text_sums
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.models.preparation_graph import in_tf_data
from bigmodel_cli.plots import Theme
from bigmodel_cli.token_targets import NOT_COUNTED, deriving, text_of

LOGITS_BYTES = 128 * 2**20
"""Of a batch, at most, unless one text has more."""

SAMPLES, SAMPLING = 3, Sampling(max_tokens=150, temperature=0.8, top_k=40)
"""Texts of the split whose beginnings the model continues, and how."""

PAIR_TOKENS = 20_000
"""Vocabulary up to which pairs of tokens are counted: their table has the square of it at most."""


def evaluate_language(restored: Restored, subject: Subject, by: Sequence[str], theme: Theme) -> Evaluation:
    """Measure a language model; see `stage.evaluate`.

    Raises:
        UsageError: groups, which texts alone have not.
        DataError: the model gives numbers that are not finite.
    """
    if by:
        raise UsageError("--by: a language model's texts have no other columns to group by; leave it out")
    spec, run, data = restored.spec, restored.run, subject.data
    prepare = in_tf_data(preparation(spec.input.columns), spec)
    seen = _see(restored, subject.split, Keeping("none", prepare, derive=deriving(spec)))
    if not np.isfinite(seen.losses[seen.counted]).all():
        raise DataError(
            f"{run}: the model gives losses on the {subject.title} that are not finite: it diverged; train "
            "again with a lower learning rate"
        )
    frequencies = _smoothed(np.asarray(spec.target.counts, np.float64))
    report = language_metrics(
        spec.task, seen.losses, seen.right, seen.counted, seen.characters,
        -np.log(frequencies)[seen.tokens], seen.tokens == frequencies.argmax(),
        seed=restored.config.seed,
    )  # fmt: skip
    masked = spec.task == "masked_language_model"
    linear, reason = (None, None) if masked or data is None else _bigrams(data, seen, frequencies)
    folder = run.evaluation(subject.name)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{restored.config.name}, {subject.title}"
    picture = plots.loss_by_place(
        report.places, report.baseline.scores["loss"], folder / "loss_by_place.png", title=title, theme=theme
    )
    _write(folder, subject, seen)
    evaluation = Evaluation(
        run, subject.name, subject.title, folder, report, linear, None, None, (), None, None, (), (picture,),
        (*subject.notes, *([reason] if reason else [])), subject.record,
        None if masked else _samples(restored, seen),
    )  # fmt: skip
    rundir.write_json(folder / "metrics.json", evaluation.to_json())
    return evaluation


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a model says of the tokens of a split.

    Attributes:
        tokens: targets (n, length), 0 where they do not count.
        counted: whether they count (n, length).
        losses: of each (n, length), nats, float32.
        right: whether it is the likeliest one (n, length).
        characters: of each text, as far as its tokens count (n,).
    """

    tokens: np.ndarray
    counted: np.ndarray
    losses: np.ndarray
    right: np.ndarray
    characters: np.ndarray


def _see(restored: Restored, split: SplitData, keeping: Keeping) -> _Seen:
    core, spec = trained_layers(restored), restored.spec
    size = batch_size(spec)
    parts: list[tuple[np.ndarray, ...]] = []

    # Of the whole batch in one graph: the logits alone leave it, reduced to a number a token.
    inputs = core.input
    targets = keras.Input(spec.target.shape, dtype="int32", name="targets")
    logits = keras.ops.cast(core.outputs[0], "float32")
    safe = keras.ops.maximum(targets, 0)
    losses = keras.ops.sparse_categorical_crossentropy(safe, logits, from_logits=True)
    likeliest = keras.ops.argmax(logits, axis=-1)
    measure = keras.Model([inputs, targets], [losses, likeliest])
    measure.compile(jit_compile=False)
    with data_errors_told():
        for prepared, wanted in evaluation_batches(
            split, batch_size=size, keeping=keeping, hide=assembly.hiding(spec)
        ):
            loss, best = measure.predict_on_batch([prepared, wanted])
            true = np.asarray(wanted)
            counted = true != NOT_COUNTED
            tokens = np.where(counted, true, 0)
            parts.append((tokens, counted, np.asarray(loss, np.float32), np.asarray(best) == tokens))
    tokens, counted, found, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    (column,) = spec.input.columns
    if spec.task == "masked_language_model":
        # Tokens here and there are no text whose characters could be counted.
        return _Seen(tokens, counted, found, right, np.zeros(len(tokens), np.int64))
    characters = np.array([len(text_of(column, row)) for row in np.where(counted, tokens, 0).tolist()])
    return _Seen(tokens, counted, found, right, characters)


def batch_size(spec: DataSpec) -> int:
    """Texts whose logits fit into `LOGITS_BYTES`."""
    return max(1, min(assembly.BATCH_SIZE, LOGITS_BYTES // (4 * spec.target.shape[0] * spec.outputs)))


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Frequencies with one more of each, so that none is 0 (Laplace)."""
    return np.asarray((counts + 1) / (counts + 1).sum())


def _bigrams(data: Data, seen: _Seen, frequencies: np.ndarray) -> tuple[Baseline | None, str | None]:
    """A model that sees the one token before, measured on the same tokens.

    Interpolated with the frequencies of single tokens by the weight of Witten and Bell 1991 ("The zero-
    frequency problem", method C): n / (n + t) of a token that was followed n times by t different ones.

    Returns:
        Its scores, or None and why there is none.
    """
    count = len(frequencies)
    if count > PAIR_TOKENS:
        return None, f"no bigram model: {count:,} tokens have too many pairs"
    pairs: dict[int, int] = {}
    for before, after in _pairs(data):
        keys, times = np.unique(before * count + after, return_counts=True)
        for key, number in zip(keys.tolist(), times.tolist(), strict=True):
            pairs[key] = pairs.get(key, 0) + number
    keys = np.fromiter(sorted(pairs), np.int64, len(pairs))
    values = np.array([pairs[key] for key in keys.tolist()], np.float64)
    followed = np.bincount(keys // count, weights=values, minlength=count)
    different = np.bincount(keys // count, minlength=count)
    # A token that nothing follows in training leaves all to the frequencies.
    weight = followed / np.maximum(followed + different, 1)
    before = _before(seen.tokens)
    wanted = before * count + seen.tokens
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    seen_pairs = np.where(keys[places] == wanted, values[places], 0.0) / np.maximum(followed[before], 1)
    probabilities = weight[before] * seen_pairs + (1 - weight[before]) * frequencies[seen.tokens]
    likeliest = _likeliest(keys, values, count, int(frequencies.argmax()))
    scores = language_values(
        -np.log(probabilities), likeliest[before] == seen.tokens, seen.counted, seen.characters
    )
    return Baseline(
        "pairs of tokens (bigrams) of the training split, instead of a linear model", scores
    ), None


def _likeliest(keys: np.ndarray, values: np.ndarray, count: int, otherwise: int) -> np.ndarray:
    """The token that most often follows each (tokens,)."""
    best = np.full(count, otherwise)
    order = np.argsort(values, kind="stable")
    best[keys[order] // count] = keys[order] % count
    return best


def _pairs(data: Data) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Tokens of the training split that count, each with the one before."""
    for _, targets in evaluation_batches(data.splits["train"], batch_size=1024, keeping=data.keeping):
        true = np.asarray(targets)
        counted = true != NOT_COUNTED
        tokens = np.where(counted, true, 0)
        yield _before(tokens)[counted].astype(np.int64), tokens[counted].astype(np.int64)


def _before(tokens: np.ndarray) -> np.ndarray:
    """The token before each (n, length): the end of another text before the first."""
    return np.concatenate([np.zeros_like(tokens[:, :1]), tokens[:, :-1]], axis=1)


def _samples(restored: Restored, seen: _Seen) -> dict[str, Any]:
    """What the model writes after the first third of the first texts."""
    (column,) = restored.spec.input.columns
    some = [
        row[: max(1, int(known.sum()) // 3)] for row, known in zip(seen.tokens, seen.counted, strict=True)
    ]
    prompts = [text_of(column, row.tolist()) for row in some[:SAMPLES]]
    found = continued(restored, prompts, SAMPLING)
    return {**asdict(SAMPLING), "continuations": [item.to_json() for item in found]}


def _write(folder: Any, subject: Subject, seen: _Seen) -> None:
    """A row for each text: what its scores are made of, and its mean loss."""
    import pyarrow as pa
    from pyarrow import parquet

    losses, right, tokens, characters = text_sums(seen.losses, seen.right, seen.counted, seen.characters).T
    columns = {"id": subject.ids, "loss": losses / np.maximum(tokens, 1), "loss_sum": losses}
    whole = {"right": right, "tokens": tokens, "characters": characters}
    table = pa.table({**columns, **{name: values.astype(np.int64) for name, values in whole.items()}})
    rundir.write_atomically(
        folder / "predictions.parquet", lambda temporary: parquet.write_table(table, temporary)
    )
