from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.cnn import cnn


def test_default_is_the_textbook_network(images):
    model = cnn(images(28, 28, 1))
    assert model.count_params() == 225_034
    assert [layer.name for layer in model.layers if layer.weights] == ["conv1", "conv2", "dense1", "logits"]
    assert model.input.dtype == "uint8"
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"filters": [8], "dense": []}, 80 + 13 * 13 * 8 * 10 + 10),
        ({"filters": [8], "dense": [], "padding": "same"}, 80 + 14 * 14 * 8 * 10 + 10),
        ({"filters": [8], "dense": [], "kernel_size": 5}, 208 + 12 * 12 * 8 * 10 + 10),
        ({"filters": [8], "dense": [], "pool_size": 1}, 80 + 26 * 26 * 8 * 10 + 10),
        ({"filters": [8], "dense": [], "pool_size": 3, "pooling": "average"}, 80 + 8 * 8 * 8 * 10 + 10),
        ({"filters": [8], "dense": [], "global_pool": True}, 80 + 8 * 10 + 10),
        ({"filters": [8], "dense": [6], "global_pool": True, "batch_norm": True}, 72 + 32 + 48 + 24 + 70),
        ({"filters": [], "dense": []}, 7850),
    ],
)
def test_parameters_change_the_shape_they_say(images, parameters, count):
    assert cnn(images(28, 28, 1), **parameters).count_params() == count


def test_pooling_and_dropout_are_those_asked_for(images):
    model = cnn(images(28, 28, 1), pooling="average", conv_dropout=0.1, dropout=0.4)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("AveragePooling2D") == 2 and "MaxPooling2D" not in kinds
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.1, 0.1, 0.4, 0.4]


def test_penalty_enters_the_loss(images):
    model = cnn(images(8, 8, 1), filters=[4], dense=[5], l1=0.25, l2=0.5)
    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    assert len(kernels) == 3
    expected = sum(0.25 * abs(k).sum() + 0.5 * (k**2).sum() for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("parameters", "reached"),
    [
        ({"filters": [8, 8, 8]}, "1x1 feature map reaches layer `pool2`, whose window is 2x2"),
        ({"filters": [8, 8, 8, 8], "padding": "same"}, "1x1 feature map reaches layer `pool4`"),
        ({"filters": [8], "kernel_size": 9}, "8x8 feature map reaches layer `conv1`, whose window is 9x9"),
    ],
)
def test_too_small_images_are_told_where_they_vanish(images, parameters, reached):
    with pytest.raises(ModelError, match=f"8x8x1 images of dataset `pictures` are too small.*{reached}"):
        cnn(images(8, 8, 1), **parameters)


def test_table_columns_are_refused(table):
    with pytest.raises(ModelError, match="takes images"):
        cnn(table((0,), (1,), classes=2))


@pytest.mark.usefixtures("bfloat16")
def test_output_is_float32_under_bfloat16(images):
    model = cnn(images(28, 28, 3))
    assert model.get_layer("conv1").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model(np.zeros((1, 28, 28, 3), "uint8")).dtype) == "float32"


# NumPy 2 asks TensorFlow's variables for a signature that TensorFlow 2.21 does not have yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_saved_model_gives_the_same_outputs(images, tmp_path):
    model = cnn(images(12, 12, 1), batch_norm=True)
    x = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), "uint8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-5)


def test_a_step_lowers_the_loss(images):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (32, 12, 12, 1), "uint8"), rng.integers(0, 10, 32)
    keras.utils.set_random_seed(0)
    model = cnn(images(12, 12, 1))
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.evaluate(x, y, verbose=0)
    model.train_on_batch(x, y)
    assert model.evaluate(x, y, verbose=0) < before
