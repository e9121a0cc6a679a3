"""Ranking under every measure: known orders, ties, gaps, and when a change of places is more than chance."""

import pandas as pd
import pytest

from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.analysis.sensitivity import RANKING_COLUMNS, ranking_table, swaps, verdict

BOTH = (PRIMARY, OUTLINE)


@pytest.fixture
def turned(scores_of):
    """`a` before `b` before `c` with inputs; `b` before `a` without."""
    scores = scores_of({"a": 0.7, "b": 0.6, "c": 0.3}, noise=0.03)
    other = scores_of({"a": 0.6, "b": 0.7, "c": 0.3}, noise=0.03)
    return pd.concat([scores[scores["measure"] != OUTLINE], other[other["measure"] == OUTLINE]])


def test_ranks_and_tau_of_a_known_turn(turned):
    table = ranking_table(turned, BOTH)
    assert list(table.columns) == list(RANKING_COLUMNS)
    assert table["system"].tolist() == ["a", "b", "c"] * 2
    assert table["rank"].tolist() == [1, 2, 3, 2, 1, 3] and table["rank_primary"].tolist() == [1, 2, 3] * 2
    # Of three pairs two agree and one does not: tau = (2 - 1) / 3.
    assert table["tau"].tolist() == pytest.approx([1, 1, 1, 1 / 3, 1 / 3, 1 / 3])
    assert table.groupby("measure")["chance_of_best"].sum().tolist() == pytest.approx([1, 1])


def test_a_sure_change_of_places_is_said(turned):
    changed = swaps(turned, BOTH)
    assert changed[["system", "other"]].to_numpy().tolist() == [["a", "b"]] and changed["sure"].all()
    assert changed["low"].iloc[0] > 0 > changed["there_high"].iloc[0]
    words = verdict(ranking_table(turned, BOTH), changed)
    assert words.startswith("a leads under 1 of 2") and "more than chance explains: say which" in words


def test_the_same_order_everywhere(scores_of):
    scores = scores_of({"a": 0.8, "b": 0.5})
    assert swaps(scores, BOTH).empty
    words = verdict(ranking_table(scores, BOTH), swaps(scores, BOTH))
    assert words == "a leads under all 2 ways of measuring. No two systems change places."


def test_all_scores_equal_share_a_rank(scores_of):
    one = scores_of({"a": 0.7})
    table = ranking_table(pd.concat([one, one.assign(system="b")]), BOTH)
    assert (table["rank"] == 1.5).all() and table["tau"].isna().all() and (table["chance_of_best"] == 0.5).all()


def test_three_equal_systems_have_no_leader_to_name_alone(scores_of):
    one = scores_of({"a": 0.7})
    equal = pd.concat([one, one.assign(system="b"), one.assign(system="c")])
    assert verdict(ranking_table(equal, BOTH), swaps(equal, BOTH)).startswith("a and b and c lead under all 2")


def test_a_shared_lead_is_a_lead(scores_of):
    scores = scores_of({"a": 0.7, "b": 0.6})
    lead = scores[(scores["system"] == "a") & (scores["measure"] == OUTLINE)]
    shared = pd.concat([scores[(scores["system"] != "b") | (scores["measure"] != OUTLINE)], lead.assign(system="b")])
    words = verdict(ranking_table(shared, BOTH), swaps(shared, BOTH))
    assert words == "a leads or shares the lead under all 2 ways of measuring. No two systems change places."


def test_one_system_no_overlap_and_nothing(scores_of):
    one = scores_of({"a": 0.7})
    assert "Nothing to say" in verdict(ranking_table(one, BOTH), swaps(one, BOTH))
    apart = pd.concat([one, scores_of({"b": 0.6}).assign(example=lambda t: "x" + t["example"])])
    table = ranking_table(apart, BOTH)
    assert table["rank"].isna().all() and table["reason"].str.contains("no example").all() and swaps(apart, BOTH).empty
    assert ranking_table(one, ["nope"]).empty and swaps(one, ["nope"]).empty
    assert "Nothing to say" in verdict(ranking_table(one, ["nope"]), swaps(one, ["nope"]))


def test_half_missing_ranks_on_what_all_have(scores_of):
    scores = scores_of({"a": 0.7, "b": 0.6})
    scores = scores[~((scores["system"] == "b") & scores["example"].isin([f"e{i}" for i in range(30)]))]
    assert (ranking_table(scores, BOTH)["n"] == 30).all()
