"""Parsing protects: strict text is `ok`, every repair has a name, no model text ever raises or hangs."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstudy.flows import REPAIRS, Flow, parse_flow, structure_faults, to_outline

from .strategies import flows

STEP = {"category": "action", "definition": "log", "scope": "global", "order": 1, "block": None, "inputs": []}
FLOW = {"trigger": {"type": "daily", "inputs": []}, "components": [STEP]}
TEXT = json.dumps(FLOW)


def with_steps(*steps: dict) -> str:
    return json.dumps({"trigger": None, "components": [{**STEP, **step} for step in steps]})


@given(flows())
def test_canonical_json_is_ok_and_unchanged(flow: Flow) -> None:
    parsed = parse_flow(flow.to_json())
    assert (parsed.status, parsed.repairs, parsed.flow) == ("ok", (), flow)


@given(flows(max_steps=3))
def test_an_outline_is_read_like_json(flow: Flow) -> None:
    """Whatever it begins with: a flow without trigger is one, and a reference in it is no JSON; numbered or not."""
    outline = to_outline(flow)
    if outline:
        assert parse_flow(outline).flow == parse_flow(to_outline(flow, numbered=True)).flow == flow


def test_an_outline_of_steps_alone_may_hold_references() -> None:
    text = "action send_email | to = {{trigger.record.opened_by}}\nIF | condition = {{step.1.sent}}\n  WAIT"
    assert [c.definition for c in parse_flow(text).flow.components] == ["send_email", "IF", "WAIT"]
    assert parse_flow(f"IF you agree, take this: {TEXT}").repairs == ("prose_removed",), "prose is not an outline"
    assert parse_flow("action send_email | to {{x}}").error.startswith("outline line 1"), "and says what is wrong"


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        (f"```json\n{TEXT}\n```", {"fence_removed"}),
        (f"```\n{TEXT}\n```", {"fence_removed"}),
        (f"```JSON\n{TEXT}\n```", {"fence_removed"}),
        (f"```json\n{TEXT}", {"fence_removed"}),
        (f"Sure!\n```json\n{TEXT}\n```\nHope this helps.", {"fence_removed", "prose_removed"}),
        (f"The flow is {TEXT} as asked.", {"prose_removed"}),
        (f"<think>{{maybe}}</think>{TEXT}", {"thinking_removed"}),
        (TEXT.replace("]}", "],}"), {"json_syntax"}),
        (TEXT[:-2], {"json_syntax"}),
        (TEXT.replace('"', "'").replace("None", "null"), {"json_syntax"}),
        (json.dumps({"flow": FLOW}), {"unwrapped"}),
        (json.dumps([FLOW]), {"unwrapped"}),
        (json.dumps({**FLOW, "name": "x"}), {"unknown_keys_dropped"}),
        (with_steps({"display_text": "x"}), {"unknown_keys_dropped"}),
        (with_steps({"order": "1"}), {"values_coerced"}),
        (with_steps({"order": 1.0}), {"values_coerced"}),
        (json.dumps({**FLOW, "trigger": "daily"}), {"values_coerced"}),
        (with_steps({"inputs": None}), {"defaults_filled"}),
        (json.dumps({"trigger": {"type": "daily"}, "components": None}), {"defaults_filled"}),
        (with_steps({"inputs": {"a": 1}}), {"inputs_from_object"}),
        (with_steps({"category": "flowlogic", "definition": "if"}), set()),
        (with_steps({"category": "Flow Logic", "definition": "IF"}), {"category_inferred"}),
        (with_steps({"category": "step"}), {"category_inferred"}),
        (with_steps({"order": 1}, {"order": 1}), {"renumbered"}),
        (with_steps({"order": 3}, {"order": 5}), {"renumbered"}),
        (with_steps({"order": 2}, {"order": 1}), {"reordered"}),
        (with_steps({"block": 9}), {"blocks_dropped"}),
        (json.dumps({**FLOW, "trigger": {"type": "\ud800"}}), {"bad_characters"}),
    ],
)
def test_each_repair_has_its_name(text: str, repairs: set[str]) -> None:
    parsed = parse_flow(text)
    assert parsed.status in ("ok", "repaired") and set(parsed.repairs) == repairs <= set(REPAIRS)
    assert parsed.flow is not None and not [f for f in structure_faults(parsed.flow) if "unknown" not in f]


@pytest.mark.parametrize(
    "text",
    [
        '{"trigger": null, "components": [], "outputs": {"items": 1.5}}',
        '{"trigger": null, "components": [], "inputs": {"items": ["name"]}}',
        "", " ", "I cannot help with that.", "null", "[]", "42", '"trigger"', "{}", '{"a": 1}', "<html>{}</html>",
        TEXT[:20], '{"trigger": 1, "components": []}', '{"trigger": {}, "components": []}',
        '{"trigger": null, "components": "x"}', '{"trigger": null, "components": ["x"]}',
        with_steps({"inputs": [{"name": None}]}), with_steps({"definition": 3}), with_steps(*[{}] * 6000),
        '{"a":' * 50_000, "[" * 100_000, '{"trigger":null,"components":[' * 30_000, f'{{"trigger": {"9" * 5000}}}',
        "{" * 1_000_000, "x" * 3_000_000, "```json\n" * 20_000, None, b"{}", 3.5, "trigger daily\n" * 3,
        with_steps({"inputs": [{"name": "v", "value": "@"}]}).replace('"@"', "[" * 300 + "]" * 300),
        "trigger daily\n??? x",
    ],
)  # fmt: skip
def test_garbage_is_invalid_output_with_a_reason_and_in_bounded_time(text: object) -> None:
    started = time.process_time()
    parsed = parse_flow(text)
    assert (parsed.status, parsed.flow) == ("invalid_output", None) and parsed.error
    assert time.process_time() - started < 5


@given(st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps)))
def test_any_text_gives_a_status(text: str) -> None:
    parsed = parse_flow(text)
    assert (parsed.flow is None) == (parsed.status == "invalid_output") == bool(parsed.error)


@given(st.lists(st.tuples(st.integers(-2, 6), st.one_of(st.none(), st.integers(-2, 6)), st.booleans()), max_size=8))
def test_any_orders_and_blocks_become_a_well_formed_flow(steps: list[tuple[int, int | None, bool]]) -> None:
    raw = [
        {"order": order, "block": block, "category": "flowlogic" if logic else "action", "definition": "TRY"}
        for order, block, logic in steps
    ]
    parsed = parse_flow({"trigger": None, "components": raw})
    assert parsed.flow is not None and parsed.flow.steps == len(steps)
    assert structure_faults(parsed.flow) == []


def test_a_very_deep_flow_is_parsed_without_recursion() -> None:
    deep = [
        {**STEP, "category": "flowlogic", "definition": "IF", "order": n, "block": n - 1 or None}
        for n in range(1, 4001)
    ]
    assert parse_flow(json.dumps({"trigger": None, "components": deep})).status == "ok"


def test_misplaced_logic_is_kept_and_warned_about() -> None:
    parsed = parse_flow(with_steps({"category": "flowlogic", "definition": "ELSE"}))
    assert parsed.status == "ok" and parsed.warnings == ("component 1: ELSE does not follow ELSEIF or IF",)
