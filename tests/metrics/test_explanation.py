"""Explanations come from the optimal alignment: their costs sum to the distance and they name every node once."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.metrics import diff_html, diff_text, explain, flow_similarity
from tests.metrics.examples import flows, strict_tree
from tests.metrics.test_strict import flow, step

OPTIONS = [{}, {"inputs": False}, {"strings": "similar"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@settings(max_examples=60, deadline=None)
@given(flows(), flows())
def test_costs_sum_to_the_distance(options, a, b):
    found = explain(a, b, **options)
    assert sum(edit.cost for edit in found.edits) == found.distance
    assert found.similarity == flow_similarity(a, b, **options)
    assert found.similarity == (1 - found.distance / sum(found.sizes) if sum(found.sizes) else 1)


@settings(max_examples=80, deadline=None)
@given(flows(), flows())
def test_every_node_has_one_edit_in_document_order(a, b):
    edits = explain(a, b).edits
    for side, given_flow in (("candidate", a), ("reference", b)):
        found = [getattr(edit, side) for edit in edits if getattr(edit, side)]
        assert len(found) == len(strict_tree(given_flow).labels) - 1
        steps = [place.component for place in found if place.component]
        assert steps == sorted(steps)


@settings(max_examples=60, deadline=None)
@given(flows(), flows())
def test_swapping_sides_swaps_edits(a, b):
    there, back = (Counter(edit.kind for edit in explain(*pair).edits) for pair in ((a, b), (b, a)))
    assert there["deleted"] - there["inserted"] == back["inserted"] - back["deleted"]


def test_edits_say_where():
    candidate = flow(step("log", 1, message="hi"), step("send_email", 2, subject="a", condition="state=1"))
    reference = flow(step("send_email", 1, subject="b", condition="state=2"))
    by_kind = {}
    for edit in explain(candidate, reference).changes:
        by_kind.setdefault(edit.kind, []).append(edit)
    assert [(e.candidate.component, e.candidate.input) for e in by_kind["deleted"]] == [(1, None), (1, "message")]
    places = [(e.candidate.component, e.reference.component, e.reference.input) for e in by_kind["relabelled"]]
    assert places == [(2, 1, "condition"), (2, 1, "subject")]
    assert by_kind["relabelled"][0].reference.path == ("action send_email", "condition", "^ state = 2")


def test_trigger_is_component_zero():
    raw = flow(trigger={"type": "daily", "inputs": [{"name": "time", "value": "9"}]})
    edits = explain(raw, flow()).edits
    assert [(e.candidate.component, e.candidate.input) for e in edits] == [(0, None), (0, "time")]


def test_a_step_that_only_moved():
    candidate = flow(step("a", 1), step("b", 2), step("c", 3))
    reference = flow(step("b", 1), step("c", 2), step("a", 3))
    found = explain(candidate, reference)
    gone, come = found.changes
    assert (gone.kind, come.kind) == ("deleted", "inserted")
    assert found.edits[gone.moved] == come and found.edits[come.moved] == gone
    assert "> action a  (moved to: the top level)" in diff_text(found)


def test_text_that_is_no_flow_misses_everything():
    found = explain("no flow", flow(step("log")))
    assert (found.status, found.similarity, found.distance) == ("invalid_output", 0, 1)
    assert [edit.kind for edit in found.edits] == ["inserted"]


def test_best_reference_is_explained():
    found = explain(flow(step("log")), [flow(), flow(step("log")), flow(step("task"))])
    assert (found.reference_best, found.distance) == (1, 0)


HOSTILE_TEXT = "<img src=x onerror=alert(1)>\"'&\ud800\n</td>"


def test_html_is_escaped_and_has_more_than_colour():
    html = diff_html(explain(flow(step("log", message=HOSTILE_TEXT)), flow(step("log", message="<b>"), step("x", 2))))
    assert "<img" not in html and "<b>" not in html and "&lt;img" in html
    assert "underline" in html and ">+<" in html and ">~<" in html
    assert html.encode("utf-8")
    assert set(re.findall(r"</?(\w+)", html)) <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}


@settings(max_examples=30, deadline=None)
@given(flows(), flows(), st.sampled_from(OPTIONS))
def test_diffs_of_anything(a, b, options):
    found = explain(a, b, **options)
    assert len(diff_text(found).splitlines()) >= 1 + len(found.changes)
    assert diff_html(found).count("<tr>") == 1 + len(found.edits)


IF = step("IF", 1, category="flowlogic", condition="state=1^active=true")
CORRECTIONS = {
    "nothing": (flow(step("a", 1, x="1", y="2")), 0),
    "an input changed, one added": (flow(step("a", 1, x="9", y="2", z="3")), 2),
    "all inputs of a step, and the step": (flow(step("b", 1, p="1", q="2")), 1),
    "a step with its inputs put in": (flow(step("a", 1, x="1", y="2"), step("b", 2, p="1", q="2")), 1),
    "a step exchanged, another put in": (flow(step("b", 1, p="1"), step("c", 2)), 2),
    "everything taken out": (flow(), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECTIONS)
def test_corrections_are_counted_as_people_count_them(name):
    candidate, count = CORRECTIONS[name]
    assert explain(candidate, flow(step("a", 1, x="1", y="2"))).corrections == count


def test_a_moved_step_and_a_condition_are_one_correction_each():
    one = flow(step("a", 1, x="1"), step("b", 2, q="1"), step("c", 3))
    assert explain(one, flow(step("b", 1, q="1"), step("c", 2), step("a", 3, x="1"))).corrections == 1
    assert explain(flow(IF), flow(step("IF", 1, category="flowlogic", condition="state=2^urgency=1"))).corrections == 1


@settings(max_examples=60, deadline=None)
@given(flows(), flows())
def test_corrections_are_no_more_than_edits_and_none_only_for_equal_flows(a, b):
    found = explain(a, b)
    assert found.corrections <= len(found.changes) and (found.corrections == 0) == (found.distance == 0)
