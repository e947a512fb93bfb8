"""The block that transformers repeat: attention and a feed-forward network, each with a residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import Activation

if TYPE_CHECKING:
    import keras

BlockActivation = Literal["gelu_tanh"] | Activation
"""`gelu_tanh` is the approximation of GELU that BERT's and GPT-2's code has; Keras' `gelu` is the exact one,
whose error function onnxruntime does not run."""
Norm = Literal["post", "pre"]

EPSILON = 1e-12
"""Of BERT's normalization; of float32 variances only, which is what Keras' layer computes in."""


def initializer() -> keras.initializers.Initializer:
    """Truncated normal of deviation 0.02 (Devlin et al. 2019, reference code)."""
    import keras

    return keras.initializers.TruncatedNormal(stddev=0.02)


@dataclass(frozen=True)
class Blocks:
    """The layers of one transformer.

    Attributes:
        width: numbers of a token.
        heads: of the attention, each of width / heads numbers.
        feed_forward: units of the inner layer; 0 for 4 * width.
        dropout: of attention weights, and of each part before its residual is added.
        activation: of the inner layer.
        norm: normalize after each residual (`post`) or before attention and feed-forward network (`pre`).
        causal: whether a token sees only itself and those before it.
    """

    width: int
    heads: int
    feed_forward: int
    dropout: float
    activation: BlockActivation
    norm: Norm
    causal: bool = False

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ModelError(
                f"model.heads: {self.heads} heads cannot share a width of {self.width} equally; take a width "
                f"that {self.heads} divides, such as {self.width - self.width % self.heads + self.heads}"
            )

    def normalized(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Layer normalization (Ba et al. 2016)."""
        import keras

        return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)(x)

    def dropped(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Dropout, where there is any."""
        import keras

        return keras.layers.Dropout(self.dropout, name=name)(x) if self.dropout else x

    def activated(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """The activation of the inner layer."""
        import keras

        if self.activation == "gelu_tanh":
            return keras.ops.gelu(x, approximate=True)
        return keras.layers.Activation(self.activation, name=f"{name}_activation")(x)

    def block(self, x: keras.KerasTensor, known: keras.KerasTensor | None, name: str) -> keras.KerasTensor:
        """One block (Vaswani et al. 2017, section 3.1; `pre` as in Radford et al. 2019, section 2.3).

        Args:
            x: (batch, length, width).
            known: (batch, length), true where a token may be looked at; None for everywhere.
            name: of the block, in front of its layers' names.
        """
        way = self._attended(self.normalized(x, f"{name}_attention_norm") if self._pre else x, known, name)
        x = x + self.dropped(way, f"{name}_attention_dropout")
        if not self._pre:
            x = self.normalized(x, f"{name}_attention_norm")
        way = self._fed(self.normalized(x, f"{name}_feed_forward_norm") if self._pre else x, name)
        x = x + self.dropped(way, f"{name}_feed_forward_dropout")
        return x if self._pre else self.normalized(x, f"{name}_feed_forward_norm")

    @property
    def _pre(self) -> bool:
        return self.norm == "pre"

    def _attended(
        self, x: keras.KerasTensor, known: keras.KerasTensor | None, name: str
    ) -> keras.KerasTensor:
        import keras

        layer = keras.layers.MultiHeadAttention(
            self.heads,
            self.width // self.heads,
            dropout=self.dropout,
            kernel_initializer=initializer(),
            name=f"{name}_attention",
        )
        # The same keys for every query: (batch, 1, length).
        mask = None if known is None else keras.ops.expand_dims(known, 1)
        return layer(x, x, attention_mask=mask, use_causal_mask=self.causal)

    def _fed(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        import keras

        units = self.feed_forward or 4 * self.width
        x = keras.layers.Dense(units, kernel_initializer=initializer(), name=f"{name}_feed_forward")(x)
        x = self.activated(x, name)
        return keras.layers.Dense(self.width, kernel_initializer=initializer(), name=f"{name}_projection")(x)
