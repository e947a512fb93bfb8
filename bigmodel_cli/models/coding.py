"""What autoencoders share: an encoder to a vector, and the decoder that mirrors it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bigmodel_cli.contracts import DataSpec, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import (
    Activation,
    describe_input,
    initializer_for,
    raw_input,
    scaled_image,
    standardized,
)

if TYPE_CHECKING:
    import keras

IMAGE_FILTERS, IMAGE_DENSE, VECTOR_DENSE = (32, 64), (128,), (64, 32)
"""Widths where none are given."""


@dataclass(frozen=True)
class Coding:
    """The layers between an input and its latents, and back.

    Attributes:
        data: what is reconstructed.
        filters: of the convolutions, from the image inwards; each halves height and width.
        dense: units of the dense layers after them, inwards.
        activation: after each of both.
    """

    data: DataSpec
    filters: tuple[int, ...]
    dense: tuple[int, ...]
    activation: Activation

    @classmethod
    def of(
        cls,
        data: DataSpec,
        filters: Sequence[Units] | None,
        dense: Sequence[Units] | None,
        activation: Activation,
    ) -> Coding:
        """With widths that fit the input where none are given.

        Raises:
            ModelError: filters for what is no image, or more than can halve it.
        """
        image = data.input.kind == "image"
        if filters is not None and not image:
            raise ModelError(
                f"model.filters: are for images, but dataset `{data.name}` gives {describe_input(data)}; "
                "leave them out, model.dense has the widths"
            )
        filters = (IMAGE_FILTERS if image else ()) if filters is None else filters
        dense = (IMAGE_DENSE if image else VECTOR_DENSE) if dense is None else dense
        if image and (smallest := min(data.input.shape[:2])) <= 2 ** (len(filters) - 1) and len(filters) > 1:
            most = max(1, math.ceil(math.log2(smallest)))
            raise ModelError(
                f"model.filters: {len(filters)} halve {describe_input(data)} of dataset `{data.name}` until "
                f"nothing is left to halve; give at most {most}"
            )
        return cls(data, tuple(filters), tuple(dense), activation)

    def encoded(self, noise: float = 0.0) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """The raw input, and what the last hidden layer makes of it (batch, units).

        Args:
            noise: standard deviation of what training adds to the scaled input.
        """
        import keras

        inputs = raw_input(self.data)
        image = self.data.input.kind == "image"
        x = scaled_image(inputs, 0, 1) if image else standardized(inputs, self.data)
        if noise:
            x = keras.layers.GaussianNoise(noise, name="noise")(x)
        for number, width in enumerate(self.filters, 1):
            x = keras.layers.Conv2D(
                width, 3, strides=2, padding="same", activation=self.activation,
                kernel_initializer=initializer_for(self.activation), name=f"encoder_conv{number}",
            )(x)  # fmt: skip
        x = keras.layers.Flatten(name="encoder_flatten")(x)
        for number, units in enumerate(self.dense, 1):
            x = self._dense(x, units, f"encoder_dense{number}")
        return inputs, x

    def decoded(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The way back from latents (batch, latents) to (batch, *input.shape) float32.

        Logits of pixels from 0 to 1, or standardized features.
        """
        import keras

        for number, units in reversed(list(enumerate(self.dense, 1))):
            x = self._dense(x, units, f"decoder_dense{number}")
        shape = self.data.input.shape
        if self.data.input.kind != "image":
            return keras.layers.Dense(shape[0], dtype="float32", name="features")(x)
        if not self.filters:
            x = keras.layers.Dense(math.prod(shape), dtype="float32", name="decoder_map")(x)
            return keras.layers.Reshape(shape, dtype="float32", name="logits")(x)
        sizes = self._sizes()
        x = self._dense(x, math.prod(sizes[-1]) * self.filters[-1], "decoder_map")
        x = keras.layers.Reshape((*sizes[-1], self.filters[-1]), name="decoder_grid")(x)
        for number in range(len(self.filters), 0, -1):
            # A kernel that the stride divides leaves no checkerboard (Odena et al. 2016).
            x = keras.layers.Conv2DTranspose(
                self.filters[max(0, number - 2)], 4, strides=2, padding="same", activation=self.activation,
                kernel_initializer=initializer_for(self.activation), name=f"decoder_conv{number}",
            )(x)  # fmt: skip
            height, width = sizes[number - 1]
            if (over := (x.shape[1] - height, x.shape[2] - width)) != (0, 0):
                # Half of an odd size is rounded up.
                crop = ((0, over[0]), (0, over[1]))
                x = keras.layers.Cropping2D(crop, name=f"decoder_crop{number}")(x)
        # float32: logits in bfloat16 have two or three digits.
        return keras.layers.Conv2D(shape[2], 3, padding="same", dtype="float32", name="logits")(x)

    def _dense(self, x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
        import keras

        initializer = initializer_for(self.activation)
        return keras.layers.Dense(
            units, activation=self.activation, kernel_initializer=initializer, name=name
        )(x)

    def _sizes(self) -> list[tuple[int, int]]:
        """Height and width before the first convolution and behind each."""
        sizes = [self.data.input.shape[:2]]
        for _ in self.filters:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        return sizes  # type: ignore[return-value]
