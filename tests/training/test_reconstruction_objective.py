"""Losses and metrics of autoencoders, and what makes no sense for them."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli import assembly
from bigmodel_cli.errors import BigmodelError
from bigmodel_cli.training.objective import build_objective

DIGITS = """\
name: digits
dataset: {name: digits, limit: 60}
model: {name: autoencoder, latent: 2, filters: [], dense: []}
training: {epochs: 1, batch_size: 20}
"""
IRIS = DIGITS.replace("digits", "iris").replace("filters: [], ", "")
VAE = DIGITS.replace("autoencoder", "vae")


def objective(config):
    data = assembly.load_data(config)
    return data.spec, build_objective(config, data.spec)


def batch(spec):
    rng = np.random.default_rng(0)
    if spec.input.kind == "image":
        return rng.integers(0, 256, (4, *spec.input.shape)).astype(np.uint8)
    return rng.normal(3, 2, (4, *spec.input.shape)).astype(np.float32)


def measured(metric, true, outputs):
    metric.reset_state()
    metric.update_state(true, outputs)
    return float(metric.result())


def test_pixels_by_their_cross_entropy(config):
    spec, found = objective(config(DIGITS))
    true = batch(spec)
    logits = np.random.default_rng(1).normal(size=true.shape).astype(np.float32)
    shares, given = true / 255, 1 / (1 + np.exp(-logits))
    wanted = -(shares * np.log(given) + (1 - shares) * np.log(1 - given)).mean()
    assert found.loss_name == "binary_crossentropy"
    assert float(found.loss(true, logits)) == pytest.approx(wanted, rel=1e-5)
    (metric,) = found.metrics
    assert metric.name == "mean_absolute_error"
    assert measured(metric, true, logits) == pytest.approx(np.abs(shares - given).mean(), rel=1e-5)


def test_features_by_their_squared_error(config):
    spec, found = objective(config(IRIS))
    true = batch(spec)
    outputs = np.random.default_rng(1).normal(size=true.shape).astype(np.float32)
    scaled = (true - np.array(spec.input.mean)) / np.sqrt(spec.input.variance)
    assert found.loss_name == "mean_squared_error"
    assert float(found.loss(true, outputs)) == pytest.approx(((scaled - outputs) ** 2).mean(), rel=1e-4)


def test_other_losses_and_metrics(config):
    spec, found = objective(config(DIGITS, "loss=mean_squared_error", "metrics=[root_mean_squared_error]"))
    true = batch(spec)
    logits = np.zeros(true.shape, np.float32)
    wanted = ((true / 255 - 0.5) ** 2).mean()
    assert float(found.loss(true, logits)) == pytest.approx(wanted, rel=1e-5)
    assert measured(found.metrics[0], true, logits) == pytest.approx(np.sqrt(wanted), rel=1e-5)


def test_likelihood_is_summed_over_the_pixels(config):
    spec, found = objective(config(VAE))
    logits = np.zeros((4, *spec.input.shape), np.float32)
    assert found.loss_name == "negative_log_likelihood"
    # A coin for each of 64 pixels.
    assert float(found.loss(batch(spec), logits)) == pytest.approx(64 * np.log(2), rel=1e-5)
    assert [metric.name for metric in found.metrics] == ["reconstruction", "mean_absolute_error"]
    assert measured(found.metrics[0], batch(spec), logits) == pytest.approx(64 * np.log(2), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        (DIGITS, "loss={name: auto, label_smoothing: 0.1}", "learns its input, not labels"),
        (DIGITS, "loss=sparse_categorical_crossentropy", "is not for reconstruction"),
        (DIGITS, "metrics=[accuracy]", "is not for reconstruction"),
        (
            DIGITS,
            "dataset.augment=[{name: mix_up}]",
            r"augment\[0\]: `mix_up` mixes images and their classes",
        ),
        (VAE, "loss=mean_squared_error", "the likelihood that model.likelihood names"),
        (VAE, "loss={name: auto, label_smoothing: 0.1}", "loss.label_smoothing: the loss of `vae`"),
        (IRIS, "loss=binary_crossentropy", "is for pixels"),
        (
            DIGITS.replace("digits", "diabetes").replace("filters: [], ", ""),
            "dataset.prepare={target: {scale: standardize}}",
            "scales targets, and model `autoencoder` learns the inputs",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(config, text, override, message):
    with pytest.raises(BigmodelError, match=message):
        objective(config(text, override))


@pytest.mark.parametrize(
    ("function", "override", "message"),
    [
        ("class_weights", "dataset.class_weights=balanced", "are for classification"),
        ("resampling", "dataset.resample=oversample", "is for classification"),
    ],
)
def test_classes_are_not_balanced(config, function, override, message):
    complete = config(DIGITS, override)
    data = assembly.load_data(complete)
    given = [data.spec] if function == "class_weights" else [data.splits["train"], data.spec]
    with pytest.raises(BigmodelError, match=message):
        getattr(assembly, function)(complete, *given)


def test_targets_are_the_inputs_as_they_were_augmented(config):
    from bigmodel_cli.training import planning

    complete = config(DIGITS, "dataset.augment=[{name: random_flip, mode: vertical}]")
    plan = planning.prepare(complete)
    inputs, targets = next(iter(plan.pipeline.batches()))
    assert np.array_equal(inputs, targets)
    kept, wanted = next(iter(plan.validation))
    assert np.array_equal(kept, wanted)


def test_a_model_of_ones_own(config, monkeypatch, tmp_path):
    (tmp_path / "own_coder.py").write_text(
        "import keras\n"
        "from bigmodel_cli.contracts import self_supervised\n"
        "@self_supervised\n"
        "def linear(data, *, width: int = 3):\n"
        "    inputs = keras.Input(data.input.shape, dtype=data.input.dtype)\n"
        "    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))\n"
        "    x = keras.layers.Dense(width, name='latent')(x)\n"
        "    x = keras.layers.Dense(data.outputs, dtype='float32')(x)\n"
        "    return keras.Model(inputs, keras.layers.Reshape(data.output_shape)(x))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    complete = config(
        DIGITS.replace("{name: autoencoder, latent: 2, filters: [], dense: []}", "own_coder:linear")
    )
    data = assembly.load_data(complete)
    assert data.spec.task == "reconstruction"
    assert assembly.build_model(complete, data.spec).output_shape == (None, 8, 8, 1)
