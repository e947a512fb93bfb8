"""YAML 1.2 text to values with their places; everything else is refused with its place."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigmodel_cli.config.document import MAX_BYTES, MAX_DEPTH, Origin, parse, parse_override, read
from bigmodel_cli.errors import ConfigError


def mistakes(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    return [str(item) for item in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1", 1),
        ("-7", -7),
        ("010", 10),
        ("0o17", 15),
        ("0x1f", 31),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("12:30", "12:30"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("", None),
        ("None", "None"),
        ("2026-01-31", "2026-01-31"),
        ("3.0.1", "3.0.1"),
        ("1e", "1e"),
        ("'1'", "1"),
        ('"1e-3"', "1e-3"),
        ("'true'", "true"),
        ("''", ""),
        ("=", "="),
        ("!!str 3", "3"),
        ("!!int 3", 3),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[1, a, [~]]", [1, "a", [None]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_core_schema(text, value):
    got = parse(f"key: {text}", "c.yaml").values["key"]
    assert got == value
    assert type(got) is type(value)


def test_nan():
    assert math.isnan(parse("key: .nan", "c.yaml").values["key"])


def test_keys_are_text():
    assert parse("1: a\n~: b\ntrue: c\n", "c.yaml").values == {"1": "a", "~": "b", "true": "c"}


def test_aliases_are_written_out():
    document = parse("a: &here {x: [1]}\nb: *here\n", "c.yaml")
    assert document.values == {"a": {"x": [1]}, "b": {"x": [1]}}
    document.values["b"]["x"].append(2)
    assert document.values["a"] == {"x": [1]}


def test_every_key_and_value_has_its_place():
    document = parse("# a comment\nmodel:\n  name: cnn\n  filters: [32, 64]\n", "c.yaml")
    assert document.keys["model", "filters"] == Origin("c.yaml", 4, 3)
    assert document.places["model", "filters"] == Origin("c.yaml", 4, 12)
    assert document.places["model", "filters", 1] == Origin("c.yaml", 4, 17)
    assert str(document.origin(("model", "name"))) == "c.yaml:3"
    assert str(document.origin(("training", "epochs"))) == "default"


def test_a_mistake_without_a_place_lies_in_what_encloses_it():
    document = parse("model:\n  name: cnn\n", "c.yaml")
    assert str(document.mistake(("model", "depth"), "is wrong")) == "c.yaml:2:3: model.depth: is wrong"


def test_the_origin_of_a_short_component_is_its_name():
    document = parse("optimizer: sgd\nmodel: {depth: 3}\n", "c.yaml")
    assert str(document.origin(("optimizer", "name"))) == "c.yaml:1"
    assert str(document.origin(("model", "name"))) == "default"


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "c.yaml: is empty; `bigmodel init` writes a config to start from"),
        ("# nothing\n", "c.yaml: is empty; `bigmodel init` writes a config to start from"),
        ("---\n", "c.yaml:2:1: must be a mapping of `key: value` lines"),
        ("- a\n", "c.yaml:1:1: must be a mapping of `key: value` lines"),
        ("\n  3\n", "c.yaml:2:3: must be a mapping of `key: value` lines"),
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3:1: a: given twice; the first is in line 1"),
        ("a:\n  b: 1\n  b: 1\n", "c.yaml:3:3: a.b: given twice; the first is in line 2"),
        ("a:\n\tb: 1\n", "c.yaml:2:1: not valid YAML: a tab; indent with spaces"),
        ("a: 1\n---\na: 2\n", "c.yaml:2:1: not valid YAML: a second document begins here; a file holds "
         "one config"),
        ("a: b: c\n", "c.yaml:1:5: not valid YAML: a `:` where no key can stand; check the indentation, "
         "or quote "
         "a text that holds `: `"),
        ("a: @b\n", "c.yaml:1:4: not valid YAML: found character '@' that cannot start any token; quote "
         "the text"),
        ("a: [1\nb: 2\n", "c.yaml:2:2: not valid YAML: expected ',' or ']', but got ':', while parsing "
         "a flow "
         "sequence that begins in line 1"),
        ("a: 'b\n", "c.yaml:2:1: not valid YAML: found unexpected end of stream, while scanning a "
         "quoted scalar "
         "that begins in line 1"),
        ("a: *b\n", "c.yaml:1:4: not valid YAML: found undefined alias 'b'"),
        ("a: \x01\n", "c.yaml:1:4: the character U+0001 is not allowed in YAML; remove it"),
        ('a: "b\\0"\n', "c.yaml:1:4: a: holds a NUL character, which no name, number or path has"),
        ("? [a]\n: b\n", "c.yaml:1:3: a key must be a plain word"),
        ("b: {c: 1}\na:\n  <<: {d: 1}\n",
         "c.yaml:3:3: a.<<: YAML 1.2 has no merge keys; write the keys out, or use `extends`"),
        ("a: !!python/object/apply:os.system [ls]\n",
         "c.yaml:1:4: a: the tag `!!python/object/apply:os.system` is not allowed here; write plain values"),
        ("a: !!python/name:os.system\n",
         "c.yaml:1:4: a: the tag `!!python/name:os.system` is not allowed here; write plain values"),
        ("a: !mine b\n", "c.yaml:1:4: a: the tag `!mine` is not allowed here; write plain values"),
        ("a: !!binary aGk=\n", "c.yaml:1:4: a: the tag `!!binary` is not allowed here; write plain values"),
        ("a: !!set {b}\n", "c.yaml:1:4: a: the tag `!!set` is not allowed here; write plain values"),
        ("a: !!map b\n", "c.yaml:1:4: a: the tag `!!map` is not allowed here; write plain values"),
        ("a: !!int b\n", "c.yaml:1:4: a: the tag `!!int` does not go with `b`; leave it out"),
        ("a: !!bool b\n", "c.yaml:1:4: a: the tag `!!bool` does not go with `b`; leave it out"),
        (f"a: {'9' * 5000}\n", "c.yaml:1:4: a: a number of 5,000 digits is too long"),
        ("a: &a [*a]\n", "c.yaml:1:4: a[0]: an alias that holds itself has no end; write it out"),
        ("a: &a {b: *a}\n", "c.yaml:1:4: a.b: an alias that holds itself has no end; write it out"),
        (f"a: {'[' * 60}{']' * 60}\n", f"c.yaml:1:54: a[0][0]: is nested more than {MAX_DEPTH} levels deep"),
        (f"a: {'[' * 20_000}\n", f"c.yaml: is nested more than {MAX_DEPTH} levels deep"),
        (BOMB, "c.yaml:5:4: e: has more than 20,000 values; aliases that multiply (a YAML bomb) are refused"),
    ],
    ids=lambda text: repr(text[:25]),
)  # fmt: skip
def test_refused(text, expected):
    assert mistakes(text) == [expected]


def test_all_mistakes_of_a_document_at_once():
    assert [text.split(": ")[1] for text in mistakes("a: 1\na: 2\nb: !x 3\nc: !!int d\n")] == ["a", "b", "c"]


class TestRead:
    def refused(self, path):
        with pytest.raises(ConfigError) as caught:
            read(path)
        (mistake,) = caught.value.mistakes
        return str(mistake).removeprefix(f"{path}")

    def test_a_byte_order_mark_is_no_part_of_the_first_key(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_bytes(b"\xef\xbb\xbfname: x\n")
        assert read(path).values == {"name": "x"}

    def test_windows_line_ends(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_bytes(b"name: x\r\nseed: 1\r\n")
        document = read(path)
        assert document.values == {"name": "x", "seed": 1}
        assert document.places["seed",].line == 2

    def test_latin_1(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_bytes("seed: 1\nname: caf\u00e9\n".encode("latin-1"))
        assert self.refused(path) == ":2:10: is not UTF-8 text from here on; save it as UTF-8"

    def test_a_folder(self, tmp_path):
        assert self.refused(tmp_path) == ": is a folder; name the YAML file in it"

    def test_a_missing_file(self, tmp_path):
        text = ": there is no such file; `bigmodel init` writes a config to start from"
        assert self.refused(tmp_path / "no.yaml") == text

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
    def test_an_unreadable_file(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_text("a: 1\n")
        path.chmod(0)
        assert self.refused(path) == ": cannot be read: Permission denied"

    def test_a_name_too_long_for_the_file_system(self, tmp_path):
        assert self.refused(tmp_path / ("a" * 300)) == ": cannot be read: File name too long"

    def test_a_path_through_a_file(self, tmp_path):
        (tmp_path / "c.yaml").write_text("a: 1\n")
        assert self.refused(tmp_path / "c.yaml" / "d.yaml") == ": cannot be read: Not a directory"

    def test_too_large(self, tmp_path):
        path = tmp_path / "c.yaml"
        path.write_text("a: 1\n" + "#" * MAX_BYTES)
        assert self.refused(path) == ": is larger than 200,000 bytes, which no config needs to be"

    def test_an_endless_file(self):
        assert "larger than" in self.refused(Path("/dev/zero"))


class TestOverride:
    @pytest.mark.parametrize(
        ("argument", "values"),
        [
            ("seed=3", {"seed": 3}),
            ("optimizer.learning_rate=3e-4", {"optimizer": {"learning_rate": 3e-4}}),
            ("model.filters=[16,32]", {"model": {"filters": [16, 32]}}),
            ("dataset.limit=null", {"dataset": {"limit": None}}),
            ("dataset.limit=", {"dataset": {"limit": None}}),
            ("optimizer.learning_rate={name: cosine, peak: 0.1}",
             {"optimizer": {"learning_rate": {"name": "cosine", "peak": 0.1}}}),
            ("dataset.splits.train=train[:80%]", {"dataset": {"splits": {"train": "train[:80%]"}}}),
            ("name=a=b", {"name": "a=b"}),
            (" seed = 3", {"seed": 3}),
        ],
    )  # fmt: skip
    def test_values(self, argument, values):
        document = parse_override(argument)
        assert document.values == values
        assert {str(origin) for origin in document.places.values()} == {"command line"}

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("seed", "`seed` is not of the form key=value, such as optimizer.learning_rate=3e-4"),
            ("=3", "`=3` is not of the form key=value, such as optimizer.learning_rate=3e-4"),
            ("a..b=3", "`a..b=3` is not of the form key=value, such as optimizer.learning_rate=3e-4"),
            ("model.filters[0]=3",
             "`model.filters[0]=3`: a list is given whole, such as model.filters='[16, 32]'"),
            ("a=[1", "`a=[1`: the value is not valid YAML: expected ',' or ']', but got '<stream end>', "
             "while "
             "parsing a flow sequence that begins in line 1"),
            ("a=!!python/name:os.system",
             "`a=!!python/name:os.system`: the value is not valid YAML: the tag "
             "`!!python/name:os.system` is not "
             "allowed here; write plain values"),
            ("a=1\nb: 2", "`a=1\\nb: 2`: give each key=value as an argument of its own"),
        ],
    )  # fmt: skip
    def test_refused(self, argument, message):
        with pytest.raises(ConfigError) as caught:
            parse_override(argument)
        assert [str(item) for item in caught.value.mistakes] == [f"command line: {message}"]


class TestMerged:
    def merge(self, below, above):
        return parse(below, "below.yaml").merged(parse(above, "above.yaml"))

    def test_mapping_by_mapping(self):
        merged = self.merge("a: {x: 1, y: 2}\nb: 1\n", "a: {y: 3}\nc: 4\n")
        assert merged.values == {"a": {"x": 1, "y": 3}, "b": 1, "c": 4}
        assert merged.places["a", "x"].file == "below.yaml"
        assert merged.places["a", "y"].file == "above.yaml"

    def test_lists_are_replaced(self):
        merged = self.merge("a: [1, 2, 3]\n", "a: [4]\n")
        assert merged.values == {"a": [4]}
        assert ("a", 1) not in merged.places

    def test_null_replaces(self):
        assert self.merge("a: {x: 1}\n", "a: null\n").values == {"a": None}

    def test_another_name_replaces_the_component(self):
        merged = self.merge("model: {name: cnn, filters: [3]}\n", "model: {name: mlp, hidden: [4]}\n")
        assert merged.values == {"model": {"name": "mlp", "hidden": [4]}}

    def test_the_same_name_changes_it(self):
        merged = self.merge("model: {name: mlp, dropout: 0.1}\n", "model: {name: mlp, hidden: [4]}\n")
        assert merged.values == {"model": {"name": "mlp", "dropout": 0.1, "hidden": [4]}}

    def test_a_name_completes_parameters_without_one(self):
        merged = self.merge("optimizer: {learning_rate: 0.1}\n", "optimizer: {name: sgd}\n")
        assert merged.values == {"optimizer": {"learning_rate": 0.1, "name": "sgd"}}

    def test_the_name_at_the_top_is_no_component(self):
        assert self.merge("name: a\nseed: 1\n", "name: b\n").values == {"name": "b", "seed": 1}

    @pytest.mark.parametrize("below", ["mlp", "{name: mlp}"])
    def test_parameters_on_a_short_component(self, below):
        merged = self.merge(f"model: {below}\n", "model: {hidden: [4]}\n")
        assert merged.values == {"model": {"name": "mlp", "hidden": [4]}}
        assert merged.origin(("model", "name")).file == "below.yaml"

    def test_a_short_component_on_its_parameters(self):
        merged = self.merge("model: {name: mlp, hidden: [4]}\n", "model: mlp\n")
        assert merged.values == {"model": {"name": "mlp", "hidden": [4]}}
        assert merged.origin(("model", "name")).file == "above.yaml"

    def test_another_short_component(self):
        merged = self.merge("model: {name: mlp, hidden: [4]}\n", "model: cnn\n")
        assert merged.values == {"model": "cnn"}
        assert ("model", "hidden") not in merged.places


yaml_like = st.text(st.sampled_from("ab1e-.:#[]{}&*!|>'\"%@, \n\t~<?=\\0"), max_size=60)


@settings(deadline=None)
@given(st.one_of(yaml_like, st.text(max_size=60)))
def test_any_text_is_a_mapping_or_a_config_error(text):
    try:
        document = parse(text, "c.yaml")
    except ConfigError as error:
        assert all("\n" not in str(item) for item in error.mistakes)
    else:
        assert isinstance(document.values, dict)


@settings(deadline=None)
@given(yaml_like)
def test_any_override_is_a_mapping_or_a_config_error(text):
    try:
        assert parse_override(text).values
    except ConfigError as error:
        assert str(error)
