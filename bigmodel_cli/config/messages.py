"""pydantic's errors in the words of a config: place, value received, remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    "list_type": "a list `[...]`",
    "tuple_type": "a list `[...]`",
    "sequence_type": "a list `[...]`",
    "dict_type": "a mapping",
    "model_type": "a mapping of `key: value` lines",
    "model_attributes_type": "a mapping of `key: value` lines",
    "is_instance_of": "a list `[...]`",
    "sequence_str": "a list `[...]`",
    "none_required": "null",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


# Beyond this the nearest choice says more than all of them.
_SHOWN_CHOICES = 12


def show(value: Any) -> str:
    """A received value as the user wrote it, cut where it is long."""
    text = f"`{value}`" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
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
    for path, items in by_path(error, document.values, prefix).items():
        first = items[0]
        if first["type"] == "extra_forbidden":
            yield unknown_key(document, path, known(path[len(prefix) : -1]))
        else:
            yield document.mistake(path, text(items), at_key=first["type"] == WRONG_KEY)


WRONG_KEY = "wrong_key"
"""Type of an error of a component's own check that stands at a key, not at its value."""


def text(items: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong at one place, from pydantic's errors there: alternatives of a union joined."""
    first = items[0]
    if first["type"] == "missing":
        return "is missing and must be given"
    near = _near_choice(items)
    first_wanted, *others = dict.fromkeys(_wanted(item, brief=bool(near)) for item in items)
    wanted = " or ".join([first_wanted, *(wanted.removeprefix("must be ") for wanted in others)])
    got = "" if first["type"] in ("value_error", WRONG_KEY) else f", got {show(first['input'])}"
    return f"{wanted}{got}{near}"


def by_path(
    error: ValidationError, values: Any, prefix: KeyPath = ()
) -> dict[KeyPath, list[Mapping[str, Any]]]:
    """pydantic's errors by where they lie in the values, the innermost of nested ones only.

    A list with one wrong item is no `auto` either; that branch of the union tells nobody anything.
    """
    found: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        found.setdefault(real_path(values, item, prefix), []).append(item)
    inner = {path[:length] for path in found for length in range(len(path))}
    return {path: items for path, items in found.items() if path not in inner}


def unknown_key(document: Document, path: KeyPath, known: list[str]) -> Mistake:
    """A key that nobody reads, with the nearest known one or all of them."""
    key = str(path[-1])
    near = get_close_matches(key, known, n=1) or [item for item in known if item.endswith(f".{key}")]
    here = [item for item in known if "." not in item]
    hint = f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(here)}" if here else ""
    return document.mistake(path, f"unknown key{hint}", at_key=True)


def _wanted(item: Mapping[str, Any], brief: bool) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"must be {words} {context[key]:g}"
    if kind == "literal_error":
        choices = _choices(item)
        if brief and len(choices) > _SHOWN_CHOICES:
            return f"must be one of {len(choices)} known words"
        return f"must be {context['expected'].replace(chr(39), '`')}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "must not be empty"
    if kind in ("value_error", WRONG_KEY):
        return str(context["error"])
    if kind in ("too_short", "too_long"):
        bound, words = ("min_length", "at least") if kind == "too_short" else ("max_length", "at most")
        return f"must have {words} {context[bound]} item{'s' if context[bound] > 1 else ''}"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return "must begin with a letter or digit and go on with letters, digits, `.`, `_` or `-`"
    return str(item["msg"])


def _near_choice(items: Sequence[Mapping[str, Any]]) -> str:
    for item in items:
        typed = item["type"] == "literal_error" and isinstance(item["input"], str)
        if typed and (near := get_close_matches(item["input"], _choices(item), n=1)):
            return f"; did you mean `{near[0]}`?"
    return ""


def _choices(item: Mapping[str, Any]) -> list[str]:
    return [word.strip(" '") for word in item["ctx"]["expected"].replace(" or ", ",").split(",")]


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
    """The keys that a section of the schema knows at a path below it.

    At the root, those of its sections too, as `training.epochs`: people forget to indent.
    """
    for part in path:
        field = model.model_fields.get(str(part))
        found = _section_in(field.annotation) if field else None
        if found is None:
            return []
        model = found
    keys = list(model.model_fields)
    if not path:
        keys += [f"{key}.{inner}" for key in model.model_fields for inner in section_keys(model, (key,))]
    return keys


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _section_in(argument):
            return found
    return None
