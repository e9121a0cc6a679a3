"""The tree edit distance in plain Python: the fallback where numba is missing, with equal results.

A textbook Zhang-Shasha over the codes of `trees`, without the shortcuts of the numba kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from flowstudy.metrics.trees import FREE_CODE, NODE

_LOW = 0xFFFFFFFF


class Postorder(NamedTuple):
    """A tree without its free nodes, below a root of our own, in postorder.

    `nodes` are indices into the original tree (-1 for the root), `codes` their codes (0 for the root), `left` the
    postorder number of each node's leftmost leaf.
    """

    nodes: list[int]
    codes: list[int]
    left: list[int]


_LEFT_OUT: Final = -1


def postorder(encoded: bytes, inputs: bool = True) -> Postorder:
    """Read an encoded tree into postorder, with or without its inputs."""
    nodes = list(NODE.iter_unpack(encoded))
    place, above, kept = [0] * len(nodes), [-1], [-1]
    for node, (code, up) in enumerate(nodes):
        owner = _LEFT_OUT if up < 0 and not inputs else place[node - abs(up)] if up else 0
        place[node] = owner
        if code != FREE_CODE and owner != _LEFT_OUT:
            place[node] = len(kept)
            kept.append(node)
            above.append(owner)
    sizes, depths = [1] * len(kept), [0] * len(kept)
    for k in range(len(kept) - 1, 0, -1):
        sizes[above[k]] += sizes[k]
    for k in range(1, len(kept)):
        depths[k] = depths[above[k]] + 1
    order = sorted(range(len(kept)), key=lambda k: k + sizes[k] - 1 - depths[k])
    return Postorder(
        [kept[k] for k in order],
        [nodes[kept[k]][0] if k else 0 for k in order],
        [post - sizes[k] + 1 for post, k in enumerate(order)],
    )


def keyroots(left: Sequence[int]) -> list[int]:
    """The last node of each leftmost leaf, ascending."""
    return sorted({leaf: node for node, leaf in enumerate(left)}.values())


def cells(left_a: Sequence[int], left_b: Sequence[int]) -> int:
    """Table cells that a comparison computes."""
    total_a = sum(node - left_a[node] + 1 for node in keyroots(left_a))
    return total_a * sum(node - left_b[node] + 1 for node in keyroots(left_b))


def relabel_cost(code_a: int, code_b: int) -> int:
    """0 for equal codes, 1 within a group, 2 otherwise."""
    if code_a == code_b:
        return 0
    return 1 if (code_a ^ code_b) & _LOW == 0 else 2


def pair_distance(encoded_a: bytes, encoded_b: bytes, inputs: bool, most_cells: int) -> int:
    """The distance of two encoded trees, or -1 when it would take more than `most_cells` table cells."""
    a, b = postorder(encoded_a, inputs), postorder(encoded_b, inputs)
    return -1 if cells(a.left, b.left) > most_cells else postorder_distance(a, b)


def postorder_distance(a: Postorder, b: Postorder) -> int:
    """The distance of two trees in postorder."""
    tree = [[0] * len(b.nodes) for _ in a.nodes]
    roots_b = keyroots(b.left)
    for i in keyroots(a.left):
        for j in roots_b:
            _compare(a, b, i, j, tree)
    return tree[-1][-1]


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
                best = min(best, above[y - lj] + relabel_cost(a.codes[x], b.codes[y]))
                out[y] = best
            else:
                best = min(best, base[b.left[y] - lj] + out[y])
            row.append(best)
        rows.append(row)
