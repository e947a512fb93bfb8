"""Autoencoders and their variational kin: shapes, the way back from odd sizes, the divergence."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import integrate, stats

from bigmodel_cli import assembly
from bigmodel_cli.errors import ModelError
from bigmodel_cli.latent_draw import LatentDraw, divergence_from_standard_normal
from bigmodel_cli.models.autoencoder import autoencoder
from bigmodel_cli.models.vae import vae
from bigmodel_cli.reconstruction import reconstructed


@pytest.mark.parametrize("shape", [(8, 8, 1), (13, 10, 3), (1, 5, 2)])
@pytest.mark.parametrize("builder", [autoencoder, vae])
def test_any_size_comes_back(images, builder, shape):
    data = reconstructed(images(*shape), "vae")
    filters = [4] if shape[0] == 1 else [4, 6]
    model = builder(data, latent=3, filters=filters, dense=[5])
    assert model.input_shape == model.output_shape == (None, *shape)
    assert model.get_layer("latent").output.shape == (None, 3)
    assert model.output.dtype == "float32"


def test_dense_layers_alone(images, table):
    data = reconstructed(images(4, 3, 1), "autoencoder")
    assert autoencoder(data, latent=2, filters=[], dense=[]).output_shape == (None, 4, 3, 1)
    vectors = reconstructed(table((1.0, 2.0), (4.0, 9.0), classes=2), "autoencoder")
    model = autoencoder(vectors, latent=1, dense=[3])
    assert model.output_shape == (None, 2)
    # 2 * 3 + 3, 3 + 1, and back.
    assert model.count_params() == 9 + 4 + 6 + 8


def test_filters_that_do_not_fit_are_refused(images, table):
    vectors = reconstructed(table((1.0,), (4.0,), classes=2), "vae")
    with pytest.raises(ModelError, match=r"model.filters: are for images.*model.dense"):
        vae(vectors, filters=[4])
    with pytest.raises(ModelError, match=r"model.filters: 5 halve 8x8x1 images.*at most 3"):
        autoencoder(reconstructed(images(8, 8, 1), "autoencoder"), filters=[2] * 5)


def test_noise_is_seen_in_training_alone(images):
    data = reconstructed(images(4, 4, 1), "autoencoder")
    model = autoencoder(data, latent=2, filters=[], dense=[], noise=0.5)
    pixels = np.full((1, 4, 4, 1), 100, np.uint8)
    still, again = (np.asarray(model(pixels, training=False)) for _ in range(2))
    assert np.array_equal(still, again)
    assert not np.array_equal(still, np.asarray(model(pixels, training=True)))


class TestLatentDraw:
    MEAN = np.array([[0.0, 0.0], [1.5, -0.7]], np.float32)
    LOG_VARIANCE = np.array([[0.0, 0.0], [-1.0, 0.6]], np.float32)

    def test_divergence_is_the_integral(self):
        found = np.asarray(divergence_from_standard_normal(self.MEAN, self.LOG_VARIANCE))
        assert found[0] == pytest.approx(0, abs=1e-7)

        def integral(mean, log_variance):
            own = stats.norm(mean, np.exp(0.5 * log_variance))
            return integrate.quad(
                lambda z: own.pdf(z) * (own.logpdf(z) - stats.norm.logpdf(z)), mean - 12, mean + 12
            )[0]

        wanted = sum(integral(*pair) for pair in zip(self.MEAN[1], self.LOG_VARIANCE[1], strict=True))
        assert found[1] == pytest.approx(wanted, rel=1e-5)

    def test_draws_in_training_and_adds_to_the_loss(self):
        layer = LatentDraw(2.0)
        assert np.array_equal(np.asarray(layer(self.MEAN, self.LOG_VARIANCE, training=False)), self.MEAN)
        divergence = float(np.mean(divergence_from_standard_normal(self.MEAN, self.LOG_VARIANCE)))
        assert float(layer.losses[0]) == pytest.approx(2 * divergence)
        assert float(layer.divergence.result()) == pytest.approx(divergence)
        many = np.repeat(self.MEAN[1:], 20_000, axis=0), np.repeat(self.LOG_VARIANCE[1:], 20_000, axis=0)
        drawn = np.asarray(layer(*many, training=True))
        np.testing.assert_allclose(drawn.mean(axis=0), self.MEAN[1], atol=0.03)
        np.testing.assert_allclose(drawn.var(axis=0), np.exp(self.LOG_VARIANCE[1]), rtol=0.03)

    def test_noise_has_a_state_that_a_checkpoint_holds(self, images):
        model = vae(reconstructed(images(4, 4, 1), "vae"), latent=2, filters=[], dense=[])
        assert any("seed_generator" in variable.path for variable in model.variables)


def test_served_model_needs_no_code_of_ours(images, tmp_path):
    """What is saved takes the mean of the latents, gives pixels, and holds Keras' own layers alone."""
    data = reconstructed(images(6, 5, 1), "vae")
    model = vae(data, latent=2, filters=[3], dense=[4])
    serving = assembly.serving_model(model, data)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 1)).astype(np.uint8)
    given = np.asarray(serving(pixels))
    np.testing.assert_allclose(given, 255 / (1 + np.exp(-np.asarray(model(pixels)))), rtol=1e-4)
    # Weights are carried over in order.
    assert [item.shape for item in serving.weights] == [item.shape for item in model.weights]
    serving.save(tmp_path / "model.keras")
    with keras.saving.custom_object_scope({}):
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(loaded(pixels)), given, rtol=1e-6)
    assert not any(isinstance(layer, LatentDraw) for layer in serving._flatten_layers())


def test_served_features_are_in_their_own_units(table):
    data = reconstructed(table((100.0, 2.0), (400.0, 9.0), classes=2), "autoencoder")
    model = autoencoder(data, latent=1, dense=[])
    values = np.array([[120.0, 5.0], [80.0, 2.0]], np.float32)
    given = np.asarray(assembly.serving_model(model, data)(values))
    np.testing.assert_allclose(given, np.asarray(model(values)) * [20, 3] + [100, 2], rtol=1e-5)
