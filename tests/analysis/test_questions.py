"""The paper's questions: who is an arm of whom, known gains, slices that add up, and ours beside the published."""

import math

import pandas as pd
import pytest

from flowstudy.analysis.questions import (
    arm_table,
    arms,
    arms_not_run,
    beside_published,
    contenders,
    lead_by_slice,
    side_arms,
)
from flowstudy.review import question_figures
from flowstudy.review.drawing import NothingToDraw
from flowstudy.systems.records import SystemSpec

SPECS = [
    SystemSpec(name="t", model="slm/tuned", retriever="trained"),
    SystemSpec(name="t-none", model="slm/tuned", retriever="none"),
    SystemSpec(name="t-oracle", model="slm/tuned", retriever="oracle"), SystemSpec(name="llm", model="openai/x"),
    SystemSpec(name="llm-steps", model="openai/x", strategy="decomposed"),
    SystemSpec(name="other", model="openai/x", shots=0, retriever="none"),
]  # fmt: skip
KINDS = {"t": "tuned", "llm": "prompted", "base": "untuned"}


@pytest.fixture
def examples():
    """Sixty examples; every second has flow logic, five have an implicit step."""
    numbers = range(60)
    return pd.DataFrame({
        "example": [f"e{i}" for i in numbers], "domain": "one", "constructs": [i % 2 == 0 for i in numbers],
        "implicit_step": [i < 5 for i in numbers], "size": ["1-3" if i < 30 else "31+" for i in numbers],
    })  # fmt: skip


def test_arms_differ_in_one_setting_only():
    assert arms(SPECS, "retriever") == [{"trained": "t", "none": "t-none", "oracle": "t-oracle"}]
    assert arms(SPECS, "strategy") == [{"whole": "llm", "decomposed": "llm-steps"}]
    assert arms(SPECS, "without") == []
    assert side_arms(SPECS) == {"t-none", "t-oracle"}


@pytest.mark.parametrize(("field", "value"), [("shots", 0), ("prompt", "outline"), ("decoding", "grammar")])
def test_arms_of_prompt_shots_and_decoding_stand_aside_for_the_first_that_is_named(field, value):
    other = SPECS[0].model_copy(update={"name": "other", field: value})
    assert arms([*SPECS, other], field) == [{str(getattr(SPECS[0], field)): "t", str(value): "other"}]
    assert side_arms([SPECS[0], other]) == {"other"}


def test_a_perfect_retriever_gives_what_it_gives(scores_of):
    # No noise: every example of the oracle arm is 0.05 higher, and of the bare arm 0.1 lower.
    scores = scores_of({"t": 0.5, "t-none": 0.4, "t-oracle": 0.55, "llm": 0.5}, noise=0)
    table = arm_table(scores, SPECS, "retriever", resamples=199).set_index("arm")
    assert list(table.index) == ["none", "trained", "oracle"]
    assert table["difference"].tolist() == pytest.approx([-0.1, 0, 0.05])
    base = scores.query("system == 't' and measure == 'strict_with_inputs'")["value"].mean()
    assert table.loc["oracle", "percent"] == pytest.approx(100 * 0.05 / base)
    # All 2^60 sign patterns but two are less extreme: the smallest p of 200 permutations (100 for each of the two
    # comparisons), doubled by Holm.
    assert table.loc[["none", "oracle"], "p_holm"].tolist() == pytest.approx([2 * 2 / 201] * 2)
    assert arm_table(scores, SPECS, "strategy").empty and arm_table(scores, SPECS, "without").empty
    assert arms_not_run(scores, SPECS, "retriever") == "" == arms_not_run(scores, SPECS, "without")
    lacking = arms_not_run(scores, SPECS, "strategy")
    assert lacking == "not run: llm-steps"
    with pytest.raises(NothingToDraw, match="“Outline first?”: not run: llm-steps".replace("?", r"\?")):
        question_figures.arms(arm_table(scores, SPECS, "strategy"), "Outline first?", lacking=lacking)


def test_the_base_is_what_the_run_has(scores_of):
    """A study with `retriever: lexical` showed no table of arms, for none of its systems had the trained one."""
    lexical, bare, oracle = (
        SystemSpec(name=name, model="slm/tuned", retriever=name) for name in ("lexical", "none", "oracle")
    )
    again = lexical.model_copy(update={"name": "again"})
    assert side_arms([lexical, bare, again, oracle]) == {"none", "again", "oracle"}
    assert side_arms([bare, lexical, oracle]) == {"lexical", "oracle"}, "a study without a retriever keeps that one"
    scores = scores_of({"lexical": 0.5, "none": 0.4, "oracle": 0.6}, noise=0)
    for specs, base, gain in (([oracle, bare, lexical], "lexical", 0.1), ([oracle, bare], "none", 0.2)):
        table = arm_table(scores, specs, "retriever", resamples=199).set_index("arm")
        assert set(table["group"]) == {base} and table.loc["oracle", "difference"] == pytest.approx(gain)
        beside = beside_published(pd.DataFrame(), table.reset_index(), KINDS).set_index("finding")
        percent = beside.loc["a perfect retriever over the one used", "percent"]
        assert math.isnan(percent) if base == "none" else percent > 0
    assert arm_table(scores.query("system != 'none'"), [oracle, bare, lexical], "retriever")["system"].tolist() == [
        "lexical", "oracle"]  # fmt: skip
    assert arm_table(scores.query("system == 'oracle'"), [oracle, bare, lexical], "retriever").empty


def test_the_lead_by_slice_adds_up_and_small_slices_are_marked(scores_of, examples):
    lead = lead_by_slice(scores_of({"t": 0.7, "llm": 0.6}), examples, "t", "llm", resamples=199).set_index("slice")
    assert "domain one" not in lead.index, "a feature that is the same everywhere is no slice"
    whole, logic, flat = (lead.loc[name] for name in ("all examples", "with structural logic",
                                                      "without structural logic"))  # fmt: skip
    assert whole["difference"] == pytest.approx((logic["difference"] * 30 + flat["difference"] * 30) / 60)
    assert lead.loc["with implicit step", "few"] and lead.loc["with implicit step", "n"] == 5
    assert lead.index[0] == "all examples" and (lead["p_holm"] >= lead["p"]).all()


def test_nobody_to_compare_gives_empty_tables_and_words(scores_of, examples):
    scores = scores_of({"t": 0.7})
    assert contenders({"tuned": "t"}) is None and contenders({"prompted": "llm"}) is None
    lead = lead_by_slice(scores, examples, "", "")
    beside = beside_published(lead, arm_table(scores, SPECS, "retriever"), KINDS)
    assert lead.empty and beside["ours"].str.startswith("not measured").all() and beside["percent"].isna().all()


def test_the_untuned_model_stands_in_and_is_said_to(scores_of, examples):
    scores = scores_of({"t": 0.7, "base": 0.5})
    assert contenders({"tuned": "t", "untuned": "base", "baseline": "nearest"}) == ("t", "base")
    assert contenders({"tuned": "t", "untuned": "base", "prompted": "llm"}) == ("t", "llm")
    lead = lead_by_slice(scores, examples, "t", "base", resamples=199)
    beside = beside_published(lead, arm_table(scores, SPECS, "retriever"), KINDS).set_index("finding")
    assert "standing in for a large model" in beside.loc["tuned over prompted", "ours"]
    assert beside.loc["tuned over prompted", "published"] == "about +10 %"
    assert math.isnan(beside.loc["a perfect retriever over the one used", "percent"])
