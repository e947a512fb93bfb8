"""The graph of Keras layers: equal to the same network written in Keras, and what is said when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml

from bigmodel_cli import catalogue
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import LayerError
from bigmodel_cli.layer_parameters import LEFT_OUT
from bigmodel_cli.models.graph import layers
from bigmodel_cli.models.graph.items import ATTENTIONS, MERGES, PAIRS, QUERY_VALUE_KEY, WRAPPERS

RESIDUAL = """
- conv2d: {filters: 4, kernel_size: 3, padding: same, use_bias: false, kernel_initializer: he_normal}
- batch_normalization: {momentum: 0.9}
- relu
- repeat: 2
  name: stage
  layers:
    - residual:
        - conv2d: {filters: 4, kernel_size: 3, padding: same, activation: tanh}
        - batch_normalization
    - relu
- residual:
    - conv2d: {filters: 6, kernel_size: 3, strides: 2, padding: same}
- global_average_pooling2d
"""
ATTENTION = """
- reshape: {target_shape: [6, 2]}
- dense: {units: 8}
- residual:
    - layer_normalization
    - multi_head_attention: {num_heads: 2, key_dim: 4, use_causal_mask: true}
- layer_normalization: {epsilon: 1.0e-6}
  name: memory
- bidirectional: {layer: {gru: {units: 3, return_sequences: true}}}
  name: both_ways
- multi_head_attention: {num_heads: 2, key_dim: 3}
  from: [both_ways, memory]
- flatten
"""
PARALLEL = """
- dense: {units: 5, activation: relu}
  name: stem
- parallel:
    - - dense: {units: 4}
      - softmax
    - [dense: {units: 4}]
    - []
  merge: concatenate
- dense: {units: 5}
  name: joined
- add:
  from: [joined, stem]
"""


def built(data: DataSpec, text: str, **parameters: Any) -> Any:
    import keras

    # Names begin anew, as `assembly.build_model` makes them.
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return layers(data, layers=yaml.safe_load(text), **parameters)


def assert_same(model: Any, reference: Any, inputs: np.ndarray) -> None:
    """Both give the same from the same weights, which random numbers replace."""
    draw = np.random.default_rng(0)
    weights = [draw.uniform(0.1, 0.5, weight.shape).astype("float32") for weight in model.get_weights()]
    assert [weight.shape for weight in weights] == [weight.shape for weight in reference.get_weights()]
    model.set_weights(weights)
    reference.set_weights(weights)
    for training in (False, True):
        given, wanted = (np.asarray(one(inputs, training=training)) for one in (model, reference))
        np.testing.assert_allclose(given, wanted, rtol=2e-5, atol=2e-6)


def test_residual(images: Callable[..., DataSpec]) -> None:
    import keras
    from keras import layers as k

    model = built(images(8, 8, 1), RESIDUAL)
    inputs = keras.Input((8, 8, 1), dtype="uint8")
    x = k.Conv2D(4, 3, padding="same", use_bias=False)(k.Rescaling(1 / 255)(inputs))
    x = k.ReLU()(k.BatchNormalization(momentum=0.9)(x))
    for _ in range(2):
        way = k.BatchNormalization()(k.Conv2D(4, 3, padding="same", activation="tanh")(x))
        x = k.ReLU()(k.Add()([x, way]))
    # In this order, so that the weights come in that of the model.
    way = k.Conv2D(6, 3, strides=2, padding="same")(x)
    x = k.Add()([k.Conv2D(6, 1, strides=2, use_bias=False)(x), way])
    reference = keras.Model(inputs, k.Dense(10)(k.GlobalAveragePooling2D()(x)))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1)).astype("uint8")
    ordered = [weight.shape for weight in reference.get_weights()]
    assert [weight.shape for weight in model.get_weights()] == ordered
    assert_same(model, reference, pixels)


def test_attention(table: Callable[..., DataSpec]) -> None:
    import keras
    from keras import layers as k

    model = built(table((0.0,) * 12, (1.0,) * 12, classes=3), ATTENTION)
    inputs = keras.Input((12,))
    x = k.Dense(8)(k.Reshape((6, 2))(inputs))
    normal = k.LayerNormalization()(x)
    x = k.Add()([x, k.MultiHeadAttention(2, 4)(normal, normal, use_causal_mask=True)])
    memory = k.LayerNormalization(epsilon=1e-6)(x)
    query = k.Bidirectional(k.GRU(3, return_sequences=True))(memory)
    x = k.Flatten()(k.MultiHeadAttention(2, 3)(query, memory))
    reference = keras.Model(inputs, k.Dense(3)(x))
    assert_same(model, reference, np.random.default_rng(1).normal(size=(3, 12)).astype("float32"))


def test_parallel(table: Callable[..., DataSpec]) -> None:
    import keras
    from keras import layers as k

    model = built(table((1.0,) * 4, (4.0,) * 4, targets=(2.0,)), PARALLEL)
    inputs = keras.Input((4,))
    stem = k.Dense(5, activation="relu")((inputs - 1.0) / 2.0)
    first, second = k.Softmax()(k.Dense(4)(stem)), k.Dense(4)(stem)
    x = k.Dense(5)(k.Concatenate()([first, second, stem]))
    reference = keras.Model(inputs, k.Dense(1)(k.Add()([x, stem])))
    assert_same(model, reference, np.random.default_rng(1).normal(size=(3, 4)).astype("float32"))


def test_parts_with_parameters(table: Callable[..., DataSpec]) -> None:
    text = """
    - dense:
        units: 3
        kernel_initializer: {name: constant, value: 2.0}
        kernel_regularizer: {name: l1_l2, l1: 0.5}
        bias_constraint: non_neg
        trainable: false
    """
    dense = built(table((0.0,), (1.0,), classes=2), text).get_layer("dense")
    assert np.all(np.asarray(dense.kernel) == 2.0)
    assert float(dense.kernel_regularizer(dense.kernel)) == pytest.approx(0.5 * 2.0 * 3)
    assert type(dense.bias_constraint).__name__ == "NonNeg"
    assert not dense.trainable


def test_scale_and_head(images: Callable[..., DataSpec]) -> None:
    text = "[flatten, {dense: {units: 10, kernel_initializer: ones}}]"
    pixels = np.full((1, 2, 2, 1), 255, "uint8")
    raw = built(images(2, 2, 1), text, head=False, scale=False)
    scaled = built(images(2, 2, 1), text, head=False)
    assert np.allclose(raw.predict(pixels, verbose=0), 4 * 255)
    assert np.allclose(scaled.predict(pixels, verbose=0), 4)
    assert built(images(2, 2, 1), text).layers[-1].name == "logits"


@pytest.mark.usefixtures("bfloat16")
def test_what_is_given_is_float32(images: Callable[..., DataSpec]) -> None:
    items = ["flatten", {"dense": {"units": 8}, "name": "hidden"}, {"dense": {"units": 10}}]
    model = layers(images(4, 4, 1), layers=items, head=False)
    assert model.output.dtype == "float32"
    assert model.get_layer("hidden").compute_dtype == "bfloat16"


def test_names_and_weights_are_the_same_every_time(images: Callable[..., DataSpec]) -> None:
    first, second = (built(images(8, 8, 1), RESIDUAL) for _ in range(2))
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]
    assert all(np.array_equal(*pair) for pair in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("text", "path", "parts"),
    [
        (
            "[{conv2d: {filters: 2, kernel_size: 3}, name: a}, {relu: , from: input, name: b}, "
            "{add: , from: [a, b]}]",
            ("model", "layers", 2),
            [
                "`add` cannot be built on ",
                "(None, 6, 6, 2) from `a`",
                " (",
                ("model", "layers", 0),
                ")",
                " and (None, 8, 8, 1) from `b`",
                " (",
                ("model", "layers", 1),
                ")",
            ],
        ),
    ],
)
def test_shapes_that_do_not_meet(images, text, path, parts):
    with pytest.raises(LayerError) as caught:
        built(images(8, 8, 1), text)
    assert caught.value.path == path
    assert [part for part in caught.value.parts if part][: len(parts)] == parts
    assert caught.value.details.splitlines()[1:] == [
        "  input  (None, 8, 8, 1)",
        "  a      (None, 6, 6, 2)",
        "  b      (None, 8, 8, 1)",
    ]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[conv2d: {filters: 2, kernel_size: 9}]", 0, "(None, 8, 8, 1) from `input`"),
        ("[flatten, conv2d: {filters: 2, kernel_size: 3}]", 1, "(None, 64) from `flatten`"),
        ("[reshape: {target_shape: [3, 3]}]", 0, "total size"),
        ("[{residual: [max_pooling2d], projection: none}]", 0, "(None, 4, 4, 1)"),
        ("[residual: [flatten]]", 0, "no projection leads"),
        ("[residual: [conv2d: {filters: 1, kernel_size: 4}]]", 0, "no strides lead"),
        ("[relu]", 0, "gives (None, 8, 8, 1), but the dense head takes (None, features)"),
        ("[dense: {units: 3, kernel_initializer: {name: variance_scaling, mode: x}}]", 0, "mode"),
    ],
)
def test_what_cannot_be_built(images, text, where, message):
    with pytest.raises(LayerError) as caught:
        built(images(8, 8, 1), text)
    assert caught.value.path[:3] == ("model", "layers", where)
    assert message in "".join(map(str, caught.value.parts))


def test_without_a_head_the_shape_must_be_right(images: Callable[..., DataSpec]) -> None:
    with pytest.raises(LayerError, match=r"gives \(None, 64\), but pictures needs \(None, 10\)"):
        built(images(8, 8, 1), "[flatten]", head=False)


# Layer -> (parameters, shape of its input); for the rest, see `example`.
EXAMPLES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "activation": ({"activation": "relu"}, (4,)),
    "dense": ({"units": 2}, (4,)),
    "dot": ({"axes": 1}, (4,)),
    "einsum_dense": ({"equation": "ab,bc->ac", "output_shape": [3]}, (4,)),
    "embedding": ({"input_dim": 9, "output_dim": 2}, (4,)),
    "reversible_embedding": ({"input_dim": 9, "output_dim": 2}, (4,)),
    "group_query_attention": ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}, (3, 4)),
    "multi_head_attention": ({"num_heads": 2, "key_dim": 2}, (3, 4)),
    "attention": ({}, (3, 4)),
    "additive_attention": ({}, (3, 4)),
    "gaussian_noise": ({"stddev": 0.1}, (4,)),
    "group_normalization": ({"groups": 2}, (4, 4)),
    "masking": ({}, (3, 4)),
    "mel_spectrogram": ({"fft_length": 8, "sequence_stride": 4, "num_mel_bins": 2}, (32,)),
    "stft_spectrogram": ({"frame_length": 8, "frame_step": 4}, (32, 1)),
    "permute": ({"dims": [2, 1]}, (3, 4)),
    "repeat_vector": ({"n": 2}, (4,)),
    "rescaling": ({"scale": 2.0}, (4,)),
    "reshape": ({"target_shape": [2, 2]}, (4,)),
    "resizing": ({"height": 4, "width": 4}, (8, 8, 1)),
    "center_crop": ({"height": 4, "width": 4}, (8, 8, 1)),
    "spectral_normalization": ({"layer": {"dense": {"units": 2}}}, (4,)),
    "time_distributed": ({"layer": {"dense": {"units": 2}}}, (3, 4)),
    "bidirectional": ({"layer": {"lstm": {"units": 2}}}, (3, 4)),
    **{name: ({"units": 2}, (3, 4)) for name in ("lstm", "gru", "simple_rnn")},
    **{f"conv_lstm{n}d": ({"filters": 1, "kernel_size": 1}, (2, *(3,) * n, 1)) for n in (1, 2, 3)},
    **{
        name: ({"value_range": [0, 1]}, (8, 8, 3))
        for name in ("auto_contrast", "contrast_limited_adaptive_histogram_equalization")
    },
}


def example(name: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Parameters and an input shape that a layer can be built with."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    required = {item.name for item in catalogue.entries("layers")[name].parameters if item.required}
    values = {"filters": 2, "kernel_size": 2, "pool_size": 2, "output_size": 2, "rate": 0.5}
    rank = next((n for n in (1, 2, 3) if f"{n}d" in name), 0)
    return {key: values[key] for key in required}, (*(4,) * rank, 2)


@pytest.mark.parametrize("name", list(catalogue.entries("layers")))
def test_every_layer_can_be_built(name, table):
    import keras

    parameters, shape = example(name)
    size = int(np.prod(shape))
    reshape = {"reshape": {"target_shape": list(shape)}, "name": "shaped"}
    several = {"from": ["shaped", "shaped"]} if name in (*MERGES, *PAIRS) else {}
    # Flattening a masked sequence would lose the mask, and Keras warns of that.
    after = "global_average_pooling1d" if name == "masking" else "flatten"
    items = [reshape, {name: parameters, "name": "last", **several}, after]
    # Weights that are never read need no values.
    with keras.StatelessScope(initialize_variables=False):
        model = layers(table((0.0,) * size, (1.0,) * size, classes=2), layers=items)
    assert type(model.get_layer("last")).__name__ in (
        catalogue.entries("layers")[name].keras_class,
        "GroupedQueryAttention",
    )
    keras.utils.clear_session(free_memory=False)


def test_layers_of_several_tensors_are_those_of_keras():
    import inspect

    import keras
    from keras.src.layers.merging.base_merge import Merge

    kinds = {
        name: getattr(keras.layers, entry.keras_class) for name, entry in catalogue.entries("layers").items()
    }
    assert {name for name, kind in kinds.items() if issubclass(kind, Merge)} == {*MERGES, *PAIRS}
    calls = {name: inspect.signature(kind.call).parameters for name, kind in kinds.items()}
    assert {name for name, call in calls.items() if "use_causal_mask" in call} == set(ATTENTIONS)
    assert {name for name, call in calls.items() if "query" in call} == set(QUERY_VALUE_KEY)
    around = {name for name, kind in kinds.items() if "layer" in inspect.signature(kind).parameters}
    assert around == set(WRAPPERS)


def test_every_layer_of_keras_is_there_or_left_out_for_a_reason():
    import keras

    known = {
        name for entry in catalogue.entries("layers").values() for name in (entry.keras_class, *entry.aliases)
    }
    there = {
        name
        for name in dir(keras.layers)
        if isinstance(kind := getattr(keras.layers, name), type) and issubclass(kind, keras.layers.Layer)
    }
    assert known | set(LEFT_OUT) == there
    assert not known & set(LEFT_OUT)
