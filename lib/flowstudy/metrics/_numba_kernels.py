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
def _compact(
    encoded: _Ints, start: int, end: int, inputs: bool, codes: _Ints, sizes: _Ints, place: _Ints, above: _Ints
) -> int:
    """Codes and subtree sizes, in document order, of the nodes that cost something below a root of our own.

    Without `inputs`, marked nodes are left out with all below them: their place is -1.
    """
    n = (end - start) // 2
    codes[0] = 0
    above[0] = -1
    kept = 1
    for node in range(n):
        parent = encoded[start + n + node]
        if parent < -1:
            owner = place[~parent] if inputs else -1
        else:
            owner = place[parent] if parent >= 0 else 0
        code = encoded[start + node]
        if code < 0 or owner < 0:
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
    codes_a: _Ints,
    sizes_a: _Ints,
    kept_a: int,
    codes_b: _Ints,
    sizes_b: _Ints,
    kept_b: int,
    last_a: _Ints,
    last_b: _Ints,
) -> tuple[int, int, int, int]:
    """The two ranges of nodes that remain to be compared, after matching what is equal at both ends."""
    a, a_end, b, b_end = 1, kept_a, 1, kept_b
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
def _postorder(
    codes: _Ints, sizes: _Ints, start: int, end: int, mirror: bool, out: _Ints, left: _Ints, spare: _Ints
) -> int:
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
        ends = spare
        for node in range(start, end):
            while depth and ends[depth - 1] <= node:
                depth -= 1
            post = node - start + sizes[node] - 1 - depth
            out[post] = codes[node]
            left[post] = post - sizes[node] + 1
            ends[depth] = node + sizes[node]
            depth += 1
    total, seen = 0, spare
    seen[: n + 1] = 0
    for post in range(n, -1, -1):
        if not seen[left[post]]:
            seen[left[post]] = 1
            total += post - left[post] + 1
    return total


@_jit()
def _roots(left: _Ints, roots: _Ints, seen: _Ints) -> _Ints:
    """The keyroots, in ascending order: the last node of each leftmost leaf; held in the end of `roots`."""
    n = len(left)
    seen[:n] = 0
    k = len(roots)
    for post in range(n - 1, -1, -1):
        if not seen[left[post]]:
            seen[left[post]] = 1
            k -= 1
            roots[k] = post
    return roots[k:]


@_jit()
def _relabel(code: int, other: int) -> np.int32:
    if code == other:
        return np.int32(0)
    return np.int32(1) if (code ^ other) & _LOW == 0 else np.int32(2)


@_jit()
def _zhang_shasha(codes_a: _Ints, left_a: _Ints, codes_b: _Ints, left_b: _Ints, spare: _Ints) -> int:
    """The distance of two trees in postorder; unit insertions and deletions, relabelling 0, 1 or 2 by code."""
    n, m = len(codes_a), len(codes_b)
    tree = np.empty((n, m), np.int32)
    forest = np.empty((n + 1, m + 1), np.int32)
    shift = np.empty(m, np.uint32)
    one = np.uint32(1)
    roots_b = _roots(left_b, spare[0], spare[2])
    for i in _roots(left_a, spare[1], spare[2]):
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
def _distance(encoded: _Ints, a0: int, a1: int, b0: int, b1: int, inputs: bool, most_cells: int) -> int:
    # One allocation for all short rows: for small trees, allocating takes as long as comparing.
    rows = np.empty((15, max(a1 - a0, b1 - b0) // 2 + 2), np.int64)
    codes_a, sizes_a, codes_b, sizes_b, spare = rows[0], rows[1], rows[2], rows[3], rows[4:7]
    kept_a = _compact(encoded, a0, a1, inputs, codes_a, sizes_a, spare[0], spare[1])
    kept_b = _compact(encoded, b0, b1, inputs, codes_b, sizes_b, spare[0], spare[1])
    a, a_end, b, b_end = _strip(codes_a, sizes_a, kept_a, codes_b, sizes_b, kept_b, spare[0], spare[1])
    n, m = a_end - a, b_end - b
    if n == 0 or m == 0:
        return n + m
    post_a, left_a, post_b, left_b = rows[7:9], rows[9:11], rows[11:13], rows[13:15]
    work = 0
    side = 0
    for k in range(2):
        cells = _postorder(codes_a, sizes_a, a, a_end, k == 1, post_a[k], left_a[k], spare[0])
        cells *= _postorder(codes_b, sizes_b, b, b_end, k == 1, post_b[k], left_b[k], spare[0])
        if k == 0 or cells < work:
            work, side = cells, k
    if work > most_cells:
        return -1
    return _zhang_shasha(
        post_a[side, : n + 1], left_a[side, : n + 1], post_b[side, : m + 1], left_b[side, : m + 1], spare
    )


@_jit()
def pair_distance(encoded_a: _Ints, encoded_b: _Ints, inputs: bool, most_cells: int) -> int:
    """The distance of two encoded trees, or -1 when it would take more than `most_cells` table cells."""
    both = np.concatenate((encoded_a, encoded_b))
    return _distance(both, 0, len(encoded_a), len(encoded_a), len(both), inputs, most_cells)


@_jit()
def two_distances(encoded: _Ints, end_a: int, most_cells: int) -> tuple[int, int]:
    """Distances without and with inputs of two trees that lie one after another, the first up to `end_a`."""
    bare = _distance(encoded, 0, end_a, end_a, len(encoded), False, most_cells)
    return bare, _distance(encoded, 0, end_a, end_a, len(encoded), True, most_cells)


@_jit()
def many_distances(encoded: _Ints, starts: _Ints, jobs: _Ints, most_cells: int, distances: _Ints) -> None:
    """Distances of many pairs: tree t lies at starts[t]..starts[t + 1]; a job is two tree numbers and 1 with inputs.

    Holds no lock of the interpreter, so that several threads can each take a part of the jobs.
    """
    for k in range(len(jobs)):
        a, b, inputs = jobs[k, 0], jobs[k, 1], jobs[k, 2] == 1
        distances[k] = _distance(encoded, starts[a], starts[a + 1], starts[b], starts[b + 1], inputs, most_cells)
