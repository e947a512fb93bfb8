from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.errors import ModelError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.models.recurrent import gru, lstm

BOTH = pytest.mark.parametrize("build", [lstm, gru])
TOKENS = np.array([[2, 3, 4, 0, 0, 0], [5, 1, 2, 3, 0, 0]], np.int32)


def head(model):
    return model.get_layer("logits").count_params()


def test_parameters_are_those_of_the_closed_formulas(sequences):
    # Of 3 features, then of the 5 units before.
    layers = [(3, 5), (5, 7)]
    found = lstm(sequences(9, 3), units=(5, 7))
    assert found.count_params() - head(found) == sum(4 * ((m + n) * n + n) for m, n in layers)
    found = gru(sequences(9, 3), units=(5, 7))
    assert found.count_params() - head(found) == sum(3 * ((m + n) * n + 2 * n) for m, n in layers)


def test_reading_both_ways_doubles_the_layers(sequences):
    one, both = (lstm(sequences(9, 3), units=(5,), bidirectional=way) for way in (False, True))
    assert both.get_layer("bidirectional_1").count_params() == 2 * one.get_layer("lstm_1").count_params()
    assert both.get_layer("logits").kernel.shape == (10, 2)


def test_features_are_standardized_with_the_statistics(sequences):
    model = lstm(sequences(4, 2))
    x = np.random.default_rng(0).normal(1, 2, (3, 4, 2)).astype(np.float32)
    found = keras.Model(model.input, model.get_layer("standardize").output)(x)
    np.testing.assert_allclose(found, (x - 1) / 2, rtol=1e-5)


@BOTH
@pytest.mark.parametrize("options", [{}, {"pooling": "mean"}, {"bidirectional": True, "units": (4, 4)}])
def test_padding_changes_nothing(texts, build, options):
    options = {"units": (4,), "embedding": 3, **options}
    short, long = build(texts(6), **options), build(texts(9), **options)
    long.set_weights(short.get_weights())
    padded = np.pad(TOKENS, [(0, 0), (0, 3)])
    np.testing.assert_allclose(long({"tokens_0": padded}), short({"tokens_0": TOKENS}), atol=1e-6)
    # What is there does change something.
    other = TOKENS.copy()
    other[:, 1] = 5
    assert abs(np.asarray(short({"tokens_0": other})) - np.asarray(short({"tokens_0": TOKENS}))).max() > 1e-4


@BOTH
def test_a_language_model_sees_no_token_that_it_is_to_foresee(texts, build):
    model = build(texts(6, "language_model"), units=(4, 5), embedding=3)
    assert model.output_shape == (None, 6, 6) and model.output.dtype == "float32"
    before = np.asarray(model({"tokens_0": TOKENS}))
    for place in range(6):
        other = TOKENS.copy()
        other[:, place] = 5 - other[:, place]
        changed = abs(np.asarray(model({"tokens_0": other})) - before).max(axis=(0, 2)) > 1e-7
        assert not changed[: place + 1].any() and changed[place + 1 :].all()


def test_a_few_steps_tell_rising_from_falling(sequences):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 128)
    x = np.where(y[:, None], np.arange(8), np.arange(8)[::-1])[..., None] + rng.normal(0, 0.5, (128, 8, 1))
    keras.utils.set_random_seed(0)
    model = gru(sequences(8, 1), units=(8,))
    model.compile(keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(x.astype(np.float32), y, epochs=5, batch_size=16, verbose=0)
    assert history.history["loss"][-1] < 0.1


def test_products_of_each_step_are_counted(sequences):
    flops = count_flops(lstm(sequences(9, 3), units=(5,)))
    assert flops.layers["lstm_1"] == 2 * 9 * 4 * (3 + 5) * 5 and not flops.uncounted


def test_what_does_not_fit_is_refused(sequences, texts, images, table):
    for data, options, message in (
        (images(8, 8, 1), {}, "`lstm` takes sequences, .* but dataset `pictures` gives 8x8x1 images"),
        (table((0.0,), (1.0,), classes=2), {}, "gives 1 tabular feature"),
        (sequences(2, 3, 3, 1), {}, "gives sequences of 2 times 3x3x1 numbers"),
        (texts(columns=2), {}, "takes one column of text, but dataset `texts` has t0, t1"),
        (texts(task="masked_language_model"), {}, "is not for the task masked_language_model"),
        (texts(task="language_model"), {"bidirectional": True}, "model.bidirectional: a language model"),
    ):
        with pytest.raises(ModelError, match=message):
            lstm(data, **options)
