"""Score tables to findings: means by group, paired comparisons, flips, statuses, slices.

Repeats of an example are averaged first; examples (or their sources) are what is resampled, so the spread between
repeats is part of every interval. Comparisons use the examples that both systems have; how many were left out is
a column.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from flowstudy.analysis.measures import ANSWERED, PRIMARY
from flowstudy.analysis.nested import nested_draws, nested_interval, span
from flowstudy.analysis.statistics import (
    FEW,
    RESAMPLES,
    chance_of_best,
    detectable_difference,
    holm,
    mean_interval,
    paired_difference,
    permutation_p,
    relative_difference,
)

Sources = Mapping[str, Hashable]
#: Permutations for each comparison of a table: the smallest p-value, adjusted over all of them, is then 0.02.
_FLIPS: Final = 100
_COMPARED: Final = (
    "n", "left_out", "mean", "mean_other", "difference", "low", "high", "nested_low", "nested_high", "percent",
    "percent_low", "percent_high", "p", "p_holm", "wins", "ties", "losses", "detectable", "few", "reason",
)  # fmt: skip


def clusters_of(examples: Iterable[object], sources: Sources | None) -> list[Hashable]:
    """What is resampled together: the source workflow of each example, or the example itself where none is known."""
    return [(sources or {}).get(str(example), str(example)) for example in examples]


def wide(scores: pd.DataFrame, measure: str = PRIMARY, **where: object) -> pd.DataFrame:
    """Examples x systems: the mean over repeats of one measure; NaN where a system has no score.

    `where` keeps rows by column, e.g. `split="ood"`. No row: an empty table.
    """
    rows = scores[scores["measure"] == measure]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.pivot_table(index="example", columns="system", values="value", aggfunc="mean", observed=True)


def summarise(
    scores: pd.DataFrame,
    measures: Iterable[str] = (PRIMARY,),
    by: Sequence[str] = (),
    *,
    sources: Sources | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Mean and interval per system, measure and group of the columns `by` (e.g. `("split",)`).

    Columns: system, *by, measure, n (examples), mean, low, high, few (n below 10), reason. `sources` maps an
    example to the workflow it came from.
    """
    rows = []
    chosen = scores[scores["measure"].isin(list(measures))]
    keys = ["system", *by, "measure"]
    for key, group in chosen.groupby(keys, sort=True, observed=True):
        values = group.groupby("example", observed=True)["value"].mean()
        interval = mean_interval(
            values.to_numpy(), clusters=clusters_of(values.index, sources), seed=seed, resamples=resamples
        )
        reason = interval.reason or ("" if interval.n >= FEW else f"fewer than {FEW} examples")
        rows.append((*key, interval.n, interval.value, interval.low, interval.high, interval.n < FEW, reason))
    return pd.DataFrame(rows, columns=[*keys, "n", "mean", "low", "high", "few", "reason"])


def compare(
    scores: pd.DataFrame,
    measure: str = PRIMARY,
    *,
    against: str | None = None,
    by: Sequence[str] = (),
    sources: Sources | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Paired comparisons of every two systems (or of each with `against`), per group of the columns `by`.

    One row per pair and group: system, other, *by, measure, n (examples both have), left_out (only one has),
    mean, mean_other, difference (system - other) with low and high, nested_low and nested_high (repeats are resampled
    too; NaN where nobody answered twice), percent (relative to other; NaN when that is 0) with percent_low and
    percent_high, p (of `resamples` permutations, of more where many rows are adjusted for) and p_holm (over all rows),
    wins, ties, losses (examples), detectable (smallest difference that this n finds in 4 of 5 studies), few, reason.
    One system only: an empty table.
    """
    rows = []
    groups = list(scores.groupby(list(by), sort=True, observed=True)) if by else [((), scores)]
    parts = [(key, group, wide(group, measure)) for key, group in groups]
    count = sum(len(_pairs(sorted(table.columns), against)) for _, _, table in parts)
    for key, group, table in parts:
        pairs = _pairs(sorted(table.columns), against)
        nested = _nested_spans(_cells(group, measure), pairs, sources, seed, min(resamples, RESAMPLES))
        for system, other in pairs:
            row = _compare_two(table[system], table[other], sources, seed, resamples, _FLIPS * count)
            row["nested_low"], row["nested_high"] = nested.get((system, other), (math.nan, math.nan))
            rows.append({"system": system, "other": other, **dict(zip(by, key, strict=True)), "measure": measure} | row)
    result = pd.DataFrame(rows, columns=["system", "other", *by, "measure", *_COMPARED])
    result["p_holm"] = holm(result["p"].to_numpy(dtype=float))
    return result


def _pairs(systems: list[str], against: str | None) -> list[tuple[str, str]]:
    if against is None:
        return list(itertools.combinations(systems, 2))
    if against not in systems:
        return []
    return [(system, against) for system in systems if system != against]


def _compare_two(
    a: pd.Series, b: pd.Series, sources: Sources | None, seed: int, resamples: int, flips: int
) -> dict[str, object]:  # fmt: skip
    both = a.notna() & b.notna()
    x, y = a[both], b[both]
    clusters = clusters_of(x.index, sources)
    interval = paired_difference(x.to_numpy(), y.to_numpy(), clusters=clusters, seed=seed, resamples=resamples)
    relative = relative_difference(
        x.to_numpy(), y.to_numpy(), clusters=clusters, seed=seed, resamples=min(resamples, RESAMPLES)
    )
    test = permutation_p(x.to_numpy(), y.to_numpy(), clusters=clusters, seed=seed, resamples=max(resamples, flips))
    difference = (x - y).round(9)
    mean_other = float(y.mean()) if len(y) else math.nan
    notes = [interval.reason or test.reason]
    if 0 < interval.n < FEW:
        notes.append(f"fewer than {FEW} examples")
    if mean_other == 0:
        notes.append(f"{b.name} scores 0 everywhere: no relative difference")
    return {
        "n": interval.n,
        "left_out": int((a.notna() ^ b.notna()).sum()),
        "mean": float(x.mean()) if len(x) else math.nan,
        "mean_other": mean_other,
        "difference": interval.value,
        "low": interval.low,
        "high": interval.high,
        "percent": relative.value,
        "percent_low": relative.low,
        "percent_high": relative.high,
        "p": test.p,
        "wins": int((difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "losses": int((difference < 0).sum()),
        "detectable": detectable_difference(difference.to_numpy(), clusters=clusters),
        "few": interval.n < FEW,
        "reason": "; ".join(note for note in notes if note),
    }


def _cells(scores: pd.DataFrame, measure: str) -> dict[str, pd.Series]:
    """System to example to the values of its repeats."""
    known = scores[(scores["measure"] == measure) & scores["value"].notna()].sort_values(["example", "repeat"])
    groups = known.groupby(["system", "example"], sort=True, observed=True)["value"].agg(list)
    return {str(system): group.droplevel("system") for system, group in groups.groupby("system", observed=True)}


def _nested_spans(
    cells: Mapping[str, pd.Series], pairs: Sequence[tuple[str, str]], sources: Sources | None, seed: int,
    resamples: int,
) -> dict[tuple[str, str], tuple[float, float]]:  # fmt: skip
    """Nested intervals of the differences of `pairs`; none with one answer to every example, or without any spread.

    Systems that answered the same examples share their resampled examples.
    """
    together: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for pair in pairs:
        both = cells[pair[0]].index.intersection(cells[pair[1]].index)
        if any(cells[system][both].map(len).max() > 1 for system in pair):
            together.setdefault(tuple(both), []).append(pair)
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for examples, some in together.items():
        systems = sorted({system for pair in some for system in pair})
        values = [cells[system][list(examples)].tolist() for system in systems]
        drawn = nested_draws(values, clusters=clusters_of(examples, sources), seed=seed, resamples=resamples)
        draws = dict(zip(systems, drawn.T, strict=True))
        spans |= {(one, two): span(draws[one] - draws[two]) for one, two in some}
    return {pair: ends for pair, ends in spans.items() if ends[0] < ends[1]}


def repeat_spread(
    scores: pd.DataFrame, measure: str = PRIMARY, *, sources: Sources | None = None, seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """How much of a system's uncertainty comes from answering again: one row per system.

    Columns: system, n (examples), repeats (the most per example), mean, low and high of the nested bootstrap
    (examples, then repeats in each), between and within (standard deviations between examples' means and between the
    repeats of one; NaN with one repeat), share_within (of the variance of the mean, 0 to 1), reason.
    """
    rows = []
    for system, cells in _cells(scores, measure).items():
        interval = nested_interval(cells.tolist(), clusters=clusters_of(cells.index, sources), seed=seed,
                                   resamples=resamples)  # fmt: skip
        counts, means = cells.map(len), cells.map(np.mean)
        inner = cells[counts > 1].map(lambda values: np.var(values, ddof=1))
        between, within = means.var(), float(inner.mean()) if len(inner) else math.nan
        noise = (within / counts).mean() / between if between else math.nan
        rows.append((system, interval.n, int(counts.max()), *interval[:3], math.sqrt(between),
                     math.sqrt(within), min(1.0, noise) if noise == noise else math.nan, interval.reason))  # fmt: skip
    columns = ["system", "n", "repeats", "mean", "low", "high", "between", "within", "share_within", "reason"]
    return pd.DataFrame(rows, columns=columns)


def best_chances(
    scores: pd.DataFrame, measure: str = PRIMARY, *, sources: Sources | None = None, seed: int = 0
) -> pd.Series:
    """Each system's chance of having the highest mean, on the examples that all systems have (shares add up to 1)."""
    table = wide(scores, measure)
    chances = chance_of_best(table.to_numpy(), clusters=clusters_of(table.index, sources), seed=seed)
    return pd.Series(chances, index=table.columns, name="chance_of_best").sort_values(ascending=False, kind="stable")


def flips(scores: pd.DataFrame, system: str, other: str, measure: str = PRIMARY, *, least: float = 0.1) -> pd.DataFrame:
    """Examples on which two systems differ by at least `least`, largest gap first: example, both scores, difference."""
    table = wide(scores, measure)
    absent = [name for name in (system, other) if name not in table]
    if absent:
        raise ValueError(f"flips of {absent[0]}: expected one of the systems {list(table.columns)}; check the name")
    pair = table[[system, other]].dropna()
    pair = pair.assign(difference=pair[system] - pair[other]).reset_index()
    pair = pair[pair["difference"].abs() >= least]
    order = pair["difference"].abs().sort_values(ascending=False, kind="stable").index
    return pair.loc[order].reset_index(drop=True).rename_axis(columns=None)


def widest_gap(scores: pd.DataFrame, measure: str = PRIMARY) -> str | None:
    """The example on which the systems' scores lie furthest apart; None when nothing is scored."""
    table = wide(scores, measure)
    gaps = (table.max(axis=1) - table.min(axis=1)).dropna()
    return None if gaps.empty else str(gaps.idxmax())


def status_table(scores: pd.DataFrame, examples: Iterable[str] | None = None) -> pd.DataFrame:
    """How many predictions of each status each system has: system, status, count, share.

    With `examples` (ids that should have been answered) those without any prediction count as `missing`.
    """
    rows = scores[scores["measure"] == ANSWERED]
    counts = rows.groupby(["system", "status"], observed=True).size().rename("count").reset_index()
    if examples is not None:
        asked = set(examples)
        for system, group in rows.groupby("system", observed=True):
            lost = len(asked - set(group["example"].unique()))
            if lost:
                counts.loc[len(counts)] = [system, "missing", lost]
    counts["share"] = counts["count"] / counts.groupby("system", observed=True)["count"].transform("sum")
    return counts.sort_values(["system", "status"], ignore_index=True)


def by_feature(
    scores: pd.DataFrame,
    examples: pd.DataFrame,
    features: Sequence[str],
    measure: str = PRIMARY,
    *,
    sources: Sources | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """`summarise` over slices: one row per system, feature and value (columns system, feature, slice, n, mean, ...).

    A feature that counts is cut in two: none (False) and some (True).
    """
    parts = []
    for feature in features:
        if feature not in examples:
            raise ValueError(f"slice {feature!r}: expected one of {list(examples.columns)}; check the feature's name")
        values = examples.set_index("example")[feature]
        if pd.api.types.is_numeric_dtype(values):
            values = values.astype(bool)
        cut = scores.assign(slice=scores["example"].map(values).astype(str))
        part = summarise(cut, [measure], by=["slice"], sources=sources, seed=seed)
        parts.append(part.assign(feature=feature))
    columns = ["system", "feature", "slice", "n", "mean", "low", "high", "few", "reason"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
