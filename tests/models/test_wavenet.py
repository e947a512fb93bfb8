from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.flops import count_flops
from bigmodel_cli.models.wavenet import wavenet

SMALL = {"filters": 4, "skip_filters": 6}


def test_parameters_are_those_of_the_closed_formula(sequences):
    layers, stacks, size, r, s = 3, 2, 2, 4, 6
    model = wavenet(sequences(20, 3), **SMALL, layers=layers, stacks=stacks)
    gates = 2 * (size * r * r + r)
    whole = (size * 3 * r + r) + 6 * (gates + r * s + s) + 5 * (r * r + r) + (s * s + s)
    assert model.count_params() == whole + (s * 2 + 2)
    assert not count_flops(model).uncounted
    assert count_flops(model).layers["layer_2_gate"] == 2 * 20 * size * r * r


@pytest.mark.parametrize(("layers", "stacks", "size"), [(3, 1, 2), (2, 2, 2), (2, 1, 3)])
def test_the_receptive_field_is_that_of_the_paper(sequences, layers, stacks, size):
    # A stack of 10 layers sees 1,024 steps (section 2.1), and the first convolution size - 1 before these.
    field = 1 + (size - 1) * (1 + stacks * (2**layers - 1))
    length = field + 3
    model = wavenet(sequences(length, 1), **SMALL, layers=layers, stacks=stacks, kernel_size=size)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape) if w.ndim else w for w in model.get_weights()])
    steps = keras.Model(model.input, model.get_layer("skips").output)
    x = rng.normal(size=(1, length, 1)).astype(np.float32)
    # In each row another step is changed.
    changed = x + 5 * np.eye(length, dtype=np.float32)[..., None]
    last = np.asarray(steps(np.concatenate([x, changed])))[:, -1]
    seen = abs(last[1:] - last[0]).max(axis=1) > 0
    assert seen.tolist() == [False] * 3 + [True] * field


def test_a_language_model_sees_no_token_that_it_is_to_foresee(texts):
    model = wavenet(texts(6, "language_model"), **SMALL, layers=2)
    assert model.output_shape == (None, 6, 6) and model.output.dtype == "float32"
    tokens = np.array([[2, 3, 4, 1, 2, 3]], np.int32)
    before = np.asarray(model({"tokens_0": tokens}))
    for place in range(6):
        other = tokens.copy()
        other[:, place] = 5
        changed = abs(np.asarray(model({"tokens_0": other})) - before).max(axis=(0, 2)) > 0
        assert not changed[: place + 1].any()
        assert changed[place + 1 :].any() or place == 5


def test_padding_changes_nothing(texts):
    short, long = (wavenet(texts(length), **SMALL, layers=2) for length in (6, 9))
    long.set_weights(short.get_weights())
    tokens = np.array([[2, 3, 4, 0, 0, 0], [5, 1, 2, 3, 0, 0]], np.int32)
    padded = np.pad(tokens, [(0, 0), (0, 3)])
    np.testing.assert_allclose(long({"tokens_0": padded}), short({"tokens_0": tokens}), atol=1e-6)


@pytest.mark.usefixtures("bfloat16")
def test_output_is_float32_under_bfloat16(sequences):
    model = wavenet(sequences(8, 1), **SMALL, layers=1, dropout=0.1)
    assert model.get_layer("layer_1_gate").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"
