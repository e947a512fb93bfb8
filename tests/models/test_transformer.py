from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.columns import NUMBERS, Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import ModelError
from bigmodel_cli.flops import count_flops
from bigmodel_cli.models.transformer import transformer

SMALL = {"layers": 1, "width": 8, "heads": 2}


def text(words=4, length=5, name="t", **changes):
    vocabulary = tuple(f"w{i}" for i in range(words))
    return Column(name, "text", vocabulary=vocabulary, length=length, dimension=64, **changes)


def spec(*columns, task="classification", outputs=2):
    names = tuple(f"y{i}" for i in range(outputs))
    target = TargetSpec((), "int32", names, counts=(1,) * outputs)
    if task != "classification":
        target = TargetSpec((outputs,), "float32", names, mean=(3.0,) * outputs)
    data_input = InputSpec((len(columns),), "", "table", tuple(c.name for c in columns), columns=columns)
    return DataSpec("texts", "test", task, data_input, target)


def lively(model):
    """With weights that are no start: a bias of 0 would hide what is added."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(norm, pooling):
    options = {**SMALL, "norm": norm, "pooling": pooling, "layers": 2}
    short = lively(transformer(spec(text(length=5)), **options))
    long = transformer(spec(text(length=9)), **options)
    for layer in short.layers:
        if layer.name == "positions":
            rows = np.concatenate([layer.get_weights()[0], np.full((4, 8), 100.0)])
            long.get_layer("positions").set_weights([rows])
        elif layer.weights:
            long.get_layer(layer.name).set_weights(layer.get_weights())
    tokens = np.array([[2, 3, 4, 0, 0], [5, 1, 2, 3, 4], [0, 0, 0, 0, 0]], np.int32)
    padded = np.pad(tokens, [(0, 0), (0, 4)])
    np.testing.assert_allclose(long({"tokens_0": padded}), short({"tokens_0": tokens}), atol=1e-5)
    assert np.isfinite(np.asarray(short({"tokens_0": tokens}))).all()


def test_order_of_the_tokens_counts():
    model = lively(transformer(spec(text()), **SMALL))
    there, back = np.asarray(model({"tokens_0": np.array([[2, 3, 4, 0, 0], [4, 3, 2, 0, 0]], np.int32)}))
    assert abs(there - back).max() > 1e-4


def test_several_texts_are_one_sequence_without_gaps():
    # Two texts of 2 tokens, the first one padded: the same as where it is not, for its end has no position.
    def model(length):
        return transformer(spec(text(length=length, name="a"), text(length=3, name="b")), **SMALL)

    short, long = lively(model(2)), model(4)
    for layer in short.layers:
        if layer.name == "positions":
            rows = np.concatenate([layer.get_weights()[0], np.full((2, 8), 100.0)])
            long.get_layer("positions").set_weights([rows])
        elif layer.weights:
            long.get_layer(layer.name).set_weights(layer.get_weights())
    b = np.array([[3, 4, 0]], np.int32)
    expected = short({"tokens_0": np.array([[2, 3]], np.int32), "tokens_1": b})
    found = long({"tokens_0": np.array([[2, 3, 0, 0]], np.int32), "tokens_1": b})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    swapped = short({"tokens_0": b[:, :2], "tokens_1": np.array([[2, 3, 0]], np.int32)})
    assert abs(np.asarray(swapped) - np.asarray(expected)).max() > 1e-3


def test_other_columns_stand_beside_the_texts():
    data = spec(Column("n", "numeric"), text(), task="regression", outputs=3)
    model = lively(transformer(data, **SMALL))
    assert model.get_layer("outputs").kernel.shape == (8 + 1, 3)
    tokens = np.array([[2, 3, 0, 0, 0]] * 2, np.int32)
    found = np.asarray(model({"tokens_0": tokens, NUMBERS: np.array([[0.0], [1.0]], np.float32)}))
    np.testing.assert_allclose(found[1] - found[0], model.get_layer("outputs").kernel[-1], atol=1e-5)


def test_dropout_is_active_in_training_alone():
    model = lively(transformer(spec(text()), **SMALL, dropout=0.5))
    tokens = {"tokens_0": np.array([[2, 3, 4, 5, 1]], np.int32)}
    np.testing.assert_array_equal(model(tokens), model(tokens))
    assert abs(np.asarray(model(tokens, training=True)) - np.asarray(model(tokens))).max() > 1e-3
    plain = transformer(spec(text()), **SMALL, dropout=0.0)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)


# NumPy 2 asks TensorFlow's variables for a signature that TensorFlow 2.21 does not have yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("options", [{}, {"norm": "pre", "pooling": "cls", "activation": "relu"}])
def test_saved_model_needs_no_code_of_ours(tmp_path, options):
    model = lively(transformer(spec(text()), **SMALL, **options))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    tokens = {"tokens_0": np.array([[2, 3, 4, 0, 0]], np.int32)}
    np.testing.assert_allclose(loaded(tokens), model(tokens), rtol=1e-5)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}


def test_token_dropout_hides_whole_tokens():
    model = lively(transformer(spec(text()), **SMALL, dropout=0.0, token_dropout=0.5))
    layer = model.get_layer("tokens_0_dropout")
    tokens = np.array([[2, 3, 4, 5, 1]] * 200, np.int32)
    inner = keras.Model(model.input, [layer.input, layer.output])
    before, after = map(np.asarray, inner({"tokens_0": tokens}, training=True))
    hidden = ~after.any(axis=2)
    assert 0.4 < hidden.mean() < 0.6
    np.testing.assert_allclose(after[~hidden], 2 * before[~hidden], rtol=1e-5)


def test_products_are_counted():
    flops = count_flops(transformer(spec(text(length=6)), **SMALL, feed_forward=16))
    assert not flops.uncounted
    # 8 positions: four projections 8x8 and two products of all pairs; then 8x16 and back.
    assert flops.layers["layer_1_attention"] == 2 * (4 * 8 * 64 + 2 * 8 * 8 * 8)
    assert flops.layers["layer_1_feed_forward"] == flops.layers["layer_1_projection"] == 2 * 8 * 8 * 16


@pytest.mark.usefixtures("bfloat16")
def test_output_is_float32_under_bfloat16():
    model = transformer(spec(text()), **SMALL)
    assert model.get_layer("layer_1_attention").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"


def test_a_few_steps_learn_an_order():
    # Which of two words comes first: no bag of words can tell.
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 64)
    tokens = np.where(y[:, None], [[2, 3, 0, 0, 0]], [[3, 2, 0, 0, 0]]).astype(np.int32)
    keras.utils.set_random_seed(0)
    model = transformer(spec(text()), layers=1, width=16, heads=2, dropout=0.0, norm="pre")
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit({"tokens_0": tokens}, y, epochs=40, batch_size=16, verbose=0)
    assert history.history["loss"][-1] < 0.1


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ([text()], {"width": 10, "heads": 4}, "model.heads: 4 heads cannot share a width of 10.*such as 12"),
        ([Column("n", "numeric")], {}, "takes texts, but dataset `texts` gives 1 table column without one"),
        ([Column("t", "text", vocabulary=("x",), length=3, dimension=32)], {},
         "dataset.prepare.text.dimension: 32 is for models of averaged embeddings"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(columns, options, message):
    with pytest.raises(ModelError, match=message):
        transformer(spec(*columns), **options)
