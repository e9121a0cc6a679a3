"""What a perfect retriever would gain, found twice: from the error tags, and by really offering what is needed.

From the tags: undo every edit at a step that was needed and not among the suggestions, and what moved along with it.
That is an upper bound, for it takes for granted that the model would have used what it was offered, and filled it in
rightly. From the oracle: the
same system with the retriever `oracle`, compared answer by answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from flowstudy.analysis.comparison import Sources, clusters_of
from flowstudy.analysis.error_costs import OTHER, Burden, explained_by, undo
from flowstudy.analysis.errors import ProposedTag
from flowstudy.analysis.explained import Explained
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.statistics import Interval, mean_interval, paired_difference
from flowstudy.analysis.verdicts import judged
from flowstudy.metrics import Explanation
from flowstudy.systems.records import SystemSpec

COLUMNS: Final = [
    "system", "answers", "mean", "at_most", "at_most_low", "at_most_high", "oracle", "oracle_gain", "oracle_low",
    "oracle_high", "finding",
]  # fmt: skip


def oracle_twins(specs: Iterable[SystemSpec]) -> dict[str, str]:
    """System -> the system that differs from it in nothing but its retriever, which is `oracle`."""
    known = list(specs)
    oracles = {_but_retriever(spec): spec.name for spec in known if spec.retriever == "oracle"}
    others = [spec for spec in known if spec.retriever not in ("oracle", "none")]
    return {spec.name: oracles[key] for spec in others if (key := _but_retriever(spec)) in oracles}


def _but_retriever(spec: SystemSpec) -> str:
    return spec.model_dump_json(exclude={"name", "retriever"})


def retrieval_gain(
    answers: Sequence[Explained],
    scores: pd.DataFrame,
    specs: Iterable[SystemSpec],
    verdicts: pd.DataFrame | None = None,
    *,
    sources: Sources | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per system with a retriever, in `COLUMNS`: FlowSim points a perfect retriever would add, both ways.

    `at_most` comes from the tags (`verdicts`, if given, can take them back), `oracle_gain` from the same system with
    the retriever `oracle`; both with intervals, NaN where there is no such system. `finding` compares them in words.
    """
    specs = list(specs)
    twins, said = oracle_twins(specs), {} if verdicts is None else judged(verdicts)
    rows = []
    for system in (spec.name for spec in specs if spec.retriever not in ("oracle", "none")):
        scored = [a for a in answers if a.prediction.system == system and a.is_scored]
        if not scored:
            continue
        gains, names = [_gain(a, said.get(a.place)) for a in scored], [a.prediction.example for a in scored]
        bound = mean_interval(gains, clusters=clusters_of(names, sources), seed=seed)
        twin, own = twins.get(system, ""), _of(scores, system)
        got = _oracle_gain(own, _of(scores, twin), sources, seed)
        rows.append((system, len(gains), own.mean(), *bound[:3], twin, *got[:3], _finding(bound, got, twin)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _gain(one: Explained, confirmed: frozenset[str] | None) -> float:
    """What one answer would gain; 0 without a flow, where nothing was left out, and where people saw it otherwise."""
    if one.script is None or (confirmed is not None and "source_retriever" not in confirmed):
        return 0.0
    burden = _left_out(one.script, one.tags)
    return undo([burden], one.script.distance, one.script.sizes) - one.script.similarity


def _left_out(script: Explanation, tags: Sequence[ProposedTag]) -> Burden:
    """The edits at steps that were not suggested, at what the model put in their place, and those without a tag."""
    blamed = [tag for tag in tags if tag.category == "source_retriever"]
    wanted = {tag.reference for tag in blamed if tag.reference is not None}
    instead = {tag.candidate for tag in blamed if tag.candidate is not None}
    burden = Burden(0.0, 0)
    for edit in script.changes if blamed else ():
        needed = edit.reference is not None and edit.reference.component in wanted
        replaced = edit.candidate is not None and edit.candidate.component in instead
        if needed or replaced or explained_by(edit, tags) == OTHER:
            growth = {"inserted": 1, "deleted": -1}.get(edit.kind, 0)
            burden = Burden(burden.cost + edit.cost, burden.growth + growth)
    return burden


def _of(scores: pd.DataFrame, system: str) -> pd.Series:
    rows = scores[(scores["system"] == system) & (scores["measure"] == PRIMARY) & scores["value"].notna()]
    return rows.groupby("example")["value"].mean()


def _oracle_gain(
    own: pd.Series, oracle: pd.Series, sources: Sources | None, seed: int
) -> Interval:  # fmt: skip
    both = own.index.intersection(oracle.index)
    pair, clusters = (oracle[both].to_numpy(), own[both].to_numpy()), clusters_of(both, sources)
    return paired_difference(*pair, clusters=clusters, seed=seed)


def _finding(bound: Interval, got: Interval, twin: str) -> str:
    most = f"perfect retrieval would gain at most {bound.value:+.3f} by the tags"
    if got.value != got.value:
        return f"{most}; not measured with the oracle retriever: {'no common example' if twin else 'no such system'}"
    measured = f"{most}; {got.value:+.3f} with the oracle retriever"
    if got.value <= bound.value:
        share = f", {got.value / bound.value:.0%} of it" if bound.value > 0 and got.value > 0 else ""
        return f"{measured}{share}: the two agree"
    within = got.low <= bound.value
    return f"{measured}: more than the bound, {'within' if within else 'beyond'} the uncertainty"
