"""Two trees side by side: their nodes in postorder, the cost of relabelling each pair, their distance and alignment.

This is the slower, complete view behind explanations and graded strings; scores alone come from `kernel`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowstudy.metrics import _plain_kernels
from flowstudy.metrics._alignment import align, tree_table
from flowstudy.metrics.kernel import MAX_PLAIN_CELLS, fast_kernels
from flowstudy.metrics.limits import MAX_CELLS, too_many_cells
from flowstudy.metrics.strings import STEPS, TextCost, free_text_class
from flowstudy.metrics.trees import Codebook, Tree


class Comparison(NamedTuple):
    """Two trees without their free nodes, and the relabelling costs between them in steps of 1 / `STEPS`."""

    first: _plain_kernels.Postorder
    second: _plain_kernels.Postorder
    costs: NDArray[np.int64]

    def distance(self) -> int:
        """The edit distance in steps; exact, symmetric."""
        return int(tree_table(*self._arrays(), self.costs, STEPS)[-1, -1])

    def pairs(self) -> list[tuple[int, int]]:
        """Matched or relabelled nodes of an optimal script, as indices into the original trees."""
        table = tree_table(*self._arrays(), self.costs, STEPS)
        found = align(*self._arrays(), self.costs, STEPS, table)
        pairs = [(self.first.nodes[a], self.second.nodes[b]) for a, b in found.tolist()]
        return sorted(pair for pair in pairs if pair[0] >= 0)

    def _arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.array(self.first.left, np.int64), np.array(self.second.left, np.int64)


def compare(
    first: Tree, second: Tree, book: Codebook, texts: TextCost | None = None, record: str = "the pair"
) -> Comparison:
    """Set two trees side by side; with `texts`, free texts in the same place are graded.

    Raises `FlowTooLarge` naming `record` for pairs beyond the limits.
    """
    a, b = (_plain_kernels.postorder(book.encode(tree)) for tree in (first, second))
    if _plain_kernels.cells(a.left, b.left) > (MAX_CELLS if fast_kernels() else MAX_PLAIN_CELLS):
        raise too_many_cells(record)
    codes_a, codes_b = np.array(a.codes, np.int64)[:, None], np.array(b.codes, np.int64)[None, :]
    different = codes_a != codes_b
    other_group = (codes_a ^ codes_b) & 0xFFFFFFFF != 0
    costs = (different.astype(np.int64) + (different & other_group)) * STEPS
    comparison = Comparison(a, b, costs)
    if texts is not None:
        _grade(comparison, first, second, texts)
    return comparison


def _grade(comparison: Comparison, first: Tree, second: Tree, texts: TextCost) -> None:
    """Lower the costs between free texts in the same place."""
    places: dict[Any, list[tuple[int, str]]] = {}
    for row, node in enumerate(comparison.first.nodes):
        place, text = _graded_place(first, node)
        if place is not None:
            places.setdefault(place, []).append((row, text))
    for column, node in enumerate(comparison.second.nodes):
        place, text = _graded_place(second, node)
        for row, other in places.get(place, ()) if place is not None else ():
            comparison.costs[row, column] = texts(other, text)


def _graded_place(tree: Tree, node: int) -> tuple[Any, str]:
    """What must be equal before two texts are graded, and the text; None for nodes that hold no free text."""
    label = tree.labels[node] if node >= 0 else ("",)
    is_text = isinstance(label, tuple) and (label[0] == "clause" or (label[0] == "input" and label[2] == "text"))
    text_class = free_text_class(label[-1]) if is_text else None
    return (None, "") if text_class is None else ((*label[:-1], text_class), label[-1])
