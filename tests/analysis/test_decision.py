"""Economics and the decision: known values by hand, every rule once, the same inputs give the same words."""

import math

import pytest

from flowstudy.analysis.decision import decide, system_kinds
from flowstudy.analysis.economics import Assumptions, break_even, economics_table, request_costs
from flowstudy.systems.records import SystemSpec

KINDS = {"tuned": "tuned", "llm": "prompted", "mix": "hybrid", "base": "untuned", "nearest": "baseline"}
CHEAP = Assumptions(host_usd_per_hour=3.6, utilisation=0.5, labelled_examples=100, label_usd_per_example=3)


def test_cost_of_a_thousand_requests(scores_of):
    # 2 s at 3.6 $/h = 0.001 $/s, half used: 0.004 $ a request, 4 $ per 1,000. The provider: 0.01 $, so 10.
    scores = scores_of({"tuned": 0.7, "llm": 0.6}, costs={"llm": 0.01}, seconds={"tuned": 2.0})
    table = economics_table(scores, CHEAP).set_index("system")
    assert table.loc["tuned", "cost_per_1000"] == pytest.approx(4)
    assert table.loc["llm", "cost_per_1000"] == pytest.approx(10)
    assert 1.4 < table.loc["llm", "latency_p50"] < 1.6 < table.loc["llm", "latency_p95"] < 2


def test_break_even_known_value(scores_of):
    # 300 $ of labels; saved per request 0.01 - 0.004 = 0.006: 50,000 requests, 2.5 months at 20,000.
    scores = scores_of({"tuned": 0.7, "llm": 0.6}, costs={"llm": 0.01}, seconds={"tuned": 2.0})
    table = break_even(scores, "tuned", "llm", CHEAP).set_index("utilisation")
    assert table.loc[0.5, "requests"] == pytest.approx(50_000)
    assert table.loc[0.5, "months"] == pytest.approx(2.5)
    # At 5 % use a request costs 0.04: more than the provider. Never.
    assert math.isinf(table.loc[0.05, "requests"]) and "never" in table.loc[0.05, "reason"]
    assert table.loc[0.05, "never"] == 1.0


def test_unpriced_is_named_and_never_zero(scores_of):
    scores = scores_of({"tuned": 0.7, "llm": 0.6}, costs={"llm": math.nan}, seconds={"tuned": 2.0})
    table = economics_table(scores, CHEAP).set_index("system")
    assert math.isnan(table.loc["llm", "cost_per_1000"]) and table.loc["llm", "missing"] == "price"
    assert "unpriced: llm" in break_even(scores, "tuned", "llm", CHEAP)["reason"].iloc[0]
    assert request_costs(scores, CHEAP)["llm"].isna().all()


@pytest.mark.parametrize(
    ("means", "answer"),
    [
        ({"tuned": 0.8, "llm": 0.6}, "fine-tune"),
        ({"tuned": 0.6, "llm": 0.8}, "prompt"),
        ({"tuned": 0.6, "llm": 0.6, "mix": 0.8}, "hybrid"),
        ({"tuned": 0.8, "llm": 0.6, "mix": 0.805}, "fine-tune"),
        ({"tuned": 0.7, "base": 0.5, "nearest": 0.4}, "cannot tell yet"),
        ({"llm": 0.7, "base": 0.5}, "cannot tell yet"),
        ({"tuned": 0.7}, "cannot tell yet"),
    ],
)
def test_the_rules(scores_of, means, answer):
    assert decide(scores_of(means), KINDS).answer == answer


def test_equal_quality_is_decided_by_money(scores_of):
    scores = scores_of({"tuned": 0.7, "llm": 0.7}, n=300, noise=0.01, costs={"llm": 0.01}, seconds={"tuned": 2.0})
    assert decide(scores, KINDS, assumptions=CHEAP).answer == "fine-tune"
    dear = CHEAP.model_copy(update={"label_usd_per_example": 300})
    assert decide(scores, KINDS, assumptions=dear).answer == "prompt"
    unpriced = decide(scores, KINDS)
    assert unpriced.answer == "cannot tell yet" and "not known" in unpriced.headline


def test_too_close_says_how_many_more_examples(scores_of):
    decision = decide(scores_of({"tuned": 0.62, "llm": 0.6}, n=30, noise=0.2), KINDS)
    assert decision.answer == "cannot tell yet" and decision.more_examples > 100
    assert f"{decision.more_examples:,}" in decision.headline


def test_words_are_the_same_every_time_and_name_what_was_not_run(scores_of):
    scores = scores_of({"tuned": 0.7, "base": 0.5, "nearest": 0.4})
    absent = {"gpt-4o": "OPENAI_API_KEY is not set"}
    first = decide(scores, KINDS, not_run=absent, seed=4)
    assert first == decide(scores.sample(frac=1, random_state=2), KINDS, not_run=absent, seed=4)
    assert "gpt-4o: OPENAI_API_KEY is not set" in first.text()
    assert "No large model answered" in first.doubts[0]
    assert first.reasons[0].startswith("tuned is ahead of base (the same base model before fine-tuning): ")
    assert len(first.reasons) <= 3 and len(first.doubts) <= 3


def test_few_examples_and_one_domain_are_doubts(scores_of):
    few = decide(scores_of({"tuned": 0.9, "llm": 0.2}, n=6), KINDS)
    assert few.answer == "cannot tell yet" and "answered: 6" in few.headline
    scores = scores_of({"tuned": 0.9, "llm": 0.2}, split="test")
    doubts = " ".join(decide(scores.assign(domain="one"), KINDS).doubts)
    assert "one domain" in doubts.lower() or "1 domain only" in doubts
    assert "No domain outside training" in doubts


def test_kinds_come_from_the_systems():
    specs = [
        SystemSpec(name="a", model="slm/base"), SystemSpec(name="b", model="slm/tuned"),
        SystemSpec(name="c", model="openai/gpt-4o"), SystemSpec(name="d", model="nearest"),
        SystemSpec(name="hybrid-cascade", model="slm/tuned"),
    ]  # fmt: skip
    assert list(system_kinds(specs).values()) == ["untuned", "tuned", "prompted", "baseline", "hybrid"]
