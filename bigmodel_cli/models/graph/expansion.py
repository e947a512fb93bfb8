"""Items to one flat graph: repeats written out, names resolved, each layer with its inputs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bigmodel_cli.components import suggestion
from bigmodel_cli.models.graph.items import Item, LayerItem, Parallel, Path, Problem, Repeat, Residual

INPUT = "input"
MAX_LAYERS = 5_000
# Layers that every model has around those of the config.
_TAKEN = (
    INPUT,
    "scale",
    "standardize",
    "features",
    "logits",
    "outputs",
    "probabilities",
    "numbers",
    "categories",
)
_OF_TABLES = re.compile(r"(text|category)_\d+")


@dataclass(frozen=True)
class Node:
    """One layer of the flat graph.

    Attributes:
        item: what it is; of a residual block `add`, with the path of the block.
        prefix: names of the blocks around it, each with `_` behind.
        inputs: positions in the list of nodes; 0 is the model's input.
        projected: whether the first of two inputs is brought to the shape of the second.
        name: of the Keras layer; empty before `named`.
    """

    item: LayerItem
    prefix: str
    inputs: tuple[int, ...]
    projected: bool = False
    name: str = ""


@dataclass
class _Scope:
    """Names that can be seen from somewhere: those of a list of items and of what it stands in.

    Attributes:
        above: what the list stands in.
        later: names of the list, with their paths, whether they are passed already or not.
        nodes: names that are passed, with their tensors.
    """

    above: _Scope | None
    later: dict[str, Path]
    nodes: dict[str, int] = field(default_factory=dict)

    def chain(self) -> Iterator[_Scope]:
        """This scope and those around it, innermost first."""
        scope: _Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.above


class Expansion:
    """The flat graph of some items, and what is wrong with it.

    Attributes:
        nodes: in an order in which inputs come first; the first stands for the model's input, the last gives
            its output.
        problems: each once, however often its block is repeated.
    """

    def __init__(self, items: Sequence[Item], *, whole: bool = True):
        """Expand items.

        Args:
            items: as `reading.Reader` gives them.
            whole: whether nothing was wrong with them; else what seems unused may only be cut off.
        """
        self.nodes: list[Node] = [Node(LayerItem((), INPUT, {}), "", (), name=INPUT)]
        self._problems: dict[tuple[Path, str], None] = {}
        self._blocks = 0
        self._doubled: set[str] = set()
        scope = _Scope(None, _names(items), {INPUT: 0})
        last = self._walk(items, 0, scope, "")
        if len(self.nodes) > MAX_LAYERS:
            self._refuse((), f"comes to more than {MAX_LAYERS:,} layers when its repeats are written out")
        elif whole:
            self._find_unused(last)
        self.nodes = self._named()

    @property
    def problems(self) -> list[Problem]:
        """In the order in which they were found."""
        return [Problem(path, message) for path, message in self._problems]

    def _refuse(self, path: Path, message: str) -> None:
        self._problems[path, message] = None

    def _walk(self, items: Sequence[Item], current: int, scope: _Scope, prefix: str) -> int:
        """Add a list of items; returns the position of its output."""
        for item in items:
            if len(self.nodes) > MAX_LAYERS:
                break
            inputs = self._inputs(item, current, scope)
            match item:
                case LayerItem():
                    current = self._add(item, prefix, inputs)
                case Repeat():
                    current = self._repeat(item, inputs[0], scope, prefix)
                case Residual():
                    current = self._residual(item, inputs[0], scope, prefix)
                case Parallel():
                    within = prefix + (f"{item.name}_" if item.name else "")
                    ends = [self._walk(branch, inputs[0], scope, within) for branch in item.branches]
                    current = self._add(item.merge, within, tuple(ends))
            if item.name is not None:
                self._define(item.name, item.path, current, scope)
        return current

    def _add(self, item: LayerItem, prefix: str, inputs: tuple[int, ...], projected: bool = False) -> int:
        self.nodes.append(Node(item, prefix, inputs, projected))
        return len(self.nodes) - 1

    def _repeat(self, item: Repeat, current: int, scope: _Scope, prefix: str) -> int:
        name = item.name
        if name is None:
            self._blocks += 1
            name = f"block{self._blocks}"
        for number in range(1, item.times + 1):
            inner = _Scope(scope, _names(item.items))
            current = self._walk(item.items, current, inner, f"{prefix}{name}_{number}_")
        return current

    def _residual(self, item: Residual, current: int, scope: _Scope, prefix: str) -> int:
        within = prefix + (f"{item.name}_" if item.name else "")
        way, shortcut = self._walk(item.items, current, scope, within), current
        if isinstance(item.projection, tuple):
            shortcut = self._walk(item.projection, current, scope, within)
        add = LayerItem(item.path, "add", {})
        return self._add(add, within, (shortcut, way), projected=item.projection == "auto")

    def _inputs(self, item: Item, current: int, scope: _Scope) -> tuple[int, ...]:
        """Positions of an item's inputs; what cannot be found is the item before."""
        if item.sources is None:
            return (current,)
        if not isinstance(item, LayerItem) and len(item.sources) > 1:
            message = f"a block takes one tensor, got {len(item.sources)}; join them first"
            self._refuse((*item.path, "from"), message)
        return tuple(self._resolve(name, item, current, scope) for name in item.sources)

    def _resolve(self, name: str, item: Item, current: int, scope: _Scope) -> int:
        for around in scope.chain():
            if name in around.nodes:
                return around.nodes[name]
        place = (*item.path, "from")
        for around in scope.chain():
            if name in around.later:
                where = (
                    "here" if around.later[name] == item.path else f"later, at {written(around.later[name])}"
                )
                self._refuse(
                    place, f"`{name}` is only made {where}: that would be a cycle, and layers run one way"
                )
                return current
        seen = [known for around in scope.chain() for known in around.nodes]
        near = suggestion(name, seen)
        self._refuse(
            place,
            f"there is no tensor `{name}` here{near or f'; there are {_listed(seen)}'} (the names inside a "
            "`repeat` are its own)",
        )
        return current

    def _define(self, name: str, path: Path, node: int, scope: _Scope) -> None:
        if name in _TAKEN or _OF_TABLES.fullmatch(name):
            self._refuse(
                (*path, "name"), f"`{name}` is the name of a layer that every model has; choose another"
            )
        first = next((around.later[name] for around in scope.chain() if name in around.later), path)
        if any(name in around.nodes for around in scope.chain()) and name not in _TAKEN:
            self._doubled.add(name)
            message = f"`{name}` is taken by {written(first)}; every tensor has a name of its own"
            self._refuse((*path, "name"), message)
        scope.nodes[name] = node

    def _find_unused(self, last: int) -> None:
        used = {position for node in self.nodes for position in node.inputs} | {last}
        for position, node in enumerate(self.nodes):
            if position and position not in used:
                self._refuse(
                    node.item.path,
                    f"what `{node.item.kind}` gives is not used; name it in a later `from`, or remove it",
                )
        if 0 not in used and len(self.nodes) > 1:
            self._refuse(self.nodes[1].item.path, "the model's `input` is not used")

    def _named(self) -> list[Node]:
        """The nodes with the names of their Keras layers, given ones first."""
        taken = set(_TAKEN)
        names: list[str | None] = []
        for node in self.nodes:
            given = node.item.name and node.prefix + node.item.name
            if given and given in taken - set(_TAKEN) - self._doubled:
                self._refuse(
                    (*node.item.path, "name"), f"`{given}` is the name of two layers; choose another"
                )
            names.append(given)
            taken.update(filter(None, [given]))
        counts: Counter[str] = Counter()
        for position, node in enumerate(self.nodes):
            if names[position] is None:
                names[position] = _free(node.prefix + node.item.kind, taken, counts)
        return [
            replace(node, name=node.name or name or "") for node, name in zip(self.nodes, names, strict=True)
        ]


def _free(base: str, taken: set[str], counts: Counter[str]) -> str:
    """`conv2d`, or `conv2d_1` and so on, as Keras counts."""
    while True:
        number = counts[base]
        counts[base] += 1
        name = f"{base}_{number}" if number else base
        if not taken & {name, projection_name(name)}:
            taken.add(name)
            return name


def projection_name(name: str) -> str:
    """Of the layer that projects an input of the addition of this name."""
    return f"{name}_projection"


def _names(items: Iterable[Item]) -> dict[str, Path]:
    """The names that a list of items makes, with the path of the first of each; a repeat keeps its own."""
    found: dict[str, Path] = {}
    for item in items:
        inner: list[Item] = []
        if isinstance(item, Residual):
            inner = [*item.items, *(item.projection if isinstance(item.projection, tuple) else ())]
        elif isinstance(item, Parallel):
            inner = [inside for branch in item.branches for inside in branch]
        for name, path in _names(inner).items():
            found.setdefault(name, path)
        if item.name is not None:
            found.setdefault(item.name, item.path)
    return found


def written(path: Path) -> str:
    """`layers[3].residual[0]`."""
    return "layers" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))
