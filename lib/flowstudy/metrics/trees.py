"""Ordered labelled trees in document order, and their codes for the edit-distance kernels.

A tree is two parallel lists: the label of each node, parents before children, and the index of its parent (-1 for
the root). Kernels do not read labels: a `Codebook` turns each label into one integer that holds the label's number
in the upper half and the number of its *group* in the lower half. Two nodes cost 0 if their codes are equal, 1 if
only their groups are, 2 otherwise; inserting or deleting a node costs 1. Labels that cost nothing get the code
`FREE_CODE`. Taking such nodes out (their children move up) changes no distance, so kernels do that first.
An encoded tree is a row of 64-bit numbers, as bytes, two for each node in document order: its code, and how many nodes
before it its parent stands (0 for the root). That distance may be *marked* by a minus: the node is then an input, and
left out with all below it when a comparison is made without inputs.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple

FREE_CODE: Final = -1
#: One node of an encoded tree: code and distance to the parent.
NODE: Final = struct.Struct("=qq")
#: Labels, and characters in labels, that a codebook keeps.
LARGE_BOOK: Final = 200_000
LARGE_TEXT: Final = 50_000_000


class Tree(NamedTuple):
    """Labels and parents in document order; `steps` holds the component's place (from 1) of each component node.

    `names`: by that place (0 for the trigger), which steps the names in its inputs stand for; see `canonical`.
    """

    labels: list[Any]
    parents: list[int]
    steps: list[int]
    names: Sequence[Mapping[str, int]] = ()


class Codebook(dict[Any, int]):
    """Label -> code, filled as labels are met. `group_of` names a label's group: None = free, () = a group of its own.

    `len_of` gives what one node adds to the tree's length; a tree is encoded by `encode` and measured by `length`.
    """

    def __init__(self, group_of: Callable[[Any], Hashable | None], len_of: Callable[[Any], int]) -> None:
        super().__init__()
        self._group_of = group_of
        self._numbers = itertools.count(1)
        self._groups: dict[Hashable, int] = {}
        self._text = 0
        self.lengths = _Lengths(len_of)

    def __missing__(self, label: Any) -> int:
        group = self._group_of(label)
        self._text += len(label) if isinstance(label, str) else sum(map(len, label))
        if group is None:
            return self.setdefault(label, FREE_CODE)
        number = next(self._numbers)
        low = number if group == () else -1
        if low < 0:
            low = self._groups.setdefault(group, next(self._numbers))
        return self.setdefault(label, number << 32 | low)

    @property
    def is_large(self) -> bool:
        """True when it is time to start a new book, so that memory stays bounded."""
        return len(self) > LARGE_BOOK or self._text > LARGE_TEXT

    def encode(self, tree: Tree) -> bytes:
        """The encoded tree."""
        nodes = enumerate(zip(tree.labels, tree.parents, strict=True))
        return b"".join(NODE.pack(self[label], node - above if above >= 0 else 0) for node, (label, above) in nodes)

    def length(self, tree: Tree) -> int:
        """The length by which a distance is normalised."""
        return sum(map(self.lengths.__getitem__, tree.labels))


class _Lengths(dict[Any, int]):
    def __init__(self, len_of: Callable[[Any], int]) -> None:
        super().__init__()
        self._len_of = len_of

    def __missing__(self, label: Any) -> int:
        return self.setdefault(label, self._len_of(label))
