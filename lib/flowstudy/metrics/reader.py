"""From plain flows to the codes that the kernels compare, by the labels of one convention."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import UNSET

from flowstudy.metrics.limits import MAX_NODES, too_many_nodes
from flowstudy.metrics.plain import PlainFlow, PlainInputs, Scalar, StepName
from flowstudy.metrics.trees import FREE_CODE, LARGE_BOOK, LARGE_TEXT, NODE, Codebook, Tree


class Coded(NamedTuple):
    """A flow ready to be compared: its encoded tree, and its lengths without and with inputs.

    Inputs are marked (see `trees`), so that one tree serves both modes.
    """

    codes: bytes
    lengths: tuple[int, int]


class InputTree(NamedTuple):
    """One input as a small tree: labels, parents (-1 for its first node), and its place among the inputs of a step."""

    key: Any
    labels: tuple[Any, ...]
    parents: tuple[int, ...]


class Labels(NamedTuple):
    """How a convention names the nodes: a trigger by type, a step by category, definition and scope, an input."""

    trigger: Callable[[str], Hashable]
    step: Callable[[str, str, str], Hashable]
    input: Callable[[str, Any], InputTree]


#: One input without nodes that cost nothing: its place among the inputs, then code and distance to the parent of each
#: node (0 for its first nodes), then its length.
_Input: TypeAlias = tuple[Any, tuple[tuple[int, int], ...], int]
_KEY: Final = itemgetter(0)
_node: Final = NODE.pack
_ROOT: Final = _node(FREE_CODE, 0)


class Memo(dict[Any, Any]):
    """Remembers what `make` gives for a key."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        return self.setdefault(key, self._make(key))


class Reader:
    """Reads plain flows with the codes of one codebook, and remembers the codes of triggers, steps and inputs."""

    def __init__(self, book: Codebook, labels: Labels) -> None:
        self.book = book
        self._labels = labels
        self._triggers = Memo(lambda kind: self._node(labels.trigger(kind)))
        self._steps = Memo(lambda name: self._node(labels.step(*with_defaults(name))))
        self._each = Memo(self._input)
        self._all = Memo(self._together)
        self._text = 0

    @property
    def is_large(self) -> bool:
        """True when it is time to start a new reader and book, so that memory stays bounded."""
        many = len(self._each) > LARGE_BOOK or len(self._all) > LARGE_BOOK
        return many or self._text > LARGE_TEXT or self.book.is_large

    def read(self, flow: PlainFlow, record: str = "the flow") -> Coded:
        """The coded flow; more than `MAX_NODES` nodes raise `FlowTooLarge`."""
        nodes, places, count = [_ROOT], [0], 1
        bare = added = 0
        if flow.trigger is not None:
            kind, inputs = flow.trigger
            code, bare = self._triggers[kind]
            nodes.append(_node(code, 1))
            count = 2
            if inputs is not None:
                below, number, added = self._all[inputs]
                nodes.append(below)
                count += number
        for name, block, inputs in flow.steps:
            code, length = self._steps[name]
            bare += length
            nodes.append(_node(code, count - places[block]))
            places.append(count)
            count += 1
            if inputs is not None:
                below, number, length = self._all[inputs]
                nodes.append(below)
                count += number
                added += length
        if count > MAX_NODES:
            raise too_many_nodes(record)
        return Coded(b"".join(nodes), (bare, bare + added))

    def encode(self, tree: Tree) -> Coded:
        """A tree of the complete route, of one mode; TypeError for a label that the convention cannot compare."""
        codes, length = self.book.encode(tree), self.book.length(tree)
        return Coded(codes, (length, length))

    def _node(self, label: Hashable) -> tuple[int, int]:
        return self.book[label], self.book.lengths[label]

    def _together(self, inputs: PlainInputs) -> tuple[bytes, int, int]:
        """The encoded nodes of all inputs of a node, in their order, as they follow it; their number and length."""
        nodes: list[bytes] = []
        length = 0
        found = [self._each[input_key(each)] for each in inputs.given]
        if len(found) > 1:
            found.sort(key=_KEY)
        for _, codes, size in found:
            for code, up in codes:
                nodes.append(_node(code, up or -(len(nodes) + 1)))
            length += size
        return b"".join(nodes), len(nodes), length

    def _input(self, key: tuple[Any, ...]) -> _Input:
        order, labels, parents = self._labels.input(key[0], key[1])
        self._text += len(str(key[1]))
        nodes: list[tuple[int, int]] = []
        places: list[int] = []
        for label, above in zip(labels, parents, strict=True):
            owner = places[above] if above >= 0 else -1
            code = self.book[label]
            places.append(owner if code == FREE_CODE else len(nodes))
            if code != FREE_CODE:
                nodes.append((code, len(nodes) - owner if owner >= 0 else 0))
        return order, tuple(nodes), sum([self.book.lengths[label] for label in labels])


def input_key(each: dict[Any, Scalar]) -> tuple[Any, ...]:
    """Name and value of an input as a key under which True is not 1."""
    value = each["value"]
    return (each["name"], value) if value.__class__ is str else (each["name"], value, value.__class__)


def with_defaults(name: StepName) -> tuple[str, str, str]:
    """Category, definition and scope of a step, with the defaults of the format for what is absent."""
    category, definition, scope = name
    return "action" if category is UNSET else category, definition, "global" if scope is UNSET else scope
