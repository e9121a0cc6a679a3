"""Of several answers the one that agrees best is taken; all are paid for, each has its own seed, none stands alone."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from loopback import Reply

from flowstudy.flows.schema import Component, Flow
from flowstudy.metrics import flow_similarity
from flowstudy.systems import Policy, SystemSpec, run_system
from flowstudy.systems.consensus import NEAR, choose, flows_near, most_agreed
from flowstudy.systems.estimate import estimate
from flowstudy.systems.predict import plan
from flowstudy.systems.records import Call, Prediction

FAST = Policy(attempts=1, base_s=0.01)


def flow(*steps: str) -> Flow:
    return Flow(components=[Component(definition=step, order=n + 1) for n, step in enumerate(steps)])


def answer(one: Flow | None, status="ok", cost=0.1, latency=1.0) -> Prediction:
    calls = [Call(stage="whole", model="m/m", cost_usd=cost, latency_s=latency)]
    return Prediction(example="e", system="s", status=status, flow=one, text="t", calls=calls)


ODD, SHORT, USUAL, LIKE = flow("x", "y", "z"), flow("a"), flow("a", "b"), flow("a", "b", "c")


def test_the_answer_with_the_highest_expected_flow_similarity_is_taken():
    flows = [ODD, USUAL, LIKE, SHORT]
    worth = [np.mean([flow_similarity(a, [b], inputs=False) for b in flows if b is not a]) for a in flows]
    place, agreement = most_agreed(flows, [])
    assert place == int(np.argmax(worth)) == 1 and agreement == pytest.approx(worth[1], abs=1e-4)
    assert most_agreed([ODD], []) == (0, None)
    assert most_agreed([LIKE, LIKE], [])[0] == 0, "the first of equals"


def test_what_was_built_for_similar_requirements_counts_as_much():
    assert most_agreed([USUAL, LIKE], [(LIKE, 0.4)])[0] == 1
    assert most_agreed([USUAL, LIKE], [(USUAL, 0.4)])[0] == 0
    assert most_agreed([LIKE, USUAL, USUAL], [(LIKE, 0.1), (USUAL, 0.3)])[0] == 1, "each with what it counts"


@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_the_order_of_answers_does_not_matter(order):
    found = choose([answer([ODD, USUAL, LIKE, SHORT][n]) for n in order], [])
    assert found.flow == USUAL
    assert found.cost_usd == pytest.approx(0.4) and [c.candidate for c in found.calls] == [0, 1, 2, 3]


def test_candidates_are_paid_for_together_and_waited_for_at_once():
    found = choose([answer(USUAL, latency=t) for t in (1.0, 3.0, 2.0)], [])
    assert found.latency_s == 3.0
    both = found.model_copy(update={"calls": [*found.calls, Call(stage="whole", model="m/other", latency_s=5.0)]})
    assert both.latency_s == 8.0, "who is asked afterwards is waited for afterwards"


def test_a_failure_is_never_out_voted():
    """With fewer candidates it would be another system: the next run asks for what is missing."""
    lacking = choose([answer(USUAL), answer(None, "budget_stop"), answer(USUAL)], [])
    assert lacking.status == "budget_stop" and lacking.flow is None and len(lacking.calls) == 3
    assert choose([answer(None, "invalid_output"), answer(USUAL)], []).flow == USUAL
    assert choose([answer(None, "refused"), answer(None, "invalid_output")], []).status == "refused"


def test_the_nearest_training_examples_are_looked_at(train):
    votes = np.linspace(0, 1, len(train))
    found = flows_near(train, votes / votes.sum())
    assert len(found) == min(NEAR, len(train) - 1) and found[0][0] == train[-1].flow
    assert [weight for _, weight in found] == sorted((weight for _, weight in found), reverse=True)
    assert flows_near(train, np.zeros(len(train))) == []


def test_a_system_of_candidates_asks_so_often_and_resumes_without_paying_twice(
    server, examples, train, catalogue, tmp_path
):
    said = {0: ODD, 1: USUAL, 2: LIKE}

    def reply(number, hit):
        return Reply(text=said[hit.body["seed"] % 3].to_json())

    server.plan = reply
    spec = SystemSpec(name="many", model="openai/gpt-4o", api_base=server.base(), shots=0, suggestions=2, candidates=3,
                      temperature=0.7)  # fmt: skip
    path = tmp_path / "many.jsonl"
    arguments = (spec, examples, train, {"office": catalogue}, None, path)
    found = run_system(*arguments, policy=FAST)
    assert len(server.hits) == 3 * len(examples)
    assert sorted({hit.body["seed"] for hit in server.hits}) == [0, 1, 2]
    assert all(len(p.calls) == 3 and p.agreement is not None for p in found)
    assert {p.flow.to_json() for p in found if p.flow} <= {f.to_json() for f in said.values()}
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1]) + "\n")
    again = run_system(*arguments, policy=FAST)
    assert [p.flow for p in again] == [p.flow for p in found] and len(server.hits) == 3 * len(examples)
    assert json.loads(path.read_text().splitlines()[1])["calls"][2]["candidate"] == 2


def test_candidates_at_temperature_zero_are_refused():
    with pytest.raises(ValueError, match=r"system s: expected a temperature above 0 for 3 candidates, got 0"):
        SystemSpec(name="s", model="openai/gpt-4o", candidates=3)


def test_candidates_are_estimated_before_the_first_call(examples, train, catalogue):
    """A run that is shown and limited by its estimate must know that it asks so many times."""
    one = SystemSpec(name="one", model="openai/gpt-4o", shots=0, suggestions=2, temperature=0.7)
    many = one.model_copy(update={"candidates": 3})
    small, large = (estimate(spec, plan(spec, examples, train, {"office": catalogue})) for spec in (one, many))
    assert (large.calls, large.predictions) == (3 * small.calls, small.predictions)
    assert large.cost_usd == pytest.approx(3 * small.cost_usd, rel=0.01)
    assert large.worst_usd == pytest.approx(3 * small.worst_usd, rel=0.01)
    assert {task.key for task in plan(one, examples, train, {"office": catalogue})}.isdisjoint(
        task.key for task in plan(many, examples, train, {"office": catalogue})
    )
