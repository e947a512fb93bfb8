import keras
import numpy as np
import pytest

from bigmodel_cli.contracts import TargetSpec
from bigmodel_cli.targets import original_units, scaled

VALUES = np.array([[0.0, -5.0], [3.0, 1e4], [-2.5, 7.0]], np.float32)


def spec(scaling):
    return TargetSpec((2,), "float32", ("a", "b"), scaling=scaling, shift=(1.0, 2.0), factor=(0.5, 0.25))


def test_what_is_learned():
    np.testing.assert_allclose(scaled(VALUES, spec("standardize")), (VALUES - [1, 2]) * [0.5, 0.25])
    logs = np.sign(VALUES) * np.log1p(np.abs(VALUES))
    np.testing.assert_allclose(scaled(VALUES, spec("log")), (logs - [1, 2]) * [0.5, 0.25], rtol=1e-6)


@pytest.mark.parametrize("scaling", ["standardize", "log"])
def test_the_way_back(scaling):
    np.testing.assert_allclose(
        original_units(scaled(VALUES, spec(scaling)), spec(scaling)), VALUES, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("scaling", ["standardize", "log"])
def test_as_a_part_of_a_model(scaling, tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, original_units(inputs, spec(scaling)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(scaled(VALUES, spec(scaling))), VALUES, rtol=1e-5, atol=1e-5)
