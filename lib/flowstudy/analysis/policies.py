"""What a hybrid gains: every routing policy of two systems beside always the one and always the other.

Nothing is asked or compared again: a policy's score on a request is the stored score of the answer that it takes, and
what it costs is the sum over the calls of everyone it asked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from flowstudy.analysis.comparison import Sources, clusters_of, compare, wide
from flowstudy.analysis.economics import Assumptions, economics_table
from flowstudy.analysis.measures import PRIMARY, Value
from flowstudy.analysis.scores import COLUMNS, USAGE, usage
from flowstudy.analysis.statistics import RESAMPLES, holm, mean_interval
from flowstudy.corpus.example import JUDGED, Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.gates import pair_up
from flowstudy.systems.hybrid import Hybrid, apply_policy
from flowstudy.systems.mixed import POLICIES, hybrid_parts, parts_of
from flowstudy.systems.records import Prediction, SystemSpec

_MONEY: Final = (
    "cost_per_1000", "cost_per_1000_low", "cost_per_1000_high", "latency_p50", "latency_p95", "missing",
)  # fmt: skip
POLICY_COLUMNS: Final = (
    "policy", "system", "first", "second", "rule", "threshold", "escalated", "from_second", "n", "left_out",
    "mean", "low", "high", "over_random", "over_random_low", "over_random_high", *_MONEY, "reason",
)  # fmt: skip


def quality_of(scores: pd.DataFrame, measure: str = PRIMARY) -> dict[tuple[str, str, int], float]:
    """(system, example, repeat) to score; NaN scores are left out."""
    rows = scores[(scores["measure"] == measure) & scores["value"].notna()]
    places = zip(rows["system"].astype(str), rows["example"].astype(str), rows["repeat"].astype(int), strict=True)
    return dict(zip(places, rows["value"].astype(float), strict=True))


def worth_of(scores: pd.DataFrame) -> dict[tuple[str, str, int], float]:
    """What an answer is worth to a hybrid: its score, and 1 where it is right, whatever edits are between it and the
    reference."""
    right = {place: 1.0 for place, value in quality_of(scores, "right").items() if value == 1}
    return quality_of(scores) | right


def apply_all(
    first: Sequence[Prediction], second: Sequence[Prediction], examples: Sequence[Example],
    catalogues: Mapping[str, Catalogue], scores: pd.DataFrame, *, seed: int = 0,
) -> list[Hybrid]:  # fmt: skip
    """Every policy of two systems, in the order of `POLICIES`; `scores` must hold the validation split."""
    pairing, quality = pair_up(first, second, examples, catalogues), worth_of(scores)
    return [apply_policy(policy, pairing, quality, name=policy, seed=seed) for policy in POLICIES]


def duos(specs: Iterable[SystemSpec], more: tuple[str, str] | None = None) -> list[tuple[str, str]]:
    """Pairs of systems to route between: the parts of every hybrid among `specs`, then `more`, each pair once."""
    found = [parts[1:] for spec in specs if (parts := hybrid_parts(spec)) is not None]
    return list(dict.fromkeys([*found, *([more] if more else [])]))


def routing_tables(
    scores: pd.DataFrame, predictions: Sequence[Prediction], pairs: Iterable[tuple[str, str]],
    examples: Sequence[Example], catalogues: Mapping[str, Catalogue], assumptions: Assumptions, *,
    sources: Sources | None = None, seed: int = 0, resamples: int = RESAMPLES,
) -> list[pd.DataFrame]:  # fmt: skip
    """A `policy_table` for each pair of systems that both answered something; `scores` holds `validation` too."""
    by_system: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_system.setdefault(prediction.system, []).append(prediction)
    tables = []
    for first, second in pairs:
        if first in by_system and second in by_system:
            hybrids = apply_all(by_system[first], by_system[second], examples, catalogues, scores, seed=seed)
            options: dict[str, Any] = {"sources": sources, "seed": seed, "resamples": resamples}
            tables.append(policy_table(scores, hybrids, assumptions, **options))
    return tables


def beside_parts(
    scores: pd.DataFrame, specs: Iterable[SystemSpec], measure: str = PRIMARY, *, sources: Sources | None = None,
    seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """What the study's own hybrids, routed and split, gain over each of their parts: rows of `comparison.compare`.

    Hybrids that did not answer are left out; p-values are adjusted over the whole table.
    """
    duos = [[spec.name, part] for spec in specs for part in parts_of(spec)]
    tables = [
        compare(scores[scores["system"].isin(duo)], measure, against=duo[1], sources=sources, seed=seed,
                resamples=resamples) for duo in duos
    ]  # fmt: skip
    table = pd.concat(tables or [compare(scores.iloc[:0], measure)], ignore_index=True)
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=float)))


def policy_scores(scores: pd.DataFrame, hybrids: Sequence[Hybrid]) -> pd.DataFrame:
    """Score rows of hybrids, in the columns of `scores`: equal to scoring their predictions, without comparing again.

    `scores` holds the scores of both parts.
    """
    columns, keys = list(COLUMNS), ["system", "example", "repeat"]
    places, spent, splits = [], [], set(scores["split"].unique())
    taken: dict[tuple[object, ...], dict[str, Value]] = {}
    for hybrid in hybrids:
        for route in (route for route in hybrid.routes if route.pair.split in splits):
            answer, mixed = route.answer, route.prediction(hybrid.report.system)
            asked = (*((p.system, p.example, p.repeat) for p in route.pair[:2]), route.asked)
            if asked not in taken:  # policies that asked the same two spent the same
                taken[asked] = usage(mixed)
            places.append((answer.system, answer.example, answer.repeat, mixed.system, mixed.repeat))
            head = (mixed.system, mixed.example, mixed.repeat, route.pair.split, "", answer.status)
            spent += [(*head, name, *value) for name, value in taken[asked].items()]
    routed = pd.DataFrame(places, columns=[*keys, "hybrid", "as_repeat"])
    kept = routed.merge(scores[~scores["measure"].isin(USAGE)], on=keys)
    kept = kept.assign(system=kept["hybrid"], repeat=kept["as_repeat"])[columns]
    used = pd.DataFrame(spent, columns=columns).merge(kept[keys].drop_duplicates(), on=keys)
    domains = scores.drop_duplicates("example").set_index("example")["domain"]
    used["domain"] = used["example"].map(domains)
    table = pd.concat([kept, used], ignore_index=True).sort_values(keys, kind="stable", ignore_index=True)
    return table.astype({"value": float, "repeat": int, "reason": str})


def policy_table(
    scores: pd.DataFrame, hybrids: Sequence[Hybrid], assumptions: Assumptions, measure: str = PRIMARY, *,
    sources: Sources | None = None, seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """One row per policy, on the judged splits, in `POLICY_COLUMNS`.

    `escalated`: share of requests for which the second system was asked. `mean` with low and high: quality.
    `over_random`: paired gain over taking the second answer at random as often (its expectation, no draw), with low
    and high. Cost in US dollars per 1,000 requests and latency in seconds are those of `economics_table`; `missing`
    names what is not known. Nothing that both answered: the figures are NaN and `reason` says why.
    """
    judged = scores[scores["split"].isin(JUDGED) & (scores["measure"] == measure)]
    routed = policy_scores(judged, hybrids)
    interval = functools.partial(mean_interval, seed=seed, resamples=resamples)
    money = economics_table(routed, assumptions, measure, seed=seed) if len(routed) else pd.DataFrame({"system": []})
    table, known = wide(routed, measure), quality_of(judged, measure)
    rows = []
    for hybrid in hybrids:
        report = hybrid.report
        row = {name: getattr(report, name) for name in POLICY_COLUMNS if name in report._fields}
        if report.system in table:
            own = table[report.system].dropna()
            clusters = clusters_of(own.index, sources)
            quality = interval(own.to_numpy(), clusters=clusters)
            gained = own - _at_random(hybrid, known)[own.index]
            gain = interval(gained.to_numpy(), clusters=clusters)
            row |= {"n": quality.n, "mean": quality.value, "low": quality.low, "high": quality.high}
            row |= dict(zip(("over_random", "over_random_low", "over_random_high"), gain[:3], strict=True))
            priced = money[money["system"] == report.system].iloc[0]
            row |= {name: priced[name] for name in _MONEY}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(POLICY_COLUMNS))


def _at_random(hybrid: Hybrid, quality: Mapping[tuple[str, str, int], float]) -> pd.Series:
    """What each example would score on average, were the policy's share of second answers given out at random."""
    share = hybrid.report.from_second
    found: dict[str, list[float]] = {}
    for route in hybrid.routes:
        parts = [quality.get((p.system, p.example, p.repeat), np.nan) for p in route.pair[:2]]
        found.setdefault(route.pair.first.example, []).append((1 - share) * parts[0] + share * parts[1])
    return pd.Series({example: float(np.mean(values)) for example, values in found.items()}, dtype=float)
