"""Every kernel gives the distance that zss gives; the unit-cost core is a metric."""

import random

import pytest
import zss
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.metrics import _plain_kernels, kernel
from flowstudy.metrics.comparison import compare
from flowstudy.metrics.limits import MAX_CELLS
from flowstudy.metrics.strings import STEPS
from flowstudy.metrics.trees import NODE, Codebook, Tree

fast = kernel.fast_kernels()
LABELS = ["free", "a1", "a2", "b1", "b2", "c", "d"]


def group(label):
    return None if label == "free" else () if label in "cd" else label[0]


BOOK = Codebook(group, len)


@st.composite
def trees(draw, most=14):
    n = draw(st.integers(1, most))
    parents = [-1]
    for node in range(1, n):  # document order: the parent is on the path to the node before
        path, above = [], node - 1
        while above >= 0:
            path.append(above)
            above = parents[above]
        parents.append(draw(st.sampled_from(path)))
    return Tree(draw(st.lists(st.sampled_from(LABELS), min_size=n, max_size=n)), parents, [])


def as_zss(tree):
    nodes = [zss.Node(label) for label in tree.labels]
    for node, above in enumerate(tree.parents):
        if above >= 0:
            nodes[above].addkid(nodes[node])
    return nodes[0]


def relabel(a, b):
    if a.label == b.label:
        return 0
    if "free" in (a.label, b.label):
        return 1
    return 1 if group(a.label) and group(a.label) == group(b.label) else 2


def by_zss(a, b):
    single = lambda node: int(node.label != "free")  # noqa: E731
    return zss.distance(as_zss(a), as_zss(b), zss.Node.get_children, single, single, relabel)


def by_plain(a, b):
    return _plain_kernels.pair_distance(BOOK.encode(a), BOOK.encode(b), True, MAX_CELLS)


def by_fast(a, b):
    if fast is None:
        pytest.skip("numba is not installed")
    import numpy as np

    return fast.pair_distance(*(np.frombuffer(BOOK.encode(t), np.int64) for t in (a, b)), True, MAX_CELLS)


def by_comparison(a, b):
    return compare(a, b, BOOK).distance() / STEPS


@pytest.mark.parametrize("kernel_distance", [by_plain, by_fast, by_comparison])
@settings(max_examples=250, deadline=None)
@given(trees(), trees())
def test_distance_of_zss(kernel_distance, a, b):
    assert kernel_distance(a, b) == by_zss(a, b)


@settings(max_examples=200, deadline=None)
@given(trees(), trees(), trees())
def test_metric(a, b, c):
    ab, bc, ac = by_plain(a, b), by_plain(b, c), by_plain(a, c)
    assert ab == by_plain(b, a)
    assert by_plain(a, a) == 0
    assert ac <= ab + bc


def random_tree(n, rng, labels=LABELS):
    parents = [-1, *(max(-1, node - 1) for node in range(1, n))]
    for node in range(2, n):
        above = node - 1
        while above > 0 and rng.random() < 0.6:
            above = parents[above]
        parents[node] = above
    return Tree([rng.choice(labels) for _ in range(n)], parents, [])


def test_fast_equals_fallback_on_larger_trees():
    rng = random.Random(5)
    for _ in range(15):
        a, b = random_tree(rng.randint(2, 90), rng), random_tree(rng.randint(2, 90), rng)
        assert by_fast(a, b) == by_plain(a, b) == by_comparison(a, b)


def test_fast_is_exact_with_more_columns_than_one_row_takes_and_more_codes_than_slots():
    rng, book = random.Random(9), Codebook(lambda label: () if label[0] == "x" else label[0], len)
    labels = [f"{kind}{number}" for kind in "xyz" for number in range(500)]
    for n, m in ((700, 650), (30, 900), (900, 30)):
        a, b = random_tree(n, rng, labels), random_tree(m, rng, labels)
        found = kernel.tree_distance(book.encode(a), book.encode(b))
        assert found == compare(a, b, book).distance() / STEPS


def test_both_modes_equal_single_ones_with_and_without_numba(monkeypatch):
    rng = random.Random(6)
    pairs = [[marked(random_tree(rng.randint(1, 60), rng), rng) for _ in range(2)] for _ in range(60)]
    wanted = [
        tuple(_plain_kernels.pair_distance(a, b, inputs, MAX_CELLS) for inputs in (False, True)) for a, b in pairs
    ]
    monkeypatch.setattr(kernel, "_cells_done", kernel.FEW_CELLS + 1)
    assert [kernel.both_distances(a, b) for a, b in pairs] == wanted
    monkeypatch.setattr(kernel, "fast_kernels", lambda: None)
    assert [kernel.both_distances(a, b) for a, b in pairs] == wanted


def marked(tree, rng):
    """An encoded tree of which some nodes are marked as inputs."""
    marks = (-1 if above > 0 and rng.random() < 0.3 else 1 for above in tree.parents)
    nodes = NODE.iter_unpack(BOOK.encode(tree))
    return b"".join(NODE.pack(code, up * mark) for (code, up), mark in zip(nodes, marks, strict=True))


def test_without_inputs_marked_nodes_and_all_below_them_are_left_out():
    rng = random.Random(8)
    for _ in range(200):
        a, b = (marked(random_tree(rng.randint(1, 25), rng), rng) for _ in range(2))
        pruned = [without_inputs(each) for each in (a, b)]
        wanted = _plain_kernels.pair_distance(*pruned, True, MAX_CELLS)
        assert _plain_kernels.pair_distance(a, b, False, MAX_CELLS) == wanted
        if fast is not None:
            assert fast.pair_distance(*map(kernel._ints, (a, b)), False, MAX_CELLS) == wanted


def without_inputs(encoded):
    place, nodes = {}, []
    for node, (code, up) in enumerate(NODE.iter_unpack(encoded)):
        if up == 0 or (up > 0 and node - up in place):
            place[node] = len(place)
            nodes.append(NODE.pack(code, place[node] - place[node - up]))
    return b"".join(nodes)


def test_only_a_root():
    assert by_plain(Tree(["free"], [-1], []), Tree(["a1"], [-1], [])) == 1
    assert kernel.tree_distance(NODE.pack(5, 0), NODE.pack(5, 0)) == 0
