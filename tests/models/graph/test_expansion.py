"""Items to a flat graph: names, inputs, repeats."""

from __future__ import annotations

import yaml

from bigmodel_cli.models.graph.expansion import Expansion, Node
from bigmodel_cli.models.graph.reading import Reader


def nodes(text: str) -> list[Node]:
    reader = Reader()
    expansion = Expansion(reader.items(yaml.safe_load(text), ()))
    assert [*reader.problems, *expansion.problems] == []
    return expansion.nodes


def shown(text: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(node.name, node.inputs) for node in nodes(text)[1:]]


def test_a_chain_counts_as_keras_does():
    assert shown("[relu, relu, flatten, relu]") == [
        ("relu", (0,)),
        ("relu_1", (1,)),
        ("flatten", (2,)),
        ("relu_2", (3,)),
    ]


def test_given_names_come_first():
    found = shown("[relu, {softmax: , name: relu}]")
    assert [name for name, _ in found] == ["relu_1", "relu"]


def test_repeats_are_numbered():
    text = "[{repeat: 2, name: stage, layers: [{relu: , name: a}, softmax]}, {repeat: 2, layers: [relu]}]"
    assert shown(text) == [
        ("stage_1_a", (0,)),
        ("stage_1_softmax", (1,)),
        ("stage_2_a", (2,)),
        ("stage_2_softmax", (3,)),
        ("block1_1_relu", (4,)),
        ("block1_2_relu", (5,)),
    ]


def test_names_inside_a_repeat_are_of_their_own_turn():
    found = shown(
        "[{repeat: 2, layers: [{relu: , name: a}, {softmax: , name: b}, {add: , from: [a, b, input]}]}]"
    )
    sums = [inputs for name, inputs in found if name.endswith("add")]
    assert sums == [(1, 2, 0), (4, 5, 0)]


def test_a_residual_adds_its_input():
    (first, block, other, total) = nodes("[relu, {residual: [softmax, relu], name: b}]")[1:]
    assert [node.name for node in (first, block, other, total)] == ["relu", "b_softmax", "b_relu", "b_add"]
    assert (total.inputs, total.projected) == ((1, 3), True)


def test_a_projection_of_ones_own():
    (_, project, total) = nodes("[{residual: [softmax], projection: [relu]}]")[1:]
    assert (project.inputs, total.inputs, total.projected) == ((0,), (2, 1), False)


def test_branches_share_their_input():
    assert shown("[relu, {parallel: [[softmax], [], [relu]], merge: add, name: m}, {relu: , from: m}]") == [
        ("relu", (0,)),
        ("m_softmax", (1,)),
        ("m_relu", (1,)),
        ("m_add", (2, 1, 3)),
        ("relu_1", (4,)),
    ]


def test_names_inside_a_branch_are_seen_afterwards():
    text = "[{parallel: [[{relu: , name: a}], []], name: p}, {add: , from: [a, p]}]"
    assert shown(text)[-1] == ("add", (1, 2))
