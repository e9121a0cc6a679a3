"""Intervals and tests on paired scores: seeded, clustered by source, and NaN with a reason where undefined.

Intervals are bootstrap intervals of `scipy.stats.bootstrap`: bias-corrected and accelerated (BCa) from 15 values
on, percentile below (BCa's jackknife is unstable there; the choice follows evalstats, MIT). Tests are paired
permutation tests of `scipy.stats.permutation_test`: under "no difference" the sign of each difference is a coin.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Values = Sequence[float] | npt.NDArray[np.float64]

#: A slice with fewer examples than this is marked: its figures are shown, no conclusion is drawn from them.
FEW: Final = 10
_BCA_FROM: Final = 15
RESAMPLES: Final = 2000


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
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of `values` (one per example, NaN left out) and its bootstrap interval.

    `clusters` names each value's source (a workflow that gave several examples): whole clusters are resampled.
    No value: all NaN. One value, one cluster, or no spread at all: the mean without an interval.
    """
    _check_level(level)
    kept, groups = _clean(values, clusters)
    if kept.size == 0:
        return Interval(math.nan, math.nan, math.nan, 0, reason="no example has this score")
    mean = float(kept.mean())
    sums, counts = _by_cluster(kept, groups)
    if sums.size < 2:
        what = "one example" if kept.size == 1 else "all examples come from one source"
        return Interval(mean, math.nan, math.nan, kept.size, reason=f"{what}: no interval")
    if np.ptp(kept) == 0:
        return Interval(mean, math.nan, math.nan, kept.size, reason="all scores are equal: nothing to resample")
    method = "BCa" if sums.size >= _BCA_FROM else "percentile"
    low, high = _bootstrap(sums, counts, method, level, resamples, seed)
    return Interval(mean, low, high, kept.size, method=f"{method} bootstrap, {resamples} resamples")


def paired_difference(
    a: Values,
    b: Values,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean of a - b over the examples that both have (position by position), with its interval."""
    return mean_interval(_differences(a, b), clusters=clusters, level=level, seed=seed, resamples=resamples)


def relative_difference(
    a: Values,
    b: Values,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean of a - b in percent of the mean of b, over the examples that both have, with its interval.

    Numerator and denominator are resampled together. NaN where b averages 0; no interval where a resample could
    average 0 (fewer than 10 examples of b above it) or where nothing varies.
    """
    _check_level(level)
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    both = np.isfinite(_differences(left, right))
    groups = None if clusters is None else [c for c, keep in zip(clusters, both, strict=True) if keep]
    gaps, _ = _by_cluster((left - right)[both], groups)
    bases, _ = _by_cluster(right[both], groups)
    n = int(both.sum())
    if n == 0 or bases.sum() == 0:
        return Interval(math.nan, math.nan, math.nan, n, reason="nothing to relate to: the other scores 0 everywhere")
    value = 100 * float(gaps.sum() / bases.sum())
    if np.count_nonzero(bases) < FEW:
        return Interval(value, math.nan, math.nan, n, reason=f"fewer than {FEW} examples to relate to: no interval")
    if np.ptp(gaps / np.where(bases == 0, math.nan, bases)) == 0 or not gaps.any():
        return Interval(value, math.nan, math.nan, n, reason="the same relation everywhere: nothing to resample")
    low, high = _bootstrap(gaps, bases, "BCa" if gaps.size >= _BCA_FROM else "percentile", level, resamples, seed)
    return Interval(value, 100 * low, 100 * high, n)


def nested_interval(
    repeats: Sequence[Values],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean over examples of the mean over their repeats; sources (or examples) are resampled, then repeats in each.

    `repeats` holds one sequence of values per example (NaN left out). A percentile interval. Resampling examples alone,
    as `mean_interval` does with averaged repeats, already holds the spread between repeats (Davison and Hinkley,
    Bootstrap Methods, 1997, section 3.8); resampling both counts it once more, so this one is somewhat wider: the
    gap between the two says how much the repeats matter. One repeat each: both are the same but for chance.
    """
    _check_level(level)
    cells = [np.asarray(values, dtype=float) for values in repeats]
    cells = [cell[np.isfinite(cell)] for cell in cells]
    kept = [i for i, cell in enumerate(cells) if cell.size]
    if not kept:
        return Interval(math.nan, math.nan, math.nan, 0, reason="no example has this score")
    known = [cells[i] for i in kept]
    groups = None if clusters is None else [clusters[i] for i in kept]
    mean = float(np.mean([cell.mean() for cell in known]))
    one_source = _codes(len(known), groups)[1] < 2
    if one_source or np.ptp(np.concatenate(known)) == 0:
        what = "one source" if one_source else "all scores are equal"
        return Interval(mean, math.nan, math.nan, len(kept), reason=f"{what}: no interval")
    drawn = nested_draws([known], clusters=groups, seed=seed, resamples=resamples)[:, 0]
    low, high = span(drawn, level)
    return Interval(mean, low, high, len(kept), f"nested percentile bootstrap, {resamples} resamples")


def nested_draws(
    systems: Sequence[Sequence[Values]], *, clusters: Sequence[Hashable] | None = None, seed: int = 0,
    resamples: int = RESAMPLES,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Bootstrap means (resamples x systems) on the same examples: sources are resampled for all systems together, then
    the repeats of each system apart, so that two columns can be subtracted. No example may be without a value."""
    codes, size = _codes(len(systems[0]), None if clusters is None else list(clusters))
    rng, found = seeded(seed, "nested"), []
    weights = rng.multinomial(size, np.full(size, 1 / size), size=resamples)[:, codes]
    for rows in np.array_split(weights, max(1, weights.size // 1_000_000)):
        drawn = np.repeat(np.tile(np.arange(codes.size), len(rows)), rows.ravel())
        counts = rows.sum(axis=1)
        starts = np.cumsum(counts) - counts
        found.append(
            np.stack([np.add.reduceat(_again(cells, drawn, rng), starts) / counts for cells in systems], axis=1)
        )
    return np.concatenate(found)


def span(draws: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The ends of the percentile interval of bootstrap draws."""
    low, high = np.percentile(draws, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _again(
    cells: Sequence[Values], drawn: npt.NDArray[np.intp], rng: np.random.Generator
) -> npt.NDArray[np.float64]:  # fmt: skip
    """The mean of resampled repeats for each drawn example."""
    counts = np.array([len(cell) for cell in cells])
    inside = np.arange(counts.max()) < counts[:, None]
    table = np.zeros(inside.shape)
    table[inside] = np.concatenate(cells)
    sizes, total = counts[drawn], np.zeros(drawn.size)
    for place in range(counts.max()):
        picks = (rng.random(drawn.size, dtype=np.float32) * sizes).astype(np.intp)
        values = table[drawn, picks]
        total += values if inside[:, place].all() else np.where(inside[drawn, place], values, 0.0)
    return total / sizes


def permutation_p(
    a: Values, b: Values, *, clusters: Sequence[Hashable] | None = None, seed: int = 0, resamples: int = 9999
) -> PValue:
    """Two-sided paired permutation test of equal means; exact when all sign patterns can be listed.

    With `clusters` the sign of a whole cluster flips, as its examples are not independent.
    """
    differences, groups = _clean(_differences(a, b), clusters)
    sums, _ = _by_cluster(differences, groups)
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
    codes, size = _codes(len(rows), groups)
    sums = np.zeros((size, rows.shape[1]))
    np.add.at(sums, codes, rows)
    counts = np.bincount(codes, minlength=size).astype(float)
    weights = seeded(seed, "best").multinomial(size, np.full(size, 1 / size), size=resamples).astype(float)
    means = (weights @ sums) / (weights @ counts)[:, None]
    best = np.isclose(means, means.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def detectable_difference(
    differences: Values, *, clusters: Sequence[Hashable] | None = None, power: float = 0.8, level: float = 0.95
) -> float:
    """Smallest true mean difference that this many pairs find with probability `power`; NaN below two sources.

    Normal approximation for paired data: (z(1 - alpha/2) + z(power)) * standard error. The standard error is that of
    the mean over `clusters` (Cochran, Sampling Techniques, 1977, section 9A.1); without them it is sd / sqrt(n).
    """
    kept, groups = _clean(differences, clusters)
    sums, counts = _by_cluster(kept, groups)
    if sums.size < 2:
        return math.nan
    residuals = sums - counts * kept.mean()
    error = math.sqrt(sums.size / (sums.size - 1) * float((residuals**2).sum())) / kept.size
    return _z_sum(power, level) * error


def examples_needed(
    differences: Values, effect: float, *, clusters: Sequence[Hashable] | None = None, power: float = 0.8,
    level: float = 0.95,
) -> int | None:  # fmt: skip
    """How many pairs, spread over sources as these are, would find a mean difference of `effect` with that `power`.

    None when it cannot be said: fewer than two sources, no spread, or an effect of zero.
    """
    found = detectable_difference(differences, clusters=clusters, power=power, level=level)
    if effect == 0 or not found > 0:
        return None
    return math.ceil(_clean(differences, None)[0].size * (found / abs(effect)) ** 2 - 1e-9)


def _z_sum(power: float, level: float) -> float:
    from scipy.special import ndtri

    _check_level(level)
    return float(ndtri(0.5 + level / 2) + ndtri(power))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"interval: expected a level between 0 and 1, got {level}; 0.95 is usual")


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


def _codes(size: int, groups: list[Hashable] | None) -> tuple[npt.NDArray[np.intp], int]:
    """The one place that decides which values belong together: a code per value, and the number of clusters."""
    if groups is None:
        return np.arange(size), size
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(g, len(codes)) for g in groups], dtype=np.intp), len(codes)


def _by_cluster(
    values: npt.NDArray[np.float64], groups: list[Hashable] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    codes, size = _codes(values.size, groups)
    sums = np.bincount(codes, values, size).astype(float)
    return sums, np.bincount(codes, minlength=size).astype(float)


def _bootstrap(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], method: Any, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    result = bootstrap(
        (sums, counts), _ratio, paired=True, vectorized=True, method=method, confidence_level=level,
        n_resamples=resamples, batch=max(1, 2_000_000 // sums.size), rng=seeded(seed, "bootstrap"),
    )  # fmt: skip
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _ratio(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], axis: int = -1) -> npt.NDArray[np.float64]:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))


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
