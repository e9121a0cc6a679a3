"""Does the answer depend on how similarity is measured? The order of the systems under every choice, side by side.

The choices: the published or the strict convention, with or without inputs, one or several references, exact or
similar strings. All means are over the same examples: those that every system has under every choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from flowstudy.analysis.comparison import Sources, clusters_of, wide
from flowstudy.analysis.measures import PRIMARY, title
from flowstudy.analysis.statistics import RESAMPLES, chance_of_best, mean_interval, paired_difference

#: Each choice in the words of the question, the one that decisions rest on first.
CHOICES: Final[dict[str, str]] = {
    PRIMARY: "strict, with inputs",
    "strict_no_inputs": "strict, without inputs",
    "strict_first_reference": "strict, first reference only",
    "similar_with_inputs": "strict, similar strings count",
    "flow_sim_with_inputs": "published, with inputs",
    "flow_sim_no_inputs": "published, without inputs",
}
RANKING_COLUMNS: Final = (
    "choice", "measure", "system", "n", "mean", "low", "high", "rank", "rank_primary", "chance_of_best", "tau",
    "reason",
)  # fmt: skip
_SAME: Final = 1e-9


def ranking_table(
    scores: pd.DataFrame,
    measures: Sequence[str] = tuple(CHOICES),
    *,
    sources: Sources | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row per measure and system, in `RANKING_COLUMNS`, best first under the first measure.

    `rank` is 1 for the highest mean (equal means share the middle rank), `rank_primary` the rank under the first
    measure, `chance_of_best` the share of bootstrap samples in which the system leads, `tau` Kendall's tau-b between
    the two orders (1 the same, -1 reversed; NaN with fewer than two systems or only ties). Measures that no answer
    has are left out. Without a common example the ranks are NaN and `reason` says so.
    """
    present = [m for m in measures if len(wide(scores, m))]
    tables = _common(scores, present)
    first: pd.Series | None = None
    parts = []
    for measure, table in tables.items():
        ranks = _ranks(table)
        first = ranks if first is None else first
        clusters = clusters_of(table.index, sources)
        chances = chance_of_best(table.to_numpy(), clusters=clusters, seed=seed, resamples=resamples)
        spans = [mean_interval(column.to_numpy(), clusters=clusters, seed=seed, resamples=resamples)
                 for _, column in table.items()]  # fmt: skip
        reason = "" if len(table) else "no example has every system's score"
        parts.append(pd.DataFrame({
            "choice": CHOICES.get(measure, title(measure)), "measure": measure, "system": list(table.columns),
            "n": [s.n for s in spans], "mean": [s.value for s in spans], "low": [s.low for s in spans],
            "high": [s.high for s in spans], "rank": ranks.to_numpy(), "rank_primary": first.to_numpy(),
            "chance_of_best": chances, "tau": _tau(first, ranks), "reason": [reason or s.reason for s in spans],
        }))  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=list(RANKING_COLUMNS))
    table = pd.concat(parts, ignore_index=True)
    order = {measure: place for place, measure in enumerate(present)}
    table = table.assign(place=table["measure"].map(order)).sort_values(["place", "rank_primary", "system"])
    return table[list(RANKING_COLUMNS)].reset_index(drop=True)


def swaps(
    scores: pd.DataFrame,
    measures: Sequence[str] = tuple(CHOICES),
    *,
    sources: Sources | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Pairs of systems that change places between the first measure and another one; empty when none does.

    Columns: choice, measure, system (ahead under the first measure), other, difference with low and high under the
    first measure, there with there_low and there_high under the other one, sure (both intervals exclude zero).
    """
    tables = _common(scores, [m for m in measures if len(wide(scores, m))])
    columns = ["choice", "measure", "system", "other", "difference", "low", "high"]
    columns += ["there", "there_low", "there_high", "sure"]
    rows: list[tuple[object, ...]] = []
    (_, base), *others = tables.items() if tables else [("", pd.DataFrame())]
    clusters = clusters_of(base.index, sources)
    for measure, table in others:
        for pair in itertools.combinations(base.columns, 2):
            means = [float((t[pair[0]] - t[pair[1]]).mean()) for t in (base, table)]
            if not (abs(means[0]) > _SAME and abs(means[1]) > _SAME and means[0] * means[1] < 0):
                continue
            a, b = pair if means[0] > 0 else pair[::-1]
            here, there = (
                paired_difference(t[a].to_numpy(), t[b].to_numpy(), clusters=clusters, seed=seed,
                                  resamples=resamples) for t in (base, table)
            )  # fmt: skip
            sure = here.excludes_zero and there.excludes_zero
            rows.append((CHOICES.get(measure, title(measure)), measure, a, b, *here[:3], *there[:3], sure))
    return pd.DataFrame(rows, columns=columns)


def verdict(ranking: pd.DataFrame, changed: pd.DataFrame) -> str:
    """One or two sentences: whether the order of the systems depends on the measure. Same tables, same words."""
    known = ranking[ranking["rank"].notna()]
    systems, choices = known["system"].nunique(), known["measure"].nunique()
    if systems < 2 or choices < 2:
        return f"Nothing to say about the order: {systems} systems under {choices} measures."
    tops = known[known["rank"] == known.groupby("measure")["rank"].transform("min")]
    leaders = tops.groupby("choice", sort=False)["system"].agg(frozenset)
    best = leaders.iloc[0]
    other = leaders[[not best & found for found in leaders]]
    count = f"all {choices}" if other.empty else f"{choices - len(other)} of {choices}"
    shares = " or shares the lead" if any(best < found for found in leaders) else ""
    words = f"{_names(best)} {'leads' if len(best) == 1 else 'lead'}{shares} under {count} ways of measuring"
    words += "." if other.empty else f"; not under: {', '.join(f'{c} ({_names(s)})' for c, s in other.items())}."
    if changed.empty:
        return f"{words} No two systems change places."
    sure = changed[changed["sure"]]
    pairs = sorted({f"{row.system} and {row.other}" for row in (sure if len(sure) else changed).itertuples()})
    if sure.empty:
        return f"{words} {', '.join(pairs)} change places, but never by more than chance explains."
    return f"{words} {', '.join(pairs)} change places by more than chance explains: say which measure you mean."


def _names(systems: Iterable[str]) -> str:
    return " and ".join(sorted(map(str, systems)))


def _common(scores: pd.DataFrame, measures: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Examples x systems for each measure, cut to the examples without any gap."""
    tables = {measure: wide(scores, measure) for measure in measures}
    systems = sorted({str(s) for table in tables.values() for s in table.columns})
    whole = {measure: table.reindex(columns=systems).dropna() for measure, table in tables.items()}
    kept = set.intersection(*(set(table.index) for table in whole.values())) if whole else set()
    return {measure: table[table.index.isin(kept)] for measure, table in whole.items()}


def _ranks(table: pd.DataFrame) -> pd.Series:
    """1 for the highest mean; means that differ by rounding only share a rank."""
    return table.mean().round(9).rank(ascending=False, method="average")


def _tau(first: pd.Series, ranks: pd.Series) -> float:
    from scipy.stats import kendalltau

    if len(first) < 2 or ranks.isna().any() or first.nunique() < 2 or ranks.nunique() < 2:
        return np.nan
    return float(kendalltau(first.to_numpy(), ranks.to_numpy()).statistic)
