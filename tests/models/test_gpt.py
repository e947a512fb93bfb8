from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.models.gpt import gpt

SMALL = {"layers": 2, "width": 8, "heads": 2}


def spec(words=4, length=5, task="language_model"):
    column = Column(
        "text", "text", vocabulary=tuple(f"w{i}" for i in range(words)), length=length, dimension=64
    )
    data_input = InputSpec((1,), "", "table", ("text",), columns=(column,))
    names = ("[END]", "[UNK]", *column.vocabulary)
    target = TargetSpec((length,), "int32", names, counts=(1,) * len(names))
    return DataSpec("texts", "test", task, data_input, target)


def lively(model):
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


def test_a_token_sees_those_before_it_alone():
    model = lively(gpt(spec(), **SMALL))
    tokens = np.array([[2, 3, 4, 5, 2]], np.int32)
    before = np.asarray(model({"tokens_0": tokens}))
    for place in range(5):
        changed = tokens.copy()
        changed[0, place] = 1
        after = np.asarray(model({"tokens_0": changed}))
        np.testing.assert_allclose(after[0, : place + 1], before[0, : place + 1], atol=1e-5)
        if place < 4:
            assert (abs(after[0, place + 1 :] - before[0, place + 1 :]).max(axis=-1) > 1e-4).all()


def test_the_last_layer_is_the_embedding():
    model = lively(gpt(spec(), **SMALL))
    inner = keras.Model(model.input, model.get_layer("final_norm").output)
    tokens = {"tokens_0": np.array([[2, 3, 4, 5, 2]], np.int32)}
    table = model.get_layer("tokens_0_embedding").get_weights()[0]
    np.testing.assert_allclose(np.asarray(inner(tokens)) @ table.T, model(tokens), rtol=1e-4, atol=1e-4)


def test_products_are_counted():
    flops = count_flops(gpt(spec(length=5), **SMALL))
    assert not flops.uncounted
    # The look-up of tokens counts 0, its reverse a product with all 6 of them.
    assert flops.layers["tokens_0_embedding"] == 2 * 5 * 8 * 6
    assert flops.layers["layer_1_feed_forward"] == 2 * 5 * 8 * 32


# NumPy 2 asks TensorFlow's variables for a signature that TensorFlow 2.21 does not have yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_saved_model_needs_no_code_of_ours(tmp_path):
    model = lively(gpt(spec(), **SMALL))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    tokens = {"tokens_0": np.array([[2, 3, 4, 0, 0]], np.int32)}
    np.testing.assert_allclose(loaded(tokens), model(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("bfloat16")
def test_output_is_float32_under_bfloat16():
    model = gpt(spec(), **SMALL)
    assert model.get_layer("layer_1_attention").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"


def test_other_tasks_are_refused():
    with pytest.raises(ModelError, match=r"`gpt` is for language_model.*use `transformer`"):
        gpt(spec(task="classification"))
