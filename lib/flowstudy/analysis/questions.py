"""The questions of the published study (arXiv 2505.24189), each a paired contrast of two systems on the same examples.

An arm is a system that differs from another one in a single setting: the retriever, the strategy, which training
examples it may look at, how many of them its prompt shows, the prompt itself, or what its answers are held to.
`arm_table` compares the arms of every such group, `lead_by_slice` says where the lead of one system over another comes
from, `beside_published` puts our figures next to those of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import pandas as pd

from flowstudy.analysis.comparison import Sources, compare, summarise, wide
from flowstudy.analysis.decision import Kind
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.statistics import RESAMPLES, holm
from flowstudy.corpus.example import SPLIT_TITLES
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.slm.variants import asks_variant

Field = Literal["retriever", "strategy", "without", "shots", "prompt", "decoding"]
#: What is compared: the setting, the arms to measure the others against (the first that answered is the base of its
#: group), and the order to show them in.
FIELDS: Final[dict[Field, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "retriever": (("trained", "lexical", "none"), ("none", "lexical", "trained", "oracle")),
    "strategy": (("whole",), ("whole", "decomposed")),
    "without": (("",), ("", "implicit_step", "implicit_condition", "enterprise_step")),
    "shots": (("0",), ("0",)),
    "prompt": (("outline", "json"), ("outline", "json")),
    "decoding": (("free",), ("free", "json", "schema", "grammar")),
}
#: Slices of the published study first: feature of the example -> what it is called.
SLICES: Final = {
    "split": "split",
    "constructs": "structural logic",
    "enterprise_step": "enterprise-specific step",
    "implicit_step": "implicit step",
    "implicit_condition": "implicit condition",
    "data_references": "data references",
    "size": "components",
    "domain": "domain",
}
ARM_COLUMNS: Final = (
    "group", "arm", "system", "n", "mean", "low", "high", "difference", "difference_low", "difference_high", "percent",
    "percent_low", "percent_high", "p_holm", "few", "reason",
)  # fmt: skip


class Published(NamedTuple):
    """A figure of another study, on another data set: `percent` relative to the other system, NaN for a pattern."""

    finding: str
    published: str
    percent: float
    source: str


_PAPER = "arXiv 2505.24189"
PUBLISHED: Final = {
    "lead": Published("tuned over prompted", "about +10 %", 10.0, _PAPER),
    "logic": Published("the same, with structural logic", "above average", math.nan, _PAPER),
    "enterprise": Published("the same, with enterprise-specific steps", "+12.16 % over GPT-4o", 12.16, _PAPER),
    "implicit": Published("the same, with implicit steps", "above average", math.nan, _PAPER),
    "oracle": Published("a perfect retriever over the one used", "at most +4 %", 4.0, _PAPER),
}


def arms(specs: Iterable[SystemSpec], field: Field) -> list[dict[str, str]]:
    """Groups of systems that are the same but for `field`: value of the field -> name; at least two in each."""
    groups: dict[str, dict[str, str]] = {}
    for spec in specs:
        rest = spec.model_dump_json(exclude={"name", field})
        groups.setdefault(rest, {}).setdefault(str(getattr(spec, field)), spec.name)
    return [group for group in groups.values() if len(group) > 1]


def side_arms(specs: Sequence[SystemSpec]) -> set[str]:
    """Systems that only answer a question about retrieval, labels, prompts, shots, decoding or training: they take no
    part in what to use.

    Of the arms of a group one takes part: the one that looks at all labels, else the first that the study names. Aside
    stand also every system with the retriever `oracle`, which looks at the reference, every one that asks a variant of
    `slm/tuned`, and one that is another system under a second name.
    """
    aside = {spec.name for spec in specs if spec.retriever == "oracle" or asks_variant(spec)}
    names: dict[str, str] = {}
    aside |= {s.name for s in specs if names.setdefault(s.model_dump_json(exclude={"name"}), s.name) != s.name}
    for field in FIELDS:
        for group in arms(specs, field) if field != "strategy" else ():
            stays = group.get("") or next(name for arm, name in group.items() if arm != "oracle")
            aside |= set(group.values()) - {stays}
    return aside


def arm_table(
    scores: pd.DataFrame, specs: Iterable[SystemSpec], field: Field, measure: str = PRIMARY, *,
    sources: Sources | None = None, seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """One row per arm, in `ARM_COLUMNS`: its mean with interval, and the paired difference from its group's base.

    `group` names the base (`FIELDS`); groups without scores of a base and another arm are left out. Empty when there
    is none. The base has difference 0 and no interval. p-values are adjusted over the whole table.
    """
    options: dict[str, Any] = {"sources": sources, "seed": seed, "resamples": resamples}
    answered, rows = set(wide(scores, measure).columns), []
    bases, order = FIELDS[field]
    for group in arms(specs, field):
        known = {arm: name for arm, name in group.items() if name in answered}
        base = next((known[arm] for arm in bases if arm in known), None)
        if base is None or len(known) < 2:
            continue
        own = scores[scores["system"].isin(list(known.values()))]
        means = summarise(own, [measure], **options).set_index("system")
        pairs = compare(own, measure, against=base, **options).set_index("system")
        for arm in sorted(known, key=lambda arm: (order.index(arm) if arm in order else len(order), arm)):
            rows.append(_arm_row(base, arm, known[arm], means, pairs))
    table = pd.DataFrame(rows, columns=list(ARM_COLUMNS))
    table["p_holm"] = holm(table["p_holm"].to_numpy(dtype=float))
    return table


def arms_not_run(scores: pd.DataFrame, specs: Iterable[SystemSpec], field: Field) -> str:
    """The arms of `field` that the study names and that nobody answered with, in words; empty when all did."""
    answered = set(scores.loc[scores["value"].notna(), "system"].unique())
    gone = [name for group in arms(specs, field) for name in group.values() if name not in answered]
    return f"not run: {', '.join(gone)}" if gone else ""


def _arm_row(base: str, arm: str, system: str, means: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, object]:
    row = {"group": base, "arm": arm, "system": system, **means.loc[system, ["n", "mean", "low", "high", "few"]]}
    if system == base:
        return row | {
            "difference": 0.0,
            "percent": 0.0,
            "p_holm": math.nan,
            "reason": "the base",
        }
    pair = pairs.loc[system]
    ends = {f"difference_{end}": pair[end] for end in ("low", "high")}
    shared = ("difference", "percent", "percent_low", "percent_high", "few", "reason")
    return row | ends | {name: pair[name] for name in shared} | {"p_holm": pair["p"]}


def lead_by_slice(
    scores: pd.DataFrame, examples: pd.DataFrame, system: str, other: str, measure: str = PRIMARY, *,
    features: Mapping[str, str] = SLICES, sources: Sources | None = None, seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """Paired differences of two systems in every slice: the columns of `comparison.compare` with feature and slice.

    `examples` is `scores.examples_table`; features that it lacks, or that take one value only, are left out. The first
    row is all examples together. Slices below 10 examples are marked `few`. p-values are adjusted over all rows.
    """
    own = scores[scores["system"].isin([system, other]) & (scores["measure"] == measure)]
    order, parts = {"": 0}, [own.assign(feature="", slice="all examples")]
    for feature in (f for f in features if f in examples and examples[f].map(str).nunique() > 1):
        names = dict(zip(examples["example"], _slice_names(examples[feature], features[feature]), strict=True))
        parts.append(own.assign(feature=feature, slice=own["example"].map(names)))
        order[feature] = len(order)
    by = ("feature", "slice")
    table = compare(pd.concat(parts), measure, against=other, by=by, sources=sources, seed=seed, resamples=resamples)
    size = table["slice"].str.extract(r"^(\d+)", expand=False).astype(float)  # sizes by their first number
    table = table.assign(place=table["feature"].map(order), size=size)
    table = table.sort_values(["place", "size"], kind="stable", ignore_index=True)
    return table[[*by, *(c for c in table if c not in (*by, "place", "size"))]]


def _slice_names(values: pd.Series, called: str) -> list[str]:
    """`with` and `without` what a yes-or-no or counted feature is called; else the value itself."""
    if called in ("split", "domain"):
        return [f"domain {v}" if called == "domain" else SPLIT_TITLES.get(v, v) for v in map(str, values)]
    if any(isinstance(value, str) for value in values):
        return [f"{value} {called}" for value in values]
    return [f"{'with' if value else 'without'} {called}" for value in values]


def contenders(leaders: Mapping[str, str]) -> tuple[str, str] | None:
    """Who stands for fine-tuning and who for prompting, from the `leaders` of a `Decision`.

    Without a prompted large model the untuned small one stands in, then the best baseline; None without a tuned
    system or without anybody to compare it with.
    """
    rival = next((leaders[kind] for kind in ("prompted", "untuned", "baseline") if kind in leaders), None)
    return (leaders["tuned"], rival) if "tuned" in leaders and rival else None


def beside_published(lead: pd.DataFrame, retrievers: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """The findings of the published study beside ours: finding, published, published_percent, source, ours (in words),
    percent with percent_low and percent_high (ours, relative), n.

    `lead` comes from `lead_by_slice` (may be empty), `retrievers` from `arm_table`. What this run has no answer to is
    NaN, and `ours` says why. The data sets differ: compare patterns.
    """
    found = {key: _slice_of(lead, words) for key, words in _SLICE_OF.items()}
    found["oracle"] = _best_arm(retrievers, "oracle")
    rows = []
    for key, paper in PUBLISHED.items():
        row, why = found[key]
        who = "" if row is None or key == "oracle" else _who(row, kinds)
        ours = why if row is None else f"{_percent(row)}{who}"
        part = {} if row is None else {n: row[n] for n in ("percent", "percent_low", "percent_high", "n")}
        rows.append({"finding": paper.finding, "published": paper.published, "published_percent": paper.percent,
                     "source": paper.source, "ours": ours, **part})  # fmt: skip
    columns = ["finding", "published", "published_percent", "source", "ours", "percent", "percent_low", "percent_high"]
    return pd.DataFrame(rows, columns=[*columns, "n"])


_SLICE_OF: Final = {
    "lead": "all examples", "logic": "with structural logic", "enterprise": "with enterprise-specific step",
    "implicit": "with implicit step",
}  # fmt: skip
_Found = tuple[pd.Series | None, str]


def _slice_of(lead: pd.DataFrame, name: str) -> _Found:
    rows = lead[lead["slice"] == name] if len(lead) else lead
    if not len(rows) or not rows.iloc[0]["n"]:
        return None, "not measured: it needs a tuned system and one to compare it with"
    return rows.iloc[0], ""


def _best_arm(table: pd.DataFrame, arm: str) -> _Found:
    """The row of `arm` with the best mean, among the groups whose base has a retriever."""
    bare = table[(table["arm"] == "none") & (table["system"] == table["group"])]["group"]
    rows = table[(table["arm"] == arm) & ~table["group"].isin(bare)]
    if not len(rows):
        return None, f"not measured: no system answered both with the retriever {arm} and with a trained or lexical one"
    return rows.sort_values("mean", ascending=False, kind="stable").iloc[0], ""


def _who(row: pd.Series, kinds: Mapping[str, Kind]) -> str:
    stands_in = "" if kinds.get(str(row["other"])) == "prompted" else ", standing in for a large model"
    return f" ({row['system']} over {row['other']}{stands_in})"


def _percent(row: pd.Series) -> str:
    value, low, high = (row[name] for name in ("percent", "percent_low", "percent_high"))
    if value != value:
        return "no relation: the other scores 0"
    span = "" if low != low else f", {low:+.1f} to {high:+.1f}"
    return f"{value:+.1f} %{span}, {int(row['n'])} examples".replace("-", "−")
