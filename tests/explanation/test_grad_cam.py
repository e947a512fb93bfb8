from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.errors import UsageError

# Two feature maps of a 2x2 image: the pixel itself, and 2 minus it.
KERNEL = np.array([1.0, -1.0], np.float32).reshape(1, 1, 1, 2)
BIAS = np.array([0.0, 2.0], np.float32)
IMAGE = np.array([[0, 1], [2, 4]], np.uint8)[..., None]


def _tiny() -> Any:
    """A run whose logits are 3 a - b and b, of the means a and b of both maps after ReLU."""
    import keras

    inputs = keras.Input((2, 2, 1), dtype="uint8")
    x = keras.layers.Rescaling(1.0)(inputs)
    x = keras.layers.Conv2D(2, 1, activation="relu", name="maps")(x)
    x = keras.layers.MaxPooling2D(1, name="pool")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(2, name="logits")(x)
    model = keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x))
    model.get_layer("maps").set_weights([KERNEL, BIAS])
    model.get_layer("logits").set_weights([np.array([[3.0, 0.0], [-1.0, 1.0]]), np.zeros(2)])
    spec = SimpleNamespace(input=InputSpec((2, 2, 1), "uint8", "image"))
    return SimpleNamespace(model=model, spec=spec)


@pytest.mark.parametrize("layer", [None, "maps", "pool"])
def test_it_is_the_map_computed_by_hand(layer: str | None) -> None:
    from bigmodel_cli.explanation.grad_cam import mapper

    of = mapper(_tiny(), layer)
    pixels = IMAGE[..., 0].astype(float)
    first, second = pixels, np.maximum(2 - pixels, 0)
    # The gradient of a mean of four places is a quarter in each.
    found = of(IMAGE, 0)
    np.testing.assert_allclose(found.coarse, np.maximum(3 / 4 * first - 1 / 4 * second, 0), rtol=1e-6)
    np.testing.assert_allclose(found.values, found.coarse)
    assert found.score == pytest.approx(3 * first.mean() - second.mean())
    np.testing.assert_allclose(of(IMAGE, 1).coarse, second / 4, rtol=1e-6)


def test_it_takes_the_last_layer_with_places_and_the_size_of_the_image(digits: Any, examples: Any) -> None:
    from bigmodel_cli.explanation import grad_cam

    images, _ = examples(digits)
    assert grad_cam.find_layer(digits.model, None).name == "conv2"
    found = grad_cam.mapper(digits)(images[0], 3)
    assert found.coarse.shape == (4, 4)
    assert found.values.shape == (8, 8)
    assert found.values.min() >= 0
    assert grad_cam.mapper(digits, "conv1")(images[0], 3).coarse.shape == (8, 8)


def test_another_layer_is_refused(digits: Any) -> None:
    from bigmodel_cli.explanation.grad_cam import find_layer

    with pytest.raises(UsageError, match=r"--layer logits: .* there are conv1, pool1, conv2, pool2"):
        find_layer(digits.model, "logits")


def test_a_model_without_places_is_refused(train: Callable[..., Any]) -> None:
    from bigmodel_cli.explanation.grad_cam import mapper

    linear = train("linear", "{name: digits, limit: 64}", "{name: logistic_regression, flatten: true}")
    with pytest.raises(UsageError, match=r"no layer with weights .* take integrated_gradients or occlusion"):
        mapper(linear)
