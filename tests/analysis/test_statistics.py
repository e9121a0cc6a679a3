"""Statistics: known values derived by hand, agreement with scipy, undefined cases, and coverage by simulation."""

import math

import numpy as np
import pytest

from flowstudy.analysis.statistics import (
    chance_of_best,
    detectable_difference,
    examples_needed,
    holm,
    joint,
    mean_interval,
    paired_difference,
    permutation_p,
    resampled,
    share_interval,
)


def test_permutation_known_value():
    # Four pairs, all differences +1: of the 2^4 sign patterns only +,+,+,+ and -,-,-,- are as extreme: p = 2/16.
    assert permutation_p([2, 3, 4, 5], [1, 2, 3, 4]).p == pytest.approx(2 / 16)
    # Differences 3, 1, -1: the eight sums are 5,3,3,1 and their negatives; |sum| >= 3 for six of them: p = 6/8.
    assert permutation_p([3, 1, 0], [0, 0, 1]).p == pytest.approx(6 / 8)


def test_many_pairs_agree_with_scipys_own_drawing():
    from scipy.stats import permutation_test

    differences = np.random.default_rng(8).normal(0.03, 0.2, 60)
    theirs = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1).pvalue
    ours = permutation_p(differences, np.zeros(60), resamples=20_000).p
    # Two draws of 20,000 patterns: each p has a standard error of sqrt(p (1 - p) / 20,000), doubled for two sides.
    assert ours == pytest.approx(theirs, abs=4 * 2 * math.sqrt(2 * theirs / 2 / 20_000))


def test_permutation_flips_whole_clusters():
    # Two clusters with sums 2 and 2: four patterns, two as extreme as 4: p = 1/2, however many examples they hold.
    assert permutation_p([1, 1, 1, 1], [0, 0, 0, 0], clusters=["a", "a", "b", "b"]).p == pytest.approx(0.5)


def test_holm_known_value():
    # 0.01*3 = 0.03; 0.03*2 = 0.06; 0.04*1 = 0.04, raised to 0.06 by the running maximum.
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    # NaN stays and does not count: 0.02*2 and 0.5*1.
    assert holm([0.02, math.nan, 0.5])[[0, 2]].tolist() == pytest.approx([0.04, 0.5])
    assert holm([0.9, 0.8]).max() == 1.0
    assert holm([]).size == 0


def test_a_studentised_interval_is_that_of_a_plain_loop():
    """The textbook procedure, resample by resample: the mean's distance over the resample's own standard error."""
    values = np.random.default_rng(3).beta(5, 2, size=40)
    error, drawn = values.std(ddof=1) / math.sqrt(40), resampled(40, 11, 999)
    deviations = []
    for counts in drawn.astype(int):
        sample = np.repeat(values, counts)
        deviations.append((sample.mean() - values.mean()) / (sample.std(ddof=1) / math.sqrt(40)))
    ends = values.mean() - error * np.quantile(deviations, [0.975, 0.025])
    found = mean_interval(values, seed=11, resamples=999)
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=1e-9)


def test_joint_bounds_are_wider_than_single_ones_and_keep_gaps_apart():
    table = np.random.default_rng(4).normal(0, 0.2, size=(60, 6))
    table[:20, 5] = math.nan
    low, high = joint(table).bounds()
    singles = np.array([mean_interval(table[:, n])[1:3] for n in range(6)])
    assert (low < singles[:, 0]).all() and (high > singles[:, 1]).all()
    assert (low + high)[5] / 2 == pytest.approx(np.nanmean(table[:, 5]), abs=0.02)
    one_sided = joint(table).bounds(0.9)
    assert (low < one_sided[0]).all() and (one_sided[1] < high).all()
    same, _ = joint(np.column_stack([np.full(20, 0.3), np.arange(20)])).bounds()
    assert math.isnan(same[0]) and same[1] == same[1], "what does not vary has no bounds and widens nobody's"


def test_equal_means_of_sources_are_no_certainty():
    # Two values in each source, the same mean in each: a zero-width interval would exclude zero for sure.
    found = mean_interval([0.1, 0.3] * 20, clusters=[n // 2 for n in range(40)])
    assert math.isnan(found.low) and "equal" in found.reason


def test_interval_reproduces_to_the_last_digit():
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, seed=5) == mean_interval(values, seed=5)
    assert mean_interval(values, seed=5) != mean_interval(values, seed=6)


@pytest.mark.parametrize(
    ("values", "clusters", "reason"),
    [
        ([], None, "no example"),
        ([math.nan], None, "no example"),
        ([0.5], None, "one example"),
        ([0.5, 0.6], ["s", "s"], "one source"),
        ([0.5] * 30, None, "equal"),
    ],
)
def test_undefined_interval_is_nan_with_a_reason(values, clusters, reason):
    interval = mean_interval(values, clusters=clusters)
    assert math.isnan(interval.low) and math.isnan(interval.high) and reason in interval.reason
    assert not interval.excludes_zero


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(1)
    values = np.repeat(rng.random(20), 5)
    sources = np.repeat(np.arange(20), 5).tolist()
    alone, together = mean_interval(values), mean_interval(values, clusters=sources)
    assert together.high - together.low > 1.7 * (alone.high - alone.low)  # sqrt(5) = 2.24 for perfect copies
    assert together.value == pytest.approx(alone.value)


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    difficulty = rng.random(80)
    a, b = difficulty + 0.05 + rng.normal(0, 0.05, 80), difficulty + rng.normal(0, 0.05, 80)
    difference = paired_difference(a, b)
    assert difference.excludes_zero
    assert mean_interval(a).low < mean_interval(b).high  # unpaired, the two overlap


def test_refuses_unpaired_scores():
    with pytest.raises(ValueError, match="same examples"):
        paired_difference([1, 2], [1])


def test_chance_of_best_adds_up_and_shares_ties():
    table = np.array([[1.0, 1.0, 0.0], [0.5, 0.5, 0.0], [np.nan, 1, 1]])
    assert chance_of_best(table).tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert np.isnan(chance_of_best(np.array([[np.nan, 1.0]]))).all()


def test_detectable_difference_known_value():
    # sd of (0, 2) repeated: 4 values, mean 1, squared deviations 4 * 1, variance 4/3; (1.96 + 0.8416) * sd / 2.
    expected = (1.959964 + 0.841621) * math.sqrt(4 / 3) / 2
    assert detectable_difference([0, 2, 0, 2]) == pytest.approx(expected, rel=1e-6)
    assert math.isnan(detectable_difference([1]))
    # The difference found with n pairs needs n pairs.
    values = np.random.default_rng(0).normal(0, 1, 100)
    assert examples_needed(values, detectable_difference(values)) in (100, 101)
    assert examples_needed([1, 1], 0.1) is None


@pytest.mark.parametrize(("n", "clustered"), [(15, False), (60, True)])
def test_coverage_of_the_intervals(n, clustered):
    """Nominal 95 %, found within 2 points (and what 400 studies leave to chance): skewed scores in [0, 1]. The table
    for more scores and sizes is `tests/benchmarks/verdicts.md`."""
    studies, rng, hits = 400, np.random.default_rng(42), 0
    for _ in range(studies):
        base = rng.beta(1, 6, size=n)
        values = np.repeat(base, 2) if clustered else base
        sources = np.repeat(np.arange(n), 2).tolist() if clustered else None
        interval = mean_interval(values, clusters=sources, resamples=499)
        hits += interval.low <= 1 / 7 <= interval.high
    assert hits / studies == pytest.approx(0.95, abs=0.04)


def test_clusters_count_in_what_can_be_detected():
    # Perfect copies add nothing: twenty values five times over find what twenty values find.
    values = np.random.default_rng(5).normal(0, 1, 20)
    copies, sources = np.repeat(values, 5), np.repeat(np.arange(20), 5).tolist()
    assert detectable_difference(copies, clusters=sources) == pytest.approx(detectable_difference(values))
    assert examples_needed(copies, 0.5, clusters=sources) == pytest.approx(5 * examples_needed(values, 0.5), abs=5)
    assert math.isnan(detectable_difference(copies, clusters=["one"] * 100))


@pytest.mark.parametrize("count", [0, 1, 7, 20])
def test_an_interval_of_a_share_is_wilsons(count):
    from scipy.stats import binomtest

    theirs = binomtest(count, 20).proportion_ci(0.95, method="wilson")
    ours = share_interval([1.0] * count + [0.0] * (20 - count) + [math.nan])
    assert ours[:4] == pytest.approx((count / 20, theirs.low, theirs.high, 20))
    assert math.isnan(share_interval([]).value) and share_interval([]).reason
