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
# PyYAML reads about 100 kB a second.
MAX_BYTES = 200_000
MAX_DEPTH = 50
MAX_DIGITS = 100


_YAML_TAG = "tag:yaml.org,2002:"


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
        # `optimizer: adam` writes optimizer.name without that key.
        if path and path[-1] == "name" and path not in self.places and path[:-1] in self.places:
            written = _at(self.values, path[:-1])
            return self.places[path[:-1]] if isinstance(written, str) else DEFAULT
        return self.places.get(path, DEFAULT)

    def merged(self, top: Document) -> Document:
        """This document with another one's values on top, mapping by mapping.

        A mapping with another `name` is another component and replaces the one below whole: its
        parameters mean nothing to the new one. `adam` counts as `{name: adam}`.
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
    if isinstance(below, str) and isinstance(above, dict) and above.get("name", below) == below:
        into.places[(*path, "name")] = base.places[path]
        return {"name": below, **_copy(top, path, above, into)}
    if isinstance(below, dict) and isinstance(above, str) and below.get("name") == above:
        kept = _copy(base, path, below, into)
        into.places[(*path, "name")] = top.places[path]
        return kept
    both = isinstance(below, dict) and isinstance(above, dict)
    if not both or (path and "name" in below and above.get("name", below["name"]) != below["name"]):
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


CORE_SCHEMA = {
    "null": (re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), list("-+0123456789")),
    "float": (
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
        list("-+.0123456789"),
    ),
}
"""Tag -> whole plain scalars of that type, and the characters they can begin with."""


class _CoreSchemaLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, (_pattern, _first) in CORE_SCHEMA.items():
    _CoreSchemaLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern.pattern})$"), _first
    )


def _scalar(tag: str, text: str) -> Any:
    """The value of a scalar.

    Raises:
        ValueError: not one of this type; the message says so.
    """
    if tag == "str":
        if "\0" in text:
            raise ValueError("holds a NUL character, which no name, number or path has")
        return text
    if tag not in CORE_SCHEMA or CORE_SCHEMA[tag][0].fullmatch(text) is None:
        raise ValueError(f"the tag `!!{tag}` does not go with `{text}`; leave it out")
    match tag:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            if len(text) > MAX_DIGITS:
                raise ValueError(f"a number of {len(text):,} digits is too long")
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        case _:
            special = text.lstrip("-+").lower() in (".inf", ".nan")
            return float(text.replace(".", "") if special else text)


class _Builder:
    """Turns PyYAML's node tree into values, with a bound on what aliases may expand to."""

    def __init__(self, document: Document, file: str):
        self.document = document
        self.file = file
        self.mistakes: list[Mistake] = []
        self.count = 0
        self.above: list[yaml.Node] = []

    def origin(self, node: yaml.Node) -> Origin:
        return Origin(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def refuse(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        place = self.origin(node)
        self.mistakes.append(Mistake(self.file, place.line, place.column, dotted(path), message))

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        if any(node is other for other in self.above):
            raise self.fatal(node, path, "an alias that holds itself has no end; write it out")
        if len(path) > MAX_DEPTH:
            raise self.fatal(node, path[:3], f"is nested more than {MAX_DEPTH} levels deep")
        if self.count > MAX_VALUES:
            message = f"has more than {MAX_VALUES:,} values; aliases that multiply (a YAML bomb) are refused"
            raise self.fatal([*self.above, node][:2][-1], path[:1], message)
        self.document.places[path] = self.origin(node)
        tag = node.tag.removeprefix(_YAML_TAG)
        try:
            if isinstance(node, yaml.ScalarNode) and (tag == "str" or tag in CORE_SCHEMA):
                return _scalar(tag, node.value)
        except ValueError as error:
            self.refuse(node, path, str(error))
            return None
        self.above.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and tag == "map":
                return dict(self.items(node, path))
            if isinstance(node, yaml.SequenceNode) and tag == "seq":
                return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        finally:
            self.above.pop()
        shown = tag if tag == node.tag else f"!!{tag}"
        self.refuse(node, path, f"the tag `{shown}` is not allowed here; write plain values")
        return None

    def fatal(self, node: yaml.Node, path: KeyPath, message: str) -> ConfigError:
        self.refuse(node, path, message)
        return ConfigError(self.document.name, self.mistakes)

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
            if key == "<<":
                self.refuse(
                    key_node, here, "YAML 1.2 has no merge keys; write the keys out, or use `extends`"
                )
                continue
            first[key] = self.document.keys[here] = self.origin(key_node)
            yield key, self.value(value_node, here)


def parse(text: str, file: str) -> Document:
    """Parse the text of a config.

    Raises:
        ConfigError: not YAML, not a mapping, duplicate keys, tags, or too large.
    """
    document = Document(file, {})

    def fail(message: str, line: int = 0, column: int = 0) -> ConfigError:
        return ConfigError(file, [Mistake(file, line, column, "", message)])

    try:
        node = yaml.compose(text, Loader=_CoreSchemaLoader)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        message = f"the character U+{error.character:04X} is not allowed in YAML; remove it"
        raise fail(message, before.count("\n") + 1, len(before) - before.rfind("\n")) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise fail(f"not valid YAML: {_problem(error)}", *place) from None
    except RecursionError:
        raise fail(f"is nested more than {MAX_DEPTH} levels deep") from None
    if node is None:
        raise fail("is empty; `bigmodel init` writes a config to start from")
    builder = _Builder(document, file)
    values = builder.value(node, ())
    if not isinstance(values, dict) and not builder.mistakes:
        builder.refuse(node, (), "must be a mapping of `key: value` lines")
    if builder.mistakes:
        raise ConfigError(file, builder.mistakes)
    document.values = values
    return document


def _problem(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's message, with the remedy for what people run into most."""
    problem, context = error.problem or "cannot be read", error.context
    if "'\\t'" in problem:
        return "a tab; indent with spaces"
    if problem == "but found another document":
        return "a second document begins here; a file holds one config"
    if problem == "mapping values are not allowed here":
        return "a `:` where no key can stand; check the indentation, or quote a text that holds `: `"
    if "cannot start any token" in problem:
        return f"{problem}; quote the text"
    if context and error.context_mark:
        line = error.context_mark.line + 1
        return f"{problem}, {context.removesuffix(',')} that begins in line {line}"
    return problem


def read(path: Path) -> Document:
    """Read a config file.

    Raises:
        ConfigError: missing, unreadable, empty, not UTF-8, too large, or refused by `parse`.
    """
    file = str(path)

    def fail(message: str, line: int = 0, column: int = 0) -> ConfigError:
        return ConfigError(file, [Mistake(file, line, column, "", message)])

    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise fail("there is no such file; `bigmodel init` writes a config to start from") from None
    except IsADirectoryError:
        raise fail("is a folder; name the YAML file in it") from None
    except OSError as error:
        raise fail(f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise fail(f"is larger than {MAX_BYTES:,} bytes, which no config needs to be")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = (before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise fail("is not UTF-8 text from here on; save it as UTF-8", *place) from None
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
    if "[" in key:
        raise fail(f"`{argument}`: a list is given whole, such as model.filters='[16, 32]'")
    try:
        values = parse(f"value: {text}", place).values
    except ConfigError as error:
        reason = error.mistakes[0].message.removeprefix("not valid YAML: ")
        raise fail(f"`{argument}`: the value is not valid YAML: {reason}") from None
    if len(values) > 1:
        raise fail(f"`{argument}`: give each key=value as an argument of its own")
    value = values["value"]
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
