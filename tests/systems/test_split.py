"""Splits: one system's outline, another one's inputs; who is asked, what is kept, and what it costs."""

from __future__ import annotations

import pytest
from loopback import FLOW, Reply

from flowstudy.flows.schema import Flow
from flowstudy.systems import Policy, SystemSpec, plan, read_predictions
from flowstudy.systems.mixed import hybrid_parts, split_parts
from flowstudy.systems.records import Call, Prediction
from flowstudy.systems.roster import roster
from flowstudy.systems.split import fill, lend, run_split

SPLIT = SystemSpec(name="split", model="hybrid/split/small+large")
SMALL = SystemSpec(name="small", model="slm/tuned", prompt="outline")


def outlined(examples, **about):
    """What a small model has answered: the same flow with inputs of its own, after one call."""
    call = Call(stage="whole", model="slm/tuned", cost_usd=0.001, latency_s=0.5, prompt_tokens=5, completion_tokens=5)
    own = {"status": "ok", "flow": Flow.model_validate(FLOW), "calls": [call], "key": "k"} | about
    return [Prediction(example=e.id, system="small", **own) for e in examples]


@pytest.fixture
def large(server):
    server.plan = lambda number, hit: Reply(text='{"to": "Zoe"}')
    return SystemSpec(name="large", model="openai/gpt-4o", api_base=server.base(), strategy="decomposed", shots=0)


@pytest.fixture
def run(examples, train, catalogue, tmp_path):
    def run(outlines, filler, donors=()):
        offers = {"lexical": {e.id: [] for e in examples}}
        answers = {"small": outlines, "large": donors}
        return run_split(SPLIT, [SMALL, filler, SPLIT], answers, examples, train, {"office": catalogue}, offers,
                         tmp_path / "split.jsonl", policy=Policy(attempts=2, base_s=0.01))  # fmt: skip

    return run


def test_a_decomposed_filler_is_asked_for_inputs_only_and_once(run, large, server, examples):
    found = run(outlined(examples), large)
    assert {p.system for p in found} == {"split"} and {p.status for p in found} == {"ok"}
    assert all(call.stage.startswith("inputs") for p in found for call in p.calls[1:]) and len(found[0].calls) > 1
    assert found[0].calls[0].model == "slm/tuned" and found[0].cost_usd > 0.001
    assert any(i.value == "Zoe" for c in found[0].flow.components for i in c.inputs)
    assert [c.key for c in found[0].flow.components] == [c["definition"] for c in FLOW["components"]]
    asked = len(server.hits)
    assert run(outlined(examples), large) == found and len(server.hits) == asked, "nothing is paid for twice"
    assert len(run(outlined(examples, key="other"), large)) == len(found)


def test_an_outline_that_is_no_flow_keeps_its_status_and_asks_nobody(run, large, server, examples):
    found = run(outlined(examples, status="invalid_output", flow=None, error="no flow"), large)
    assert {(p.status, p.error) for p in found} == {("invalid_output", "no flow")} and not server.hits
    assert run(outlined(examples, status="provider_error", flow=None), large) == []


def test_a_filler_that_answered_in_one_go_lends_and_nobody_is_called(run, large, server, examples, tmp_path):
    whole = large.model_copy(update={"strategy": "whole"})
    donors = [p.model_copy(update={"system": "large", "calls": [c.model_copy(update={"cost_usd": 0.01})]})
              for p in outlined(examples) for c in p.calls]  # fmt: skip
    found = run(outlined(examples), whole, donors)
    assert not server.hits and read_predictions(tmp_path / "split.jsonl") == found
    assert found[0].flow == Flow.model_validate(FLOW) and found[0].cost_usd == pytest.approx(0.011)
    assert run(outlined(examples), whole, []) == []


def flow(*steps, trigger=None):
    """A flat flow of (name, value of its only input)."""
    parts = [{"category": "action", "definition": name, "order": n, "inputs": [{"name": "x", "value": value}]}
             for n, (name, value) in enumerate(steps, 1)]  # fmt: skip
    return Flow.model_validate({"trigger": trigger, "components": parts})


def values(found):
    return [[i.value for i in c.inputs] for c in found.components]


def test_steps_are_met_in_order_and_a_missing_one_is_named():
    outline, donor = flow(("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")), flow(("a", "x"), ("a", "y"), ("c", "z"))
    found, empty = fill(outline, donor)
    assert values(found) == [["x"], [], ["y"], ["z"]] and empty == ["component 2"]
    assert values(fill(outline, None)[0]) == [[]] * 4 and fill(flow(), donor) == (flow(), [])
    (lent,) = lend("split", [Prediction(example="e", system="s", status="ok", flow=outline)],
                   [Prediction(example="e", system="d", status="ok", flow=donor)])  # fmt: skip
    assert lent.status == "repaired" and lent.repairs == ["inputs left empty: component 2 not in the other answer"]


def test_a_split_is_specified_by_its_model_and_ready_with_its_parts():
    assert split_parts(SPLIT) == ("small", "large") and hybrid_parts(SPLIT) is None
    assert split_parts(SMALL) is None and split_parts(SystemSpec(name="h", model="hybrid/cascade/a+b")) is None
    with pytest.raises(ValueError, match="system x: expected a model hybrid/"):
        split_parts(SystemSpec(name="x", model="hybrid/split/a+a"))
    parts = [SystemSpec(name="small", model="nearest"), SystemSpec(name="large", model="constant")]
    routed = SystemSpec(name="over", model="hybrid/cascade/split+small")
    assert roster([routed, SPLIT, *parts])["ready"].all(), "a router may stand on a split"
    table = roster([SPLIT, parts[0]]).set_index("system")
    assert not table.loc["split", "ready"] and "large is not in this study" in table.loc["split", "reason"]


def test_a_part_that_is_not_there_is_an_error(examples, train, catalogue, tmp_path):
    with pytest.raises(ValueError, match="system split: expected a split of two systems of the study"):
        run_split(SPLIT, [SMALL], {}, examples, train, {"office": catalogue}, {}, tmp_path / "x.jsonl")


def test_training_examples_with_a_feature_are_not_looked_at(examples, train, catalogue):
    spec = SystemSpec(name="gpt", model="openai/gpt-4o", shots=9, without="implicit_step")
    marked = [e.model_copy(update={"features": {"implicit_step": n == 0}}) for n, e in enumerate(train)]
    tasks = plan(spec, examples, marked, {"office": catalogue})
    shown = {shot.example.id for task in tasks for shot in task.shots}
    assert marked[0].id not in shown and shown == {e.id for e in marked[1:]}
    with pytest.raises(ValueError, match="system gpt: expected `without` to be a feature"):
        plan(spec.model_copy(update={"without": "implict_step"}), examples, marked, {"office": catalogue})
