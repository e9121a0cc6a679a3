"""Ordered labelled trees, their codes for the edit distance, and how large they may be.

A tree is two parallel lists in document order: the label of each node, and the index of its parent (-1 for the root).
Kernels do not read labels: a `Codebook` turns each label into one integer that holds the label's number in the upper
half and the number of its *group* in the lower half. Two nodes cost 0 if their codes are equal, 1 if only their groups
are, 2 otherwise; inserting or deleting a node costs 1. Nodes whose labels cost nothing (`FREE_CODE`) are taken out by
the kernels, their children move up: that changes no distance.

Both limits are far above real workflows (the longest published ones have a few hundred nodes). They exist because
repeated orders can double a published tree with every component, and because the time of a tree edit distance grows
with up to the fourth power of the number of nodes.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, wraps
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeAlias, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Most nodes that one flow's tree may have.
MAX_NODES: Final = 5_000
#: Most table cells that one comparison may compute (some seconds with numba).
MAX_CELLS: Final = 4_000_000_000
FREE_CODE: Final = -1
#: Number, title and place of each step that a step's inputs refer to; see `canonical`.
Names: TypeAlias = tuple[tuple[int, str, int], ...]
#: Labels, and characters in labels, that a codebook keeps.
_LARGE_BOOK: Final = 200_000
_LARGE_TEXT: Final = 50_000_000
#: Texts that a codebook remembers, and from what length on it does not.
_MOST_READ: Final = 2_000
_LONG_TEXT: Final = 20_000


class UnreadableFlow(ValueError):
    """A text or value that cannot be read as a flow where one is needed; the message names the record."""


class FlowTooLarge(ValueError):
    """A flow or a pair of flows beyond `MAX_NODES` or `MAX_CELLS`; the message names the record."""


def too_many_nodes(record: str) -> FlowTooLarge:
    """The error for a tree that grew beyond `MAX_NODES`."""
    return FlowTooLarge(
        f"flow too large for {record}: expected at most {MAX_NODES} tree nodes, got more; "
        "check for repeated orders, or compare the flow in parts"
    )


def remembered(function: Callable[Concatenate[str, _P], _R]) -> Callable[Concatenate[str, _P], _R]:
    """Remember what a function of a text gives for the latest short texts."""
    cached: Any = lru_cache(maxsize=20_000)(function)

    @wraps(function)
    def found(text: str, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        known: _R = (cached if len(text) <= 500 else function)(text, *args, **kwargs)
        return known

    return found


class InputTree(NamedTuple):
    """One input as a small tree: its place among the inputs of a step, labels, parents (-1 for its first node)."""

    key: Any
    labels: tuple[Any, ...]
    parents: tuple[int, ...]


class Tree(NamedTuple):
    """Labels and parents in document order; `steps` holds the component's place (from 1) of each component node.

    `names`: by that place (0 for the trigger), the steps that its inputs refer to.
    """

    labels: list[Any]
    parents: list[int]
    steps: list[int]
    names: Sequence[Names] = ()

    def add(self, label: Any, parent: int, record: str) -> int:
        """A new last node below `parent`; more than `MAX_NODES` raise `FlowTooLarge` naming `record`."""
        node = len(self.labels)
        if node >= MAX_NODES:
            raise too_many_nodes(record)
        self.labels.append(label)
        self.parents.append(parent)
        return node

    def graft(self, part: InputTree, parent: int, record: str) -> None:
        """An input below `parent`."""
        base = len(self.labels)
        if base + len(part.labels) > MAX_NODES:
            raise too_many_nodes(record)
        self.labels.extend(part.labels)
        self.parents.extend(
            [parent] if len(part.labels) == 1 else [base + a if a >= 0 else parent for a in part.parents]
        )


class Coded(NamedTuple):
    """A tree ready to be compared: codes and parents in document order, and what the distance is normalised by."""

    codes: array[int]
    parents: array[int]
    length: int


class Codebook(dict[Any, tuple[int, int]]):
    """Label -> its code and what it adds to the length of a tree, filled as labels are met.

    `group_of` names a label's group: None = free, () = a group of its own. Codes of two books are not comparable.
    """

    def __init__(self, group_of: Callable[[Any], Hashable | None], length_of: Callable[[Any], int]) -> None:
        super().__init__()
        self._group_of, self._length_of = group_of, length_of
        self._numbers = itertools.count(1)
        self._groups: dict[Hashable, int] = {}
        self._chars = 0
        #: What the latest texts were read as.
        self.read: dict[str, Any] = {}

    def remember(self, text: str, read: Any) -> None:
        """Keep what a text was read as; of long texts nothing."""
        if len(text) > _LONG_TEXT:
            return
        if len(self.read) >= _MOST_READ:
            self.read.clear()
        self.read[text] = read

    def __missing__(self, label: Any) -> tuple[int, int]:
        group = self._group_of(label)
        self._chars += len(label) if isinstance(label, str) else sum(map(len, label))
        code = FREE_CODE
        if group is not None:
            number = next(self._numbers)
            code = number << 32 | (number if group == () else self._groups.setdefault(group, next(self._numbers)))
        return self.setdefault(label, (code, self._length_of(label)))

    @property
    def is_large(self) -> bool:
        """True when it is time to start a new book, so that memory stays bounded."""
        return len(self) > _LARGE_BOOK or self._chars > _LARGE_TEXT

    def encode(self, tree: Tree) -> Coded:
        """The coded tree; TypeError for a label that the convention cannot compare."""
        found = [self[label] for label in tree.labels]
        codes = array("q", [code for code, _ in found])
        return Coded(codes, array("q", tree.parents), sum([length for _, length in found]))
