"""Tables of findings: pairing, gaps, flips, statuses, slices, and the odd cases of a real run."""

import pandas as pd
import pytest

from flowstudy.analysis.comparison import best_chances, by_feature, compare, flips, summarise, wide


def test_summary_by_split(scores_of):
    table = summarise(scores_of({"a": 0.8, "b": 0.5}), by=["split"])
    assert table["n"].tolist() == [20, 40, 20, 40]
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()
    assert not table["few"].any()


def test_comparison_is_antisymmetric_and_counts_add_up(scores_of):
    scores = scores_of({"a": 0.7, "b": 0.6})
    row = compare(scores).iloc[0]
    turned = compare(scores.replace({"system": {"a": "z"}})).iloc[0]
    assert row["difference"] == pytest.approx(-turned["difference"])
    assert row["wins"] == turned["losses"] and row["wins"] + row["ties"] + row["losses"] == row["n"] == 60
    assert row["difference"] == pytest.approx(row["mean"] - row["mean_other"])
    assert row["percent"] == pytest.approx(100 * row["difference"] / row["mean_other"])


def test_one_system_and_equal_systems(scores_of):
    assert compare(scores_of({"a": 0.7})).empty
    one = scores_of({"a": 0.7})
    same = pd.concat([one, one.assign(system="b")])
    row = compare(same).iloc[0]
    assert row["p"] == 1.0 and row["ties"] == 60 and "equal" in row["reason"]
    assert best_chances(same).tolist() == [0.5, 0.5]


def test_repeats_are_averaged_before_pairing(scores_of):
    one = scores_of({"a": 0.7, "b": 0.6}, n=12)
    twice = pd.concat([one, one.assign(repeat=1)])
    assert compare(twice)["n"].tolist() == [12]
    assert compare(twice)["low"].tolist() == compare(one)["low"].tolist()


def test_flips_are_the_widest_gaps_first(scores_of):
    table = flips(scores_of({"a": 0.7, "b": 0.6}, noise=0.2), "a", "b", least=0.2)
    assert (table["difference"].abs().diff().dropna() <= 0).all() and (table["difference"].abs() >= 0.2).all()
    with pytest.raises(ValueError, match="expected one of the systems"):
        flips(scores_of({"a": 0.7}), "a", "zz")


def test_small_slices_are_marked(scores_of):
    scores = scores_of({"a": 0.7}, n=24)
    examples = pd.DataFrame({"example": [f"e{i}" for i in range(24)], "implicit_step": [i < 5 for i in range(24)]})
    table = by_feature(scores, examples, ["implicit_step"])
    assert dict(zip(table["slice"], table["few"], strict=True)) == {"True": True, "False": False}
    with pytest.raises(ValueError, match="expected one of"):
        by_feature(scores, examples, ["nope"])


def test_wide_of_nothing_is_empty(scores_of):
    assert wide(scores_of({"a": 0.7}), "no_such_measure").empty


def test_the_same_seed_gives_the_same_table(scores_of):
    scores = scores_of({"a": 0.7, "b": 0.6, "c": 0.5})
    pd.testing.assert_frame_equal(compare(scores, seed=3), compare(scores.sample(frac=1, random_state=1), seed=3))
