"""The graph-to-tree step protects: every action once, order kept, and cycles named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.corpus.importers.graph import Cycle, Shape, decompose, topological
from flowstudy.corpus.importers.records import Refused
from flowstudy.corpus.importers.run_after import nest
from flowstudy.corpus.importers.steps import Step, walk

TREES = st.recursive(
    st.just("leaf"),
    lambda inner: st.tuples(st.sampled_from(["sequence", "parallel"]), st.lists(inner, min_size=2, max_size=4)),
    max_leaves=25,
)


def build(tree, names, before, entry):
    """Names the leaves of a tree and records what each waits for; returns the last steps."""
    if tree == "leaf":
        name = f"n{len(names)}"
        names.append(name)
        before[name] = list(entry)
        return [name]
    kind, parts = tree
    if kind == "parallel":
        return [last for part in parts for last in build(part, names, before, entry)]
    for part in parts:
        entry = build(part, names, before, entry)
    return entry


def graph_of(tree):
    names, before = [], {}
    build(tree, names, before, [])
    return names, before


def leaves(shape: Shape) -> list[str]:
    return [shape.name] if shape.kind == "step" else [name for part in shape.parts for name in leaves(part)]


def order_of(shape: Shape) -> set[tuple[str, str]]:
    """Pairs (earlier, later) that a shape implies."""
    pairs = set().union(*(order_of(part) for part in shape.parts), set())
    if shape.kind == "sequence":
        for i, part in enumerate(shape.parts):
            pairs |= {(a, b) for a in leaves(part) for later in shape.parts[i + 1 :] for b in leaves(later)}
    return pairs


def closure(names, before):
    earlier = {}
    for name in topological(names, before):
        earlier[name] = {o for other in before[name] for o in (other, *earlier[other])}
    return {(a, b) for b in names for a in earlier[b]}


@settings(max_examples=80, deadline=None)
@given(TREES, st.randoms(use_true_random=False))
def test_a_series_parallel_graph_becomes_the_tree_with_exactly_its_order(tree, random):
    names, before = graph_of(tree)
    random.shuffle(names)
    shape = decompose(names, before)
    assert shape.loose == []
    assert sorted(leaves(shape)) == sorted(names)
    assert order_of(shape) == closure(names, before)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 14), st.randoms(use_true_random=False))
def test_any_acyclic_graph_keeps_every_step_once_and_in_order(n, random):
    names = [f"n{i}" for i in range(n)]
    before = {name: [o for o in names[:i] if random.random() < 0.25] for i, name in enumerate(names)}
    shape = decompose(names, before)
    assert sorted(leaves(shape)) == sorted(names)
    assert order_of(shape) >= closure(names, before)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_run_after_with_any_statuses_keeps_every_action_once(n, random):
    names = [f"n{i}" for i in range(n)]
    statuses = ["Succeeded", "Failed", "TimedOut", "Skipped"]
    actions = {
        name: {
            "runAfter": {o: random.sample(statuses, random.randint(1, 3)) for o in names[:i] if random.random() < 0.3}
        }
        for i, name in enumerate(names)
    }
    steps = nest(actions, lambda name: [Step(name, name=name, category="action")], lambda *_: None, [], [])
    assert sorted(step.name for step in walk(steps) if step.name) == sorted(names)


def test_a_cycle_is_refused_with_its_actions():
    with pytest.raises(Cycle, match=r"a -> b -> a|b -> a -> b"):
        decompose("abc", {"a": ["b"], "b": ["a"], "c": []})
    with pytest.raises(Refused, match=r"cyclic runAfter: .*b"):
        nest({"a": {"runAfter": {"b": []}}, "b": {"runAfter": {"a": []}}}, lambda name: [], lambda *_: None, [], [])


def test_an_n_shape_is_told_and_put_in_sequence():
    shape = decompose("abcd", {"a": [], "b": [], "c": ["a"], "d": ["a", "b"]})
    assert shape.loose == [["a", "b", "c", "d"]]


def test_a_long_chain_and_a_wide_fan_are_quick():
    chain = [f"n{i}" for i in range(4000)]
    assert len(decompose(chain, {n: chain[max(i - 1, 0) : i] for i, n in enumerate(chain)}).parts) == 4000
    fan = {n: [] if n == "n0" else ["n0"] for n in chain[:1500]}
    assert len(decompose(list(fan), fan).parts[1].parts) == 1499
