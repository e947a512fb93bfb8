from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import keras
import pytest
from keras import layers

from bigmodel_cli.summary.graph_layout import lay_out
from bigmodel_cli.summary.graph_picture import picture

SVG = "{http://www.w3.org/2000/svg}"


def residual() -> keras.Model:
    inputs = keras.Input((8, 8, 3), name="in<put")
    x = first = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    for number in range(3):
        x = layers.Conv2D(4, 3, padding="same", name=f"deep{number}")(x)
    return keras.Model(inputs, layers.Add(name="sum")([x, first]), name="small")


def test_boxes_and_arrows() -> None:
    root = ElementTree.fromstring(picture(residual()))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[0] == "small: 556 parameters"
    for expected in ("in<put: Input float32", "first: Conv2D", "8x8x4 · 112 weights", "sum: Add"):
        assert expected in texts
    # The frame and six boxes; the tip of arrows, and five of the way and one past it.
    assert len(list(root.iter(f"{SVG}rect"))) == 1 + 6
    assert len(list(root.iter(f"{SVG}path"))) == 1 + 6
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.attrib.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height


def test_bare_operations_and_nested_models_are_boxes() -> None:
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="inner")
    text = picture(keras.Model(inputs, keras.ops.exp(inner(inputs))))
    assert "inner: Sequential" in text and "exp: Exp" in text


def test_a_main_line_is_straight_and_what_passes_keeps_off() -> None:
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4)]
    layout = lay_out(5, edges)
    columns = [column for column, _ in layout.boxes]
    assert columns == pytest.approx([columns[0]] * 5, abs=0.02)
    assert [row for _, row in layout.boxes] == [0, 1, 2, 3, 4]
    shortcut = layout.lines[-1]
    assert [row for _, row in shortcut] == [1, 2, 3, 4]
    assert all(abs(column - columns[0]) > 0.6 for column, _ in shortcut[1:-1])


def test_no_two_boxes_of_a_row_overlap() -> None:
    edges = [(0, n) for n in range(1, 6)] + [(n, 6) for n in range(1, 6)]
    layout = lay_out(7, edges)
    middle = sorted(column for column, row in layout.boxes if row == 1)
    assert all(right - left >= 0.999 for left, right in pairwise(middle))
    assert layout.boxes[0][0] == pytest.approx(middle[2], abs=0.01)


def test_inputs_stand_where_they_are_needed() -> None:
    # 3 is a second input of the last box.
    assert [row for _, row in lay_out(5, [(0, 1), (1, 2), (2, 4), (3, 4)]).boxes] == [0, 1, 2, 2, 3]
