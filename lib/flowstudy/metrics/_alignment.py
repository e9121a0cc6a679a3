"""Zhang-Shasha with any relabelling costs, and the alignment that attains the distance.

The functions are plain loops over numpy arrays: numba compiles them where it is installed, and they run as they are
where it is not. Trees come in postorder as arrays of leftmost leaves; nothing recurses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowstudy.metrics.kernel import fast_kernels

_Ints = NDArray[np.int64]


def _jit(function: Any) -> Any:
    fast = fast_kernels()
    return fast._jit()(function) if fast else function


@_jit
def _roots(left: _Ints) -> _Ints:
    last = np.full(len(left), -1, np.int64)
    for node in range(len(left)):
        last[left[node]] = node
    return np.sort(last[last >= 0])


@_jit
def _fill(i: int, j: int, left_a: _Ints, left_b: _Ints, costs: _Ints, unit: int, tree: _Ints, forest: _Ints) -> None:
    """Forest distances below nodes i and j; `tree` is read, and written for subtrees that start where theirs do."""
    li, lj = left_a[i], left_b[j]
    width = j - lj + 1
    starts, first = left_b[lj : j + 1], forest[0]
    first[0] = 0
    for c in range(width):
        first[c + 1] = first[c] + unit
    for x in range(li, i + 1):
        r = x - li + 1
        up, row, before = forest[r - 1], forest[r], forest[left_a[x] - li]
        known, cost, whole = tree[x, lj:], costs[x, lj:], left_a[x] == li
        last = up[0] + unit
        row[0] = last
        for c in range(width):
            start = starts[c] - lj
            if whole and start == 0:
                last = min(min(up[c + 1], last) + unit, up[c] + cost[c])
                known[c] = last
            else:
                last = min(min(up[c + 1], last) + unit, before[start] + known[c])
            row[c + 1] = last


@_jit
def tree_table(left_a: _Ints, left_b: _Ints, costs: _Ints, unit: int) -> _Ints:
    """Distances of all pairs of subtrees; the last entry is that of the whole trees."""
    n, m = len(left_a), len(left_b)
    tree = np.zeros((n, m), np.int64)
    forest = np.zeros((n + 1, m + 1), np.int64)
    roots_b = _roots(left_b)
    for i in _roots(left_a):
        for j in roots_b:
            if left_a[i] == i and left_b[j] == j:  # two leaves, as most inputs are
                tree[i, j] = min(2 * unit, costs[i, j])
            else:
                _fill(i, j, left_a, left_b, costs, unit, tree, forest)
    return tree


@_jit
def align(left_a: _Ints, left_b: _Ints, costs: _Ints, unit: int, tree: _Ints) -> _Ints:
    """Rows (node of a, node of b) of an optimal alignment; nodes in no row are deleted or inserted.

    Of equally good scripts, one that keeps nodes together is taken, unless relabelling costs as much as replacing.
    """
    n, m = len(left_a), len(left_b)
    forest = np.zeros((n + 1, m + 1), np.int64)
    found = np.empty((min(n, m), 2), np.int64)
    waiting = np.empty((min(n, m) + 1, 2), np.int64)
    waiting[0] = (n - 1, m - 1)
    count, left = 0, 1
    while left:
        left -= 1
        i, j = waiting[left]
        li, lj = left_a[i], left_b[j]
        _fill(i, j, left_a, left_b, costs, unit, tree, forest)
        x, y = i, j
        while x >= li and y >= lj:
            r, c = x - li + 1, y - lj + 1
            here = forest[r, c]
            whole = left_a[x] == li and left_b[y] == lj
            if whole and here == forest[r - 1, c - 1] + costs[x, y] and (costs[x, y] < 2 * unit or (x == i and y == j)):
                found[count] = (x, y)
                count += 1
                x -= 1
                y -= 1
            elif not whole and here == forest[left_a[x] - li, left_b[y] - lj] + tree[x, y]:
                waiting[left] = (x, y)
                left += 1
                x, y = left_a[x] - 1, left_b[y] - 1
            elif here == forest[r - 1, c] + unit:
                x -= 1
            else:
                y -= 1
    return found[:count]
