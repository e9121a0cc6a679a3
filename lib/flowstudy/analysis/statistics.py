"""Intervals and tests on paired scores: seeded, clustered by source, and NaN with a reason where undefined.

Intervals are studentised bootstrap intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
12): what varies is the mean over its own standard error, so that both ends hold on few and on skewed scores
(`tests/benchmarks/verdicts.md`). Tests are paired permutation tests of `scipy.stats.permutation_test`: under "no
difference" the sign of each difference is a coin.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Values = Sequence[float] | npt.NDArray[np.float64]

#: A slice with fewer examples than this is marked: its figures are shown, no conclusion is drawn from them.
FEW: Final = 10
RESAMPLES: Final = 2000
#: Of every interval, and of the tests and power that `detectable_difference` reckons with.
LEVEL: Final = 0.95
_POWER: Final = 0.8
#: A resample of nearly equal values has next to no error of its own: this share of the sample's is the least.
_LEAST_ERROR: Final = 0.65
_NO_ERROR: Final = 1e-12


class Interval(NamedTuple):
    """A mean with its interval. `n` counts examples; `low` and `high` are NaN when undefined, and `reason` says why."""

    value: float
    low: float
    high: float
    n: int
    method: str = ""
    reason: str = ""

    @property
    def excludes_zero(self) -> bool:
        """True when the whole interval lies on one side of zero; False when undefined."""
        return self.low > 0 or self.high < 0


class PValue(NamedTuple):
    """A two-sided p-value, NaN when undefined, with the reason."""

    p: float
    reason: str = ""


def seeded(seed: int, *labels: object) -> np.random.Generator:
    """A random stream of its own for each purpose: the same seed and labels give the same numbers in any order."""
    return np.random.default_rng([seed, *(zlib.crc32(str(label).encode()) for label in labels)])


def mean_interval(
    values: Values,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of `values` (one per example, NaN left out) and its bootstrap interval.

    `clusters` names each value's source (a workflow that gave several examples): whole clusters are resampled. Where
    all values lie between 0 and 1 the interval is cut there. No value: all NaN. One value, one cluster, or no spread
    between clusters: the mean without an interval.
    """
    found = _interval(values, clusters, seed, resamples)
    kept, _ = _clean(values, clusters)
    if kept.size and kept.min() >= 0 and kept.max() <= 1:
        return found._replace(low=float(np.maximum(found.low, 0)), high=float(np.minimum(found.high, 1)))
    return found


def _interval(values: Values, clusters: Sequence[Hashable] | None, seed: int, resamples: int) -> Interval:
    kept, groups = _clean(values, clusters)
    if kept.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0, reason="no example has this score")
    mean = float(kept.mean())
    if cluster_codes(kept.size, groups)[1] < 2:
        what = "one example" if kept.size == 1 else "all examples come from one source"
        return Interval(mean, math.nan, math.nan, kept.size, reason=f"{what}: no interval")
    (low,), (high,) = joint(kept[:, None], clusters=groups, seed=seed, resamples=resamples).bounds()
    if low != low:
        return Interval(mean, math.nan, math.nan, kept.size, reason="all scores are equal: nothing to resample")
    return Interval(mean, float(low), float(high), kept.size, f"studentised bootstrap, {resamples} resamples")


def share_interval(values: Values, *, clusters: Sequence[Hashable] | None = None) -> Interval:
    """The mean of `values` between 0 and 1 (one per example, NaN left out) with Wilson's interval, also at 0 and 1.

    Examples of one cluster count as one for the interval, so that it is never too short. No value: all NaN. Source:
    E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    from scipy.special import ndtri

    kept, groups = _clean(values, clusters)
    if kept.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0, reason="no example has this score")
    share, n, z = float(kept.mean()), cluster_codes(kept.size, groups)[1], float(ndtri(0.5 + LEVEL / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    low, high = centre - half if share > 0 else 0.0, centre + half if share < 1 else 1.0
    return Interval(share, low, high, kept.size, method="Wilson")


def paired_difference(
    a: Values,
    b: Values,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean of a - b over the examples that both have (position by position), with its interval."""
    return _interval(_differences(a, b), clusters, seed, resamples)


class Joint(NamedTuple):
    """Means of several columns, their standard errors, and how far off resamples were: the smallest and the largest
    studentised deviation among the columns, one per resample."""

    mean: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    most: npt.NDArray[np.float64]

    def bounds(self, level: float = LEVEL) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lower and upper bounds that hold for all columns at once with probability `level`, each end failing in half
        of the rest; for one column that is its interval. NaN for a column that does not vary between sources."""
        error = np.where(self.error > _NO_ERROR, self.error, math.nan)
        ends = np.quantile(self.most, (1 + level) / 2), np.quantile(self.least, (1 - level) / 2)
        return self.mean - ends[0] * error, self.mean - ends[1] * error


def joint(
    table: npt.NDArray[np.float64], *, clusters: Sequence[Hashable] | None = None, seed: int = 0,
    resamples: int = RESAMPLES,
) -> Joint:  # fmt: skip
    """The columns of `table` (examples x comparisons, NaN left out) resampled together.

    Bounds from the most deviating column (Westfall and Young, Resampling-Based Multiple Testing, 1993) pay for
    choosing the most flattering one afterwards.
    """
    sums, counts = _by_cluster(table, None if clusters is None else list(clusters))
    mean, error, deviations = _studentised(sums, counts, resamples, seed)
    varies = deviations[:, error > _NO_ERROR] if (error > _NO_ERROR).any() else np.zeros((1, 1))
    return Joint(mean, error, varies.min(axis=1), varies.max(axis=1))


def relative_difference(
    a: Values,
    b: Values,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean of a - b in percent of the mean of b, over the examples that both have, with its interval.

    Numerator and denominator are resampled together. NaN where b averages 0; no interval where a resample could
    average 0 (fewer than 10 examples of b above it) or where nothing varies.
    """
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    both = np.isfinite(_differences(left, right))
    groups = None if clusters is None else [c for c, keep in zip(clusters, both, strict=True) if keep]
    gaps, _ = _by_cluster((left - right)[both][:, None], groups)
    bases, _ = _by_cluster(right[both][:, None], groups)
    n = int(both.sum())
    if n == 0 or bases.sum() == 0:
        return Interval(math.nan, math.nan, math.nan, n, reason="nothing to relate to: the other scores 0 everywhere")
    value = 100 * float(gaps.sum() / bases.sum())
    if np.count_nonzero(bases) < FEW:
        return Interval(value, math.nan, math.nan, n, reason=f"fewer than {FEW} examples to relate to: no interval")
    if np.ptp(gaps / np.where(bases == 0, math.nan, bases)) == 0 or not gaps.any():
        return Interval(value, math.nan, math.nan, n, reason="the same relation everywhere: nothing to resample")
    mean, error, deviations = (found[..., 0] for found in _studentised(gaps, bases, resamples, seed))
    low, high = mean - error * np.quantile(deviations, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])
    return Interval(value, 100 * float(low), 100 * float(high), n)


def permutation_p(
    a: Values, b: Values, *, clusters: Sequence[Hashable] | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> PValue:
    """Two-sided paired permutation test of equal means; exact when all sign patterns can be listed.

    With `clusters` the sign of a whole cluster flips, as its examples are not independent.
    """
    differences, groups = _clean(_differences(a, b), clusters)
    sums = _by_cluster(differences[:, None], groups)[0][:, 0]
    if sums.size < 2:
        return PValue(math.nan, "fewer than two pairs: no test")
    if not differences.any():
        return PValue(1.0, "no pair differs")
    return PValue(_sign_flips(sums, resamples, seeded(seed, "permutation")))


def holm(p_values: Values) -> npt.NDArray[np.float64]:
    """Holm's step-down adjustment for several comparisons; NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, math.nan)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def chance_of_best(
    table: npt.NDArray[np.float64],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> npt.NDArray[np.float64]:
    """Share of bootstrap samples in which each column of `table` (examples x systems) has the highest mean.

    Rows with a gap are left out; ties share. The shares add up to 1; all NaN when no row is complete.
    """
    complete = np.asarray(np.isfinite(table).all(axis=1))
    rows = table[complete]
    if rows.size == 0:
        return np.full(table.shape[1], math.nan)
    groups = None if clusters is None else [c for c, keep in zip(clusters, complete, strict=True) if keep]
    codes, size = cluster_codes(len(rows), groups)
    sums = np.zeros((size, rows.shape[1]))
    np.add.at(sums, codes, rows)
    counts = np.bincount(codes, minlength=size).astype(float)
    weights = resampled(size, seed, resamples)
    means = (weights @ sums) / (weights @ counts)[:, None]
    best = np.isclose(means, means.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def detectable_difference(differences: Values, *, clusters: Sequence[Hashable] | None = None) -> float:
    """Smallest true mean difference that this many pairs find with a probability of 0.8; NaN below two sources.

    Normal approximation for paired data: (z(1 - alpha/2) + z(power)) * standard error. The standard error is that of
    the mean over `clusters` (Cochran, Sampling Techniques, 1977, section 9A.1); without them it is sd / sqrt(n).
    """
    from scipy.special import ndtri

    kept, groups = _clean(differences, clusters)
    sums, counts = _by_cluster(kept[:, None], groups)
    if len(sums) < 2:
        return math.nan
    return float(ndtri(0.5 + LEVEL / 2) + ndtri(_POWER)) * float(_error(sums, counts)[1][0])


def examples_needed(differences: Values, effect: float, *, clusters: Sequence[Hashable] | None = None) -> int | None:
    """How many pairs, spread over sources as these are, would find a mean difference of `effect` with that probability.

    None when it cannot be said: fewer than two sources, no spread, or an effect of zero.
    """
    found = detectable_difference(differences, clusters=clusters)
    if effect == 0 or not found > 0:
        return None
    return math.ceil(_clean(differences, None)[0].size * (found / abs(effect)) ** 2 - 1e-9)


def _differences(a: Values, b: Values) -> npt.NDArray[np.float64]:
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if left.shape != right.shape:
        raise ValueError(f"paired scores: expected the same examples, got {left.size} and {right.size} values")
    return left - right


def _clean(
    values: Values, clusters: Sequence[Hashable] | None
) -> tuple[npt.NDArray[np.float64], list[Hashable] | None]:
    numbers = np.asarray(values, dtype=float)
    finite = np.isfinite(numbers)
    groups = None if clusters is None else [c for c, keep in zip(clusters, finite, strict=True) if keep]
    return numbers[finite], groups


def cluster_codes(size: int, groups: list[Hashable] | None) -> tuple[npt.NDArray[np.intp], int]:
    """The one place that decides which values belong together: a code per value, and the number of clusters."""
    if groups is None:
        return np.arange(size), size
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(g, len(codes)) for g in groups], dtype=np.intp), len(codes)


def _by_cluster(
    table: npt.NDArray[np.float64], groups: list[Hashable] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and number of the values of each cluster (rows), column by column; NaN does not count."""
    codes, size = cluster_codes(len(table), groups)
    known = np.isfinite(table)
    sums, counts = np.zeros((size, table.shape[1])), np.zeros((size, table.shape[1]))
    np.add.at(sums, codes, np.where(known, table, 0.0))
    np.add.at(counts, codes, known)
    return sums, counts


def _error(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Mean, its standard error, and the residual of each cluster, column by column."""
    total = np.maximum(counts.sum(axis=0), 1)
    mean = sums.sum(axis=0) / total
    rest = sums - mean * counts
    return mean, np.sqrt(len(sums) / (len(sums) - 1) * (rest**2).sum(axis=0)) / total, rest


def _studentised(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], resamples: int, seed: int
) -> tuple[npt.NDArray[np.float64], ...]:
    """Mean, its standard error and, resamples x columns, how far each resample's mean is off in its own errors."""
    mean, error, rest = _error(sums, counts)
    drawn = resampled(len(sums), seed, resamples)
    weight = np.maximum(drawn @ counts, 1e-12)
    shift = drawn @ rest / weight
    squares = drawn @ rest**2 - 2 * shift * (drawn @ (rest * counts)) + shift**2 * (drawn @ counts**2)
    own = np.sqrt(len(sums) / (len(sums) - 1) * np.maximum(squares, 0)) / weight
    return mean, error, shift / np.maximum(np.maximum(own, _LEAST_ERROR * error), 1e-300)


@functools.lru_cache(maxsize=2)
def resampled(size: int, seed: int, resamples: int) -> npt.NDArray[np.float64]:
    """How often each of `size` sources is in each bootstrap sample, resamples x size; comparisons on the same sources
    share it."""
    return seeded(seed, "bootstrap").multinomial(size, np.full(size, 1 / size), size=resamples).astype(float)


def _sign_flips(sums: npt.NDArray[np.float64], resamples: int, rng: np.random.Generator) -> float:
    """The p-value of all sign patterns where they can be listed, else of `resamples` random ones (five times as fast
    as scipy's own drawing of them)."""
    from scipy.stats import monte_carlo_test, permutation_test

    if 2.0**sums.size <= resamples:
        exact = permutation_test((sums,), np.mean, permutation_type="samples", vectorized=True, n_resamples=resamples)
        return float(exact.pvalue)

    def flipped(size: tuple[int, ...]) -> npt.NDArray[np.float64]:
        return np.asarray(sums * (2 * rng.integers(0, 2, size=size, dtype=np.int8) - 1))

    batch = max(1, 2_000_000 // sums.size)
    drawn = monte_carlo_test(sums, flipped, np.mean, vectorized=True, n_resamples=resamples, batch=batch)
    return float(drawn.pvalue)
