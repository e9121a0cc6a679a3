"""The published convention equals a slow, independent reading of it built on zss."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.metrics import published_scores
from flowstudy.metrics.published_tree import query_tree
from tests.metrics import oracle
from tests.metrics.examples import HOSTILE, flows

QUERY_PARTS = st.sampled_from(
    ["^", "^OR", "^NQ", "^EQ", "OR", "a", "b.c", "Z", "=", "!=", ">=", "LIKE", "NOT LIKE", "ON", "1", " ", ",",
     "ISEMPTY", "ISNOTEMPTY", "ORDERBY", "priority=1", "state=2", "^state=2", "é", ""]
)  # fmt: skip


def check(candidate, reference):
    a, b = oracle.read(candidate), oracle.read(reference)
    scores = published_scores(candidate, reference)
    for mode, inputs in (("no", False), ("with", True)):
        assert scores[f"flow_sim_{mode}_inputs"] == oracle.similarity(a, b, inputs)
        assert scores[f"flow_bleu_{mode}_inputs"] == oracle.bleu(a, b, inputs)


@settings(max_examples=250, deadline=None)
@given(HOSTILE, HOSTILE)
def test_any_json(candidate, reference):
    check(json.dumps(candidate), json.dumps(reference))


@settings(max_examples=100, deadline=None)
@given(HOSTILE)
def test_any_json_against_itself(value):
    check(json.dumps(value), json.dumps(value))


@settings(max_examples=60, deadline=None)
@given(flows(), flows())
def test_clean_flows(candidate, reference):
    check(candidate.to_json(), reference.to_json())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["```json", "```", "```JSON", '{"components": []}', '{"trigger": {}}', " ", "x"])))
def test_any_fences(parts):
    check("".join(parts), '{"trigger": {"type": "daily"}}')


@settings(max_examples=400, deadline=None)
@given(st.lists(QUERY_PARTS, max_size=8).map("".join))
def test_queries_decompose_as_published(query):
    wanted = oracle.query_node(query)
    found = query_tree(query, "values")
    children = [[] for _ in found.labels]
    for node, above in enumerate(found.parents):
        if above >= 0:
            children[above].append(node)

    def same(node, other):
        return (
            found.labels[node] == other.label
            and len(children[node]) == len(other.children)
            and all(map(same, children[node], other.children))
        )

    assert found.labels[0] == "values" and children[0] == [1] and same(1, wanted)


@pytest.mark.parametrize("text", ["\ud800", '{"trigger": {"type": "\\ud800"}}', "\ufeff{}", "NaN", "1e999"])
def test_odd_texts(text):
    check(text, text)
