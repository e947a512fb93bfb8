"""YAML 1.2 text to plain values, remembering where every key and value stands.

PyYAML speaks YAML 1.1: it reads `1e-3` as a string, `on` as true, `12:30` as 750 and `010` as 8. The
loader below resolves plain scalars by the core schema of YAML 1.2.2 (section 10.3.2) instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bigmodel_cli.errors import ConfigError, Mistake

KeyPath = tuple[str | int, ...]

# No config of ours comes near; nested aliases reach it in a few lines (the "billion laughs").
MAX_VALUES = 20_000
MAX_BYTES = 1_000_000
MAX_DEPTH = 50


@dataclass(frozen=True)
class Origin:
    """Where a value was written: line and column from 1, or 0 for the command line and defaults."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


COMMAND_LINE = Origin("command line")
DEFAULT = Origin("default")


def dotted(path: KeyPath) -> str:
    """`("model", "filters", 1)` as `model.filters[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass
class Document:
    """Plain values with the origin of every key and value.

    Attributes:
        name: the config as the user named it.
        values: nested dicts, lists, strings, numbers, booleans and None.
        keys: where each mapping key stands.
        places: where each value stands.
    """

    name: str
    values: dict[str, Any]
    keys: dict[KeyPath, Origin] = field(default_factory=dict)
    places: dict[KeyPath, Origin] = field(default_factory=dict)

    def mistake(self, path: KeyPath, message: str, *, at_key: bool = False) -> Mistake:
        """A mistake at a path, or at the nearest enclosing place that was written down."""
        table = self.keys if at_key else self.places
        origin = table.get(path)
        for length in range(len(path), -1, -1):
            origin = origin or self.places.get(path[:length])
        origin = origin or Origin(self.name)
        return Mistake(origin.file, origin.line, origin.column, dotted(path), message)

    def origin(self, path: KeyPath) -> Origin:
        """Where a value comes from; `default` for what nobody wrote."""
        return self.places.get(path, DEFAULT)

    def merged(self, top: Document) -> Document:
        """This document with another one's values on top, mapping by mapping.

        A mapping with another `name` is another component and replaces the one below whole: its
        parameters mean nothing to the new one.
        """
        result = Document(top.name, {}, {}, {})
        result.values = _merge(self, top, (), result)
        return result


def _copy(source: Document, path: KeyPath, value: Any, into: Document) -> Any:
    for table, target in ((source.keys, into.keys), (source.places, into.places)):
        if path in table:
            target[path] = table[path]
    if isinstance(value, dict):
        return {key: _copy(source, (*path, key), item, into) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(source, (*path, index), item, into) for index, item in enumerate(value)]
    return value


def _merge(base: Document, top: Document, path: KeyPath, into: Document) -> Any:
    below, above = _at(base.values, path), _at(top.values, path)
    both = isinstance(below, dict) and isinstance(above, dict)
    if not both or ("name" in above and path and above["name"] != below.get("name")):
        return _copy(top, path, above, into)
    for table, target in ((base.keys, into.keys), (base.places, into.places)):
        if path in table:
            target[path] = table[path]
    merged = {}
    for key in [*below, *(key for key in above if key not in below)]:
        if key not in above:
            merged[key] = _copy(base, (*path, key), below[key], into)
        elif key not in below:
            merged[key] = _copy(top, (*path, key), above[key], into)
        else:
            merged[key] = _merge(base, top, (*path, key), into)
    return merged


def _at(values: Any, path: KeyPath) -> Any:
    for part in path:
        values = values[part]
    return values


class _CoreSchemaLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreSchemaLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
    )


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        case "float":
            special = text.lstrip("-+").lower() in (".inf", ".nan")
            return float(text.replace(".", "") if special else text)
        case _:
            return text


class _Builder:
    """Turns PyYAML's node tree into values, with a bound on what aliases may expand to."""

    def __init__(self, document: Document, file: str):
        self.document = document
        self.file = file
        self.mistakes: list[Mistake] = []
        self.count = 0

    def origin(self, node: yaml.Node) -> Origin:
        return Origin(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def refuse(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        place = self.origin(node)
        self.mistakes.append(Mistake(self.file, place.line, place.column, dotted(path), message))

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            place = self.origin(node)
            raise ConfigError(
                self.document.name,
                [
                    Mistake(
                        self.file,
                        place.line,
                        place.column,
                        "",
                        f"expands to more than {MAX_VALUES:,} values or {MAX_DEPTH} levels; "
                        "aliases that multiply (a YAML bomb) are refused",
                    )
                ],
            )
        self.document.places[path] = self.origin(node)
        if not node.tag.startswith("tag:yaml.org,2002:") or ":python" in node.tag:
            self.refuse(node, path, f"the tag `{node.tag}` is not allowed; write plain values")
            return None
        if isinstance(node, yaml.MappingNode):
            return dict(self.items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return _scalar(node)

    def items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        first: dict[str, Origin] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.refuse(key_node, path, "a key must be a plain word")
                continue
            key = key_node.value
            here = (*path, key)
            if key in first:
                self.refuse(key_node, here, f"given twice; the first is in line {first[key].line}")
                continue
            first[key] = self.document.keys[here] = self.origin(key_node)
            yield key, self.value(value_node, here)


def parse(text: str, file: str) -> Document:
    """Parse the text of a config.

    Raises:
        ConfigError: not YAML, not a mapping, duplicate keys, tags, or too large.
    """
    document = Document(file, {})

    def fail(message: str, mark: Any = None) -> ConfigError:
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return ConfigError(file, [Mistake(file, line, column, "", message)])

    try:
        node = yaml.compose(text, Loader=_CoreSchemaLoader)
    except yaml.reader.ReaderError as error:
        raise fail(
            f"holds the character {error.character!r}, which YAML does not allow; save it as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "not YAML"
        if "'\\t'" in problem:
            problem = "a tab; indent with spaces"
        raise fail(f"not valid YAML: {problem}", mark) from None
    except RecursionError:
        raise fail("nested too deeply") from None
    if node is None:
        raise fail("is empty; `bigmodel init` writes a config to start from")
    builder = _Builder(document, file)
    values = builder.value(node, ())
    if builder.mistakes:
        raise ConfigError(file, builder.mistakes)
    if not isinstance(values, dict):
        raise fail("must be a mapping of `key: value` lines", node.start_mark)
    document.values = values
    return document


def read(path: Path) -> Document:
    """Read a config file.

    Raises:
        ConfigError: missing, unreadable, empty, not UTF-8, over 1 MB, or refused by `parse`.
    """
    file = str(path)

    def fail(message: str) -> ConfigError:
        return ConfigError(file, [Mistake(file, 0, 0, "", message)])

    try:
        if path.is_dir():
            raise fail("is a folder; name the YAML file in it")
        if path.stat().st_size > MAX_BYTES:
            raise fail(f"has {path.stat().st_size:,} bytes; a config has at most {MAX_BYTES:,}")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise fail("there is no such file; `bigmodel init` writes a config to start from") from None
    except UnicodeDecodeError as error:
        raise fail(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise fail(f"cannot be read: {error.strerror}") from None
    return parse(text, file)


def parse_override(argument: str) -> Document:
    """One `key=value` of the command line as a document; the value is YAML, nothing means null.

    Raises:
        ConfigError: no `=`, an empty key, or a value that is not YAML.
    """
    place = COMMAND_LINE.file

    def fail(message: str) -> ConfigError:
        return ConfigError(place, [Mistake(place, 0, 0, "", message)])

    key, equals, text = argument.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise fail(f"`{argument}` is not of the form key=value, such as optimizer.learning_rate=3e-4")
    try:
        value = parse(f"value: {text}", place).values["value"]
    except ConfigError:
        raise fail(
            f"the value of `{argument}` is not valid YAML; quote it, such as {key}='[16, 32]'"
        ) from None
    document = Document(place, {})
    inner = document.values
    for part in parts[:-1]:
        inner[part] = inner = {}
    inner[parts[-1]] = value
    _mark(document, document.values, (), COMMAND_LINE)
    return document


def _mark(document: Document, value: Any, path: KeyPath, origin: Origin) -> None:
    document.places[path] = document.keys[path] = origin
    children: Mapping[Any, Any] = (
        value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    )
    for key, item in children.items():
        _mark(document, item, (*path, key), origin)
