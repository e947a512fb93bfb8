from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.explanation.occlusion import occlude, sizes


@pytest.mark.parametrize("place", [(0, 0), (3, 5), (8, 11), (5, 11)])
def test_it_finds_the_only_pixel_that_matters(place: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(140, 255, (9, 12, 3), np.uint8)

    def predict(images: np.ndarray) -> np.ndarray:
        same = (images[:, place[0], place[1]] == image[place]).all(axis=-1)
        return np.stack([1 - 0.8 * same, 0.8 * same], axis=1)

    found = occlude(predict, image, 1)
    assert found.output == pytest.approx(0.8)
    assert np.unravel_index(found.values.argmax(), found.values.shape) == place
    # Whatever patch covers it, all is lost; elsewhere nothing.
    assert found.values[place] == pytest.approx(0.8)
    rows, columns = np.indices(found.values.shape)
    far = np.maximum(abs(rows - place[0]), abs(columns - place[1])) >= found.patch
    assert not found.values[far].any()
    assert occlude(predict, image, 0).values.min() == pytest.approx(-0.8)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (8, 8), (28, 28), (33, 47), (224, 160)])
def test_every_pixel_is_covered(shape: tuple[int, int]) -> None:
    patch, stride = sizes(*shape)
    assert 1 <= stride <= patch <= min(shape)
    seen = []

    def predict(images: np.ndarray) -> np.ndarray:
        seen.append((images == 128).any(axis=(0, 3)))
        return np.zeros((len(images), 1))

    found = occlude(predict, np.zeros((*shape, 1), np.uint8), 0)
    assert np.any(seen, axis=0).all()
    assert found.patches.size <= 600
    assert np.isfinite(found.values).all()
