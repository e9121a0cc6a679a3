"""Pointing loses nothing: whatever a flow holds, its pointed outline resolves to the same flow."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.outline import OutlineError, to_outline
from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.systems.pointers import (
    PointerError,
    echoes,
    number_words,
    point,
    resolve,
    resolve_flow,
    suggestion_lines,
    words,
)
from flowstudy.systems.records import Suggestion

CATALOGUE = Catalogue.model_validate(
    {
        "name": "t",
        "triggers": {"record_create": {"inputs": {"table": {"type": "table"}, "condition": {"type": "query"}}}},
        "actions": {
            "itsm.escalate": {
                "description": "Escalates an incident.",
                "inputs": {"record": {}, "urgency": {"choices": ["low", "high"]}, "values": {"type": "values"}},
            },
            "notify": {"inputs": {"to": {}, "message": {}}},
        },
        "tables": {
            "incident": {
                "label": "Incident",
                "columns": {"priority": {"choices": {"1": "Critical", "2": "High"}}, "caller": {}, "state": {}},
            }
        },
    }
)
SUGGESTIONS = [
    Suggestion(kind=kind, name=name)
    for kind, name in (
        ("trigger", "record_create"), ("action", "itsm.escalate"), ("action", "notify"), ("table", "incident"),
        ("column", "incident.priority"), ("column", "incident.caller"),
    )
]  # fmt: skip
REQUIREMENT = 'When a critical incident is created, escalate it (urgency high) and notify Ann Lee: "Server 12 down".'
FLOW = Flow(
    trigger=Trigger(
        type="record_create",
        inputs=[Input(name="table", value="incident"), Input(name="condition", value="priority=1^state!=closed")],
    ),
    components=[
        Component(
            definition="escalate",
            scope="itsm",
            order=1,
            annotation="escalate it (urgency high",
            inputs=[Input(name="urgency", value="high"), Input(name="values", value="priority=2")],
        ),
        Component(category="flowlogic", definition="IF", order=2, inputs=[Input(name="condition", value="priority=1")]),
        Component(
            definition="notify",
            order=3,
            block=2,
            annotation="notify Ann Lee",
            inputs=[
                Input(name="to", value="{{trigger.record.caller}}"),
                Input(name="message", value="Server 12 down"),
            ],
        ),
    ],
)


def test_a_flow_is_pointed_as_the_docstring_shows():
    assert point(FLOW, SUGGESTIONS, REQUIREMENT, CATALOGUE).split("\n") == [
        "<s0><i0><s3><i1><s4>=<c0>^state!=closed",
        "1 <w6><w9> <s1><i1><c1><i2><s4>=<c1>",
        "2 IF | condition = <s4>=<c0>",
        "  3 <w11><w13> <s2><i0>{{trigger.record.<s5>}}<i1><w14><w16>",
    ]
    assert resolve_flow(point(FLOW, SUGGESTIONS, REQUIREMENT, CATALOGUE), SUGGESTIONS, REQUIREMENT, CATALOGUE) == FLOW


def test_suggestion_lines_show_inputs_and_choices_by_number():
    assert suggestion_lines(SUGGESTIONS, CATALOGUE).split("\n") == [
        "<s0> trigger record create <i0> table <i1> condition",
        "<s1> action itsm escalate: Escalates an incident <i0> record <i1> urgency <c0> low <c1> high <i2> values",
        "<s2> action notify <i0> to <i1> message",
        "<s3> table incident <s4> priority <c0> Critical <c1> High <s5> caller",
    ]
    assert suggestion_lines(SUGGESTIONS[4:5], CATALOGUE) == "<s0> column incident priority <c0> Critical <c1> High"


def test_suggestions_name_the_rarest_words_of_the_requirement_that_speak_of_them():
    requirement = "When an incident comes in, escalate the incident with high urgency and notify the caller now."
    heard = echoes(SUGGESTIONS, CATALOGUE, requirement)
    spoken = ["".join(f" {requirement[w.start : w.end]}" for w in _pointed(text, requirement)) for text in heard]
    assert spoken == ["", " incident escalate incident", " notify", " incident incident", " high", " caller"]
    lines = suggestion_lines(SUGGESTIONS, CATALOGUE, requirement).split("\n")
    assert all(line.startswith(f"<s{n}>{heard[n]} ") for n, line in enumerate(lines))
    assert echoes(SUGGESTIONS, CATALOGUE, "") == [""] * len(SUGGESTIONS)


def _pointed(text, requirement):
    return [words(requirement)[int(number)] for number in re.findall(r"<w(\d+)>", text)]


def test_words_number_values_without_the_punctuation_around_them():
    text = "Set P1, wait 2.5 days (max. 5,000 €), mail ann@ex.org/it's #urgent!"
    assert [text[w.start : w.end] for w in words(text)] == [
        *("Set", "P1", "wait", "2.5", "days", "max", "5,000", "€", "mail", "ann@ex.org", "it's", "#urgent")
    ]
    assert re.sub(r"<w\d+>", "", number_words(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 <s9>", "expected one of 6 suggestions, got <s9>"),
        ("1 <s3>", "line 1: expected a step, got <s3>, a table"),
        ("1 <s2><i7>x", "expected one of 2 inputs, got <i7>"),
        ("1 <s1><i1><c4>", "expected one of 2 choices, got <c4>"),
        ("1 <s2><i0><w5><w900>", "expected words 0 to 16, got <w5><w900>"),
        ("1 <s2><i0><w5><w3>", "expected words"),
    ],
)
def test_bad_pointers_say_what_was_expected(text, message):
    with pytest.raises(PointerError, match=re.escape(message)):
        resolve(text, SUGGESTIONS, REQUIREMENT, CATALOGUE)


def test_spaces_before_pointers_do_not_count():
    spaced = "1 <w6><w9> action notify | to = <w11><w13> | message = <s3>"
    tight = "1<w6><w9> action notify | to =<w11><w13> | message =<s3>"
    assert resolve(tight, SUGGESTIONS, REQUIREMENT) == resolve(spaced, SUGGESTIONS, REQUIREMENT)


def test_text_that_is_no_outline_is_an_outline_error():
    with pytest.raises(OutlineError):
        resolve("Sure! Here is your flow:", SUGGESTIONS, REQUIREMENT, CATALOGUE)


txt = st.text(max_size=12)
tricky = st.text(alphabet=' |#="\\[].:\n{}<>swic019aB\x00\u2028', max_size=12)
known = st.sampled_from(["incident", "priority", "Ann Lee", "{{trigger.record.caller}}", "<w3>", ":= x", "<\\w3>"])
query = st.sampled_from(["priority=1^state!=closed", "caller.nameLIKEAnn Lee", "priority=1^EQ", "stateIN1,2"])
value = st.one_of(txt, tricky, known, query, st.integers(), st.none(), st.lists(tricky | known, max_size=2))
name = st.one_of(st.sampled_from(["table", "condition", "urgency", "to", "values", "message"]), tricky)
inputs = st.lists(st.builds(Input, name=name, value=value), max_size=3)
note = st.one_of(st.none(), tricky, st.sampled_from(["notify Ann Lee", "escalate it (urgency high)", "no", ""]))


@st.composite
def flows(draw):
    components, path = [], []
    for order in range(1, draw(st.integers(0, 5)) + 1):
        path = path[: draw(st.integers(0, len(path)))]
        category = draw(st.sampled_from(["action", "subflow", "flowlogic"]))
        definition = draw(st.one_of(st.sampled_from(["IF", "notify", "escalate", "trigger"]), tricky))
        scope = draw(st.one_of(st.sampled_from(["global", "itsm", "", "a.b"]), tricky))
        components.append(
            Component(
                category=category, definition=definition, scope=scope, order=order, block=path[-1] if path else None,
                annotation=draw(note), inputs=draw(inputs),
            )
        )  # fmt: skip
        if category == "flowlogic":
            path.append(order)
    kind = st.one_of(st.just("record_create"), tricky)
    return Flow(trigger=draw(st.none() | st.builds(Trigger, type=kind, inputs=inputs)), components=components)


@settings(max_examples=300, deadline=None)
@given(flows(), st.one_of(st.just(REQUIREMENT), tricky, txt))
def test_pointing_loses_nothing(flow, requirement):
    odd = [*SUGGESTIONS, Suggestion(kind="subflow", name="a.b.c"), Suggestion(kind="action", name="<w1>")]
    pointed = point(flow, odd, requirement, CATALOGUE)
    assert resolve(pointed, odd, requirement, CATALOGUE) == to_outline(flow)
