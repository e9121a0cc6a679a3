"""Answers that one already has: read like all others, without a call; what does not fit together is named."""

from __future__ import annotations

import json

import pytest

from flowstudy.flows.outline import to_outline
from flowstudy.systems import SystemSpec, run_system
from flowstudy.systems.estimate import stored_estimate
from flowstudy.systems.readiness import readiness


def spec_of(tmp_path, *lines) -> SystemSpec:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return SystemSpec(name="product", model=str(path), retriever="none")


def test_recorded_answers_take_part_and_gaps_are_named(tmp_path, examples, train, catalogue, flow):
    spec = spec_of(
        tmp_path,
        {"id": "test-0", "flow": flow.to_dict(), "cost_usd": 0.25, "latency_s": 2.0, "model": "vendor-7"},
        {"id": "test-1", "text": to_outline(flow)},
        {"id": "test-2", "text": "I cannot do that."},
        {"id": "elsewhere", "text": ""},
    )
    journal = tmp_path / "product.jsonl"
    asked = (examples[:4], train, {"office": catalogue}, None, journal)
    first, second, third = run_system(spec, *asked)
    assert readiness(spec).ready and first.flow == second.flow == flow
    assert (first.cost_usd, first.latency_s, first.calls[0].model) == (0.25, 2.0, "vendor-7")
    assert (second.cost_usd, second.latency_s) == (None, None), "what was not recorded is not known"
    assert third.status == "invalid_output" and third.is_answer
    missing, unknown = stored_estimate(journal).notices
    assert missing.endswith("no recorded answer to 1 (test-3)") and unknown.endswith("not asked here: 1 (elsewhere)")
    assert run_system(spec, *asked) == [first, second, third], "nothing is read twice"
    spec_of(tmp_path, {"id": "test-3", "text": to_outline(flow)})
    assert [p.example for p in run_system(spec, *asked)] == ["test-3"], "another file, other answers"


@pytest.mark.parametrize(("line", "rule"), [
    ({"id": "test-0", "text": "x"}, "expected one answer for test-0, got two"),
    ({"id": "a", "text": "x", "flow": {}}, "either `text` or `flow`"),
    ({"id": "a"}, "either `text` or `flow`"),
    ({"id": "a", "text": "x", "cost_usd": -1}, "answer 2: cost_usd"),
    ({"id": "a", "text": "x", "answer": "y"}, "answer 2: answer"),
])  # fmt: skip
def test_a_file_that_cannot_be_understood_does_not_take_part(tmp_path, line, rule):
    state = readiness(spec_of(tmp_path, {"id": "test-0", "text": "x"}, line))
    assert not state.ready and rule in state.reason and "product" in state.fix


def test_a_file_that_is_not_there_does_not_take_part(tmp_path):
    state = readiness(SystemSpec(name="product", model=str(tmp_path / "none.jsonl")))
    assert not state.ready and "expected a file, got none" in state.reason
