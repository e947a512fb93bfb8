"""U-Net: its layers against the paper, and data that it cannot take."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.unet import unet


def data(height=32, width=32, channels=1, classes=2, task="segmentation"):
    shape = (height, width) if task == "segmentation" else ()
    return DataSpec(
        "t", "test", task, InputSpec((height, width, channels), "uint8", "image"),
        TargetSpec(shape, "uint8", tuple(map(str, range(classes)))),
    )  # fmt: skip


def paper(classes, channels, filters=64, depth=4):
    """Parameters of Ronneberger et al. 2015, figure 1: 3x3 and 2x2 kernels and their biases."""

    def three(i, o):
        return 9 * i * o + o

    widths = [filters * 2**level for level in range(depth + 1)]
    total = sum(three(i, o) + three(o, o) for i, o in zip([channels, *widths[:-1]], widths, strict=True))
    for upper, lower in pairwise(widths):
        total += 4 * lower * upper + upper + three(2 * upper, upper) + three(upper, upper)
    return total + filters * classes + classes


def test_the_network_of_the_paper():
    model = unet(data())
    assert model.count_params() == paper(2, 1) == 31_030_658
    assert model.output_shape == (None, 32, 32, 2)
    # 23 convolutional layers, as section 2 says: 18 of 3x3, 4 upwards, 1 to the classes.
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2D") == 19
    assert kinds.count("Conv2DTranspose") == 4


@pytest.mark.parametrize(("depth", "filters", "channels", "classes"), [(1, 4, 3, 5), (3, 2, 1, 3)])
def test_other_sizes(depth, filters, channels, classes):
    model = unet(data(24, 40, channels, classes), depth=depth, filters=filters)
    assert model.count_params() == paper(classes, channels, filters, depth)
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 40, channels), np.uint8)
    assert model(images).shape == (2, 24, 40, classes)


def test_batch_norm_takes_the_place_of_biases_and_dropout_is_at_the_bottom():
    model = unet(data(), depth=1, filters=2, batch_norm=True, dropout=0.5)
    names = [layer.name for layer in model.layers]
    assert names.index("bottom_act2") + 1 == names.index("dropout") == names.index("up0") - 1
    assert model.get_layer("down0_norm1").input.shape == (None, 32, 32, 2)
    assert not model.get_layer("down0_conv1").use_bias


@pytest.mark.parametrize(
    ("size", "fits"), [((30, 32), "16 x 32 or 32 x 32"), ((20, 28), "16 x 16 or 32 x 32")]
)
def test_a_size_that_cannot_be_halved_names_those_that_can(size, fits):
    with pytest.raises(ModelError, match=f"divisible by 16; bring them to {fits}") as error:
        unet(data(*size))
    assert ("model.depth: 1`" if size[0] == 30 else "model.depth: 2`") in str(error.value)


def test_other_tasks_are_refused():
    with pytest.raises(ModelError, match="is for segmentation, but dataset `t` is for classification"):
        unet(data(task="classification"))
