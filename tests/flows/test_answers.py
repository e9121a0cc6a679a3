"""Reading answers protects: the last flow outside the thinking counts, and nothing repaired has lost a step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.flows import Flow, from_outline, parse_flow
from flowstudy.flows.schema import Trigger
from flowstudy.systems.readers import read_inputs

from .strategies import flows

HERE = Path(__file__).parent / "cases"
GOLD = json.loads((HERE / "answers-gold.json").read_text(encoding="utf-8"))


def cases(name: str) -> list:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


@pytest.mark.parametrize("case", cases("answers.jsonl"))
def test_the_flow_that_is_meant_is_read(case: dict) -> None:
    parsed = parse_flow(case["text"])
    if case["id"].startswith("outline"):
        steps = from_outline("trigger daily | at = 8\naction log").steps
        assert parsed.flow.steps == steps and parsed.flow.trigger.inputs[0].value == "8"
        assert not any("\r" in str(i.value) for c in parsed.flow.components for i in c.inputs)
    elif parsed.flow is not None:
        assert case["expected"] != "invalid" and parsed.flow == Flow.model_validate(GOLD["gold"]), parsed
    else:
        assert "invalid" in case["expected"], parsed


@pytest.mark.parametrize("case", cases("answers-inputs.jsonl"))
def test_the_inputs_that_are_meant_are_read(case: dict) -> None:
    inputs = read_inputs(case["text"], "json", Trigger(type="daily"), None)
    assert [[i.name, i.value] for i in inputs or []] == case["expected"]


def test_of_two_values_under_one_key_none_is_left_out_silently() -> None:
    twice = '{"trigger": null, "components": [{"definition": "a"}], "components": [{"definition": "b"}]}'
    assert parse_flow(twice).status == "invalid_output" and "'components' twice" in parse_flow(twice).error
    same = '{"trigger": null, "components": [{"category": "action", "definition": "a", "order": 1, "order": 1}]}'
    assert parse_flow(same).flow.steps == 1


WRAPPERS = {
    "fence": lambda text: f"```json\n{text}\n```",
    "prose": lambda text: f"Here:\n{text}\nDone.",
    "thinking": lambda text: f'<think>or {{"trigger": null, "components": []}}</think>\n{text}',
    "thinking of Mistral": lambda text: f"[THINK]or {{}}[/THINK]{text}",
    "thinking without its beginning": lambda text: f'so {{"trigger": null, "components": []}}</think>{text}',
    "channels": lambda text: f"<|channel|>analysis<|message|>hm {{}}<|end|><|channel|>final<|message|>{text}",
    "explanation": lambda text: f'{{"explanation": "x", "flow": {text}}}',
    "tool call": lambda text: f'<tool_call>{{"name": "f", "arguments": {text}}}</tool_call>',
    "tool call as text": lambda text: json.dumps({"tool_calls": [{"function": {"arguments": text}}]}),
    "string": json.dumps,
    "list": lambda text: f"[{text}]",
    "byte order mark": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", WRAPPERS)
@settings(max_examples=25, deadline=None)
@given(flow=flows(max_steps=3), data=st.data())
def test_a_flow_in_any_wrapper_reads_back_and_a_cut_one_is_never_ok(name: str, flow: Flow, data: st.DataObject) -> None:
    text = WRAPPERS[name](flow.to_json())
    assert parse_flow(text).flow == flow
    assert parse_flow(text[: data.draw(st.integers(0, len(text) - 1))]).status != "ok"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"flow": GOLD["gold"], "more": [GOLD["gold"]]}),
        json.dumps({**GOLD["gold"], "else": GOLD["gold"]["components"]}),
        json.dumps({"trigger": {"type": "daily"}, "steps": [{"action": "log"}]}),
    ],
)
def test_no_repair_loses_steps(text: str) -> None:
    assert parse_flow(text).status == "invalid_output"
