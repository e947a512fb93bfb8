from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.models.resnet import resnet


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


# He et al. 2016a, table 6, gives them in millions: 0.27, 0.46, 0.66, 0.85, 1.7.
@pytest.mark.parametrize(
    ("depth", "count"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_cifar_form_has_the_published_parameters(images, depth, count):
    assert trainable(resnet(images(32, 32, 3), depth=depth)) == count


# As published with the reference weights of torchvision (version 1) and timm (version 2).
@pytest.mark.parametrize(
    ("depth", "version", "count"),
    [
        (18, 1, 11_689_512),
        (34, 1, 21_797_672),
        (50, 1, 25_557_032),
        pytest.param(101, 1, 44_549_160, marks=pytest.mark.slow),
        pytest.param(152, 1, 60_192_808, marks=pytest.mark.slow),
        (50, 2, 25_549_352),
    ],
)
def test_imagenet_form_has_the_published_parameters(images, depth, version, count):
    # The parameters do not depend on the image size.
    assert trainable(resnet(images(96, 96, 3, classes=1000), depth=depth, version=version)) == count


@pytest.mark.parametrize(
    ("shape", "depth", "expected"),
    [((32, 32, 3), "auto", "resnet20v1"), ((64, 64, 1), 8, "resnet8v1"), ((65, 40, 3), 18, "resnet18v1")],
)
def test_image_size_chooses_the_form(images, shape, depth, expected):
    assert resnet(images(*shape), depth=depth).name == expected


def test_form_that_was_asked_for_is_taken(images):
    assert resnet(images(32, 32, 3), form="imagenet", depth=18).name == "resnet18v1"
    assert resnet(images(70, 70, 3), form="cifar", depth=8).name == "resnet8v1"


@pytest.mark.parametrize(
    ("shape", "depth", "valid"),
    [((32, 32, 3), 50, "8, 14, 20, 32, 44, 56, 110"), ((224, 224, 3), 20, "18, 34, 50, 101, 152")],
)
def test_depth_of_the_other_form_is_refused(images, shape, depth, valid):
    with pytest.raises(ModelError, match=f"model.depth: {depth} .*use one of {valid}, or set `model.form"):
        resnet(images(*shape), depth=depth)


def test_table_columns_are_refused(table):
    with pytest.raises(ModelError, match="takes images"):
        resnet(table((0,), (1,), classes=2))


def test_feature_maps_halve_as_in_the_paper(images):
    model = resnet(images(32, 32, 3), depth=8)
    maps = [model.get_layer(f"stage{stage}_block1_add").output.shape[1:] for stage in (1, 2, 3)]
    assert maps == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]
    model = resnet(images(224, 224, 3), depth=18)
    maps = [model.get_layer(f"stage{stage}_block1_add").output.shape[1:] for stage in (1, 2, 3, 4)]
    assert maps == [(56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]


def test_shortcut_of_the_cifar_form_takes_every_second_pixel_and_adds_empty_channels(images):
    model = resnet(images(8, 8, 3), depth=8)
    add = model.get_layer("stage2_block1_add")
    shortcut = keras.Model(model.get_layer("stage1_block1_relu").output, add.input[0])
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype("float32")
    y = np.asarray(shortcut(x))
    np.testing.assert_array_equal(y[..., 8:24], x[:, ::2, ::2])
    assert not y[..., :8].any() and not y[..., 24:].any()


def test_penalty_covers_the_kernels_alone(images):
    model = resnet(images(16, 16, 3), depth=8, l1=0.25, l2=0.5)
    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    expected = sum(0.25 * abs(k).sum() + 0.5 * (k**2).sum() for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert resnet(images(16, 16, 3), depth=8, l2=0.0).losses == []


# NumPy 2 asks TensorFlow's variables for a signature that TensorFlow 2.21 does not have yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "parameters",
    [{"stochastic_depth": 0.5, "dropout": 0.2}, {"version": 2}, {"form": "imagenet", "depth": 18}],
)
def test_saved_model_needs_no_code_of_ours(images, tmp_path, parameters):
    model = resnet(images(17, 16, 2), **{"depth": 8, **parameters})
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.5, w.shape) * 0.5 for w in model.get_weights()])
    x = rng.integers(0, 256, (3, 17, 16, 2), "uint8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-4)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}


def test_stochastic_depth_grows_linearly_to_the_last_block(images):
    model = resnet(images(16, 16, 3), depth=14, stochastic_depth=0.3, dropout=0.2)
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert list(rates)[:2] == ["stage1_block1_depth", "stage1_block2_depth"]
    assert list(rates.values()) == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.2])
    plain = resnet(images(16, 16, 3), depth=14)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)
    assert model.count_params() == plain.count_params()
    assert count_flops(model) == count_flops(plain)


@pytest.mark.parametrize("version", [1, 2])
def test_a_skipped_block_passes_its_shortcut_on(images, version):
    model = resnet(images(8, 8, 3), depth=8, version=version, stochastic_depth=0.6)
    add = model.get_layer("stage3_block1_add")
    parts = keras.Model(model.input, [*add.input, model.get_layer("stage3_block1_depth").input, add.output])
    x = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), "uint8")
    shortcut, way, branch, total = map(np.asarray, parts(x, training=True))
    skipped = ~way.any(axis=(1, 2, 3))
    assert 20 < skipped.sum() < 55
    np.testing.assert_array_equal(total[skipped], shortcut[skipped])
    # 1 / (1 - 0.6)
    np.testing.assert_allclose(way[~skipped], 2.5 * branch[~skipped], rtol=1e-5)
    plain = resnet(images(8, 8, 3), depth=8, version=version)
    plain.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(x), plain(x))


@pytest.mark.usefixtures("bfloat16")
def test_output_is_float32_under_bfloat16(images):
    model = resnet(images(32, 32, 3), depth=8)
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model(np.zeros((1, 32, 32, 3), "uint8")).dtype) == "float32"


@pytest.mark.parametrize("version", [1, 2])
def test_a_few_steps_lower_the_loss(images, version):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (32, 16, 16, 3), "uint8"), rng.integers(0, 10, 32)
    keras.utils.set_random_seed(0)
    model = resnet(images(16, 16, 3), depth=8, version=version)
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = [model.train_on_batch(x, y) for _ in range(6)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_d_form_has_the_published_parameters(images):
    """As published with timm's weights of resnet50d."""
    assert trainable(resnet(images(64, 64, 3, classes=1000), depth=50, form="imagenet_d")) == 25_576_264


def test_the_d_form_sees_every_pixel_in_its_shortcuts(images):
    model = resnet(images(64, 64, 3), depth=18, form="imagenet_d")
    strided = [layer for layer in model.layers if "shortcut" in layer.name and "Conv" in type(layer).__name__]
    assert strided and all(layer.strides == (1, 1) for layer in strided)
    assert model(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, model.output_shape[1])
