"""pydantic's errors in the words of a config: place, value received, remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from bigmodel_cli.config.document import Document, KeyPath
from bigmodel_cli.errors import Mistake

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list, such as [1, 2]",
    "tuple_type": "a list, such as [1, 2]",
    "sequence_type": "a list, such as [1, 2]",
    "dict_type": "a mapping",
    "model_type": "a mapping of `key: value` lines",
    "model_attributes_type": "a mapping of `key: value` lines",
    "is_instance_of": "a list, such as [1, 2]",
    "sequence_str": "a list, such as [1, 2]",
    "none_required": "null",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def show(value: Any) -> str:
    """A received value as the user wrote it, cut where it is long."""
    text = {None: "null", True: "true", False: "false"}.get(value) if value is None or isinstance(value, bool) else None
    text = text or (f"`{value}`" if isinstance(value, str) else str(value))
    return text if len(text) <= 60 else text[:57] + "..."


def mistakes(
    error: ValidationError, document: Document, prefix: KeyPath, known: Callable[[KeyPath], list[str]]
) -> Iterator[Mistake]:
    """Each wrong place once, alternatives of a union joined.

    Args:
        error: what pydantic found.
        document: where the values were written.
        prefix: path of the values that were checked.
        known: keys that may stand in the mapping at a path below the prefix, for suggestions.
    """
    by_path: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        path = real_path(document.values, item, prefix)
        by_path.setdefault(path, []).append(item)
    for path, items in by_path.items():
        first = items[0]
        if first["type"] == "extra_forbidden":
            yield unknown_key(document, path, known(path[len(prefix) : -1]))
        elif first["type"] == "missing":
            yield document.mistake(path, "is missing and must be given")
        else:
            wanted = list(dict.fromkeys(_wanted(item) for item in items))
            got = "" if first["type"] == "value_error" else f", got {show(first['input'])}"
            yield document.mistake(path, " or ".join(wanted) + got + _near_choice(items))


def unknown_key(document: Document, path: KeyPath, known: list[str]) -> Mistake:
    """A key that nobody reads, with the nearest known one or all of them."""
    near = get_close_matches(str(path[-1]), known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(known)}" if known else ""
    return document.mistake(path, f"unknown key{hint}", at_key=True)


def _wanted(item: Mapping[str, Any]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"must be {words} {context[key]:g}"
    if kind == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '`')}"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("too_short", "too_long"):
        bound, words = ("min_length", "at least") if kind == "too_short" else ("max_length", "at most")
        return f"must have {words} {context[bound]} items"
    if kind == "string_pattern_mismatch":
        return "must begin with a letter or digit and go on with letters, digits, `.`, `_` or `-`"
    return str(item["msg"])


def _near_choice(items: list[Mapping[str, Any]]) -> str:
    for item in items:
        if item["type"] == "literal_error" and isinstance(item["input"], str):
            choices = [word.strip(" '") for word in item["ctx"]["expected"].replace(" or ", ",").split(",")]
            if near := get_close_matches(item["input"], choices, n=1):
                return f"; did you mean `{near[0]}`?"
    return ""


def real_path(values: Any, item: Mapping[str, Any], prefix: KeyPath = ()) -> KeyPath:
    """Where an error of pydantic lies in the values, without the tags it adds for unions and validators."""
    path: list[str | int] = []
    loc = (*prefix, *item["loc"])
    for index, part in enumerate(loc):
        present = (isinstance(values, dict) and part in values) or (
            isinstance(values, list) and isinstance(part, int) and part < len(values)
        )
        if present:
            values = values[part]
            path.append(part)
        elif index == len(loc) - 1 and item["type"] == "missing":
            path.append(part)
    return tuple(path)


def section_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that a section of the schema knows at a path below it."""
    for part in path:
        field = model.model_fields.get(str(part))
        found = _section_in(field.annotation) if field else None
        if found is None:
            return []
        model = found
    return list(model.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _section_in(argument):
            return found
    return None
