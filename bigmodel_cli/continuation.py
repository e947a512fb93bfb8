"""What a language model writes after a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np

from bigmodel_cli.assembly import Restored
from bigmodel_cli.columns import Column, tokens_name
from bigmodel_cli.errors import UsageError
from bigmodel_cli.hidden_layers import trained_layers
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.token_targets import text_of

PROMPTS_AT_ONCE = 64


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        max_tokens: that are written, at most.
        temperature: divides the logits; 0 takes the likeliest token.
        top_k: only the so many likeliest tokens are drawn from (Fan et al. 2018, "Hierarchical Neural Story
            Generation", section 5); None for all.
        seed: of the draws, which differ from prompt to prompt.
    """

    max_tokens: int = 200
    temperature: float = 1.0
    top_k: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Continuation:
    """A prompt and what follows.

    Attributes:
        prompt: as it was given.
        continuation: what the model wrote.
        tokens: of that.
        ended: whether the model ended the text itself.
    """

    prompt: str
    continuation: str
    tokens: int
    ended: bool

    def to_json(self) -> dict[str, Any]:
        """As plain strings and numbers."""
        return asdict(self)


def continued(restored: Restored, prompts: Sequence[str], sampling: Sampling) -> list[Continuation]:
    """Let a language model go on with prompts, in order.

    Each token is drawn from the model's probabilities given those before it, as many as the model was trained
    on; what came earlier is forgotten. A token unseen in training is never written. What is written after a
    prompt depends on its place among the prompts and on the seed, not on the others.

    Raises:
        UsageError: the run is for another task.
    """
    if restored.spec.task != "language_model":
        raise UsageError(
            f"{restored.run}: continues no prompt, it was trained for {restored.spec.task.replace('_', ' ')}"
        )
    found: list[Continuation] = []
    (column,) = restored.spec.input.columns
    forward = _forward(restored)
    for start in range(0, len(prompts), PROMPTS_AT_ONCE):
        some = prompts[start : start + PROMPTS_AT_ONCE]
        found += _block(column, forward, some, start, sampling)
    return found


def _block(
    column: Column,
    forward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    prompts: Sequence[str],
    first: int,
    sampling: Sampling,
) -> list[Continuation]:
    begun = _tokens(column, prompts)
    written: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    draws = [np.random.default_rng([sampling.seed, first + row]) for row in range(len(prompts))]
    for _ in range(sampling.max_tokens):
        window = np.zeros((len(prompts), column.length), np.int32)
        places = np.zeros(len(prompts), np.int32)
        for row, tokens in enumerate(begun):
            # One place is left for the token that is to come.
            recent = [*tokens, *written[row]][-(column.length - 1) :] if column.length > 1 else []
            window[row, : len(recent)] = recent
            places[row] = len(recent)
        logits = forward(window, places)
        for row, generator in enumerate(draws):
            if ended[row]:
                continue
            token = chosen(logits[row], sampling, generator)
            ended[row] = token == 0
            if token:
                written[row].append(token)
        if all(ended):
            break
    return [
        Continuation(prompt, _joined(column, begun[row], written[row]), len(written[row]), ended[row])
        for row, prompt in enumerate(prompts)
    ]


def chosen(logits: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    """The next token, by its logits (tokens,)."""
    values = logits.astype(np.float64)
    values[1] = -np.inf
    if sampling.temperature == 0:
        return int(values.argmax())
    if sampling.top_k is not None and sampling.top_k < len(values):
        values[values < np.partition(values, -sampling.top_k)[-sampling.top_k]] = -np.inf
    # The largest of logits and Gumbel noise is a draw from their softmax (Maddison et al. 2014, "A*
    # Sampling", section 2).
    return int((values / sampling.temperature + generator.gumbel(size=len(values))).argmax())


def _forward(restored: Restored) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(windows (n, length), places (n,)) -> logits (n, tokens) of these places."""
    core = trained_layers(restored)
    place = keras.Input((), dtype="int32", name="place")
    hot = keras.ops.one_hot(place, restored.spec.target.shape[0])
    picked = keras.ops.sum(core.outputs[0] * keras.ops.expand_dims(hot, -1), axis=1)
    model = keras.Model([core.input, place], picked)
    name = tokens_name(0)
    return lambda windows, places: np.asarray(model.predict_on_batch([{name: windows}, places]))


def _tokens(column: Column, prompts: Sequence[str]) -> list[list[int]]:
    """All tokens of each prompt."""
    cells = np.array([prompt.encode() for prompt in prompts], object)
    longest = max(1, *(len(cell) for cell in cells))
    prepare = preparation([replace(column, length=longest)])
    tensors = prepare({column.key: keras.ops.convert_to_tensor(cells.tolist())})
    return [[token for token in row if token] for row in np.asarray(tensors[tokens_name(0)]).tolist()]


def _joined(column: Column, before: Sequence[int], written: Sequence[int]) -> str:
    """What was written, as it stands behind the prompt."""
    whole, start = text_of(column, [*before, *written]), text_of(column, before)
    return whole[len(start) :]
