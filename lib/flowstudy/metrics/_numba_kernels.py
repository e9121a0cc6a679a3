"""The tree edit distance as numba kernels: Zhang-Shasha over integer codes (see `trees` for the codes).

Before the quadratic part, three reductions that leave the distance unchanged: nodes that cost nothing are taken out;
equal subtrees at both ends of the children of matched roots are matched; a single child with an equal label on both
sides is matched and entered. Of a pair and its mirror image the cheaper one is computed.
Index variables are unsigned so that numba does not test for negative indices.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]
_LOW = 0xFFFFFFFF


def _jit() -> Any:
    """`numba.njit` with an on-disk cache, or without one where no folder can be written."""

    def decorate(function: Any) -> Any:
        try:
            return numba.njit(cache=True, nogil=True)(function)
        except RuntimeError:
            return numba.njit(nogil=True)(function)

    return decorate


@_jit()
def _compact(encoded: _Ints, start: int, end: int, codes: _Ints, sizes: _Ints) -> int:
    """Codes and subtree sizes, in document order, of the nodes that cost something below a root of our own."""
    n = (end - start) // 2
    place = np.empty(n, np.int64)
    above = np.empty(n + 1, np.int64)
    codes[0] = 0
    above[0] = -1
    kept = 1
    for node in range(n):
        parent = encoded[start + n + node]
        owner = place[parent] if parent >= 0 else 0
        code = encoded[start + node]
        if code < 0:
            place[node] = owner
        else:
            place[node] = kept
            codes[kept] = code
            above[kept] = owner
            kept += 1
    for node in range(kept):
        sizes[node] = 1
    for node in range(kept - 1, 0, -1):
        sizes[above[node]] += sizes[node]
    return kept


@_jit()
def _same(codes_a: _Ints, sizes_a: _Ints, a: int, codes_b: _Ints, sizes_b: _Ints, b: int) -> bool:
    size = sizes_a[a]
    if size != sizes_b[b]:
        return False
    for k in range(size):  # noqa: SIM110 - numba has no all()
        if codes_a[a + k] != codes_b[b + k] or sizes_a[a + k] != sizes_b[b + k]:
            return False
    return True


@_jit()
def _strip(
    codes_a: _Ints, sizes_a: _Ints, kept_a: int, codes_b: _Ints, sizes_b: _Ints, kept_b: int
) -> tuple[int, int, int, int]:
    """The two ranges of nodes that remain to be compared, after matching what is equal at both ends."""
    a, a_end, b, b_end = 1, kept_a, 1, kept_b
    last_a = np.empty(kept_a, np.int64)
    last_b = np.empty(kept_b, np.int64)
    while True:
        while a < a_end and b < b_end and _same(codes_a, sizes_a, a, codes_b, sizes_b, b):
            a += sizes_a[a]
            b += sizes_b[b]
        many_a, node = 0, a
        while node < a_end:
            last_a[many_a] = node
            many_a += 1
            node += sizes_a[node]
        many_b, node = 0, b
        while node < b_end:
            last_b[many_b] = node
            many_b += 1
            node += sizes_b[node]
        while many_a and many_b and _same(codes_a, sizes_a, last_a[many_a - 1], codes_b, sizes_b, last_b[many_b - 1]):
            many_a -= 1
            many_b -= 1
            a_end, b_end = last_a[many_a], last_b[many_b]
        if many_a == 1 and many_b == 1 and codes_a[a] == codes_b[b]:
            a += 1
            b += 1
        else:
            return a, a_end, b, b_end


@_jit()
def _postorder(codes: _Ints, sizes: _Ints, start: int, end: int, mirror: bool, out: _Ints, left: _Ints) -> int:
    """Codes and leftmost leaves in postorder of the forest start..end under a root; returns the sum of keyroot sizes.

    In the mirror image, postorder is document order backwards.
    """
    n = end - start
    out[n] = 0
    left[n] = 0
    if mirror:
        for node in range(start, end):
            post = end - 1 - node
            out[post] = codes[node]
            left[post] = post - sizes[node] + 1
    else:
        depth = 0
        ends = np.empty(n + 1, np.int64)
        for node in range(start, end):
            while depth and ends[depth - 1] <= node:
                depth -= 1
            post = node - start + sizes[node] - 1 - depth
            out[post] = codes[node]
            left[post] = post - sizes[node] + 1
            ends[depth] = node + sizes[node]
            depth += 1
    seen = np.zeros(n + 1, np.bool_)
    total = 0
    for post in range(n, -1, -1):
        if not seen[left[post]]:
            seen[left[post]] = True
            total += post - left[post] + 1
    return total


@_jit()
def _roots(left: _Ints) -> _Ints:
    """The keyroots, in ascending order: the last node of each leftmost leaf."""
    n = len(left)
    seen = np.zeros(n, np.bool_)
    roots = np.empty(n, np.int64)
    k = n
    for post in range(n - 1, -1, -1):
        if not seen[left[post]]:
            seen[left[post]] = True
            k -= 1
            roots[k] = post
    return roots[k:]


@_jit()
def _relabel(code: int, other: int) -> np.int32:
    if code == other:
        return np.int32(0)
    return np.int32(1) if (code ^ other) & _LOW == 0 else np.int32(2)


@_jit()
def _zhang_shasha(codes_a: _Ints, left_a: _Ints, codes_b: _Ints, left_b: _Ints) -> int:
    """The distance of two trees in postorder; unit insertions and deletions, relabelling 0, 1 or 2 by code."""
    n, m = len(codes_a), len(codes_b)
    tree = np.empty((n, m), np.int32)
    forest = np.empty((n + 1, m + 1), np.int32)
    shift = np.empty(m, np.uint32)
    one = np.uint32(1)
    roots_b = _roots(left_b)
    for i in _roots(left_a):
        li = left_a[i]
        for j in roots_b:
            lj = left_b[j]
            if i == li and j == lj:
                tree[i, j] = _relabel(codes_a[i], codes_b[j])
                continue
            height, width = np.uint32(i - li + 1), np.uint32(j - lj + 1)
            for y in range(width):
                shift[y] = left_b[lj + y] - lj
            for y in range(width + one):
                forest[0, y] = y
            for x in range(height):
                own = li + x
                code, before = codes_a[own], np.uint32(left_a[own] - li)
                up, row, out = forest[x], forest[np.uint32(x) + one], tree[own]
                base = forest[before]
                last = np.int32(x + 1)
                row[0] = last
                if before:
                    for y in range(width):
                        best = min(last, up[np.uint32(y) + one]) + np.int32(1)
                        last = min(best, base[shift[y]] + out[np.uint32(lj + y)])
                        row[np.uint32(y) + one] = last
                else:
                    for y in range(width):
                        best = min(last, up[np.uint32(y) + one]) + np.int32(1)
                        if shift[y]:
                            last = min(best, base[shift[y]] + out[np.uint32(lj + y)])
                        else:
                            last = min(best, up[y] + _relabel(code, codes_b[np.uint32(lj + y)]))
                            out[np.uint32(lj + y)] = last
                        row[np.uint32(y) + one] = last
    return tree[n - 1, m - 1]


@_jit()
def _distance(encoded: _Ints, a0: int, a1: int, b0: int, b1: int, most_cells: int) -> int:
    codes_a, sizes_a = np.empty((a1 - a0) // 2 + 1, np.int64), np.empty((a1 - a0) // 2 + 1, np.int64)
    codes_b, sizes_b = np.empty((b1 - b0) // 2 + 1, np.int64), np.empty((b1 - b0) // 2 + 1, np.int64)
    kept_a = _compact(encoded, a0, a1, codes_a, sizes_a)
    kept_b = _compact(encoded, b0, b1, codes_b, sizes_b)
    a, a_end, b, b_end = _strip(codes_a, sizes_a, kept_a, codes_b, sizes_b, kept_b)
    n, m = a_end - a, b_end - b
    if n == 0 or m == 0:
        return n + m
    post_a, left_a = np.empty((2, n + 1), np.int64), np.empty((2, n + 1), np.int64)
    post_b, left_b = np.empty((2, m + 1), np.int64), np.empty((2, m + 1), np.int64)
    work = np.empty(2, np.int64)
    for side in range(2):
        work[side] = _postorder(codes_a, sizes_a, a, a_end, side == 1, post_a[side], left_a[side])
        work[side] *= _postorder(codes_b, sizes_b, b, b_end, side == 1, post_b[side], left_b[side])
    side = 1 if work[1] < work[0] else 0
    if work[side] > most_cells:
        return -1
    return _zhang_shasha(post_a[side], left_a[side], post_b[side], left_b[side])


@_jit()
def pair_distance(encoded_a: _Ints, encoded_b: _Ints, most_cells: int) -> int:
    """The distance of two encoded trees, or -1 when it would take more than `most_cells` table cells."""
    both = np.concatenate((encoded_a, encoded_b))
    return _distance(both, 0, len(encoded_a), len(encoded_a), len(both), most_cells)


@_jit()
def two_distances(encoded: _Ints, a: int, b: int, c: int, d: int, most_cells: int) -> tuple[int, int]:
    """Distances of two pairs of trees that lie one after another with lengths a, b and c, d."""
    first = _distance(encoded, 0, a, a, a + b, most_cells)
    return first, _distance(encoded, a + b, a + b + c, a + b + c, a + b + c + d, most_cells)


@_jit()
def many_distances(encoded: _Ints, starts: _Ints, pairs: _Ints, most_cells: int, distances: _Ints) -> None:
    """Distances of many pairs: tree t lies at starts[t]..starts[t + 1] of `encoded`, `pairs` holds two tree numbers.

    Holds no lock of the interpreter, so that several threads can each take a part of the pairs.
    """
    for k in range(len(pairs)):
        a, b = pairs[k, 0], pairs[k, 1]
        distances[k] = _distance(encoded, starts[a], starts[a + 1], starts[b], starts[b + 1], most_cells)
