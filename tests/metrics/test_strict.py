"""The strict convention keeps its promises: [0, 1], symmetric, 1 only for equal flows, 0 for nothing in common."""

import json
import random
import re

import pytest
from hypothesis import given, settings

from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.metrics import STRICT_DIFFERENCES, flow_similarity
from flowstudy.metrics.kernel import tree_distance
from flowstudy.metrics.strict import strict_book
from tests.metrics.examples import flows, strict_tree
from tests.metrics.test_published_vectors import QUIRKS


def step(definition, order=1, block=None, category="action", **inputs):
    values = [{"name": name, "value": value} for name, value in inputs.items()]
    return {"definition": definition, "category": category, "order": order, "block": block, "inputs": values}


def flow(*components, trigger=None):
    return {"trigger": trigger, "components": list(components)}


def canonical(given):
    """What equality means for flows of `examples.flows`, told another way than by the strict tree."""

    def targets(number, text):
        """References as the category and name of their target and how many such steps stand from it to here."""

        def named(match):
            there = int(match[1])
            if there > len(given.components):
                return match[0]
            kind = lambda c: (c.category, c.definition, c.scope)  # noqa: E731
            wanted = kind(given.components[there - 1])
            same = [c.order for c in given.components if kind(c) == wanted]
            above = sum(order < number for order in same)
            return f"<{wanted} {same.index(there) - above}>"

        return re.sub(r"\{\{step\.(\d+)", named, text)

    def value(number, name, raw):
        if isinstance(raw, bool) or not isinstance(raw, str):
            return "json", json.dumps(raw).replace("1.0", "1")
        raw = targets(number, raw)
        if name in ("condition", "values", "fields"):
            raw = raw.removesuffix("^EQ") if raw != "^EQ" else raw
            if "condition" in name and re.fullmatch(r"[a-z]=\w+(\^OR[a-z]=\w+)+", raw):
                return "any", tuple(sorted(raw.split("^OR")))
            plain = "^OR" not in raw and "^NQ" not in raw and "=" in raw
            return "text", tuple(sorted(raw.split("^"))) if plain else raw
        return "text", raw

    def bag(number, inputs):
        kept = [i for i in inputs if i.value is not None and i.value not in ("", [], {})]
        return sorted(repr((i.name, value(number, i.name, i.value))) for i in kept)

    trigger = given.trigger and (given.trigger.type, bag(0, given.trigger.inputs))
    steps = [(c.category, c.definition, c.scope, c.block, bag(c.order, c.inputs)) for c in given.components]
    outputs = given.outputs and sorted((i.name, i.type, i.reference or "") for i in given.outputs.items)
    return trigger, steps, outputs


@settings(max_examples=150, deadline=None)
@given(flows(), flows())
def test_range_symmetry_and_equality(a, b):
    for inputs in (True, False):
        score = flow_similarity(a, b, inputs=inputs)
        assert 0 <= score <= 1
        assert score == flow_similarity(b, a, inputs=inputs)
    assert (flow_similarity(a, b) == 1) == (canonical(a) == canonical(b))


@settings(max_examples=100, deadline=None)
@given(flows(most=2), flows(most=2))
def test_equality_of_small_flows(a, b):
    """Small flows are often equal by chance, so this side of "only if" is exercised too."""
    assert (flow_similarity(a, b) == 1) == (canonical(a) == canonical(b))


@settings(max_examples=100, deadline=None)
@given(flows())
def test_formatting_and_input_order_never_matter(a):
    raw = a.to_dict()
    rng = random.Random(1)
    for part in [*raw["components"], raw["trigger"] or {}]:
        rng.shuffle(part.get("inputs", []))
        part["inputs"] = [dict(reversed(each.items())) for each in part.get("inputs", [])] if part else []
    raw = dict(reversed(raw.items()))
    if a.trigger is None:
        raw["trigger"] = None
    for component in raw["components"]:
        component["annotation"] = "words"
    assert flow_similarity(json.dumps(raw, indent=3), a) == 1
    assert flow_similarity(f"Here:\n```json\n{json.dumps(raw)}\n```", a) == 1


@settings(max_examples=100, deadline=None)
@given(flows(), flows(), flows())
def test_distance_is_a_metric(a, b, c):
    x, y, z = (strict_book().encode(strict_tree(each)) for each in (a, b, c))
    assert tree_distance(x, z) <= tree_distance(x, y) + tree_distance(y, z)


def test_assignments():
    """Order means nothing, but the last one to a column counts; lists are text here."""

    def assign(values):
        return flow(step("update_record", values=values))

    assert flow_similarity(assign("a=1^b=2"), assign("b=2^a=3^a=1")) == 1
    assert flow_similarity(assign("a=1^b=2"), assign("a=1^b=2^a=3")) == 1 - 1 / 8
    assert flow_similarity(assign("a=1^ORb"), assign("a=1^ORc")) < 1


def test_nothing_in_common_is_zero():
    a = flow(step("log", message="Hello there my friend"), trigger={"type": "daily"})
    b = flow(step("send_email", subject="Bye"), step("create_task", 2, table="task"), trigger={"type": "email"})
    assert flow_similarity(a, b) == 0


def test_empty_flows():
    assert flow_similarity(flow(), flow()) == 1
    assert flow_similarity(flow(), flow(step("log"))) == 0
    assert flow_similarity("no flow", flow()) == 0


@pytest.mark.parametrize(
    "code", ["T1", "T4", "T6b", "T12b", "E1", "E2", "E3", "E4", "E4b", "E5", "E6", "E7", "E9", "E11", "E13", "E15"]
)
def test_published_blind_spots_cost_something(code):
    vector = QUIRKS[code]
    assert vector["flow_sim_with_inputs"] == 1 > flow_similarity(vector["candidate"], vector["reference"])


@pytest.mark.parametrize("code", ["P1", "P3", "P3b", "P3c", "T3", "T8", "T8b", "T10", "T11", "T16"])
def test_published_accidents_cost_nothing(code):
    vector = QUIRKS[code]
    assert vector["flow_sim_with_inputs"] < 1 == flow_similarity(vector["candidate"], vector["reference"])


def test_values_are_typed():
    text, number, boolean = (flow(step("log", level=value)) for value in ("1", 1, True))
    assert flow_similarity(text, number) == flow_similarity(number, boolean) == 1 - 1 / 4
    assert flow_similarity(number, flow(step("log", level=1.0))) == 1


def test_clauses():
    def condition(query):
        return flow(step("IF", category="flowlogic", condition=query))

    whole = condition("priority=1^active=true")
    assert flow_similarity(whole, condition("active=true^priority=1^EQ")) == 1
    assert flow_similarity(whole, condition("priority=2^active=true")) == 1 - 1 / 8
    assert flow_similarity(whole, condition("active=true^ORpriority=1")) == 1 - 1 / 8
    assert flow_similarity(whole, condition("priority=1^state=true")) == 1 - 2 / 8
    assert flow_similarity(condition("a=1^ORb=2"), condition("b=2^ORa=1")) == 1
    assert flow_similarity(condition("a=1^ORb=2^c=3"), condition("a=1^b=2^ORc=3")) < 1
    assert flow_similarity(condition("a=1^ORb=2^c=3"), condition("c=3^b=2^ORa=1")) == 1
    assert flow_similarity(condition("a=1^b=2^NQc=3"), condition("c=3^NQb=2^a=1^a=1")) == 1
    assert flow_similarity(condition("a=1^NQb=2"), condition("b=2^ORa=1")) == 1
    assert (
        flow_similarity(condition("aIN2, 1"), condition("a=1^ORa=2"))
        == 1
        == flow_similarity(condition("aIN1"), condition("a=1"))
    )
    assert flow_similarity(condition("aNOT IN2,1"), condition("aNOT IN1,2")) == 1
    assert flow_similarity(condition("aNOT IN2,1"), condition("aIN1,2")) < 1
    assert (
        flow_similarity(condition("a=1,2"), condition("aIN1,2"))
        < 1
        > flow_similarity(condition("aBETWEEN1,2"), condition("aBETWEEN2,1"))
    )
    assert flow_similarity(condition("an odd query"), condition("another odd one")) == 1 - 1 / 4


def test_best_of_several_references():
    a, b = flow(step("log")), flow(step("send_email"))
    assert flow_similarity(a, [b, a]) == 1
    with pytest.raises(ValueError, match="no reference for r7"):
        flow_similarity(a, [], record="r7")


def test_a_flow_is_read_as_it_is():
    value = Flow(
        trigger=Trigger(type="daily", inputs=[Input(name="at", value=None)]),
        components=[Component(definition="log", order=1)],
    )
    assert flow_similarity(value, value.to_dict()) == flow_similarity(value, value.to_json()) == 1


def test_every_difference_has_a_reason():
    assert all(all(difference) for difference in STRICT_DIFFERENCES)
    assert len({difference.topic for difference in STRICT_DIFFERENCES}) == len(STRICT_DIFFERENCES)


def test_unknown_options_name_the_choice():
    with pytest.raises(ValueError, match="expected 'strict' or 'published', got 'lenient'"):
        flow_similarity(flow(), flow(), convention="lenient")
    with pytest.raises(ValueError, match="use 'strict'"):
        flow_similarity(flow(), flow(), convention="published", strings="similar")
