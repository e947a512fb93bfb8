"""Residual networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bigmodel_cli.contracts import DataSpec, Penalty, Rate
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.layers import (
    describe_input,
    output_head,
    raw_input,
    require_kind,
    scaled_image,
)
from bigmodel_cli.models.residual import ResidualParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from bigmodel_cli.models.residual import Shortcut

# Blocks of each stage. CIFAR form: depth 6n + 2 has n blocks of two convolutions in each of three stages.
_CIFAR_BLOCKS = {depth: ((depth - 2) // 6,) * 3 for depth in (8, 14, 20, 32, 44, 56, 110)}
_IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_BOTTLENECK_DEPTHS = (50, 101, 152)
# The ImageNet form divides height and width by 32: beyond 64 pixels, more than 2x2 are left to pool.
_CIFAR_FORM_UP_TO = 64


def resnet(
    data: DataSpec,
    *,
    depth: Literal["auto", 8, 14, 18, 20, 32, 34, 44, 50, 56, 101, 110, 152] = "auto",
    version: Literal[1, 2] = 1,
    form: Literal["auto", "cifar", "imagenet", "imagenet_d"] = "auto",
    l1: Penalty = 0.0,
    l2: Penalty = 1e-4,
    dropout: Rate = 0.0,
    stochastic_depth: Rate = 0.0,
) -> keras.Model:
    """Residual network, in the form for small or for large images.

    Version 1 is He et al. 2016a, "Deep Residual Learning for Image Recognition" (section 4.2 and table 6
    for the CIFAR form, table 1 for the ImageNet form); version 2 is He et al. 2016b, "Identity Mappings
    in Deep Residual Networks": normalization and activation come before each convolution.
    The CIFAR form has a 3x3 first layer, three stages of 16, 32 and 64 filters and shortcuts without
    parameters (option A of the paper). The ImageNet form has a 7x7 first layer, max pooling, four stages
    of 64 to 512 filters, times 4 at the end of the bottlenecks of depth 50 and more, and projections as
    shortcuts where the shape changes (option B); the stride of a bottleneck is in its 3x3 convolution, as
    in later reference implementations, with the same parameters.
    `imagenet_d` is the ImageNet form with three 3x3 convolutions of 32, 32 and 64 filters in place of the 7x7
    one, and with shortcuts that take the mean of 2x2 pixels before their convolution: ResNet-D of He et al.
    2019, "Bag of Tricks for Image Classification" (section 4.2, figure 2).
    Pixels are scaled to -1 to 1 inside the model. With the optimizer's own weight decay, set `l2: 0`.

    Args:
        depth: Layers with weights: 20, 32, 44, 56, 110 of the paper, and 8 or 14, in the CIFAR form; 18,
            34, 50, 101, 152 in the ImageNet form. `auto` is 20 or 50.
        version: 1 (original) or 2 (pre-activation).
        form: `cifar`, `imagenet`, `imagenet_d`, or `auto`: `cifar` for images up to 64 pixels high and wide.
        l1: Factor of the sum of absolute kernel weights in the loss, at least 0.
        l2: Factor of the sum of squared kernel weights in the loss, at least 0; it acts like a weight decay
            of twice its value (the paper has a decay of 1e-4; 1e-4 here is its double).
        dropout: Share of the pooled features that training sets to 0 before the last layer.
        stochastic_depth: Probability that training skips the last residual block for an example; that of
            the blocks before falls linearly to the first one's, `stochastic_depth` over the number of
            blocks (Huang et al. 2016, "Deep Networks with Stochastic Depth", section 3, who skip for a whole
            batch at a time). What is not skipped is scaled up in training, so that nothing changes
            afterwards.
    """
    import keras

    require_kind(data, "resnet", "image")
    if form == "auto":
        form = "cifar" if max(data.input.shape[:2]) <= _CIFAR_FORM_UP_TO else "imagenet"
    cifar, deep = form == "cifar", form == "imagenet_d"
    known = _CIFAR_BLOCKS if cifar else _IMAGENET_BLOCKS
    if depth == "auto":
        depth = 20 if cifar else 50
    if depth not in known:
        other = "imagenet" if cifar else "cifar"
        raise ModelError(
            f"model.depth: {depth} is no depth of the {form} form, which {describe_input(data)} of dataset"
            f" `{data.name}` have here; use one of {', '.join(map(str, known))}, or set `model.form: {other}`"
        )
    shortcuts: Mapping[str, Shortcut] = {"cifar": "padding", "imagenet": "projection", "imagenet_d": "pooled"}
    part = ResidualParts(version=version, shortcut=shortcuts[form], l1=l1, l2=l2)
    bottleneck = not cifar and depth in _BOTTLENECK_DEPTHS

    inputs = raw_input(data)
    x = scaled_image(inputs, -1, 1)
    if deep:
        for number, (filters, stride) in enumerate(((32, 2), (32, 1)), 1):
            x = part.activated(part.convolution(x, filters, 3, stride, f"stem_{number}"), f"stem_{number}")
    stem = (16, 3, 1) if cifar else (64, 3, 1) if deep else (64, 7, 2)
    x = part.convolution(x, *stem, "stem")
    if version == 1:
        x = part.activated(x, "stem")
    if not cifar:
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    position, last = 0, sum(known[depth])
    for stage, blocks in enumerate(known[depth], 1):
        width = (16 if cifar else 64) * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            position += 1
            stride = 2 if stage > 1 and block == 1 else 1
            skipped = stochastic_depth * position / last
            name = f"stage{stage}_block{block}"
            x = part.block(x, width, stride, bottleneck=bottleneck, skipped=skipped, name=name)
    if version == 2:
        x = part.activated(x, "final")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2), name=f"resnet{depth}v{version}")
