from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.augment.pixels import on_colors, rectangles, rounded


def test_rounded_to_levels_and_cut_to_the_range():
    values = tf.constant([-30.0, -0.4, 0.4, 0.6, 254.6, 255.4, 300.0])
    assert rounded(values).numpy().tolist() == [0, 0, 0, 1, 255, 255, 255]


@pytest.mark.parametrize(("channels", "changed"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2])])
def test_of_four_channels_the_last_is_opacity(channels, changed):
    out = on_colors(lambda colors: colors + 1, tf.zeros((2, 3, 3, channels), tf.uint8)).numpy()
    assert [channel for channel in range(channels) if (out[..., channel] == 1).all()] == changed
    assert out.shape == (2, 3, 3, channels)


def test_rectangles_include_the_first_and_not_the_last():
    images = tf.zeros((2, 4, 5, 3), tf.uint8)
    corners = [tf.constant(values) for values in ([1, 0], [3, 4], [2, 0], [5, 0])]
    masks = rectangles(*corners, images).numpy()[..., 0]
    expected = np.zeros((2, 4, 5), bool)
    expected[0, 1:3, 2:5] = True
    np.testing.assert_array_equal(masks, expected)
