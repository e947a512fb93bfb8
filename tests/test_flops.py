from __future__ import annotations

import keras
import pytest
from keras import layers

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.flops import count_flops


def through(shape: tuple[int, ...], *steps: keras.Layer, dtype: str = "float32") -> keras.Model:
    inputs = x = keras.Input(shape, dtype=dtype)
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("shape", "layer", "multiply_adds"),
    [
        ((10,), layers.Dense(3), 10 * 3),
        ((7, 10), layers.Dense(3), 7 * 10 * 3),
        ((7, 10), layers.EinsumDense("abc,cde->abde", output_shape=(7, 2, 3)), 7 * 10 * 2 * 3),
        ((7, 10), layers.EinsumDense("...x,xy->...y", output_shape=3), 7 * 10 * 3),
        ((9, 4), layers.Conv1D(5, 3), 7 * 5 * 3 * 4),
        ((8, 8, 3), layers.Conv2D(5, 3, padding="same", strides=2), 4 * 4 * 5 * 3 * 3 * 3),
        ((8, 8, 4), layers.Conv2D(6, 3, groups=2), 6 * 6 * 6 * 3 * 3 * 2),
        ((5, 5, 5, 2), layers.Conv3D(3, 2), 4**3 * 3 * 2**3 * 2),
        ((8, 8, 3), layers.DepthwiseConv2D(3, depth_multiplier=2), 6 * 6 * 6 * 9),
        ((8, 4), layers.DepthwiseConv1D(3), 6 * 4 * 3),
        ((8, 8, 3), layers.SeparableConv2D(5, 3), 6 * 6 * (3 * 9 + 3 * 5)),
        ((4, 4, 3), layers.Conv2DTranspose(5, 2, strides=2), 4 * 4 * 3 * 5 * 4),
        ((6, 4), layers.SimpleRNN(5), 6 * (4 * 5 + 5 * 5)),
        ((6, 4), layers.GRU(5), 6 * 3 * (4 * 5 + 5 * 5)),
        ((6, 4), layers.LSTM(5, return_sequences=True), 6 * 4 * (4 * 5 + 5 * 5)),
        ((6, 4), layers.Bidirectional(layers.LSTM(5)), 2 * 6 * 4 * (4 * 5 + 5 * 5)),
        ((6, 4), layers.TimeDistributed(layers.Dense(5)), 6 * 4 * 5),
        ((6, 8, 8, 1), layers.TimeDistributed(layers.Conv2D(2, 3)), 6 * 6 * 6 * 2 * 9),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else None,
)
def test_a_layer_counts_its_multiply_adds_twice(shape, layer, multiply_adds):
    flops = count_flops(through(shape, layer))
    assert flops.layers == {layer.name: 2 * multiply_adds}
    assert flops.total == 2 * multiply_adds
    assert flops.uncounted == ()


def test_attention_counts_projections_and_products():
    query, value = keras.Input((6, 16)), keras.Input((9, 16))
    attention = layers.MultiHeadAttention(num_heads=2, key_dim=5, value_dim=4)
    model = keras.Model([query, value], attention(query, value))
    projections = 6 * 16 * 10 + 9 * 16 * 10 + 9 * 16 * 8 + 6 * 8 * 16
    assert count_flops(model).total == 2 * (projections + 2 * 6 * 9 * (5 + 4))


def test_element_wise_layers_and_look_ups_count_nothing():
    steps = layers.Embedding(50, 8), layers.LayerNormalization(), layers.ReLU(), layers.Dropout(0.5)
    flops = count_flops(through((6,), *steps, layers.GlobalAveragePooling1D(), dtype="int32"))
    assert (flops.total, flops.layers, flops.uncounted) == (0, {}, ())


def test_a_layer_used_twice_counts_twice():
    shared = layers.Dense(10)
    assert count_flops(through((10,), shared, shared)).layers == {shared.name: 2 * 2 * 100}


def test_use_in_another_model_does_not_count():
    shared = layers.Dense(10)
    model = through((10,), shared)
    through((10,), shared)
    assert count_flops(model).total == 200


def test_nested_models_count_as_one_entry():
    inner = keras.Sequential([keras.Input((10,)), layers.Dense(4), layers.Dense(4)], name="inner")
    flops = count_flops(through((10,), inner, layers.Dense(2, name="head")))
    assert flops.layers == {"inner": 2 * (40 + 16), "head": 2 * 8}


def test_sequential_model():
    model = keras.Sequential([keras.Input((10,)), layers.Dense(4)])
    assert count_flops(model).total == 80


class Opaque(keras.Model):
    def call(self, inputs):
        return inputs


class Bilinear(keras.Layer):
    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.matrix)


@pytest.mark.parametrize(
    "model",
    [
        lambda: Opaque(name="unknown"),
        lambda: through((4,), Bilinear(name="unknown")),
        lambda: through((None, None, 3), layers.Conv2D(2, 3, name="unknown")),
    ],
    ids=["no graph", "own matrix", "open shape"],
)
def test_what_cannot_be_counted_is_said(model):
    assert count_flops(model()).uncounted == ("unknown",)


def test_products_without_a_layer_are_said():
    inputs = keras.Input((4, 4))
    flops = count_flops(keras.Model(inputs, keras.ops.matmul(inputs, inputs)))
    assert len(flops.uncounted) == 1 and flops.uncounted[0].startswith("matmul")


def images(*shape: int, classes: int) -> DataSpec:
    names = tuple(map(str, range(classes)))
    return DataSpec(
        "pictures",
        "drawn",
        "classification",
        InputSpec(shape, "uint8", "image"),
        TargetSpec((), "int32", names),
    )


def test_textbook_cnn():
    from bigmodel_cli.models.cnn import cnn

    assert count_flops(cnn(images(28, 28, 1, classes=10))).layers == {
        "conv1": 2 * 26 * 26 * 9 * 32,
        "conv2": 2 * 11 * 11 * 9 * 32 * 64,
        "dense1": 2 * 1600 * 128,
        "logits": 2 * 128 * 10,
    }


def test_resnet50_is_the_default_for_large_images_and_has_the_published_figure():
    from bigmodel_cli.models.resnet import resnet

    # 4.09e9 multiply-adds as torchvision states them, with the stride in the 3x3 convolution as here; with
    # the stride in the first 1x1 convolution, the paper has 3.8e9.
    assert count_flops(resnet(images(224, 224, 3, classes=1000))).total == pytest.approx(2 * 4.09e9, rel=1e-3)
