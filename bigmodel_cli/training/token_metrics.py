"""Loss and metrics over tokens, of which some do not count (`token_targets.NOT_COUNTED`)."""

from __future__ import annotations

from typing import Any

import keras

from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.token_targets import NOT_COUNTED

LOSS = "sparse_categorical_crossentropy"


def token_loss(config: Config, data: DataSpec) -> keras.losses.Loss:
    """Mean cross-entropy of the tokens of a batch that count.

    Args:
        config: complete.
        data: whose targets are tokens (batch, length), the model's outputs logits (batch, length, tokens).

    Raises:
        UsageError: a loss or metrics of other tasks.
    """
    task = data.task.replace("_", " ")
    if config.loss.name not in ("auto", LOSS) or config.loss.parameters.get("ignore_class") is not None:
        raise UsageError(f"loss: `{config.loss.name}` is not for a {task}; use `auto`, which is {LOSS}")
    if config.loss.label_smoothing:
        raise UsageError(
            f"loss.label_smoothing: got {config.loss.label_smoothing}, but the perplexity of a {task} is "
            "that of its targets as they are; set it to 0"
        )
    if config.metrics != "auto":
        raise UsageError(f"metrics: a {task} has perplexity and accuracy of tokens; leave them `auto`")
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NOT_COUNTED)


def token_metrics() -> list[keras.metrics.Metric]:
    """Perplexity and accuracy, fresh."""
    return [Perplexity(), TokenAccuracy()]


class _OverTokens(keras.metrics.Metric):
    """A mean over all tokens that count, of all batches together."""

    def __init__(self, name: str):
        super().__init__(name=name)
        self._total = self.add_weight(name="total", initializer="zeros")
        self._count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch: tokens (batch, length), logits (batch, length, tokens)."""
        counted = keras.ops.not_equal(y_true, NOT_COUNTED)
        true = keras.ops.where(counted, y_true, keras.ops.zeros_like(y_true))
        weight = keras.ops.cast(counted, "float32")
        if sample_weight is not None:
            weight = weight * keras.ops.reshape(keras.ops.cast(sample_weight, "float32"), (-1, 1))
        values = self.values(true, keras.ops.cast(y_pred, "float32"))
        self._total.assign_add(keras.ops.sum(values * weight))
        self._count.assign_add(keras.ops.sum(weight))

    def values(self, true: Any, logits: Any) -> Any:
        """Of each token, (batch, length) float32."""
        raise NotImplementedError

    def mean(self) -> Any:
        """Over all tokens so far, () float32."""
        return self._total / keras.ops.maximum(self._count, 1.0)


class Perplexity(_OverTokens):
    """exp of the mean cross-entropy: how many equally likely tokens are as hard to choose from."""

    def __init__(self) -> None:
        super().__init__("perplexity")

    def values(self, true: Any, logits: Any) -> Any:
        """Cross-entropy of each token, nats."""
        return keras.ops.sparse_categorical_crossentropy(true, logits, from_logits=True)

    def result(self) -> Any:
        """Over all tokens so far."""
        return keras.ops.exp(self.mean())


class TokenAccuracy(_OverTokens):
    """Share of the tokens that are the likeliest ones."""

    def __init__(self) -> None:
        super().__init__("accuracy")

    def values(self, true: Any, logits: Any) -> Any:
        """1 for each token that is right."""
        return keras.ops.cast(keras.ops.equal(keras.ops.argmax(logits, axis=-1), true), "float32")

    def result(self) -> Any:
        """Over all tokens so far."""
        return self.mean()
