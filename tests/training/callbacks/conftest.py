from __future__ import annotations

import keras
import pytest


@pytest.fixture
def model() -> keras.Model:
    """One weight, compiled with SGD at a rate of 0.01."""
    inputs = keras.Input((1,))
    made = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="outputs")(inputs))
    made.compile("sgd", "mse")
    return made
