"""Nested documents as the flat keys that services take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; a list of mappings has its numbers as keys, others stay whole."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = {str(number): item for number, item in enumerate(value)}
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def text(value: Any) -> str:
    """A value as a config would hold it."""
    return value if isinstance(value, str) else json.dumps(value)
