"""Autoencoder: the input through a narrow place and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, Units, self_supervised
from bigmodel_cli.models.coding import Coding
from bigmodel_cli.models.layers import Activation

if TYPE_CHECKING:
    import keras


@self_supervised
def autoencoder(
    data: DataSpec,
    *,
    latent: Units = 32,
    filters: Sequence[Units] | None = None,
    dense: Sequence[Units] | None = None,
    activation: Activation = "relu",
    noise: Annotated[float, Field(ge=0)] = 0.0,
) -> keras.Model:
    """Autoencoder of images or of vectors of numbers: it learns to give its input back, without labels.

    Hinton and Salakhutdinov 2006 (Science 313), trained as a whole: an encoder to `latent` numbers, a linear
    layer, and the decoder that mirrors it. Images of any size: convolutions of 3x3 with stride 2, dense
    layers, and back by transposed convolutions of 4x4 with stride 2; vectors: dense layers alone. With
    `noise` it is a denoising one, which sees the input with noise and learns it without (Vincent et al. 2010,
    section 3.3). Pixels are scaled to 0 to 1, features standardized, inside the model. Labels of the dataset
    are not learned; `evaluate` colours its picture of the latents with them.

    Args:
        latent: Numbers in the narrow place.
        filters: Of images, filters of each convolution from the image inwards, each of which halves height
            and width; may be empty; null is [32, 64].
        dense: Units of the dense layers before the latents, inwards; may be empty; null is [128] for images
            and [64, 32] for vectors.
        activation: Activation after each convolution and dense layer, a Keras name.
        noise: Standard deviation of the Gaussian noise that training adds to the scaled input, at least 0.
    """
    import keras

    coding = Coding.of(data, filters, dense, activation)
    inputs, x = coding.encoded(noise)
    x = keras.layers.Dense(latent, dtype="float32", name="latent")(x)
    return keras.Model(inputs, coding.decoded(x), name="autoencoder")
