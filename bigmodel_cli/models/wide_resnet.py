"""Wide residual networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigmodel_cli.contracts import DataSpec, Penalty, Rate, Units
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import output_head, raw_input, require_kind, scaled_image
from bigmodel_cli.models.residual import ResidualParts

if TYPE_CHECKING:
    import keras


def wide_resnet(
    data: DataSpec,
    *,
    depth: Units = 28,
    width: Units = 10,
    dropout: Rate = 0.0,
    l1: Penalty = 0.0,
    l2: Penalty = 2.5e-4,
) -> keras.Model:
    """Wide residual network, for small images.

    Zagoruyko and Komodakis 2016, "Wide Residual Networks" (table 1 and section 2.4): a 3x3 convolution of 16
    filters, three stages of 16, 32 and 64 times `width` filters with pre-activation blocks of two 3x3
    convolutions, shortcuts by 1x1 convolutions where the shape changes. WRN-28-10 is the default. Pixels are
    scaled to -1 to 1 inside the model.

    Args:
        depth: Convolutions and the last layer, 6n + 4: 16, 22, 28, 40.
        width: How many times wider than the residual network of He et al.
        dropout: Share of the activations between the two convolutions of a block that training sets to 0; 0.3
            in the paper's runs with dropout.
        l1: Factor of the sum of absolute kernel weights in the loss, at least 0.
        l2: Factor of the sum of squared kernel weights in the loss, at least 0; half of the paper's weight
            decay of 5e-4, as its gradient is twice its value.
    """
    import keras

    require_kind(data, "wide_resnet", "image")
    blocks = (depth - 4) // 6
    if depth < 10 or (depth - 4) % 6:
        raise ModelError(
            f"model.depth: {depth} is not 6n + 4 with n of at least 1; use {6 * max(1, blocks) + 4} or "
            f"{6 * max(1, blocks) + 10}"
        )
    part = ResidualParts(version=2, shortcut="projection", l1=l1, l2=l2, dropout=dropout)
    inputs = raw_input(data)
    x = part.convolution(scaled_image(inputs, -1, 1), 16, 3, 1, "stem")
    for stage in (1, 2, 3):
        for block in range(1, blocks + 1):
            x = part.block(
                x, 16 * width * 2 ** (stage - 1), 2 if stage > 1 and block == 1 else 1,
                bottleneck=False, skipped=0.0, name=f"stage{stage}_block{block}",
            )  # fmt: skip
    x = keras.layers.GlobalAveragePooling2D(name="pool")(part.activated(x, "final"))
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2), name=f"wide_resnet{depth}_{width}")
