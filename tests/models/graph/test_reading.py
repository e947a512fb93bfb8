"""The items of `model.layers`: what they may hold, without Keras."""

from __future__ import annotations

import pytest
import yaml

from bigmodel_cli import catalogue
from bigmodel_cli.models.graph.expansion import Expansion
from bigmodel_cli.models.graph.reading import Reader


def mistakes(text: str) -> dict[str, str]:
    """Path -> message, of the items in a YAML list."""
    reader = Reader()
    items = reader.items(yaml.safe_load(text), ())
    problems = [*reader.problems, *Expansion(items, whole=not reader.problems).problems]
    return {".".join(map(str, problem.path)): problem.message for problem in problems}


@pytest.mark.parametrize(
    "text",
    [
        "[flatten]",
        "[flatten: ]",
        "[flatten: {}]",
        "[Flatten]",
        "[MaxPool2D]",
        "[GlobalAvgPool2D, global_average_pooling_2d]",
        "[dense: {units: 3, kernel_initializer: HeNormal, bias_initializer: {name: constant, value: 0.1}}]",
        "[dense: {units: 3, kernel_constraint: {name: max_norm, max_value: 2, axis: [0]}}]",
        "[embedding: {input_dim: 9, output_dim: 3, embeddings_initializer: uniform}]",
        "[conv2d: {filters: 3, kernel_size: [3, 1], strides: 2, activation: null}]",
        "[max_pooling2d: {strides: null}]",
        "[zero_padding2d: {padding: [[1, 0], [0, 1]]}, cropping1d: {cropping: [1, 2]}]",
        "[bidirectional: {layer: {lstm: {units: 3}}}, time_distributed: {layer: flatten}]",
        "[{relu: , name: a}, {relu: , from: input, name: b}, {add: , from: [a, b]}]",
        "[parallel: [[], [relu]], parallel: [[relu], [relu]]]",
        "[{parallel: [[], [relu]], merge: {concatenate: {axis: 1}}}]",
        "[{residual: [relu], projection: none}, {residual: [relu], projection: [relu]}]",
        "[{repeat: 3, layers: [{relu: , name: a}, {add: , from: [a, input]}]}]",
        # A name inside a repeat is its own, so that another repeat can have it, too.
        "[{repeat: 2, layers: [{relu: , name: a}]}, {repeat: 2, layers: [{relu: , name: a}]}]",
        "[{residual: [{relu: , name: a}]}, {add: , from: [a, input]}]",
    ],
)
def test_right(text):
    # The sum of the last case leaves the block's own sum unused.
    found = mistakes(text)
    assert {path: message for path, message in found.items() if "is not used" not in message} == {}


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[]", "", "must have at least one layer"),
        ("[3]", "0", "must be a layer"),
        ("[{}]", "0", "names no layer"),
        ("[dens: {units: 3}]", "0.dens", "there is no layer `dens`; did you mean `dense`?"),
        ("[flaten]", "0", "did you mean `flatten`?"),
        ("[lambda: {function: f}]", "0.lambda", "holds code"),
        ("[random_flip]", "0", "use `dataset.augment`"),
        ("[lstm_cell: {units: 3}]", "0.lstm_cell", "use `lstm`"),
        ("[dense: {unit: 3}]", "0.dense.unit", "unknown parameter; did you mean `units`?"),
        ("[dense: {unit: 3}]", "0.dense.units", "is missing and must be given"),
        ("[dense]", "0.units", "is missing and must be given"),
        ("[dense: 128]", "0.dense", "such as `dense: {units: ...}`, got 128"),
        ("[dense: {units: 1.5}]", "0.dense.units", "must be a whole number, got 1.5"),
        ("[dense: {units: 10000000000}]", "0.dense.units", "must be at most 1e+06, got 10000000000"),
        ("[dense: {units: 0}]", "0.dense.units", "must be at least 1, got 0"),
        ("[dense: {units: true}]", "0.dense.units", "must be a whole number"),
        ("[conv1d: {filters: 1, kernel_size: 99999}]", "0.conv1d.kernel_size", "must be at most 10000"),
        ("[dropout: {rate: 1}]", "0.dropout.rate", "must be less than 1"),
        ("[activation: {activation: rlu}]", "0.activation.activation", "did you mean `relu`?"),
        ("[conv2d: {filters: 1, kernel_size: 1, padding: sam}]", "0.conv2d.padding", "did you mean `same`?"),
        (
            "[dense: {units: 3, kernel_initializer: he_norml}]",
            "0.dense.kernel_initializer",
            "there is no initializer `he_norml`; did you mean `he_normal`",
        ),
        (
            "[dense: {units: 3, kernel_regularizer: {name: l2, l3: 1}}]",
            "0.dense.kernel_regularizer",
            "`l3`: unknown parameter; known: l2",
        ),
        (
            "[dense: {units: 3, kernel_regularizer: {name: l2, l2: -1}}]",
            "0.dense.kernel_regularizer.l2",
            "must be at least 0, got -1",
        ),
        ("[{dense: {units: 3}, activation: relu}]", "0.activation", "go inside: `dense: {activation: ...}`"),
        ("[{name: dense, units: 3}]", "0.name", "the layer itself is a key: `- dense: {...}`"),
        ("[{relu: , flatten: }]", "0", "an item is one layer, but this has `relu` and `flatten`"),
        ("[{repeat: 0, layers: [relu]}]", "0.repeat", "must be a whole number from 1 to 1,000, got 0"),
        ("[repeat: 2]", "0.layers", "is missing"),
        ("[{repeat: 2, layers: [relu], times: 3}]", "0.times", "unknown parameter"),
        ("[{repeat: 1000, layers: [{repeat: 1000, layers: [relu]}]}]", "", "more than 5,000 layers"),
        ("[residual: relu]", "0.residual", "must be a list of layers"),
        ("[{residual: [relu], projection: dense}]", "0.projection", "must be `auto`, `none` or a list"),
        ("[parallel: [relu, relu]]", "0.parallel.0", "must be a list of layers"),
        ("[parallel: [[relu]]]", "0.parallel", "at least two lists"),
        ("[{parallel: [[relu], [relu]], merge: dense}]", "0.merge", "must be one of add, "),
        (
            "[time_distributed: {layer: {lstmm: {units: 3}}}]",
            "0.time_distributed.layer",
            "did you mean `lstm`?",
        ),
        ("[time_distributed: {layer: add}]", "0.time_distributed.layer", "takes several tensors"),
        ("[bidirectional: {layer: {lstm: {unit: 3}}}]", "0.bidirectional.layer.lstm.unit", "mean `units`?"),
        ("[{relu: , name: 1a}]", "0.name", "must begin with a letter"),
        ("[{relu: , name: input}]", "0.name", "every model has"),
        ("[{relu: , name: logits}]", "0.name", "every model has"),
        ("[{relu: , from: 3}]", "0.from", "must be the name of a tensor"),
        ("[concatenate]", "0", "joins at least two tensors"),
        ("[{subtract: , from: [input, input, input]}]", "0.from", "takes two tensors"),
        ("[{relu: , from: [input, input]}]", "0.from", "takes one tensor, got 2"),
        (
            "[{attention: , from: [input, input, input, input]}]",
            "0.from",
            "takes a query, a value and a key, got 4",
        ),
        ("[{repeat: 2, layers: [relu], from: [input, input]}]", "0.from", "a block takes one tensor"),
    ],
)
def test_wrong(text, path, message):
    found = mistakes(text)
    assert path in found, found
    assert message in found[path]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "[{relu: , from: late}, {relu: , name: late}]",
            "0.from",
            "later, at layers[1]: that would be a cycle",
        ),
        ("[{relu: , from: a, name: a}]", "0.from", "that would be a cycle"),
        (
            "[{relu: , name: stem}, {relu: , from: sten}]",
            "1.from",
            "there is no tensor `sten` here; did you mean",
        ),
        ("[{relu: , name: a}, {relu: , name: a}]", "1.name", "`a` is taken by layers[0]"),
        ("[{repeat: 2, layers: [{relu: , name: a}]}, {relu: , from: a}]", "1.from", "no tensor `a` here"),
        (
            "[{repeat: 2, name: s, layers: [{relu: , name: a}]}, {relu: , name: s_1_a}]",
            "1.name",
            "two layers",
        ),
        ("[{relu: , name: a}, softmax, {relu: , from: a}]", "1", "what `softmax` gives is not used"),
        ("[relu, {relu: , from: input}]", "0", "what `relu` gives is not used"),
        ("[relu, {repeat: 1, layers: [{relu: , from: input}]}]", "0", "is not used"),
    ],
)
def test_wrong_graphs(text, path, message):
    found = mistakes(text)
    assert list(found) == [path]
    assert message in found[path]


def test_a_mistake_in_a_repeat_counts_once():
    reader = Reader()
    items = reader.items(yaml.safe_load("[{repeat: 9, layers: [{relu: , from: nowhere}]}]"), ())
    assert len(Expansion(items, whole=False).problems) == 1


def test_every_layer_by_its_names():
    for name, entry in catalogue.entries("layers").items():
        for known in (name, entry.keras_class, *entry.aliases):
            found = catalogue.find("layers", known)
            assert found is not None
            assert found.name == name
