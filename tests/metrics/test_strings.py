"""Graded strings: only free text, between 0 and 1, a metric; 0/1 costs give the strict score back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.metrics import flow_similarity
from flowstudy.metrics.comparison import STEPS, compare, free_text_class, text_cost
from flowstudy.metrics.strict import strict_book
from tests.metrics.examples import flows, strict_tree
from tests.metrics.test_strict import flow, step

TEXT = st.text(alphabet="ab é", max_size=8)


def all_or_nothing(first, second):
    return 0 if first == second else STEPS


@given(TEXT, TEXT, TEXT)
def test_text_cost_is_a_metric(a, b, c):
    assert (text_cost(a, b) == 0) == (a == b)
    assert 0 <= text_cost(a, b) == text_cost(b, a) <= STEPS
    assert text_cost(a, c) <= text_cost(a, b) + text_cost(b, c)


def test_nearly_the_same_text_costs_little():
    one, two = (flow(step("send_email", subject=text)) for text in ("Send mail to Bob", "Send an email to Bob"))
    assert flow_similarity(one, two) == 0.75
    assert 0.9 < flow_similarity(one, two, strings="similar") < 1


@pytest.mark.parametrize(
    "a, b",
    [
        ("incident_task", "incident_tasks"), ("in progress", "in progres"), ("1234 5678 9012", "1234 5678 9013"),
        ("{{step.1.record.name}}", "{{step.2.record.name}}"),
        ("Please call {{step.1.user}} now", "Please call {{step.2.user}} now"),
    ],
)  # fmt: skip
def test_what_must_match_exactly(a, b):
    one, two = (flow(step("send_email", subject=text)) for text in (a, b))
    assert flow_similarity(one, two, strings="similar") == flow_similarity(one, two) == 0.75


def test_query_values_are_graded_but_fields_and_operators_are_not():
    def query(text):
        return flow(step("task", values=text))

    base = query("short_description=Reset my old password")
    near = flow_similarity(base, query("short_description=Reset my password"), strings="similar")
    assert flow_similarity(base, query("short_description=Reset my password")) < near < 1
    for other in ("description=Reset my old password", "short_description!=Reset my old password"):
        assert flow_similarity(base, query(other), strings="similar") == flow_similarity(base, query(other))


@settings(max_examples=80, deadline=None)
@given(flows(), flows())
def test_never_below_strict_and_equal_to_it_with_all_or_nothing_costs(a, b):
    strict, graded = flow_similarity(a, b), flow_similarity(a, b, strings="similar")
    assert strict <= graded <= 1
    assert (graded == 1) == (strict == 1)
    trees = [strict_tree(each) for each in (a, b)]
    whole = compare(*trees, strict_book(), all_or_nothing).distance()
    assert whole == compare(*trees, strict_book()).distance()


@settings(max_examples=60, deadline=None)
@given(flows(most=4), flows(most=4), flows(most=4))
def test_graded_distance_is_a_metric(a, b, c):
    x, y, z = (strict_tree(each) for each in (a, b, c))
    distance = lambda p, q: compare(p, q, strict_book(), text_cost).distance()  # noqa: E731
    assert distance(x, y) == distance(y, x)
    assert distance(x, z) <= distance(x, y) + distance(y, z)


def test_free_text():
    assert free_text_class("Send a mail to Bob") == ()
    assert free_text_class("a b c d") is None
    assert free_text_class("word " * 10_000) is None
