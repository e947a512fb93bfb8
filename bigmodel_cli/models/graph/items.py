"""What `model.layers` holds, once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str | int, ...]
"""Where something stands below `model.layers`."""

MERGES = ("add", "average", "concatenate", "maximum", "minimum", "multiply")
"""Layers that take any number of tensors."""
PAIRS = ("dot", "subtract")
"""Layers that take two."""
QUERY_VALUE_KEY = ("multi_head_attention", "group_query_attention")
"""Attention whose inputs are arguments of their own: query, value, key."""
ATTENTIONS = (*QUERY_VALUE_KEY, "attention", "additive_attention")
"""Layers that take query, value and key; of one tensor all three."""
WRAPPERS = ("bidirectional", "spectral_normalization", "time_distributed")
"""Layers around a layer."""


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        path: where it is.
        message: what is wrong.
        kind: whether the value there is wrong, or its key, or that it is missing.
    """

    path: Path
    message: str
    kind: Literal["value", "key", "missing"] = "value"


@dataclass(frozen=True)
class LayerItem:
    """One Keras layer.

    Attributes:
        path: of the item.
        kind: canonical name, such as `conv2d`.
        parameters: as written.
        name: of its tensor; None for none.
        sources: names of its inputs; None for the item before.
        inner: the layer inside a wrapper.
    """

    path: Path
    kind: str
    parameters: Mapping[str, Any]
    name: str | None = None
    sources: tuple[str, ...] | None = None
    inner: LayerItem | None = None


@dataclass(frozen=True)
class Repeat:
    """Items one after the other, several times over."""

    path: Path
    times: int
    items: tuple[Item, ...]
    name: str | None
    sources: tuple[str, ...] | None


@dataclass(frozen=True)
class Residual:
    """Items whose output is added to their input (He et al. 2016, section 3.2).

    Attributes:
        projection: how the input reaches another shape: by itself, not at all, or through these items.
    """

    path: Path
    items: tuple[Item, ...]
    projection: Literal["auto", "none"] | tuple[Item, ...]
    name: str | None
    sources: tuple[str, ...] | None


@dataclass(frozen=True)
class Parallel:
    """Branches with one input, and the layer that joins them; a branch without items is the input itself."""

    path: Path
    branches: tuple[tuple[Item, ...], ...]
    merge: LayerItem
    name: str | None
    sources: tuple[str, ...] | None


Item = LayerItem | Repeat | Residual | Parallel
