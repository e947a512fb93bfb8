"""The residual block that several networks repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bigmodel_cli.models.layers import batch_normalization, regularizer

if TYPE_CHECKING:
    import keras


Shortcut = Literal["padding", "projection", "pooled"]


@dataclass(frozen=True)
class ResidualParts:
    """The layers of one residual network.

    Attributes:
        version: 1 (original) or 2 (pre-activation).
        shortcut: how a shortcut reaches the shape of its block's end: by zeros (option A of He et al. 2016a),
            by a 1x1 convolution (option B), or by the mean of the pixels that the stride would skip and a 1x1
            convolution (ResNet-D, He et al. 2019, "Bag of Tricks", section 4.2).
        dropout: between the convolutions of a block.
        l1: penalty on the absolute weights of every kernel.
        l2: penalty on the squared weights of every kernel.
    """

    version: int
    shortcut: Shortcut
    l1: float
    l2: float
    dropout: float = 0.0

    def convolution(
        self, x: keras.KerasTensor, filters: int, size: int, stride: int, name: str
    ) -> keras.KerasTensor:
        """Convolution without bias: the batch normalization after it has one."""
        import keras

        return keras.layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=regularizer(self.l1, self.l2),
            name=f"{name}_conv",
        )(x)

    def activated(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Batch normalization and ReLU."""
        import keras

        return keras.layers.ReLU(name=f"{name}_relu")(batch_normalization(x, name=f"{name}_bn"))

    def block(
        self,
        x: keras.KerasTensor,
        width: int,
        stride: int,
        *,
        bottleneck: bool,
        skipped: float,
        name: str,
    ) -> keras.KerasTensor:
        """One residual block: x + convolutions(x), two 3x3 or a bottleneck of 1x1, 3x3, 1x1.

        Training leaves the convolutions out with the probability `skipped`.
        """
        import keras

        convolutions: tuple[tuple[int, int, int], ...]  # filters, size, stride
        if bottleneck:
            convolutions = ((width, 1, 1), (width, 3, stride), (4 * width, 1, 1))
        else:
            convolutions = ((width, 3, stride), (width, 3, 1))
        filters = convolutions[-1][0]
        reshape = stride > 1 or x.shape[-1] != filters

        way = shortcut = x
        if self.version == 2:
            way = self.activated(x, f"{name}_0")
            # He et al. 2016b, appendix: where the shape changes, and after the stem, both ways are activated.
            if reshape or name == "stage1_block1":
                shortcut = way
        if reshape:
            shortcut = self._reshaped(shortcut, filters, stride, f"{name}_shortcut")
        for number, (count, size, step) in enumerate(convolutions, 1):
            last = number == len(convolutions)
            way = self.convolution(way, count, size, step, f"{name}_{number}")
            if not last:
                way = self.activated(way, f"{name}_{number}")
                if self.dropout:
                    way = keras.layers.Dropout(self.dropout, name=f"{name}_{number}_dropout")(way)
            elif self.version == 1:
                way = batch_normalization(way, name=f"{name}_{number}_bn")
        if skipped:
            # One draw an example: the dropped ones add zeros, the others are scaled by 1 / (1 - skipped).
            way = keras.layers.Dropout(skipped, noise_shape=(None, 1, 1, 1), name=f"{name}_depth")(way)
        x = keras.layers.Add(name=f"{name}_add")([shortcut, way])
        return keras.layers.ReLU(name=f"{name}_relu")(x) if self.version == 1 else x

    def _reshaped(self, x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
        """Shortcut with `filters` channels at every `stride`-th pixel."""
        import keras

        if self.shortcut == "pooled" and stride > 1:
            x = keras.layers.AveragePooling2D(stride, padding="same", name=f"{name}_pool")(x)
            stride = 1
        if self.shortcut != "padding":
            x = self.convolution(x, filters, 1, stride, name)
            return batch_normalization(x, name=f"{name}_bn") if self.version == 1 else x
        x = keras.layers.AveragePooling2D(1, strides=stride, name=f"{name}_stride")(x)
        extra = filters - x.shape[-1]
        # Told `channels_first`, the layer pads the last two axes: 0 columns and the channels. A plain
        # Keras layer, where an operation of our own would keep the saved model from loading elsewhere.
        return keras.layers.ZeroPadding2D(
            ((0, 0), (extra // 2, extra - extra // 2)), data_format="channels_first", name=f"{name}_channels"
        )(x)
