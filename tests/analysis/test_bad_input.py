"""Every table of a decision on the odd worlds of a real run: nothing raises, nothing is invented, reasons are given."""

import math

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis import sizes
from flowstudy.analysis.comparison import best_chances, by_feature, compare, repeat_spread, status_table, summarise
from flowstudy.analysis.decision import decide
from flowstudy.analysis.economics import Assumptions, break_even, economics_table
from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.analysis.sensitivity import ranking_table, swaps, verdict

MONEY = Assumptions(labelled_examples=100)
KINDS = {"tuned": "tuned", "llm": "prompted"}
BOTH = {"tuned": 0.7, "llm": 0.6}


def one_system(make):
    return make({"tuned": 0.7})


def no_overlap(make):
    other = make({"llm": 0.6})
    return pd.concat([make({"tuned": 0.7}), other.assign(example="other-" + other["example"])])


def missing_costs(make):
    return make(BOTH, costs={"llm": math.nan}, seconds={"tuned": math.nan})


def all_equal(make):
    one = make({"tuned": 0.7})
    flat = one.assign(value=one["value"].where(~one["measure"].isin([PRIMARY, OUTLINE]), 0.5))
    return pd.concat([flat, flat.assign(system="llm")])


def all_zero(make):
    return all_equal(make).assign(value=lambda t: t["value"].where(~t["measure"].isin([PRIMARY, OUTLINE]), 0.0))


def one_domain(make):
    return make(BOTH, split="test").assign(domain="one")


def half_missing(make):
    scores = make(BOTH)
    return scores[~((scores["system"] == "llm") & scores["example"].isin([f"e{i}" for i in range(30)]))]


def nobody_answered(make):
    scores = make(BOTH)
    return scores[scores["measure"] == "answered"].assign(value=0.0, status="provider_error")


WORLDS = [one_system, no_overlap, missing_costs, all_equal, all_zero, one_domain, half_missing, nobody_answered]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_the_whole_chain_survives_and_says_why(world, scores_of):
    scores = world(scores_of)
    examples = pd.DataFrame({"example": scores["example"].unique()}).assign(steps=4, implicit_step=True)
    pairs, summary = compare(scores, resamples=199), summarise(scores, by=("split",), resamples=199)
    for table, bounds, reasons in ((pairs, ("low", "high"), "reason"), (summary, ("low", "high"), "reason")):
        undefined = table[table[list(bounds)].isna().any(axis=1)]
        assert (undefined[reasons].str.len() > 0).all()
    assert best_chances(scores).sum() in (0, pytest.approx(1))
    money = economics_table(scores, MONEY)
    volume = break_even(scores, "tuned", "llm", MONEY, resamples=199)
    assert np.isinf(volume["requests"]).any() or volume["reason"].str.len().gt(0).all()
    ranking, changed = (f(scores, (PRIMARY, OUTLINE), resamples=199) for f in (ranking_table, swaps))
    assert verdict(ranking, changed).endswith(".")
    by_feature(scores, examples, ["implicit_step"])
    sizes.by_size(scores, examples), sizes.fit(scores, examples), repeat_spread(scores, resamples=99)
    answer = decide(scores, KINDS, assumptions=MONEY, resamples=199)
    assert answer == decide(scores, KINDS, assumptions=MONEY, resamples=199)
    assert answer.headline and " nan" not in answer.text()
    assert set(money["system"]) <= set(scores["system"])


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (one_system, "No prompted large model answered"),
        (no_overlap, "both tuned and llm answered: 0"),
        (missing_costs, "by 0."),
        (half_missing, "by 0."),
        (nobody_answered, "No fine-tuned small model and no prompted large model"),
        (all_equal, "as good as each other (difference +0.000, the same on every example"),
        (all_zero, "nothing to choose between"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_answer_names_the_trouble(world, words, scores_of):
    assert words in decide(world(scores_of), KINDS, assumptions=MONEY, resamples=199).text()


def test_half_missing_is_reported_paired_and_flagged(scores_of):
    scores = half_missing(scores_of)
    assert compare(scores, resamples=199)[["n", "left_out"]].to_numpy().tolist() == [[30, 30]]
    missing = status_table(scores, scores["example"].unique()).query("status == 'missing'")
    assert missing[["system", "count", "share"]].to_numpy().tolist() == [["llm", 30, 0.5]]
    assert "llm has no answer to 50% of the requests." in decide(scores, KINDS, resamples=199).doubts
    money = economics_table(scores, MONEY).set_index("system")
    assert money.loc["llm", "n"] == 30 and money.loc["tuned", "n"] == 60


def test_missing_costs_take_no_part_in_what_needs_them(scores_of):
    scores = missing_costs(scores_of)
    assert economics_table(scores, MONEY)["missing"].tolist() == ["price", "price"]
    reasons = break_even(scores, "tuned", "llm", MONEY)["reason"]
    assert (reasons == "unpriced: tuned, llm").all()
