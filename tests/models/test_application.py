"""The networks of keras.applications: the same numbers, any size, weights from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models import pretrained
from bigmodel_cli.models.application import Architecture, application


def images(size: int, channels: int = 3, classes: int = 4) -> DataSpec:
    return DataSpec(
        "drawn", "here", "classification",
        InputSpec((size, size, channels), "uint8", "image"),
        TargetSpec((), "int32", tuple(map(str, range(classes))), counts=(1,) * classes), {"train": 1},
    )  # fmt: skip


def some(size: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, channels)).astype(np.uint8)


# One of each way of scaling pixels.
@pytest.mark.parametrize(
    ("name", "keras_name", "module"),
    [
        ("mobilenet_v2", "MobileNetV2", "mobilenet_v2"),
        ("vgg16", "VGG16", "vgg16"),
        ("densenet121", "DenseNet121", "densenet"),
        ("efficientnet_b0", "EfficientNetB0", "efficientnet"),
        ("mobilenet_v3_small", "MobileNetV3Small", "mobilenet_v3"),
    ],
)
def test_the_numbers_are_those_of_keras(name: str, keras_name: str, module: str, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    reference = getattr(keras.applications, keras_name)(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    reference.save_weights(tmp_path / "w.weights.h5")
    model = application(images(32), architecture=name, weights=str(tmp_path / "w.weights.h5"))  # type: ignore[arg-type]
    x = some(32)
    scaled = getattr(keras.applications, module).preprocess_input(x.astype(np.float32))
    features = keras.Model(model.input, model.get_layer("pool").output)(x, training=False)
    expected = reference(scaled, training=False)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert model.output_shape == (None, 4) and model.input.dtype == "uint8"


def test_every_name_is_one_of_keras() -> None:
    from bigmodel_cli.models.application import _function

    keras = sys.modules.get("keras") or pytest.importorskip("keras")
    found = {_function(name) for name in get_args(Architecture)}
    every = {getattr(keras.applications, n) for n in dir(keras.applications) if n[0].isupper()}
    assert found == every


def test_a_last_layer_of_the_paper_that_is_called_like_ours() -> None:
    model = application(images(32), architecture="mobilenet_v3_small", head="original")
    assert model.output_shape == (None, 4)
    assert model.outputs[0].dtype == "float32"


def test_grey_images_and_a_narrow_network() -> None:
    model = application(images(32, 1), architecture="mobilenet_v2", alpha=0.35)
    assert model(some(32, 1)).shape == (2, 4)


def test_a_restored_model_reads_no_weights() -> None:
    with pretrained.left_out():
        application(images(32), architecture="mobilenet_v2", alpha=0.35, weights="nowhere.weights.h5")


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (16, {"architecture": "inception_v3"}, "at least 75x75.*dataset.image_size"),
        (32, {"architecture": "vgg16", "alpha": 0.5}, "model.alpha: is for mobilenet"),
        (32, {"weights": "nowhere.weights.h5"}, "there is no file nowhere"),
        (32, {"weights": "BROKEN"}, "are not those of"),
        (32, {"head": "original", "dropout": 0.5}, "model.dropout: is of the pooled head"),
        (32, {"head": "original", "weights": "imagenet"}, "set `model.head: pooled`"),
    ],
)
def test_refused(size: int, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "b.weights.h5").write_text("no weights")
    if options.get("weights") == "BROKEN":
        options = {**options, "weights": str(tmp_path / "b.weights.h5")}
    with pytest.raises(ModelError, match=message):
        application(images(size), **options)
