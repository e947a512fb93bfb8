from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.models.conv_lstm import conv_lstm


def test_parameters_and_products_are_those_of_the_closed_formula(sequences):
    model = conv_lstm(sequences(3, 5, 6, 2), filters=(4, 7))
    layers = [4 * (9 * (m + n) * n + n) for m, n in ((2, 4), (4, 7))]
    assert model.count_params() == sum(layers) + (7 * 2 + 2)
    flops = count_flops(model)
    assert flops.layers["conv_lstm_1"] == 2 * 3 * 5 * 6 * 4 * 9 * (2 + 4) * 4 and not flops.uncounted
    assert model(np.zeros((2, 3, 5, 6, 2), np.float32)).shape == (2, 2)


def test_order_counts(sequences):
    model = conv_lstm(sequences(3, 4, 4, 1), filters=(4,))
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 4, 1)).astype(np.float32)
    assert abs(np.asarray(model(x)) - np.asarray(model(x[:, ::-1]))).max() > 1e-4


def test_other_data_is_refused(sequences):
    with pytest.raises(ModelError, match=r"sequences of pictures.*gives sequences of 9 times 3 numbers"):
        conv_lstm(sequences(9, 3))
