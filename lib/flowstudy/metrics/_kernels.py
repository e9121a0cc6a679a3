"""Zhang-Shasha with any relabelling costs, and the alignment that attains the distance.

Trees come in postorder as arrays of leftmost leaves, costs as whole numbers; nothing recurses. All functions stand in
this file, because numba's cache on disk notices changes in the file of a function, not in those that it calls.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from flowstudy.metrics.trees import FREE_CODE

_Ints = NDArray[np.int64]
_Costs = NDArray[np.int32]
_LOW = 0xFFFFFFFF


def _jit(function: Any) -> Any:
    """`numba.njit` with a cache on disk, or without one where no folder can be written."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


@_jit
def _roots(left: _Ints) -> _Ints:
    """The keyroots: the last node of each leftmost leaf, ascending."""
    last, roots, count = np.empty(len(left), np.int64), np.empty(len(left), np.int64), 0
    for node in range(len(left)):
        last[left[node]] = node
    for node in range(len(left)):
        if last[left[node]] == node:
            roots[count] = node
            count += 1
    return roots[:count]


@_jit
def _fill(i: int, j: int, left_a: _Ints, left_b: _Ints, costs: _Costs, unit: int, tree: _Costs, forest: _Costs) -> None:
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
def tree_table(left_a: _Ints, left_b: _Ints, costs: _Costs, unit: int) -> _Costs:
    """Distances of all pairs of subtrees; the last entry is that of the whole trees."""
    n, m = len(left_a), len(left_b)
    tree = np.empty((n, m), np.int32)
    forest = np.empty((n + 1, m + 1), np.int32)
    roots_b = _roots(left_b)
    for i in _roots(left_a):
        for j in roots_b:
            if left_a[i] == i and left_b[j] == j:  # two leaves, as most inputs are
                tree[i, j] = min(2 * unit, costs[i, j])
            else:
                _fill(i, j, left_a, left_b, costs, unit, tree, forest)
    return tree


@_jit
def _postorder(codes: _Ints, parents: _Ints) -> tuple[_Ints, _Ints]:
    """Codes and leftmost leaves in postorder, as `kernel.postorder` gives them."""
    n, count, depth = len(codes), 0, 0
    rows = np.empty((4, n + 1), np.int64)
    found, left, starts, path = rows[0], rows[1], rows[2], rows[3]
    for node in range(n + 1):
        while depth and (node == n or path[depth - 1] != parents[node]):
            depth -= 1
            done = path[depth]
            if codes[done] != FREE_CODE:
                found[count], left[count] = codes[done], starts[done]
                count += 1
        path[depth], starts[node] = node, count
        depth += 1
    found[count], left[count] = 0, 0
    return found[: count + 1], left[: count + 1]


@_jit
def code_distance(codes_a: _Ints, parents_a: _Ints, codes_b: _Ints, parents_b: _Ints) -> int:
    """The distance of two coded trees: relabelling costs 0 for equal codes, 1 within a group, 2 otherwise."""
    post_a, left_a = _postorder(codes_a, parents_a)
    post_b, left_b = _postorder(codes_b, parents_b)
    costs = np.empty((len(post_a), len(post_b)), np.int32)
    for i in range(len(post_a)):
        for j in range(len(post_b)):
            different = post_a[i] ^ post_b[j]
            costs[i, j] = 0 if different == 0 else 1 if different & _LOW == 0 else 2
    return tree_table(left_a, left_b, costs, 1)[-1, -1]


@_jit
def align(left_a: _Ints, left_b: _Ints, costs: _Costs, unit: int, tree: _Costs) -> _Ints:
    """Rows (node of a, node of b) of an optimal alignment; nodes in no row are deleted or inserted.

    Of equally good scripts, one that keeps nodes together is taken, unless relabelling costs as much as replacing.
    """
    n, m = len(left_a), len(left_b)
    forest = np.empty((n + 1, m + 1), np.int32)
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
