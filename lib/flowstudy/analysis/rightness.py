"""Is an answer right? A verdict on each: from what it does, what the catalogue knows, and what is left to put right.

`right`: it is equal to a reference; or it does the same (`metrics.behaviour`), refers to nothing that is not there, and
has no fault against the catalogue but those of the reference. `nearly`: at most two corrections away
(`Explanation.corrections`). `rework`: more. `no flow`: its status says why. `unknown`: whether it does the same cannot
be told, and is not guessed. What has no fault and does something else is also `valid but wrong`, counted apart: no
validator finds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from flowstudy.analysis.comparison import Sources, clusters_of
from flowstudy.analysis.measures import CLOSEST, Value
from flowstudy.analysis.statistics import FEW, share_interval
from flowstudy.flows.catalogue import Catalogue, Fault
from flowstudy.flows.schema import Flow, structure_faults
from flowstudy.metrics import Behaviour, FlowTooLarge, behaviour, explain

#: The verdicts from good to bad, as people read them; with "unknown" they add up to all answers.
VERDICTS: Final = {
    "right": "right",
    "nearly": "nearly right (at most two corrections)",
    "rework": "to be reworked",
    "no flow": "no flow",
    "unknown": "cannot be told",
}
#: Counted apart, among the nearly right and those to be reworked.
VALID_BUT_WRONG: Final = "valid but wrong"
MOST_CORRECTIONS: Final = 2
_FLOWS: Final = ("ok", "repaired")
_STORED: Final = {
    "behaviour_same": "same", "behaviour_agree": "agree", "valid_but_wrong": "valid_but_wrong", "dangling": "dangling",
    "corrections": "corrections", CLOSEST: "reference",
}  # fmt: skip
_PLACE: Final = ["system", "split", "domain", "example", "repeat", "status"]


def rightness(
    flow: Flow, references: Sequence[Flow], catalogue: Catalogue | None, faults: Sequence[Fault], *, record: str
) -> dict[str, Value]:
    """The measures behind the verdict on a flow: 1 or 0, counts, NaN where it cannot be told.

    `faults` is what `catalogue.check` finds. The reason of `right` says everything that is wrong, that of
    `behaviour_same` the first situation in which the flow does something else, that of `dangling` which references.
    """
    found = behaviour(flow, references, catalogue, record=record)
    try:
        corrections = Value(float(explain(flow, references, record=record).corrections))
    except FlowTooLarge as error:
        corrections = Value(math.nan, str(error))
    equal = corrections.value == 0
    same = Value(1.0) if equal else _same(found)
    theirs = {(f.kind, f.name) for f in catalogue.check(references[found.best])} if catalogue and faults else set()
    broken = [str(fault) for fault in faults if (fault.kind, fault.name) not in theirs]
    broken = [] if equal else [*structure_faults(flow), *broken, *(f"{each} is nothing" for each in found.dangling)]
    wrong = [*broken, *([same.reason] if same.reason else [])]
    right = Value(0.0 if broken else same.value, "; ".join(wrong))
    near = right.value == 1 or corrections.value <= MOST_CORRECTIONS
    open_ = next((each for each in (right, corrections) if math.isnan(each.value)), None)
    knows = same.value == same.value
    return {
        "right": right,
        "right_or_nearly": Value(1.0) if near else open_ or Value(0.0),
        "valid_but_wrong": Value(0.0) if broken else same._replace(value=1 - same.value),
        "behaviour_same": same,
        "behaviour_agree": Value(1.0 if same.value == 1 else found.agree) if knows else same,
        "dangling": _dangling(found),
        "corrections": corrections,
        CLOSEST: Value(float(found.best)),
    }


def _same(found: Behaviour) -> Value:
    """Whether a flow does the same, with the first difference, or why it cannot be told."""
    if found.unknown is not None:
        return Value(math.nan, found.unknown)
    return Value(1.0) if found.same else Value(0.0, found.counterexample or "")


def _dangling(found: Behaviour) -> Value:
    if not found.situations:
        return Value(math.nan, found.unknown or "no situation could be told apart")
    return Value(float(len(found.dangling)), ", ".join(found.dangling))


def verdict_table(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per answer of a score table: where it stands, its `verdict` (a key of `VERDICTS`) and what it rests on.

    Columns: system, split, domain, example, repeat, status, verdict, same, agree, valid_but_wrong, dangling,
    corrections, reference (the closest, from 0), difference (the first, in words), why (all that keeps it from being
    right). NaN where it cannot be told or there is no flow. What is no answer has no row.
    """
    own = scores[scores["measure"].isin(["right", "right_or_nearly", *_STORED])]
    values = own.pivot(index=_PLACE, columns="measure", values="value").reindex(
        columns=["right", "right_or_nearly", *_STORED]
    )
    words = own.pivot(index=_PLACE, columns="measure", values="reason").reindex(columns=["right", "behaviour_same"])
    right, near = values["right"], values["right_or_nearly"]
    verdict = pd.Series("unknown", index=values.index)
    for name, mark in (
        ("rework", near == 0), ("nearly", near == 1), ("unknown", right.isna()), ("right", right == 1),
        ("no flow", ~values.index.get_level_values("status").isin(_FLOWS)),
    ):  # fmt: skip
        verdict = verdict.mask(mark, name)
    table = values.rename(columns=_STORED)[list(_STORED.values())]
    table.insert(0, "verdict", verdict)
    table = table.assign(difference=words["behaviour_same"].fillna(""), why=words["right"].fillna(""))
    return table.reset_index().rename_axis(columns=None)


def verdict_shares(
    table: pd.DataFrame, by: Sequence[str] = ("split",), *, sources: Sources | None = None
) -> pd.DataFrame:
    """Share of each verdict, and of `VALID_BUT_WRONG`, per system and group of the columns `by`, 0 to 1.

    `table` comes from `verdict_table`. Columns: system, *by, verdict, title, n (examples), share, low, high (95 %,
    Wilson), few. Repeats of an example are averaged first; examples of one source count as one in the interval.
    """
    rows: list[tuple[object, ...]] = []
    for key, group in table.groupby(["system", *by], sort=True):
        marks = {name: group["verdict"] == name for name in VERDICTS} | {VALID_BUT_WRONG: group["valid_but_wrong"] == 1}
        for name, mark in marks.items():
            each = mark.astype(float).groupby(group["example"]).mean()
            found = share_interval(each.tolist(), clusters=clusters_of(each.index, sources))
            rows.append((*key, name, VERDICTS.get(name, name), found.n, *found[:3], found.n < FEW))
    return pd.DataFrame(rows, columns=["system", *by, "verdict", "title", "n", "share", "low", "high", "few"])


def shares_in_words(shares: pd.DataFrame) -> list[str]:
    """A sentence for each system and group of `verdict_shares`: of 100 requests so many are right as they are, ..."""
    keys = list(shares.columns[: shares.columns.get_loc("verdict")])
    lines = []
    for key, group in shares[(shares["share"] > 0) | (shares["verdict"] == "right")].groupby(keys, sort=False):
        told = [f"{_per_100(row)} {row['title']}" for _, row in group.iterrows()]
        lines.append(f"{', '.join(map(str, key))}: of 100 requests {', '.join(told)}")
    return lines


def _per_100(row: pd.Series) -> str:
    return "{share:.0f} ({low:.0f} to {high:.0f})".format(
        **{name: 100 * row[name] for name in ("share", "low", "high")}
    )
