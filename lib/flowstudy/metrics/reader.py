"""From plain flows to the codes that the kernels compare, by the labels of one convention."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from flowstudy.metrics.limits import MAX_NODES, too_many_nodes
from flowstudy.metrics.plain import PlainFlow, PlainInputs, Scalar
from flowstudy.metrics.trees import FREE_CODE, LARGE_BOOK, LARGE_TEXT, Codebook, Tree


class Coded(NamedTuple):
    """A flow ready to be compared: codes and parents of its tree, and its lengths without and with inputs.

    Parents of inputs are marked (see `trees`), so that one tree serves both modes.
    """

    codes: array[int]
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


class _Piece(NamedTuple):
    """The codes of one input, without nodes that cost nothing."""

    key: Any
    codes: list[int]
    parents: list[int]
    length: int


_KEY: Final = itemgetter(0)


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
        self._steps = Memo(lambda key: self._node(labels.step(*with_defaults(key))))
        self._inputs = Memo(self._piece)
        self._text = 0

    @property
    def is_large(self) -> bool:
        """True when it is time to start a new reader and book, so that memory stays bounded."""
        return self.book.is_large or len(self._inputs) > LARGE_BOOK or self._text > LARGE_TEXT

    def read(self, flow: PlainFlow, record: str = "the flow") -> Coded:
        """The coded flow; more than `MAX_NODES` nodes raise `FlowTooLarge`."""
        codes, parents, places = [FREE_CODE], [-1], [0]
        bare = added = 0
        if flow.trigger is not None:
            code, bare = self._triggers[flow.trigger.type]
            codes.append(code)
            parents.append(0)
            if flow.trigger.inputs:
                added = self._add(flow.trigger.inputs, 1, codes, parents)
        for step in flow.components:
            node = len(codes)
            code, length = self._steps[step.category, step.definition, step.scope]
            bare += length
            codes.append(code)
            parents.append(places[step.block or 0])
            places.append(node)
            if step.inputs:
                added += self._add(step.inputs, node, codes, parents)
        if len(codes) > MAX_NODES:
            raise too_many_nodes(record)
        return Coded(array("q", codes + parents), (bare, bare + added))

    def encode(self, tree: Tree) -> Coded:
        """A tree of the complete route, of one mode; TypeError for a label that the convention cannot compare."""
        codes, length = self.book.encode(tree), self.book.length(tree)
        return Coded(codes, (length, length))

    def _add(self, inputs: PlainInputs, owner: int, codes: list[int], parents: list[int]) -> int:
        """Add the inputs of a node in their order; returns their length."""
        pieces = [self._inputs[input_key(each)] for each in inputs]
        if len(pieces) > 1:
            pieces.sort(key=_KEY)
        length, marked = 0, ~owner
        for _, piece, above, size in pieces:
            if len(piece) == 1:
                codes.append(piece[0])
                parents.append(marked)
            else:
                base = len(codes)
                codes += piece
                parents += [base + parent if parent >= 0 else marked for parent in above]
            length += size
        return length

    def _node(self, label: Hashable) -> tuple[int, int]:
        return self.book[label], self.book.lengths[label]

    def _piece(self, key: tuple[Any, ...]) -> _Piece:
        tree = self._labels.input(key[0], key[1])
        self._text += len(str(key[1]))
        codes: list[int] = []
        parents: list[int] = []
        places: list[int] = []
        for label, above in zip(tree.labels, tree.parents, strict=True):
            owner = places[above] if above >= 0 else -1
            code = self.book[label]
            places.append(owner if code == FREE_CODE else len(codes))
            if code != FREE_CODE:
                codes.append(code)
                parents.append(owner)
        return _Piece(tree.key, codes, parents, sum(map(self.book.lengths.__getitem__, tree.labels)))


def input_key(each: dict[Any, Scalar]) -> tuple[Any, ...]:
    """Name and value of an input as a key under which True is not 1."""
    value = each["value"]
    return (each["name"], value) if value.__class__ is str else (each["name"], value, value.__class__)


def with_defaults(key: tuple[Any, str, Any]) -> tuple[str, str, str]:
    """Category, definition and scope of a step, with the defaults of the format for what is absent."""
    category, definition, scope = key
    return "action" if category is UNSET else category, definition, "global" if scope is UNSET else scope
