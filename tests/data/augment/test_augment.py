"""What every augmentation promises, and what strength zero means."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli import components
from bigmodel_cli.contracts import Mixing
from bigmodel_cli.data import augment

SEED = tf.constant([3, 4])
CLASSES = 5
NAMES = sorted(augment.__all__)
COUNT = 30

VARIANTS = [
    *[pytest.param(getattr(augment, name)(), id=name) for name in NAMES],
    pytest.param(augment.random_crop(padding=2, fill="reflect"), id="crop-reflect"),
    pytest.param(augment.random_translation(fill="nearest"), id="translation-nearest"),
    pytest.param(augment.random_rotation(fill="reflect"), id="rotation-reflect"),
    pytest.param(augment.random_zoom(keep_aspect=False), id="zoom-stretch"),
    pytest.param(augment.random_erasing(fill="zero"), id="erasing-zero"),
    pytest.param(augment.mix_up(alpha=0.01), id="mix_up-extreme"),
]


def images(channels: int, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 14, channels), np.uint8)


def on(augmentation, batch, seed):
    """Images, and for a mixing one the targets too."""
    if not isinstance(augmentation, Mixing):
        return (augmentation(batch, seed),)
    return augmentation.function(batch, tf.one_hot(tf.range(tf.shape(batch)[0]) % CLASSES, CLASSES), seed)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("augmentation", VARIANTS)
def test_same_seed_same_result_of_the_same_shape_and_type(augmentation, channels):
    batch = tf.constant(images(channels))
    first, again, other = (on(augmentation, batch, seed) for seed in (SEED, SEED, SEED + 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert first[0].dtype == tf.uint8
    assert first[0].shape == batch.shape
    assert (first[0].numpy() != other[0].numpy()).any()
    for targets in first[1:]:
        assert targets.dtype == tf.float32
        assert targets.shape == (COUNT, CLASSES)


@pytest.mark.parametrize("augmentation", VARIANTS)
def test_a_parallel_map_over_batches_of_unknown_size_gives_the_same_to_the_bit(augmentation):
    @tf.autograph.experimental.do_not_convert
    def step(number, batch):
        return on(augmentation, batch, tf.random.fold_in(SEED, number))

    # Seven batches of 4 and one of 2.
    batches = tf.data.Dataset.from_tensor_slices(images(3)).batch(4).enumerate()
    parallel = batches.map(step, num_parallel_calls=2)
    assert parallel.element_spec[0].shape.as_list() == [None, 12, 14, 3]
    runs = [list(parallel.as_numpy_iterator()) for _ in range(2)]
    alone = list(batches.map(step).as_numpy_iterator())
    assert [len(element[0]) for element in alone] == [4] * 7 + [2]
    for run in runs:
        for element, expected in zip(run, alone, strict=True):
            for got, wanted in zip(element, expected, strict=True):
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mix_up", "cut_mix")])
def test_each_image_has_a_draw_of_its_own(name):
    same = np.repeat(images(3, 1), 64, axis=0)
    changed = getattr(augment, name)()(tf.constant(same), SEED).numpy()
    forms = {image.tobytes() for image in changed}
    assert len(forms) == 2 if name == "random_flip" else len(forms) > 8


@pytest.mark.parametrize(
    "augmentation",
    [
        augment.random_translation(height=0.0, width=0.0),
        augment.random_rotation(degrees=0.0),
        augment.random_zoom(factor=(1.0, 1.0), keep_aspect=False),
        augment.color_jitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0),
        augment.random_contrast(amount=0.0),
        augment.gaussian_noise(deviation=0.0),
    ],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_strength_zero_changes_nothing(augmentation, channels):
    batch = images(channels)
    np.testing.assert_array_equal(augmentation(tf.constant(batch), SEED), batch)


@pytest.mark.parametrize("name", ["color_jitter", "random_contrast", "gaussian_noise"])
def test_what_changes_colors_leaves_opacity_alone(name):
    batch = images(4)
    changed = getattr(augment, name)()(tf.constant(batch), SEED).numpy()
    np.testing.assert_array_equal(changed[..., 3], batch[..., 3])
    assert (changed[..., :3] != batch[..., :3]).any(axis=(1, 2, 3)).all()


def test_all_are_registered_under_their_names():
    for name in NAMES:
        assert components.find("augmentations", name).builder is getattr(augment, name)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("random_zoom", {"factor": [1.2, 0.8]}, r"write \[0.8, 1.2\]"),
        ("random_zoom", {"factor": [0.8]}, "at least 2 items"),
        ("random_zoom", {"factor": [0.0, 1.0]}, "greater than or equal to 0.1"),
        ("random_erasing", {"area": [0.5, 0.1]}, "the lower limit comes first"),
        ("random_erasing", {"area": [0.1, 1.5]}, "less than or equal to 1"),
        ("random_translation", {"width": 0.6}, "less than or equal to 0.5"),
        ("random_rotation", {"degrees": -1}, "greater than or equal to 0"),
        ("color_jitter", {"hue": 0.6}, "less than or equal to 0.5"),
        ("gaussian_noise", {"deviation": 256}, "less than or equal to 255"),
        ("rand_augment", {"magnitude": 11}, "less than or equal to 10"),
        ("mix_up", {"alpha": 0.0}, "greater than 0"),
    ],
)
def test_values_without_sense_are_refused(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        components.find("augmentations", name).parameters(**parameters)
