"""Every kernel gives the distance that zss gives; the unit-cost core is a metric."""

import random

import numpy as np
import pytest
import zss
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.metrics import FlowTooLarge, kernel
from flowstudy.metrics._kernels import code_distance
from flowstudy.metrics.comparison import STEPS, compare
from flowstudy.metrics.kernel import plain_distance, postorder, tree_distance
from flowstudy.metrics.trees import Codebook, Tree

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
    return plain_distance(*(postorder(BOOK.encode(tree)) for tree in (a, b)))


def by_fast(a, b):
    first, second = BOOK.encode(a), BOOK.encode(b)
    return code_distance(*map(np.array, (first.codes, first.parents, second.codes, second.parents)))


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


def test_a_process_begins_in_plain_python_and_goes_on_with_numba(monkeypatch):
    rng = random.Random(6)
    pairs = [[BOOK.encode(random_tree(rng.randint(1, 60), rng)) for _ in range(2)] for _ in range(60)]
    wanted = [plain_distance(*map(postorder, pair)) for pair in pairs]
    for few in (0, 10**9):
        monkeypatch.setattr(kernel, "FEW_CELLS", few)
        monkeypatch.setattr(kernel, "_cells_done", [0])
        assert [tree_distance(*pair) for pair in pairs] == wanted


def test_a_pair_that_would_take_too_long_is_named(monkeypatch):
    monkeypatch.setattr(kernel, "MAX_CELLS", 1_000)
    large = [BOOK.encode(random_tree(60, random.Random(seed))) for seed in (1, 2)]
    for few in (0, 10**9):
        monkeypatch.setattr(kernel, "FEW_CELLS", few)
        with pytest.raises(FlowTooLarge, match="pair too large for r7: expected at most 1000 table cells"):
            tree_distance(*large, "r7")


def test_only_a_root():
    assert by_plain(Tree(["free"], [-1], []), Tree(["a1"], [-1], [])) == 1
    one = BOOK.encode(Tree(["a1"], [-1], []))
    assert tree_distance(one, one) == 0 and postorder(one).left == [0, 0]
