"""Bootstrap over examples and, within each, over the repeats of its answer: how much answering again matters.

Resampling examples alone, as `statistics.mean_interval` does with averaged repeats, already holds the spread between
repeats (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8); resampling both counts it once more, so these
intervals are somewhat wider, and the gap between the two says how much the repeats matter.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from flowstudy.analysis.statistics import LEVEL, RESAMPLES, Interval, Values, cluster_codes, seeded


def nested_interval(
    repeats: Sequence[Values],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean over examples of the mean over their repeats; sources (or examples) are resampled, then repeats in each.

    `repeats` holds one sequence of values per example (NaN left out). A percentile interval; with one repeat each it is
    that of `statistics.mean_interval` but for chance.
    """
    cells = [np.asarray(values, dtype=float) for values in repeats]
    cells = [cell[np.isfinite(cell)] for cell in cells]
    kept = [i for i, cell in enumerate(cells) if cell.size]
    if not kept:
        return Interval(math.nan, math.nan, math.nan, 0, reason="no example has this score")
    known = [cells[i] for i in kept]
    groups = None if clusters is None else [clusters[i] for i in kept]
    mean = float(np.mean([cell.mean() for cell in known]))
    one_source = cluster_codes(len(known), groups)[1] < 2
    if one_source or np.ptp(np.concatenate(known)) == 0:
        what = "one source" if one_source else "all scores are equal"
        return Interval(mean, math.nan, math.nan, len(kept), reason=f"{what}: no interval")
    drawn = nested_draws([known], clusters=groups, seed=seed, resamples=resamples)[:, 0]
    low, high = span(drawn)
    return Interval(mean, low, high, len(kept), f"nested percentile bootstrap, {resamples} resamples")


def nested_draws(
    systems: Sequence[Sequence[Values]], *, clusters: Sequence[Hashable] | None = None, seed: int = 0,
    resamples: int = RESAMPLES,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Bootstrap means (resamples x systems) on the same examples: sources are resampled for all systems together, then
    the repeats of each system apart, so that two columns can be subtracted. No example may be without a value."""
    codes, size = cluster_codes(len(systems[0]), None if clusters is None else list(clusters))
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


def span(draws: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the percentile interval of bootstrap draws."""
    low, high = np.percentile(draws, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
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
