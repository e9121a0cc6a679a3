"""Two trees side by side: the cost of relabelling each pair of nodes, their distance and alignment.

This is the slower, complete view behind explanations and graded strings; scores alone come from `kernel`.

Graded strings say how unlike two free texts are, from 0 (equal) to 1. Only free text is graded: text of at least
`FREE_TEXT_WORDS` words, compared with free text that holds the same `{{references}}` in the same order. Identifiers,
choices, numbers, references, operators and fields are equal or not. Costs are counted in steps of 1 / `STEPS`, rounded
up, so that distances stay exact integers.

What is a metric: the default is the Indel distance d of rapidfuzz, normalised as 2 d / (|a| + |b| + d) (Li and Liu
2007), which, unlike d / (|a| + |b|), keeps the triangle inequality; rounding up keeps it too. As the class of a text
depends on that text alone, and costs between classes are 1, the tree edit distance built on these costs is a metric.
The similarity `1 - distance / size` is not claimed to be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel

from flowstudy.metrics._kernels import align, tree_table
from flowstudy.metrics.kernel import Postorder, checked_cells, postorder
from flowstudy.metrics.trees import Codebook, Tree

#: Steps in one unit of edit cost; a power of two, so that costs and their sums are exact as floats.
STEPS: Final = 1 << 14
FREE_TEXT_WORDS: Final = 3
_REFERENCE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
#: Longer texts are compared as equal or not: their alignment would take too long.
MAX_GRADED_CHARS: Final = 20_000

#: Steps between two free texts of the same class: 0 if equal, 1..`STEPS` otherwise; symmetric.
TextCost: TypeAlias = Callable[[str, str], int]


class Comparison(NamedTuple):
    """Two trees in postorder, and the relabelling costs between their nodes in steps of 1 / `STEPS`."""

    first: Postorder
    second: Postorder
    costs: NDArray[np.int32]

    def distance(self) -> int:
        """The edit distance in steps; exact, symmetric."""
        return int(tree_table(*self._lefts(), self.costs, STEPS)[-1, -1])

    def pairs(self) -> dict[int, tuple[int, int]]:
        """Matched or relabelled nodes of an optimal script: index into the first tree -> index into the second one,
        and what relabelling costs in steps."""
        table = tree_table(*self._lefts(), self.costs, STEPS)
        found = align(*self._lefts(), self.costs, STEPS, table).tolist()
        pairs = {self.first.nodes[a]: (self.second.nodes[b], int(self.costs[a, b])) for a, b in found}
        pairs.pop(-1, None)
        return pairs

    def _lefts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.array(self.first.left), np.array(self.second.left)


def compare(
    first: Tree, second: Tree, book: Codebook, texts: TextCost | None = None, record: str = "the pair"
) -> Comparison:
    """Set two trees side by side; with `texts`, free texts in the same place are graded.

    Raises `FlowTooLarge` naming `record` for pairs beyond the limits.
    """
    a, b = (postorder(book.encode(tree)) for tree in (first, second))
    checked_cells(a, b, record)
    different = np.array(a.codes)[:, None] ^ np.array(b.codes)[None, :]
    costs = (((different != 0).astype(np.int32) + (different & 0xFFFFFFFF != 0)) * STEPS).astype(np.int32)
    if texts is not None:
        places: dict[Any, list[tuple[int, str]]] = {}
        for row, node in enumerate(a.nodes):
            place, text = _graded_place(first, node)
            if place is not None:
                places.setdefault(place, []).append((row, text))
        for column, node in enumerate(b.nodes):
            place, text = _graded_place(second, node)
            for row, other in places.get(place, ()) if place is not None else ():
                costs[row, column] = texts(other, text)
    return Comparison(a, b, costs)


def _graded_place(tree: Tree, node: int) -> tuple[Any, str]:
    """What must be equal before two texts are graded, and the text; None for nodes that hold no free text."""
    label = tree.labels[node] if node >= 0 else ("",)
    is_text = isinstance(label, tuple) and (label[0] == "clause" or (label[0] == "input" and label[2] == "text"))
    text_class = free_text_class(label[-1]) if is_text else None
    return (None, "") if text_class is None else ((*label[:-1], text_class), label[-1])


def free_text_class(text: str) -> tuple[str, ...] | None:
    """The references in a free text, in order; None for a value that must match exactly.

    >>> free_text_class("Send mail to {{trigger.record.caller}} today")
    ('{{trigger.record.caller}}',)
    >>> free_text_class("in progress") is None
    True
    """
    if len(text) > MAX_GRADED_CHARS or len(text.split()) < FREE_TEXT_WORDS:
        return None
    if len(_WORD.findall(_REFERENCE.sub(" ", text))) < FREE_TEXT_WORDS:
        return None
    return tuple(_REFERENCE.findall(text))


def text_cost(first: str, second: str) -> int:
    """Steps between two free texts, from 0 (equal) to `STEPS` (no common letter).

    >>> text_cost("Send mail to Bob", "Send an email to Bob") / STEPS
    0.20001220703125
    """
    distance = Indel.distance(first, second)
    total = len(first) + len(second) + distance
    return -(-2 * distance * STEPS // total) if total else 0
