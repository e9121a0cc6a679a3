"""Relative differences and nested repeats: known values by hand, the odd cases, and the right spread."""

import math

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis.comparison import compare, repeat_spread
from flowstudy.analysis.nested import nested_interval
from flowstudy.analysis.statistics import mean_interval, relative_difference


def test_percent_known_value_and_interval():
    rng = np.random.default_rng(1)
    b = rng.uniform(0.4, 0.6, 400)
    a = 1.2 * b + rng.normal(0, 0.05, 400)
    found = relative_difference(a, b)
    assert found.value == pytest.approx(100 * (a.mean() - b.mean()) / b.mean())
    # Delta method: the ratio's error is sd(a - 1.2 b) / (mean(b) sqrt(n)) = 0.05 / (0.5 * 20) = 0.5 points.
    assert (found.high - found.low) / 3.92 == pytest.approx(0.5, rel=0.15) and found.low < 20 < found.high


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0, 1.0], [0.0, 0.0], "scores 0 everywhere"),
        ([], [], "scores 0 everywhere"),
        ([0.5] * 20, [0.5] * 20, "same relation"),
        ([1.0, 0.5] * 6, [0.0] * 11 + [1.0], "fewer than 10"),
    ],
)
def test_percent_without_an_interval_says_why(a, b, words):
    found = relative_difference(a, b)
    assert words in found.reason and math.isnan(found.low)


def test_percent_stands_in_the_comparison(scores_of):
    row = compare(scores_of({"a": 0.7, "b": 0.6})).iloc[0]
    assert row["percent_low"] < row["percent"] < row["percent_high"]
    assert (row["percent_low"] > 0) == (row["low"] > 0)


def test_nested_equals_plain_with_one_repeat():
    values = np.random.default_rng(2).uniform(0, 1, 200)
    nested, plain = nested_interval([[v] for v in values], resamples=4000), mean_interval(values)
    assert nested.value == pytest.approx(plain.value)
    assert (nested.low, nested.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_nested_spread_is_what_theory_says():
    # n = 300, r = 2: examples' means vary by s_b^2 + s_w^2 / r; resampled repeats add (s_w^2 / r)(r - 1) / r.
    rng = np.random.default_rng(3)
    cells = rng.normal(0, 0.1, (300, 1)) + rng.normal(0, 0.2, (300, 2))
    found = nested_interval(list(cells), resamples=4000)
    inner = cells.var(axis=1).mean() / 2
    wanted = math.sqrt((cells.mean(axis=1).var() + inner) / 300)
    assert (found.high - found.low) / 3.92 == pytest.approx(wanted, rel=0.06)


def test_nested_is_seeded_and_takes_gaps_sources_and_ragged_repeats():
    cells = [[0.1, 0.2, math.nan], [0.4], [], [0.9, 0.7]] * 5
    found = nested_interval(cells, clusters=[i // 4 for i in range(20)], seed=4)
    assert found == nested_interval(cells, clusters=[i // 4 for i in range(20)], seed=4)
    assert found.n == 15 and found.value == pytest.approx((0.15 + 0.4 + 0.8) / 3)
    # Every source holds the same examples: only the repeats are left to vary.
    assert found.high - found.low < nested_interval(cells, seed=4).high - nested_interval(cells, seed=4).low
    assert "no example" in nested_interval([[math.nan], []]).reason
    assert "equal" in nested_interval([[0.5, 0.5], [0.5]]).reason
    assert "one source" in nested_interval([[0.1, 0.5]]).reason


def test_share_of_the_repeats(scores_of):
    one = scores_of({"a": 0.7}, n=40)
    same = repeat_spread(pd.concat([one, one.assign(repeat=1)])).iloc[0]
    assert (same["repeats"], same["within"], same["share_within"]) == (2, 0, 0)
    single = repeat_spread(one).iloc[0]
    assert single["repeats"] == 1 and math.isnan(single["share_within"]) and single["low"] < single["high"]
    noisy = repeat_spread(pd.concat([one, scores_of({"a": 0.7}, n=40, noise=0.3, seed=9).assign(repeat=1)])).iloc[0]
    assert 0.2 < noisy["share_within"] <= 1


def test_a_difference_is_nested_over_repeats_and_paired_by_example(scores_of):
    # Three repeats of 200 examples, noise 0.05; what examples have in common cancels. The difference of two means of
    # three has the variance 2 * 0.05^2 / 3 per example, and resampling the repeats adds (3 - 1) / 3 of it once more.
    rng, one = np.random.default_rng(4), scores_of({"a": 0.6, "b": 0.5}, n=200, noise=0)
    repeats = [one.assign(repeat=n, value=one["value"] + rng.normal(0, 0.05, len(one))) for n in range(3)]
    row = compare(pd.concat(repeats)).iloc[0]
    plain, nested = row["high"] - row["low"], row["nested_high"] - row["nested_low"]
    assert nested / plain == pytest.approx(math.sqrt(1 + 2 / 3), rel=0.1)
    assert row["nested_low"] < row["difference"] < row["nested_high"]


def test_nested_differences_of_systems_with_other_examples_and_of_single_answers(scores_of):
    one = scores_of({"a": 0.7, "b": 0.6, "c": 0.5})
    assert compare(one)[["nested_low", "nested_high"]].isna().all(axis=None), "nobody answered twice"
    twice = pd.concat([one, scores_of({"a": 0.7}, seed=5).assign(repeat=1)])
    half = twice[(twice["system"] != "c") | twice["example"].isin([f"e{i}" for i in range(30)])]
    table = compare(half).set_index(["system", "other"])
    assert table["nested_low"].notna().tolist() == [True, True, False] and table["n"].tolist() == [60, 30, 30]
    assert table.equals(compare(half).set_index(["system", "other"])), "the same seed, the same digits"
    apart = half[(half["system"] == "a") == half["example"].isin([f"e{i}" for i in range(9)])]
    assert compare(apart, against="a")["nested_low"].isna().all()
