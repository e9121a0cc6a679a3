"""The outline protects: what a person reads is the whole flow, and reading it back gives the same flow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from flowstudy.flows import Flow, OutlineError, from_outline, parse_flow, to_outline

from .strategies import flows

EXAMPLE = """\
trigger record_create | table = incident | condition = priority=1^active=true
IF | condition = priority=1 # when it is urgent
  action ask_for_approval | approver = {{trigger.record.manager}}
  subflow hr.onboard | days := 3
ELSE
  action log | message := "a | b\""""


@settings(max_examples=300)
@given(flows())
def test_round_trip_is_loss_free(flow: Flow) -> None:
    assert from_outline(to_outline(flow)) == flow


def test_a_known_outline() -> None:
    flow = from_outline(EXAMPLE)
    assert [(c.key, c.order, c.block) for c in flow.components] == [
        ("IF", 1, None), ("ask_for_approval", 2, 1), ("hr.onboard", 3, 1), ("ELSE", 4, None), ("log", 5, 4),
    ]  # fmt: skip
    assert flow.components[2].input("days") == 3
    assert flow.components[4].input("message") == "a | b"
    assert to_outline(flow) == EXAMPLE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("trigger daily\nhello", 2),
        ("action log | message", 1),
        ("IF what", 1),
        ("trigger a\ntrigger b", 2),
        ("action", 1),
    ],
)
def test_a_bad_line_is_named(text: str, line: int) -> None:
    with pytest.raises(OutlineError) as error:
        from_outline(text)
    assert error.value.line == line and f"line {line}" in str(error.value)


def test_spaces_around_the_equals_sign_are_optional() -> None:
    """A small model leaves them out where a value is a pointer."""
    tight = "trigger daily | time =9:00\naction log | message=a=b | level:=3"
    assert from_outline(tight) == from_outline("trigger daily | time = 9:00\naction log | message = a=b | level := 3")


def test_signature_survives() -> None:
    signature = {"items": [{"name": "user", "type": "reference", "reference": "sys_user"}]}
    flow = parse_flow({"trigger": None, "components": [], "inputs": signature}).flow
    assert flow is not None and from_outline(to_outline(flow)) == flow
