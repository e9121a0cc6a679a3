"""The decision: every rule once, who is out and why, the same inputs give the same words."""

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis.comparison import wide
from flowstudy.analysis.decision import apart, contest, decide, system_kinds, unfit
from flowstudy.analysis.statistics import detectable_difference
from flowstudy.systems.records import SystemSpec

KINDS = {"tuned": "tuned", "llm": "prompted", "mix": "hybrid", "base": "untuned", "nearest": "baseline"}
YEAR = {"tuned": 900.0, "llm": 2400.0, "mix": 2000.0}


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
        ({"tuned": 0.5, "llm": 0.4, "nearest": 0.6}, "cannot tell yet"),
        ({"tuned": 0.15, "llm": 0.05}, "cannot tell yet"),
    ],
)
def test_the_rules(scores_of, means, answer):
    assert decide(scores_of(means), KINDS).answer == answer


def test_good_enough_and_cheaper_is_an_answer(scores_of):
    scores = scores_of({"tuned": 0.7, "llm": 0.7}, n=300, noise=0.01)
    found = decide(scores, KINDS, year_usd=YEAR)
    assert found.answer == "fine-tune" and "good enough and cheaper" in found.headline
    assert "900 against 2,400 US dollars" in found.headline
    assert decide(scores, KINDS, year_usd={"tuned": 9000, "llm": 2400}).answer == "prompt"
    unpriced = decide(scores, KINDS, year_usd={"tuned": 900})
    assert unpriced.answer == "cannot tell yet" and "what llm costs is not known" in unpriced.headline
    # Clearly worse, but by less than the margin: still good enough. By more: the better one, whatever it costs.
    slightly = scores_of({"tuned": 0.69, "llm": 0.7}, n=300, noise=0.01)
    assert decide(slightly, KINDS, year_usd=YEAR).answer == "fine-tune"
    assert decide(slightly, KINDS, year_usd=YEAR, margin=0.005).answer == "prompt"


def test_who_is_behind_a_baseline_or_below_the_level_is_out_by_name_and_first(scores_of):
    scores = scores_of({"tuned": 0.5, "llm": 0.4, "nearest": 0.6})
    found = decide(scores, KINDS, year_usd=YEAR)
    assert found.reasons[0].startswith("Out of the comparison: llm, behind nearest, which takes no model: 0.4")
    assert found.reasons[1].startswith("Out of the comparison: tuned, behind nearest")
    assert "No fine-tuned small model and no prompted large model took part" in found.headline
    assert "tuned" not in found.leaders and found.leaders["baseline"] == "nearest"
    low = decide(scores_of({"tuned": 0.6, "llm": 0.2}), KINDS)
    assert low.answer == "cannot tell yet" and "is below 0.25, the least that is of use" in low.reasons[0]
    assert decide(scores_of({"tuned": 0.6, "llm": 0.2}), KINDS, least=0.1).answer == "fine-tune"


def test_the_baseline_is_always_among_the_reasons(scores_of):
    found = decide(scores_of({"tuned": 0.8, "llm": 0.6, "base": 0.4, "mix": 0.5, "nearest": 0.5}), KINDS)
    assert found.answer == "fine-tune" and any("better than nearest" in line for line in found.reasons)


def test_the_best_of_a_kind_is_chosen_on_validation(scores_of):
    kinds = {**KINDS, "other": "prompted"}
    judged = scores_of({"tuned": 0.6, "llm": 0.7, "other": 0.72}, noise=0.02)
    validation = scores_of({"tuned": 0.6, "llm": 0.8, "other": 0.5}, n=12, split="validation")
    validation["example"] = "v" + validation["example"]
    found = decide(pd.concat([judged, validation]), kinds)
    assert found.answer == "prompt" and found.leaders["prompted"] == "llm" and found.headline.startswith("llm beats")
    assert "of 60" in found.reasons[0], "validation examples do not judge"
    without = decide(judged, kinds)
    assert without.leaders["prompted"] == "other" and "chosen on the examples that judge it" in without.doubts[0]


def test_without_validation_the_intervals_pay_for_the_choice():
    rng = np.random.default_rng(5)
    names = ["tuned", *(f"llm{n}" for n in range(6))]
    table = pd.DataFrame(rng.normal(0.6, 0.1, size=(60, 7)), columns=names, index=[f"e{n}" for n in range(60)])
    kinds = {name: "tuned" if name == "tuned" else "prompted" for name in names}
    many = contest(table, table.iloc[:0], kinds)
    best = many.leaders["prompted"]
    one = contest(table[["tuned", best]], table.iloc[:0], kinds)
    assert not many.chosen and one.chosen
    assert many.gaps["tuned", best].low < one.gaps["tuned", best].low


def test_too_close_says_how_many_more_examples_and_what_this_pair_can_find(scores_of):
    scores = scores_of({"tuned": 0.62, "llm": 0.6, "nearest": 0.3}, n=30, noise=0.2)
    decision = decide(scores, KINDS, year_usd=YEAR)
    assert decision.answer == "cannot tell yet" and decision.more_examples > 100
    assert f"{decision.more_examples:,}" in decision.headline
    table = wide(scores)
    least = detectable_difference((table["tuned"] - table["llm"]).to_numpy())
    assert any(f"only differences above {least:.3f} are found" in line for line in decision.doubts)


def test_words_are_the_same_every_time_and_name_what_was_not_run(scores_of):
    scores = scores_of({"tuned": 0.7, "base": 0.5, "nearest": 0.4})
    absent = {"gpt-4o": "OPENAI_API_KEY is not set"}
    first = decide(scores, KINDS, not_run=absent, doubts=["Leaks."], seed=4)
    shuffled = scores.sample(frac=1, random_state=2)
    assert first == decide(shuffled, KINDS, not_run=absent, doubts=["Leaks."], seed=4)
    assert "gpt-4o: OPENAI_API_KEY is not set" in first.text()
    assert first.doubts[0] == "Leaks." and "No large model takes part" in first.doubts[1]
    assert any("better than base (the same base model before fine-tuning): " in line for line in first.reasons)
    assert len(first.reasons) <= 3 and len(first.doubts) <= 5


def test_few_examples_and_one_domain_are_doubts(scores_of):
    few = decide(scores_of({"tuned": 0.9, "llm": 0.4}, n=6), KINDS)
    assert few.answer == "cannot tell yet" and "answered: 6" in few.headline
    scores = scores_of({"tuned": 0.9, "llm": 0.4}, split="test")
    doubts = " ".join(decide(scores.assign(domain="one"), KINDS).doubts)
    assert "1 domain only" in doubts and "No domain outside training" in doubts


def test_the_hardly_asked_and_the_hardly_trained_are_out(scores_of):
    specs = [
        SystemSpec(name="tuned", model="slm/tuned"), SystemSpec(name="cut", model="slm/cut"),
        SystemSpec(name="fine", model="slm/fine"), SystemSpec(name="llm", model="openai/x"),
        SystemSpec(name="mix", model="hybrid/cascade/tuned+llm"), SystemSpec(name="base", model="slm/base"),
    ]  # fmt: skip
    scores = scores_of({"tuned": 0.7, "fine": 0.7, "llm": 0.6, "base": 0.3})
    tokens = scores[scores["measure"] == "answered"].assign(measure="completion_tokens", value=9.0)
    scores = pd.concat([scores, tokens])
    long = scores["example"].isin([f"e{n}" for n in range(20)]) & scores["system"].isin(["llm", "base"])
    scores.loc[long, "status"] = "truncated"
    trained = {"tuned": {"stopped": "time limit after 1 of 20 steps"}, "cut": {"truncated": 0.33},
               "fine": {"stopped": "time limit after 19 of 20 steps", "truncated": 0.02}}  # fmt: skip
    found = unfit(scores, specs, trained)
    assert found["tuned"] == "hardly trained: time limit after 1 of 20 steps"
    assert found["cut"] == "hardly trained: 33% of its training examples were cut"
    assert found["llm"].startswith("hardly asked: 20 requests (33%)") and "fine" not in found
    assert found["mix"].startswith("its part tuned was hardly trained")
    assert "base" not in found, "the untuned model seldom ends by itself"
    unasked = scores.assign(value=scores["value"].mask(long & (scores["measure"] == "completion_tokens")))
    assert unfit(unasked, specs)["base"].startswith("hardly asked"), "its prompts did not fit"
    told = decide(scores, system_kinds(specs), out=found)
    assert told.answer == "cannot tell yet" and told.leaders.get("tuned") == "fine"


def test_what_differs_is_said_and_more_than_one_thing_is_marked(scores_of):
    specs = [
        SystemSpec(name="tuned", model="slm/tuned", shots=0),
        SystemSpec(name="llm", model="openai/x", shots=3, prompt="outline"),
    ]
    line = "They differ in 3 things, so none alone explains it: model slm/tuned against openai/x, shots 0 against 3, "
    assert (
        decide(scores_of({"tuned": 0.7, "llm": 0.6}), KINDS, specs=specs)
        .reasons[0]
        .endswith(line + "prompt json against outline.")
    )
    other = specs[0].model_copy(update={"name": "t2", "retriever": "none"})
    assert apart(other, specs[0]) == "They differ in one thing: retriever none against lexical."
    assert apart(specs[0], specs[0]) == "Their settings are the same."


def test_kinds_come_from_the_systems():
    specs = [
        SystemSpec(name="a", model="slm/base"), SystemSpec(name="b", model="slm/tuned"),
        SystemSpec(name="c", model="openai/gpt-4o"), SystemSpec(name="d", model="nearest"),
        SystemSpec(name="hybrid-cascade", model="slm/tuned"),
    ]  # fmt: skip
    assert list(system_kinds(specs).values()) == ["untuned", "tuned", "prompted", "baseline", "hybrid"]
