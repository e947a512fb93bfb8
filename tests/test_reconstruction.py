"""The task of giving the input back: its data, its scale, its likelihoods."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.reconstruction import (
    Likelihood,
    labelled,
    likelihood_of,
    negative_log_likelihood,
    reconstructed,
    root_mean_squared_error,
    scaled,
)

CLASSES = TargetSpec((), "int32", ("a", "b"), counts=(3, 4))
IMAGES = DataSpec("p", "drawn", "classification", InputSpec((5, 4, 3), "uint8", "image"), CLASSES)
VECTORS = DataSpec(
    "v", "made", "classification",
    InputSpec((3,), "float32", "tabular", ("x", "y", "z"), (1.0, -2.0, 5.0), (4.0, 0.25, 0.0)), CLASSES,
)  # fmt: skip


@pytest.mark.parametrize("data", [IMAGES, VECTORS], ids=["images", "vectors"])
class TestData:
    def test_targets_are_the_inputs(self, data):
        found = reconstructed(data, "vae")
        assert found.task == "reconstruction"
        assert found.target.shape == found.output_shape == data.input.shape
        assert found.outputs == np.prod(data.input.shape)

    def test_labels_are_kept_beside(self, data):
        found = reconstructed(data, "vae")
        assert labelled(found) == data
        assert labelled(data) is data

    def test_json(self, data):
        found = reconstructed(data, "vae")
        assert DataSpec.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_data_of_earlier_runs_is_read():
    document = json.loads(json.dumps(IMAGES.to_json()))
    del document["unlearned"]
    assert DataSpec.from_json(document) == IMAGES


def test_tables_are_refused():
    table = DataSpec("t", "csv", "classification", InputSpec((2,), "", "table"), CLASSES)
    with pytest.raises(ModelError, match=r"`vae` reconstructs images and vectors.*2 table columns.*npz"):
        reconstructed(table, "vae")


def test_scale():
    assert scaled(np.array([0, 51, 255], np.float32), IMAGES).tolist() == pytest.approx([0, 0.2, 1])
    # A constant feature is only shifted.
    found = scaled(np.array([[3.0, -2.5, 7.0]], np.float32), VECTORS)
    assert found.tolist()[0] == pytest.approx([1, -1, 2])
    wrong = np.array([[5.0, -2.5, 7.0]], np.float32)
    error = root_mean_squared_error(np.array([[3.0, -2.5, 7.0]], np.float32), wrong, VECTORS)
    assert float(error[0]) == pytest.approx(np.sqrt(1 / 3))


class TestLikelihood:
    def test_gaussian_is_that_of_scipy(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(4, 3)).astype(np.float32)
        given = rng.normal(size=(4, 3)).astype(np.float32)
        found = negative_log_likelihood(values, given, Likelihood("gaussian", 0.3), VECTORS)
        wanted = -stats.norm(given, 0.3).logpdf(scaled(values, VECTORS)).sum(axis=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-4)

    def test_gaussian_of_pixels_is_about_the_sigmoid(self):
        rng = np.random.default_rng(0)
        values = rng.integers(0, 256, (2, 5, 4, 3)).astype(np.float32)
        logits = rng.normal(size=values.shape).astype(np.float32)
        found = negative_log_likelihood(values, logits, Likelihood("gaussian", 0.1), IMAGES)
        wanted = -stats.norm(1 / (1 + np.exp(-logits)), 0.1).logpdf(values / 255).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(found, wanted, rtol=1e-4)

    def test_bernoulli_is_that_of_scipy_and_finite_for_any_logit(self):
        values = np.random.default_rng(0).choice([0, 255], (2, 5, 4, 3)).astype(np.float32)
        logits = np.random.default_rng(1).normal(size=values.shape).astype(np.float32)
        found = negative_log_likelihood(values, logits, Likelihood("bernoulli", 0), IMAGES)
        wanted = -stats.bernoulli(1 / (1 + np.exp(-logits))).logpmf(values / 255).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        extreme = negative_log_likelihood(
            values, np.full_like(logits, 1000), Likelihood("bernoulli", 0), IMAGES
        )
        assert np.isfinite(extreme).all()

    @pytest.mark.parametrize(
        ("data", "name", "deviation", "wanted"),
        [
            (IMAGES, "auto", None, Likelihood("bernoulli", 0)),
            (IMAGES, "auto", 0.2, Likelihood("gaussian", 0.2)),
            (IMAGES, "gaussian", None, Likelihood("gaussian", 0.1)),
            (VECTORS, "auto", None, Likelihood("gaussian", 0.5)),
        ],
    )
    def test_choice(self, data, name, deviation, wanted):
        assert likelihood_of({"likelihood": name, "deviation": deviation}, data) == wanted

    def test_there_may_be_none(self):
        assert likelihood_of({"latent": 3}, IMAGES) is None

    @pytest.mark.parametrize(
        ("data", "deviation", "message"),
        [(VECTORS, None, "`bernoulli` is for pixels"), (IMAGES, 0.1, "a Bernoulli likelihood has none")],
    )
    def test_what_does_not_fit_is_refused(self, data, deviation, message):
        with pytest.raises(ModelError, match=message):
            likelihood_of({"likelihood": "bernoulli", "deviation": deviation}, data)
