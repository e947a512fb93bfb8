"""What pydantic finds, in the words of a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bigmodel_cli.config import messages
from bigmodel_cli.config.document import parse
from bigmodel_cli.config.schema import Config


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    depth: int = 1


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    whole: Annotated[int, Field(ge=1, le=9)] = 1
    number: Annotated[float, Field(gt=0, lt=1)] = 0.5
    free: float = 0.5
    flag: bool = True
    text: Annotated[str, Field(min_length=1, max_length=5)] = "a"
    some: Annotated[Sequence[int], Field(min_length=1, max_length=3)] = (1,)
    pair: tuple[int, ...] = (1, 2)
    choice: Literal["adam", "sgd"] = "adam"
    many: Literal["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b1", "b2", "b3", "bbb4"] = "a1"
    either: Literal["auto"] | bool | Annotated[int, Field(ge=1)] = "auto"
    nested: Inner | None = None
    items: Literal["auto"] | list[Inner] = "auto"


def said(text):
    document = parse(text, "c")
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(document.values)
    known = list(Model.model_fields)
    return [str(item) for item in messages.mistakes(caught.value, document, (), lambda _: known)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("whole: a", "c:1:8: whole: must be a whole number, got `a`"),
        ("whole: 1.5", "c:1:8: whole: must be a whole number, got 1.5"),
        ("whole: true", "c:1:8: whole: must be a whole number, got true"),
        ("whole: null", "c:1:8: whole: must be a whole number, got null"),
        ("whole: 0", "c:1:8: whole: must be at least 1, got 0"),
        ("whole: 10", "c:1:8: whole: must be at most 9, got 10"),
        ("number: 0", "c:1:9: number: must be greater than 0, got 0"),
        ("number: 1.0", "c:1:9: number: must be less than 1, got 1.0"),
        ("number: [1]", "c:1:9: number: must be a number, got [1]"),
        ("free: .inf", "c:1:7: free: must be a finite number, got Infinity"),
        ("flag: 1", "c:1:7: flag: must be true or false, got 1"),
        ("flag: on", "c:1:7: flag: must be true or false, got `on`"),
        ("text: 3", "c:1:7: text: must be text, got 3"),
        ("text: ''", "c:1:7: text: must not be empty, got ``"),
        ("text: abcdef", "c:1:7: text: must have at most 5 characters, got `abcdef`"),
        ("some: 3", "c:1:7: some: must be a list `[...]`, got 3"),
        ("some: abc", "c:1:7: some: must be a list `[...]`, got `abc`"),
        ("some: []", "c:1:7: some: must have at least 1 item, got []"),
        ("some: [1, 2, 3, 4]", "c:1:7: some: must have at most 3 items, got [1, 2, 3, 4]"),
        ("some: [1, b]", "c:1:11: some[1]: must be a whole number, got `b`"),
        ("pair: {a: 1}", 'c:1:7: pair: must be a list `[...]`, got {"a": 1}'),
        ("choice: adm", "c:1:9: choice: must be `adam` or `sgd`, got `adm`; did you mean `adam`?"),
        ("choice: 3", "c:1:9: choice: must be `adam` or `sgd`, got 3"),
        ("many: bbb5", "c:1:7: many: must be one of 13 known words, got `bbb5`; did you mean `bbb4`?"),
        ("either: 1.5", "c:1:9: either: must be `auto` or true or false or a whole number, got 1.5"),
        ("either: 0", "c:1:9: either: must be `auto` or true or false or at least 1, got 0"),
        ("nested: 3", "c:1:9: nested: must be a mapping of `key: value` lines, got 3"),
        ("nested: {depth: x}", "c:1:17: nested.depth: must be a whole number, got `x`"),
        ("items: [{depth: 1}, {depth: x}]", "c:1:29: items[1].depth: must be a whole number, got `x`"),
        ("items: [3]", "c:1:9: items[0]: must be a mapping of `key: value` lines, got 3"),
        ("chioce: sgd", "c:1:1: chioce: unknown key; did you mean `choice`?"),
        (f"xyz: {'9' * 90}", "c:1:1: xyz: unknown key; known: " + ", ".join(Model.model_fields)),
        (f"text: {'9' * 90}", f"c:1:7: text: must be text, got {'9' * 57}..."),
    ],
)
def test_message(text, expected):
    assert said(text) == [expected]


def test_every_wrong_place_once():
    found = said("whole: a\nflag: 3\neither: x\n")
    assert sorted(text.split(":")[1] for text in found) == ["1", "2", "3"]


def test_no_escape_sequence_reaches_the_terminal():
    (text,) = said('choice: "\\e[31mred\\nline"')
    assert text.endswith("got `\\x1b[31mred\\nline`")


@pytest.mark.parametrize(
    ("path", "some"),
    [
        ((), {"model", "training", "training.epochs", "optimizer.learning_rate"}),
        (("training",), {"epochs", "batch_size"}),
        (("training", "early_stopping"), {"monitor", "patience"}),
        (("dataset", "splits"), {"train", "validation", "test"}),
        (("seed",), set()),
        (("nowhere",), set()),
    ],
)
def test_known_keys_of_a_section(path, some):
    keys = messages.section_keys(Config, path)
    assert some <= set(keys)
    assert bool(keys) == bool(some)
