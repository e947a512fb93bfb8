from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.errors import UsageError


def _score(function: Callable[[Any], Any]) -> Any:
    from bigmodel_cli.explanation.scores import Score

    return Score(function, "integrated_gradients")


def test_of_a_linear_model_it_is_weight_times_difference() -> None:
    import tensorflow as tf

    from bigmodel_cli.explanation.integrated_gradients import STEPS, integrate

    weights = np.array([[2.0, 1.0], [-3.0, 1.0], [0.5, 1.0]], np.float32)
    point, baseline = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.0, -4.0])
    found = integrate(_score(lambda points: tf.matmul(points, weights) + 7.0), point, baseline, 0)
    np.testing.assert_allclose(found.values, weights[:, 0] * (point - baseline), rtol=1e-12)
    assert found.score == 2 - 6 + 2 + 7
    assert found.steps == STEPS
    assert found.gap == pytest.approx(0, abs=1e-12)


def test_of_a_product_it_is_the_integral() -> None:
    # Of x^2 y from (0, 0) to (1, 1): the integrals of 2 t^2 and of t^2.
    from bigmodel_cli.explanation.integrated_gradients import integrate

    found = integrate(_score(lambda p: p[:, :1] ** 2 * p[:, 1:]), np.ones(2), np.zeros(2), 0)
    np.testing.assert_allclose(found.values, [2 / 3, 1 / 3], atol=1e-4)


def test_points_are_added_until_it_adds_up() -> None:
    import tensorflow as tf

    from bigmodel_cli.explanation.integrated_gradients import MOST_STEPS, STEPS, TOLERANCE, integrate

    kinked = _score(lambda points: tf.nn.relu(points - 0.3037))
    found = integrate(kinked, np.ones(1), np.zeros(1), 0)
    assert STEPS < found.steps <= MOST_STEPS
    assert abs(found.gap) <= TOLERANCE * 0.6963
    # A jump has no gradient at all, so that no number of points is enough.
    jump = _score(lambda points: tf.sign(points - 0.5) + 0 * points)
    missed = integrate(jump, np.ones(1), np.zeros(1), 0)
    assert missed.steps == MOST_STEPS
    assert missed.gap == -2


def test_it_is_complete_on_a_trained_model(digits: Any, examples: Any) -> None:
    from bigmodel_cli.explanation.integrated_gradients import attributor

    images, _ = examples(digits)
    of = attributor(digits)
    before = [np.array(weight) for weight in digits.model.weights]
    probabilities = digits.predict(np.concatenate([images[:3], np.zeros_like(images[:1])]))
    for image, own in zip(images[:3], probabilities, strict=False):
        found = [of(image, index) for index in (0, 7)]
        assert found[0].values.shape == images.shape[1:]
        for each in found:
            difference = each.score - each.baseline_score
            assert abs(each.gap) <= 1e-3 * max(abs(difference), 1)
        # The logits are those of the run itself, of whole pixels: their differences make the probabilities.
        ratio = np.log(own[0] / own[7])
        assert found[0].score - found[1].score == pytest.approx(ratio, abs=1e-3)
        # A black pixel is what the baseline has.
        assert not found[0].values[image == 0].any()
    for then, weight in zip(before, digits.model.weights, strict=True):
        np.testing.assert_array_equal(then, np.array(weight))


def test_a_vector_starts_from_the_mean(iris: Any, examples: Any) -> None:
    from bigmodel_cli.explanation.integrated_gradients import attributor

    rows, _ = examples(iris)
    of = attributor(iris)
    mean = of(np.asarray(iris.spec.input.mean), 1)
    assert not mean.values.any()
    found = of(rows[0], 1)
    assert found.baseline_score == pytest.approx(mean.score)
    assert abs(found.gap) <= 1e-3 * abs(found.score - found.baseline_score)


def test_a_step_without_gradient_is_refused() -> None:
    import tensorflow as tf

    from bigmodel_cli.explanation.integrated_gradients import integrate

    with pytest.raises(UsageError, match="no gradient by its inputs; take another method"):
        integrate(_score(lambda points: tf.cast(points > 1, tf.float32)), np.ones(2), np.zeros(2), 0)
