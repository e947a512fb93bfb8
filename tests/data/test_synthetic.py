import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data import synthetic
from bigmodel_cli.errors import DataError


def everything(source):
    return source.arrays(Part.range("all", 0, source.sizes["all"]))


def test_linear_is_100_points_of_3x_plus_2_plus_noise():
    inputs, targets = everything(synthetic.linear(0))
    assert inputs.shape == targets.shape == (100, 1)
    assert 0 <= inputs.min() < 0.1
    assert 0.9 < inputs.max() < 1
    noise = targets - (3 * inputs + 2)
    assert -1e-6 < noise.min() < 0.1
    assert 0.9 < noise.max() < 1


def test_linear_takes_a_slope_for_each_feature():
    inputs, targets = everything(synthetic.linear(1, features=2, slope=[1.0, -4.0], intercept=5.0, noise=0.0))
    np.testing.assert_allclose(targets[:, 0], inputs[:, 0] - 4 * inputs[:, 1] + 5, rtol=1e-5)


def test_linear_with_the_wrong_number_of_slopes():
    with pytest.raises(DataError, match="2 numbers for 3 features"):
        synthetic.linear(0, features=3, slope=[1.0, 2.0])


def test_friedman_targets_are_standardized_and_nonlinear():
    inputs, targets = everything(synthetic.friedman(0, examples=20_000, targets=3, noise=0.0))
    assert inputs.shape == (20_000, 10)
    assert targets.shape == (20_000, 3)
    np.testing.assert_allclose(targets.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(targets.std(0), 1, atol=0.03)
    assert abs(np.corrcoef(targets.T)[0, 1]) < 0.9
    padded = np.column_stack([inputs, np.ones(len(inputs))])
    residual = targets - padded @ np.linalg.lstsq(padded, targets, rcond=None)[0]
    # The quadratic and the sine leave about a quarter of the variance to a straight line.
    assert (residual.var(0) > 0.15).all()
    assert (residual.var(0) < 0.35).all()


def test_blobs_are_clouds_in_equal_shares():
    inputs, labels = everything(synthetic.blobs(0, examples=500, features=10, classes=5, spread=0.1))
    assert inputs.shape == (500, 10)
    assert np.bincount(labels).tolist() == [100] * 5
    assert all(inputs[labels == label].std(0).max() < 0.2 for label in range(5))


@pytest.mark.parametrize(
    ("shape", "kind", "dtype"),
    [((8, 6, 3), "image", "uint8"), ((7,), "tabular", "float32"), ((5, 4), "tabular", "float32")],
)
def test_random_has_any_shape(shape, kind, dtype):
    source = synthetic.random(0, examples=20, shape=shape, classes=4)
    inputs, labels = everything(source)
    assert inputs.shape == (20, *shape)
    assert inputs.dtype == dtype
    assert source.spec.input.kind == kind
    assert set(labels.tolist()) <= set(range(4))
    assert source.spec.outputs == 4


def test_random_without_classes_is_a_regression():
    source = synthetic.random(0, examples=20, shape=(3,), classes=None, targets=2)
    assert source.spec.task == "regression"
    assert everything(source)[1].shape == (20, 2)


def test_random_larger_than_memory_is_refused_before_it_is_made():
    with pytest.raises(DataError, match="of memory available; ask for fewer examples"):
        synthetic.random(0, examples=100_000_000, shape=(1000, 1000, 3))


def test_multi_label_has_examples_with_several_labels_and_with_none():
    source = synthetic.multi_label(0, examples=500, features=12, labels=4, mean_labels=2)
    inputs, targets = everything(source)
    assert source.spec.task == "multi_label"
    assert source.spec.target.names == ("label_0", "label_1", "label_2", "label_3")
    assert inputs.shape == (500, 12)
    assert targets.dtype == np.float32
    assert np.unique(targets).tolist() == [0, 1]
    assert {0, 1, 2} <= set(targets.sum(axis=1).tolist())
    assert 1.3 < targets.sum(axis=1).mean() < 2.3
    assert everything(synthetic.multi_label(0, unlabelled=False))[1].any(axis=1).all()
    with pytest.raises(DataError, match=r"dataset.mean_labels: 9 of 5 labels; give at most 5"):
        synthetic.multi_label(0, mean_labels=9)


def test_chirps_differ_by_their_order_alone():
    inputs, targets = everything(synthetic.chirps(3, examples=4000, length=32, noise=0.0))
    assert inputs.shape == (4000, 32, 1) and inputs.dtype == np.float32
    tones = inputs[..., 0]
    rising, falling = tones[targets == 0], tones[targets == 1]
    assert 0.45 < targets.mean() < 0.55
    # At each step the same in both classes, so that no linear model can do better than chance.
    np.testing.assert_allclose(rising.mean(axis=0), falling.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(rising.std(axis=0), falling.std(axis=0), atol=0.06)
    # Backwards a falling tone rises: its last half turns more often than its first.
    turns = [np.count_nonzero(np.diff(np.sign(part)), axis=1) for part in (falling[:, ::-1], rising)]
    np.testing.assert_allclose(turns[0].mean(), turns[1].mean(), rtol=0.03)
    first, last = (np.count_nonzero(np.diff(np.sign(rising[:, part])), axis=1).mean() for part in
                   (slice(16), slice(16, 32)))  # fmt: skip
    assert last > 1.4 * first


@pytest.mark.parametrize(
    "build",
    [
        synthetic.linear,
        synthetic.friedman,
        synthetic.blobs,
        synthetic.chirps,
        synthetic.multi_label,
        synthetic.random,
    ],
)
def test_the_seed_decides(build):
    first, again, other = (everything(build(seed)) for seed in (7, 7, 8))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()
    # Seeds beyond 32 bits are allowed.
    build(2**40)
