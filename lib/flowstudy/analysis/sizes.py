"""How quality falls as workflows grow: means by size, and a fitted curve with its band."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from flowstudy.analysis.comparison import Sources, clusters_of, wide
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.statistics import FEW, mean_interval, seeded
from flowstudy.corpus.features import SIZES, size_bucket

_BUCKETS: Final = (*SIZES.values(), "31+")
_GRID: Final = 40


def by_size(
    scores: pd.DataFrame,
    examples: pd.DataFrame,
    measure: str = PRIMARY,
    *,
    sources: Sources | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean and interval per system and size bucket: system, size, steps (their mean), n, mean, low, high, few."""
    steps = _steps(examples)
    rows = []
    for system, column in wide(scores, measure).items():
        known = column.dropna()
        sizes = np.array([steps[str(example)] for example in known.index])
        buckets = [size_bucket(int(size)) for size in sizes]
        for bucket in _BUCKETS:
            inside = [name == bucket for name in buckets]
            if not any(inside):
                continue
            part = known[inside]
            clusters = clusters_of(part.index, sources)
            interval = mean_interval(part.to_numpy(), clusters=clusters, seed=seed)
            middle = float(np.mean(sizes[inside]))
            rows.append((system, bucket, middle, interval.n, *interval[:3], interval.n < FEW))
    return pd.DataFrame(rows, columns=["system", "size", "steps", "n", "mean", "low", "high", "few"])


def fit(
    scores: pd.DataFrame, examples: pd.DataFrame, measure: str = PRIMARY, *, sources: Sources | None = None,
    seed: int = 0, resamples: int = 1000,
) -> pd.DataFrame:  # fmt: skip
    """A straight line of the score over the logarithm of the size, with a 95 % bootstrap band: system, steps, mean,
    low, high, and slope, slope_low, slope_high (points per doubling of the size, the same in every row).

    Systems with fewer than 10 examples, or examples of one size only, have no curve.
    """
    steps = _steps(examples)
    parts = []
    for system, column in wide(scores, measure).items():
        known = column.dropna()
        x = np.log2([max(1.0, steps[str(example)]) for example in known.index])
        if known.size >= FEW and np.ptp(x) > 0:
            names = clusters_of(known.index, sources)
            codes = pd.factorize(pd.Series(names, dtype=object))[0]
            parts.append(_curve(str(system), x, known.to_numpy(dtype=float), codes, seed, resamples))
    columns = ["system", "steps", "mean", "low", "high", "slope", "slope_low", "slope_high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _steps(examples: pd.DataFrame) -> dict[str, float]:
    return dict(zip(examples["example"].astype(str), examples["steps"].astype(float), strict=True))


def _curve(
    system: str, x: npt.NDArray, y: npt.NDArray, codes: npt.NDArray, seed: int, resamples: int
) -> pd.DataFrame:  # fmt: skip
    """`codes` numbers the source of every point: whole sources are resampled."""
    grid = np.linspace(x.min(), x.max(), _GRID)
    count = int(codes.max()) + 1
    drawn = seeded(seed, "fit", system).multinomial(count, np.full(count, 1 / count), size=resamples)
    slopes, bases = _lines(x, y, drawn[:, codes].astype(float))
    curves = bases[:, None] + slopes[:, None] * grid
    (slope,), (base,) = _lines(x, y, np.ones((1, x.size)))
    low, high = np.nanpercentile(curves, [2.5, 97.5], axis=0)
    slope_low, slope_high = np.nanpercentile(slopes, [2.5, 97.5])
    values = {"mean": base + slope * grid, "low": low, "high": high}
    table = pd.DataFrame({"system": system, "steps": 2**grid} | {k: np.clip(v, 0, 1) for k, v in values.items()})
    return table.assign(slope=slope, slope_low=slope_low, slope_high=slope_high)


def _lines(x: npt.NDArray, y: npt.NDArray, weights: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """Weighted least squares for each row of weights: slopes and intercepts; NaN where all weight lies on one size."""
    total = weights.sum(axis=1)
    mean_x, mean_y = weights @ x / total, weights @ y / total
    spread = weights @ x**2 / total - mean_x**2
    slopes = (weights @ (x * y) / total - mean_x * mean_y) / np.where(spread > 1e-12, spread, np.nan)
    return slopes, mean_y - slopes * mean_x
