"""Bag of steps, order errors and catalogue faults count what they say."""

from collections import Counter

from flowstudy.flows.catalogue import catalogue_from_flows
from flowstudy.flows.schema import Flow
from flowstudy.metrics import catalogue_faults, order_errors, step_bag
from flowstudy.metrics.steps import FAULT_KINDS, step_bag_f1
from tests.metrics.test_strict import flow, step


def word(letters):
    return flow(*(step(letter, order) for order, letter in enumerate(letters, 1)))


def test_step_bag():
    raw = flow(step("IF", 1, category="flowlogic"), step("log", 2, 1), step("log", 3), step("s", 4, category="subflow"))
    assert step_bag(raw) == Counter({"action log": 2, "IF": 1, "subflow s": 1})
    assert step_bag("no flow") == Counter()


def test_step_bag_f1():
    assert step_bag_f1(word("aab"), word("ab")) == 2 * 2 / 5
    assert step_bag_f1(word(""), word("")) == 1
    assert step_bag_f1("no flow", word("")) == 0
    assert step_bag_f1(word("a"), word("b")) == 0


def test_order_errors():
    words = ("abcd", "bacd", "dabc", "dcba", "axd", "")
    assert [order_errors(word(w), word("abcd")) for w in words] == [0, 1, 1, 3, 0, 0]
    assert order_errors(word("aab"), word("aba")) == 1


def test_catalogue_faults():
    known = Flow.model_validate(flow(step("log", message="x")))
    counts = catalogue_faults(flow(step("log", message="y"), step("shout", 2)), catalogue_from_flows("here", [known]))
    assert set(counts) == set(FAULT_KINDS)
    assert counts["unknown_action"] == 1 and sum(counts.values()) == 1
    assert sum(catalogue_faults("no flow", catalogue_from_flows("here", [known])).values()) == 0
