"""Vision transformer: the published count, and that patches, token and positions do what they should."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.vit import vit


def test_published_parameters(images):
    """ViT-B/16 for 224 pixels and 1,000 classes, as in the reference weights."""
    model = vit(images(224, 224, 3, classes=1000), patch=16, layers=12, width=768, heads=12)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == 86_567_656


def some(shape):
    return np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_every_patch_counts_and_so_does_its_place(images, pooling):
    keras.utils.set_random_seed(0)
    data = images(8, 8, 1)
    model = vit(data, patch=4, layers=1, width=16, heads=2, dropout=0.0, pooling=pooling)
    x = some((8, 8, 1))
    base = np.asarray(model(x))
    for row, column in ((0, 0), (0, 4), (4, 0), (4, 4)):
        changed = x.copy()
        changed[:, row : row + 4, column : column + 4] = 255 - changed[:, row : row + 4, column : column + 4]
        assert not np.allclose(base, model(changed), atol=1e-6)
    # Two patches exchanged: without positions the output would stay.
    exchanged = np.concatenate([x[:, 4:], x[:, :4]], axis=1)
    assert not np.allclose(base, model(exchanged), atol=1e-6)
    model.get_layer("positions").set_weights([np.zeros_like(model.get_layer("positions").get_weights()[0])])
    np.testing.assert_allclose(model(x), model(exchanged), atol=1e-5)


def test_the_saved_model_loads_without_us(images, tmp_path):
    model = vit(images(8, 8, 3), patch=4, layers=1, width=8, heads=2)
    model.save(tmp_path / "m.keras")
    x = some((8, 8, 3))
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras")(x), model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 3}, "model.patch: 3 does not divide 8x8x1 images.*one of 1, 2, 4, 8"),
        ({"heads": 5}, "model.heads: 5"),
    ],
)
def test_refused(images, options, message):
    with pytest.raises(ModelError, match=message):
        vit(images(8, 8, 1), **options)
