"""Exact tree edit distance of coded trees: in plain Python at first, by numba when there is much to do.

Importing numba takes longer than comparing a few flows, so a process imports it once it has `FEW_CELLS` table cells to
compute. The machine code is kept on disk between processes. Both give equal distances.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, NamedTuple

from flowstudy.metrics.trees import FREE_CODE, MAX_CELLS, Coded, FlowTooLarge

#: Table cells that a process computes in plain Python (about half a second) before it imports numba.
FEW_CELLS: Final = 1_000_000
_LOW: Final = 0xFFFFFFFF
_cells_done = [0]


class Postorder(NamedTuple):
    """A tree without its free nodes, below a root of our own, in postorder: indices into the original tree (-1 for the
    root), their codes (0 for the root), and the postorder number of each node's leftmost leaf."""

    nodes: list[int]
    codes: list[int]
    left: list[int]


def postorder(tree: Coded) -> Postorder:
    """A coded tree in postorder."""
    found, starts, path = Postorder([], [], []), list[int](), list[int]()
    for node, above in enumerate([*tree.parents, -1]):
        while path and path[-1] != above:
            done = path.pop()
            if tree.codes[done] != FREE_CODE:
                found.nodes.append(done)
                found.codes.append(tree.codes[done])
                found.left.append(starts[done])
        path.append(node)
        starts.append(len(found.nodes))
    return Postorder([*found.nodes, -1], [*found.codes, 0], [*found.left, 0])


def tree_distance(first: Coded, second: Coded, record: str = "the pair") -> int:
    """Edit distance of two coded trees, an integer >= 0; `FlowTooLarge` names `record` if it would take too long.

    Insertions and deletions cost 1, relabelling 0, 1 or 2 by code (see `trees`). Symmetric, and a metric.
    """
    if first.codes == second.codes and first.parents == second.parents:
        return 0
    if _cells_done[0] <= FEW_CELLS or (len(first.codes) * len(second.codes)) ** 2 > MAX_CELLS:
        a, b = postorder(first), postorder(second)
        _cells_done[0] += checked_cells(a, b, record)
        if _cells_done[0] <= FEW_CELLS:
            return plain_distance(a, b)
    distance, ints = _fast()
    return int(distance(ints(first.codes), ints(first.parents), ints(second.codes), ints(second.parents)))


@cache
def _fast() -> tuple[Callable[..., int], Callable[[array[int]], Any]]:
    """The numba kernel, and arrays of Python as those of numpy, without a copy."""
    import numpy as np

    from flowstudy.metrics._kernels import code_distance

    return code_distance, partial(np.frombuffer, dtype=np.int64)


def checked_cells(a: Postorder, b: Postorder, record: str) -> int:
    """Table cells that a comparison computes; `FlowTooLarge` naming `record` for more than `MAX_CELLS`."""
    totals = [sum([node - tree.left[node] + 1 for node in _keyroots(tree.left)]) for tree in (a, b)]
    if totals[0] * totals[1] > MAX_CELLS:
        rule = f"expected at most {MAX_CELLS} table cells, got more"
        raise FlowTooLarge(f"pair too large for {record}: {rule}; compare the flows in parts")
    return totals[0] * totals[1]


def plain_distance(first: Postorder, second: Postorder) -> int:
    """The distance in plain Python: a textbook Zhang-Shasha."""
    tree = [[0] * len(second.left) for _ in first.left]
    roots = _keyroots(second.left)
    for i in _keyroots(first.left):
        for j in roots:
            _compare(first, second, i, j, tree)
    return tree[-1][-1]


def _keyroots(left: Sequence[int]) -> list[int]:
    """The last node of each leftmost leaf, ascending."""
    return sorted({leaf: node for node, leaf in enumerate(left)}.values())


def _compare(a: Postorder, b: Postorder, i: int, j: int, tree: list[list[int]]) -> None:
    """Fill `tree` for all subtrees that share their leftmost leaf with keyroots i and j."""
    li, lj = a.left[i], b.left[j]
    rows = [list(range(j - lj + 2))]
    for x in range(li, i + 1):
        base, above, out = rows[a.left[x] - li], rows[-1], tree[x]
        row = [x - li + 1]
        for y in range(lj, j + 1):
            best = min(row[-1], above[y - lj + 1]) + 1
            if a.left[x] == li and b.left[y] == lj:
                different = a.codes[x] ^ b.codes[y]
                best = min(best, above[y - lj] + (0 if not different else 1 if not different & _LOW else 2))
                out[y] = best
            else:
                best = min(best, base[b.left[y] - lj] + out[y])
            row.append(best)
        rows.append(row)
