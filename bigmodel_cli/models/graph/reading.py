"""The items of `model.layers`, read and checked without Keras."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from bigmodel_cli import catalogue, components
from bigmodel_cli.config import messages
from bigmodel_cli.config.messages import show
from bigmodel_cli.layer_parameters import LEFT_OUT, unknown_parameter
from bigmodel_cli.models.graph.items import (
    ATTENTIONS,
    MERGES,
    PAIRS,
    WRAPPERS,
    Item,
    LayerItem,
    Parallel,
    Path,
    Problem,
    Repeat,
    Residual,
)

_AROUND = {"name", "from"}
_BLOCKS = {"repeat": {"layers"}, "residual": {"projection"}, "parallel": {"merge"}}
# Keras' own limits on the names of layers and of what is written into files.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MAX_REPEATS = 1000


@dataclass
class Reader:
    """Turns values into items, and collects what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)

    def items(self, values: Any, path: Path, *, empty: bool = False) -> tuple[Item, ...]:
        """The items of a list; a wrong one is `identity`, so that the names around it hold."""
        if not isinstance(values, list):
            self.refuse(path, f"must be a list of layers, one item `- ...` each, got {show(values)}")
            return ()
        if not values and not empty:
            self.refuse(path, "must have at least one layer")
        return tuple(self._item(value, (*path, index)) for index, value in enumerate(values))

    def refuse(self, path: Path, message: str, kind: Literal["value", "key", "missing"] = "value") -> None:
        """Note a mistake."""
        self.problems.append(Problem(path, message, kind))

    def _item(self, value: Any, path: Path) -> Item:
        if isinstance(value, str):
            return self._layer(value, {}, path, path)
        if not isinstance(value, dict):
            self.refuse(
                path, f"must be a layer, such as `flatten` or `dense: {{units: 10}}`, got {show(value)}"
            )
            return LayerItem(path, "identity", {})
        name, sources = self._name(value, path), self._sources(value, path)
        block = next((key for key in _BLOCKS if key in value), None)
        if block is not None:
            for key in value.keys() - _AROUND - {block} - _BLOCKS[block]:
                self.refuse((*path, key), unknown_parameter(key, sorted(_AROUND | _BLOCKS[block])), "key")
            build = {"repeat": self._repeat, "residual": self._residual, "parallel": self._parallel}[block]
            return build(value, path, name, sources)
        kinds = [key for key in value if key not in _AROUND]
        if len(kinds) != 1 or self._definition(kinds[0]) is None:
            self._refuse_kinds(value, kinds, path)
            return LayerItem(path, "identity", {}, name, sources)
        return self._layer(kinds[0], value[kinds[0]], path, (*path, kinds[0]), name, sources)

    def _refuse_kinds(self, value: Mapping[str, Any], kinds: Sequence[str], path: Path) -> None:
        """An item that does not hold exactly one layer."""
        known = [kind for kind in kinds if self._definition(kind) is not None]
        named = value.get("name")
        if not known and isinstance(named, str) and self._definition(named) is not None:
            message = (
                f"`name` is what the layer is called here; the layer itself is a key: `- {named}: {{...}}`"
            )
            self.refuse((*path, "name"), message, "key")
        elif not kinds:
            self.refuse(path, "names no layer; write it as a key, such as `- dense: {units: 10}`")
        elif known and (misplaced := self._parameters_of(known[0], kinds)):
            for key in misplaced:
                message = (
                    f"stands beside `{known[0]}`; its parameters go inside: `{known[0]}: {{{key}: ...}}`"
                )
                self.refuse((*path, key), message, "key")
        elif len(kinds) == 1:
            self.refuse((*path, kinds[0]), self._unknown_layer(kinds[0]), "key")
        else:
            shown = " and ".join(f"`{kind}`" for kind in kinds)
            self.refuse(path, f"an item is one layer, but this has {shown}; begin each with `-`")

    def _parameters_of(self, kind: str, keys: Sequence[str]) -> list[str]:
        definition = self._definition(kind)
        return [key for key in keys if definition and key in definition.parameters.model_fields]

    def _layer(
        self,
        kind: str,
        parameters: Any,
        path: Path,
        below: Path,
        name: str | None = None,
        sources: tuple[str, ...] | None = None,
    ) -> LayerItem:
        """One layer, its parameters held against those of the Keras class.

        Args:
            kind: as written.
            parameters: as written; None for none.
            path: of the item.
            below: where the parameters stand.
            name: of its tensor.
            sources: names of its inputs.
        """
        definition = self._definition(kind)
        if definition is None:
            self.refuse(path, self._unknown_layer(kind))
            return LayerItem(path, "identity", {}, name, sources)
        given = {} if parameters is None else parameters
        if not isinstance(given, dict):
            first = next(iter(definition.parameters.model_fields))
            self.refuse(
                below, f"parameters have names, such as `{kind}: {{{first}: ...}}`, got {show(parameters)}"
            )
            given = {}
        else:
            self._check_parameters(definition, given, below)
        inner = None
        if definition.name in WRAPPERS and "layer" in given:
            inner = self._inner(given["layer"], (*below, "layer"))
        self._check_sources(definition.name, sources, path)
        rest = {key: value for key, value in given.items() if key != "layer"}
        return LayerItem(path, definition.name, rest, name, sources, inner)

    def _check_parameters(
        self, definition: components.Definition, given: Mapping[str, Any], path: Path
    ) -> None:
        known = list(definition.parameters.model_fields)
        for key in given:
            if key not in known:
                self.refuse((*path, key), unknown_parameter(key, known), "key")
        try:
            definition.parameters.model_validate({key: value for key, value in given.items() if key in known})
        except ValidationError as error:
            for place, errors in messages.by_path(error, given).items():
                kind: Literal["value", "missing"] = "missing" if errors[0]["type"] == "missing" else "value"
                self.refuse((*path, *place), messages.text(errors), kind)

    def _inner(self, value: Any, path: Path) -> LayerItem | None:
        """The layer of a wrapper: `lstm`, or `{lstm: {units: 32}}`."""
        kind, below = value, path
        parameters: Any = None
        if isinstance(value, dict) and len(value) == 1:
            ((kind, parameters),) = value.items()
            below = (*path, kind)
        if not isinstance(kind, str):
            self.refuse(path, f"must be one layer, such as {{lstm: {{units: 32}}}}, got {show(value)}")
            return None
        found = self._layer(kind, parameters, path, below, sources=())
        if found.kind in (*MERGES, *PAIRS, *ATTENTIONS):
            message = f"`{found.kind}` takes several tensors, so it cannot stand inside another layer"
            self.refuse(path, message)
        return found

    def _repeat(
        self, value: Mapping[str, Any], path: Path, name: str | None, sources: tuple[str, ...] | None
    ) -> Item:
        times = value["repeat"]
        if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MAX_REPEATS:
            message = f"must be a whole number from 1 to {MAX_REPEATS:,}, got {show(times)}"
            self.refuse((*path, "repeat"), message)
            times = 1
        if "layers" not in value:
            self.refuse((*path, "layers"), "is missing and must be given", "missing")
        items = self.items(value["layers"], (*path, "layers")) if "layers" in value else ()
        return Repeat(path, times, items, name, sources)

    def _residual(
        self, value: Mapping[str, Any], path: Path, name: str | None, sources: tuple[str, ...] | None
    ) -> Item:
        asked = value.get("projection", "auto")
        projection: Any = asked
        if isinstance(asked, list):
            projection = self.items(asked, (*path, "projection"))
        elif asked not in ("auto", "none"):
            message = f"must be `auto`, `none` or a list of layers, got {show(asked)}"
            self.refuse((*path, "projection"), message)
            projection = "none"
        return Residual(path, self.items(value["residual"], (*path, "residual")), projection, name, sources)

    def _parallel(
        self, value: Mapping[str, Any], path: Path, name: str | None, sources: tuple[str, ...] | None
    ) -> Item:
        branches, below = value["parallel"], (*path, "parallel")
        if not isinstance(branches, list) or len(branches) < 2:
            self.refuse(below, f"must be a list of at least two lists of layers, got {show(branches)}")
            branches = []
        found = tuple(
            self.items(branch, (*below, index), empty=True) for index, branch in enumerate(branches)
        )
        merge = self._merge(value.get("merge", "concatenate"), (*path, "merge"))
        return Parallel(path, found, merge, name, sources)

    def _merge(self, value: Any, path: Path) -> LayerItem:
        """`add`, or `{concatenate: {axis: 1}}`."""
        kind, below = value, path
        parameters: Any = None
        if isinstance(value, dict) and len(value) == 1:
            ((kind, parameters),) = value.items()
            below = (*path, kind)
        definition = self._definition(kind) if isinstance(kind, str) else None
        if definition is None or definition.name not in MERGES:
            self.refuse(path, f"must be one of {', '.join(MERGES)}, got {show(value)}")
            return LayerItem(path, "concatenate", {})
        return self._layer(kind, parameters, path, below)

    def _name(self, value: Mapping[str, Any], path: Path) -> str | None:
        name = value.get("name")
        if name is None:
            return None
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            message = f"must begin with a letter and go on with letters, digits or `_`, got {show(name)}"
            self.refuse((*path, "name"), message)
            return None
        return name

    def _sources(self, value: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
        if "from" not in value:
            return None
        written = value["from"]
        names = [written] if isinstance(written, str) else written
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            message = f"must be the name of a tensor, or a list of names, got {show(written)}"
            self.refuse((*path, "from"), message)
            return None
        return tuple(names)

    def _check_sources(self, kind: str, sources: tuple[str, ...] | None, path: Path) -> None:
        """Refuse a number of inputs that the layer does not take."""
        count = 1 if sources is None else len(sources)
        if kind in MERGES and count < 2 and path[-1] != "merge":
            message = f"`{kind}` joins at least two tensors; name them: `from: [a, b]`"
        elif kind in PAIRS and count != 2:
            message = f"`{kind}` takes two tensors; name them: `from: [a, b]`"
        elif kind in ATTENTIONS and count > 3:
            message = f"`{kind}` takes a query, a value and a key, got {count} tensors"
        elif kind not in (*MERGES, *PAIRS, *ATTENTIONS) and count > 1:
            message = f"`{kind}` takes one tensor, got {count}; join them first, such as by `concatenate`"
        else:
            return
        self.refuse((*path, "from") if sources is not None else path, message)

    def _definition(self, kind: Any) -> components.Definition | None:
        try:
            return components.find("layers", str(kind))
        except components.UnknownComponentError:
            return None

    def _unknown_layer(self, kind: str) -> str:
        wanted = kind.replace("_", "").lower()
        for left_out, reason in LEFT_OUT.items():
            if left_out.lower() == wanted:
                return f"`{kind}` {reason}"
        near = components.suggestion(kind, [*catalogue.entries("layers"), *_BLOCKS])
        return f"there is no layer `{kind}`{near} (`bigmodel list layers`)"
