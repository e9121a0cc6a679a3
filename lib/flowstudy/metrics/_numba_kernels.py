"""The tree edit distance as numba kernels: Zhang-Shasha over integer codes (see `trees` for the codes).

Four reductions come before the quadratic part and leave the distance unchanged: nodes that cost nothing are taken out;
equal subtrees at both ends of the children of matched roots are matched; a single child with an equal label on both
sides is matched and entered; nodes that no node of the other tree resembles are taken out and counted, because
relabelling them costs as much as replacing them. Of a pair and its mirror image the cheaper one is computed.

The quadratic part counts what is saved against deleting one tree and inserting the other: 2 for a match, 1 for a
relabelling within a group. Empty forests save nothing, so tables start with zeroes, and a cell is a maximum of three.
The tables of all keyroots of the second tree lie side by side in one row, each on a level above the one before it, so
that one loop without branches fills the row and no cell takes a value from the table to its left.
Index variables are unsigned so that numba does not test for negative indices. All kernels stand in this file, because
numba's cache on disk notices changes in the file of a function, not in those of the functions that it calls.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]
_Cells = NDArray[np.int32]
_Places = NDArray[np.uint32]
_LOW = 0xFFFFFFFF
#: Codes are looked up in as many slots as this mask of their lower bits has values.
_SLOT = 0x3FF
#: More than any table of savings holds: twice the most nodes that a flow may have.
_LEVEL = np.uint32(10_002)
#: Columns of tables that are filled side by side; enough for short overheads, few enough for the cache.
_WIDE = 1024


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
        code, up = encoded[start + 2 * node], encoded[start + 2 * node + 1]
        if up < 0:
            owner = place[node + up] if inputs else -1
        else:
            owner = place[node - up] if up else 0
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
def _mark(codes: _Ints, start: int, end: int, bit: int, seen: NDArray[np.uint8]) -> None:
    for node in range(start, end):
        seen[codes[node] & _SLOT] |= bit


@_jit()
def _with_partners(
    codes: _Ints, sizes: _Ints, start: int, end: int, seen: NDArray[np.uint8], ends: _Ints, kept_as: _Ints
) -> int:
    """Keep the nodes whose slot both trees have marked; returns the new end. Nodes that share a slot only are kept."""
    kept, depth = start, 0
    for node in range(start, end):
        while depth and ends[depth - 1] <= node:
            depth -= 1
            sizes[kept_as[depth]] = kept - kept_as[depth]
        if seen[codes[node] & _SLOT] == 3:
            ends[depth], kept_as[depth] = node + sizes[node], kept
            codes[kept] = codes[node]
            depth += 1
            kept += 1
    while depth:
        depth -= 1
        sizes[kept_as[depth]] = kept - kept_as[depth]
    return kept


@_jit()
def _lay_out(left: _Ints, roots: _Ints, borders: int, columns: NDArray[np.uint32], floor: _Cells) -> tuple[int, int]:
    """Set the tables of as many keyroots as fit side by side; returns how many, and the width that they take.

    Table k starts at column k, its border, which always holds its level. For each further column: its node, the column
    of the forest before that node's subtree, that before the node alone, and the level on the leftmost path, else 0.
    """
    nodes, far, near, level = columns[0], columns[1], columns[2], columns[3]
    k, p = np.uint32(0), np.uint32(borders)
    for j in roots:
        first = left[j]
        if k == borders or (k and p + j - first + 1 > len(nodes)):
            break
        own, start = (k + np.uint32(1)) * _LEVEL, p - np.uint32(1)
        floor[k] = own
        for y in range(first, j + 1):
            inner = left[y] > first
            nodes[p] = y
            far[p] = start + (left[y] - first) if inner else k
            near[p] = k if inner or y == first else p - np.uint32(1)
            level[p] = 0 if inner else own
            floor[p] = own
            p += np.uint32(1)
        k += np.uint32(1)
    return int(k), int(p)


@_jit()
def _fill_inner(up: _Cells, row: _Cells, base: _Cells, saved: _Cells, nodes: _Places, far: _Places) -> None:
    """A row whose node is off the leftmost path: all pairs of subtrees in it are known."""
    last = np.int32(0)
    for p in range(np.uint64(len(row))):
        whole = np.int32(base[far[p]] + saved[nodes[p]])
        above = up[p]
        best = whole if whole > above else above
        last = last if last > best else best
        row[p] = last


@_jit()
def _fill_left(
    up: _Cells, row: _Cells, base: _Cells, saved: _Cells, nodes: _Places, near: _Places, level: _Places
) -> None:
    """A row whose node is on the leftmost path: `saved` holds what relabelling saves, and gets what subtrees save."""
    last = np.int32(0)
    for p in range(np.uint64(len(row))):
        node = nodes[p]
        known = saved[node]
        whole = np.int32(base[near[p]] + known)
        above = up[p]
        best = whole if whole > above else above
        last = last if last > best else best
        row[p] = last
        saved[node] = np.int32(last - level[p]) if level[p] else known


@_jit()
def _relabel(code: int, others: _Ints, saved: _Cells, nodes: _Places, level: _Places) -> None:
    """What relabelling saves, for nodes on the leftmost path of their table."""
    for p in range(np.uint64(len(nodes))):
        if level[p]:
            node = nodes[p]
            other = others[node]
            saved[node] = np.int32(code == other) + np.int32((code ^ other) & _LOW == 0)


@_jit()
def _most_saved(codes_a: _Ints, left_a: _Ints, codes_b: _Ints, left_b: _Ints, total_b: int, spare: _Ints) -> int:
    """The most that an alignment of two trees in postorder saves; `total_b`: sum of keyroot sizes of the second."""
    n, m = len(codes_a), len(codes_b)
    roots_b, roots_a = _roots(left_b, spare[0], spare[2]), _roots(left_a, spare[1], spare[2])
    borders = min(len(roots_b), _WIDE)
    columns = np.empty((4, borders + min(total_b, max(_WIDE, m))), np.uint32)
    forest = np.empty((n + 1, columns.shape[1]), np.int32)
    subtrees = np.empty((n, m), np.int32)
    done = 0
    while done < len(roots_b):
        count, width = _lay_out(left_b, roots_b[done:], borders, columns, forest[0])
        for x in range(n):
            for k in range(count):
                forest[x + 1, k] = forest[0, k]
        nodes, far = columns[0, borders:width], columns[1, borders:width]
        near, level = columns[2, borders:width], columns[3, borders:width]
        for i in roots_a:
            for x in range(left_a[i], i + 1):
                r, before, saved = x - left_a[i], left_a[x] - left_a[i], subtrees[x]
                up, row = forest[r, borders:width], forest[r + 1, borders:width]
                if before:
                    _fill_inner(up, row, forest[before], saved, nodes, far)
                else:
                    _relabel(codes_a[x], codes_b, saved, nodes, level)
                    _fill_left(up, row, forest[r], saved, nodes, near, level)
        done += count
    return subtrees[n - 1, m - 1]


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
    all_replaced = n + m
    seen = np.zeros(_SLOT + 1, np.uint8)
    _mark(codes_a, a, a_end, 1, seen)
    _mark(codes_b, b, b_end, 2, seen)
    a_end = _with_partners(codes_a, sizes_a, a, a_end, seen, spare[0], spare[1])
    b_end = _with_partners(codes_b, sizes_b, b, b_end, seen, spare[0], spare[1])
    n, m = a_end - a, b_end - b
    post_a, left_a, post_b, left_b = rows[7:9], rows[9:11], rows[11:13], rows[13:15]
    work, side, width = 0, 0, np.int64(0)  # a plain 0 would have numba compile the quadratic part for it alone
    for k in range(2):
        height = _postorder(codes_a, sizes_a, a, a_end, k == 1, post_a[k], left_a[k], spare[0])
        total = _postorder(codes_b, sizes_b, b, b_end, k == 1, post_b[k], left_b[k], spare[0])
        if k == 0 or height * total < work:
            work, side, width = height * total, k, total
    if work > most_cells:
        return -1
    saved = _most_saved(
        post_a[side, : n + 1], left_a[side, : n + 1], post_b[side, : m + 1], left_b[side, : m + 1], width, spare
    )
    return all_replaced - (saved - 2)  # our own roots are matched, too, and are not among the nodes


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
