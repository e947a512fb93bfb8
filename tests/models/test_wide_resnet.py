"""Wide residual networks: the published counts, and the order of the layers in a block."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.wide_resnet import wide_resnet


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


# Zagoruyko and Komodakis 2016, table 4, in millions: 0.6, 8.9, 2.2, 17.2, 36.5.
@pytest.mark.parametrize(
    ("depth", "width", "count"),
    [(40, 1, 563_930), (40, 4, 8_949_210), (40, 2, 2_243_546), (22, 8, 17_158_106), (28, 10, 36_479_194)],
)
def test_published_parameters(images, depth, width, count):
    assert trainable(wide_resnet(images(32, 32, 3), depth=depth, width=width)) == count


def test_normalization_comes_before_the_convolutions_and_dropout_between_them(images):
    model = wide_resnet(images(8, 8, 3), depth=10, width=1, dropout=0.3)
    names = [layer.name for layer in model.layers if layer.name.startswith("stage1_block1")]
    order = [name.removeprefix("stage1_block1_") for name in names if "shortcut" not in name]
    assert order == ["0_bn", "0_relu", "1_conv", "1_bn", "1_relu", "1_dropout", "2_conv", "add"]
    assert model(np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, model.output_shape[1])
    assert isinstance(model.get_layer("stage1_block1_1_dropout"), keras.layers.Dropout)


@pytest.mark.parametrize(("depth", "message"), [(27, "use 22 or 28"), (4, "use 10 or 16")])
def test_a_depth_that_is_none(images, depth, message):
    with pytest.raises(ModelError, match=f"model.depth: {depth} is not 6n . 4.*{message}"):
        wide_resnet(images(8, 8, 3), depth=depth)
