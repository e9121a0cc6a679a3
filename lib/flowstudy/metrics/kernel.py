"""Exact tree edit distance of coded trees: numba where it is installed, plain Python otherwise, with equal results.

Importing numba takes longer than comparing a few flows, so a process starts in plain Python and imports numba once it
has `FEW_CELLS` table cells to compute. The machine code is kept on disk between processes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

from flowstudy.metrics.trees import MAX_CELLS, Coded, FlowTooLarge

#: Most table cells of one comparison in plain Python (about a minute), where numba is missing.
MAX_PLAIN_CELLS: Final = 200_000_000
#: Table cells that a process computes in plain Python (about half a second) before it imports numba.
FEW_CELLS: Final = 1_000_000
_LOW: Final = 0xFFFFFFFF
_has_numba: Final = find_spec("numba") is not None
_cells_done = [0]


def tree_distance(first: Coded, second: Coded, record: str = "the pair") -> int:
    """Edit distance of two coded trees, an integer >= 0; `FlowTooLarge` names `record` if it would take too long.

    Insertions and deletions cost 1, relabelling 0, 1 or 2 by code (see `trees`). Symmetric, and a metric.
    """
    if first.codes == second.codes and first.left == second.left:
        return 0
    if _cells_done[0] <= FEW_CELLS:
        _cells_done[0] += cells(first.left, second.left)
    if _has_numba and _cells_done[0] > FEW_CELLS:
        if len(first.left) ** 2 * len(second.left) ** 2 > MAX_CELLS:
            check_cells(first, second, record)
        from flowstudy.metrics._kernels import code_distance

        return int(code_distance(*map(ints, (first.codes, first.left, second.codes, second.left))))
    check_cells(first, second, record)
    return plain_distance(first, second)


def ints(values: array[int]) -> Any:
    """An array of Python as one of numpy, without a copy."""
    import numpy as np

    return np.frombuffer(values, np.int64)


def cells(left_a: Sequence[int], left_b: Sequence[int]) -> int:
    """Table cells that a comparison computes."""
    totals = [sum([node - left[node] + 1 for node in _keyroots(left)]) for left in (left_a, left_b)]
    return totals[0] * totals[1]


def check_cells(first: Coded, second: Coded, record: str) -> None:
    """`FlowTooLarge` naming `record` for a comparison of more table cells than are computed."""
    most = MAX_CELLS if _has_numba else MAX_PLAIN_CELLS
    if cells(first.left, second.left) > most:
        raise FlowTooLarge(
            f"pair too large for {record}: expected at most {most} table cells, got more; compare the flows in parts"
        )


def plain_distance(first: Coded, second: Coded) -> int:
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


def _compare(a: Coded, b: Coded, i: int, j: int, tree: list[list[int]]) -> None:
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
