"""The answer: fine-tune, prompt, hybrid, or cannot tell yet; by stated rules, so the same inputs give the same words.

Of each kind of system (fine-tuned, prompted, hybrid, ...) the one with the best mean takes part; Holm's adjustment is
over the comparisons between these. The rules, in order (`margin` is the smallest difference in FlowSim that would
matter to anyone):

1. Without a fine-tuned small model and a prompted large one that answered the same examples (10 at least), the
   question cannot be answered.
2. A hybrid that beats both by at least the margin, its interval above zero and Holm's p below 0.05, is the answer.
3. Of the two, the one that is ahead by at least the margin, its interval on one side of zero and p below 0.05.
4. If the whole interval lies within the margin, or no example differs, they are as good as each other: the cheaper
   one for a year at the assumed volume, training and labels included. With a price missing, or with no score above
   0, it cannot be told.
5. Otherwise it cannot be told yet; how many more examples would tell is computed from the spread seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from flowstudy.analysis.comparison import Sources, clusters_of, compare, status_table, wide
from flowstudy.analysis.economics import Assumptions, request_costs
from flowstudy.analysis.measures import PRIMARY, title
from flowstudy.analysis.statistics import FEW, RESAMPLES, examples_needed
from flowstudy.corpus.example import UNSEEN
from flowstudy.systems.capabilities import UNTUNED
from flowstudy.systems.records import SystemSpec

Kind = Literal["tuned", "prompted", "untuned", "hybrid", "baseline"]
Answer = Literal["fine-tune", "prompt", "hybrid", "cannot tell yet"]
MARGIN: Final = 0.02
_MONTHS: Final = 12
_BASELINES: Final = frozenset({"nearest", "constant"})


class Decision(BaseModel):
    """The recommendation in words: at most three reasons and three doubts, strongest first, and what was not run."""

    model_config = ConfigDict(extra="forbid")

    answer: Answer
    headline: str
    reasons: list[str]
    doubts: list[str]
    not_run: list[str]
    more_examples: int | None = None

    def text(self) -> str:
        """The whole answer as plain text."""
        parts = [f"{self.answer.upper()}. {self.headline}"]
        for name, lines in (("Reasons", self.reasons), ("Doubts", self.doubts), ("Not run", self.not_run)):
            parts += [f"\n{name}:", *(f"- {line}" for line in lines)] if lines else []
        return "\n".join(parts)


def system_kinds(specs: Iterable[SystemSpec]) -> dict[str, Kind]:
    """What each system is in this question: `slm/base` is the same base model before fine-tuning, other `slm/` models
    are tuned, a name or model that begins with `hybrid` is one, `nearest` and `constant` are baselines, all else is
    prompted."""
    return {spec.name: _kind(spec) for spec in specs}


def _kind(spec: SystemSpec) -> Kind:
    if spec.model in _BASELINES:
        return "baseline"
    if spec.name.startswith("hybrid") or spec.model.startswith("hybrid"):
        return "hybrid"
    if spec.model.startswith("slm/"):
        return "untuned" if spec.model == UNTUNED else "tuned"
    return "prompted"


def decide(
    scores: pd.DataFrame,
    kinds: Mapping[str, Kind],
    *,
    assumptions: Assumptions | None = None,
    not_run: Mapping[str, str] | None = None,
    margin: float = MARGIN,
    measure: str = PRIMARY,
    sources: Sources | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Decision:
    """Apply the rules of this module to a score table. `not_run` maps systems that did not run to the reason."""
    return _Case(scores, kinds, assumptions, not_run or {}, margin, measure, sources, seed, resamples).decision()


class _Case:
    """One application of the rules."""

    def __init__(
        self, scores: pd.DataFrame, kinds: Mapping[str, Kind], assumptions: Assumptions | None,
        not_run: Mapping[str, str], margin: float, measure: str, sources: Sources | None, seed: int, resamples: int,
    ) -> None:  # fmt: skip
        self.scores, self.kinds, self.assumptions = scores, kinds, assumptions
        self.margin, self.measure, self.sources = margin, measure, sources
        self.not_run = [f"{system}: {reason}" for system, reason in sorted(not_run.items())]
        self.table = wide(scores, measure)
        self.best = {kind: self._best(kind) for kind in ("tuned", "prompted", "untuned", "hybrid", "baseline")}
        leaders = scores[scores["system"].isin(list(filter(None, self.best.values())))]
        self.pairs = compare(leaders, measure, sources=sources, seed=seed, resamples=resamples)

    def decision(self) -> Decision:
        """Rules 1 to 5."""
        tuned, prompted, hybrid = self.best["tuned"], self.best["prompted"], self.best["hybrid"]
        if tuned is None or prompted is None:
            return self._cannot(self._absence(tuned, prompted))
        row = self._versus(tuned, prompted)
        if row["n"] < FEW:
            both = f"Examples that both {tuned} and {prompted} answered"
            return self._cannot(f"{both}: {row['n']}; {FEW} are the least.")
        if hybrid is not None and all(self._ahead(self._versus(hybrid, other)) for other in (tuned, prompted)):
            over = min((self._versus(hybrid, other) for other in (tuned, prompted)), key=lambda r: r["difference"])
            return self._say("hybrid", f"{hybrid} beats both {tuned} and {prompted}: {_gap(over)} over the better.")
        if self._ahead(row):
            return self._say("fine-tune", f"{tuned} beats {prompted} by {_gap(row)}.")
        if self._ahead(self._versus(prompted, tuned)):
            return self._say("prompt", f"{prompted} beats {tuned} by {_gap(self._versus(prompted, tuned))}.")
        if not row["mean"] and not row["mean_other"]:
            return self._cannot(f"Neither {tuned} nor {prompted} scores above 0: there is nothing to choose between.")
        same = row["ties"] == row["n"]
        if same or (-self.margin < row["low"] and row["high"] < self.margin):
            return self._by_cost(tuned, prompted, row)
        return self._too_close(tuned, prompted, row)

    def _best(self, kind: str) -> str | None:
        means = self.table[[s for s in self.table if self.kinds.get(str(s)) == kind]].mean().dropna()
        return None if means.empty else str(means.sort_values(ascending=False, kind="stable").index[0])

    def _versus(self, system: str, other: str) -> dict[str, float]:
        """The comparison in the wanted direction."""
        pairs = self.pairs
        found = pairs[(pairs["system"] == system) & (pairs["other"] == other)]
        if len(found):
            return dict(found.iloc[0])
        row = dict(pairs[(pairs["system"] == other) & (pairs["other"] == system)].iloc[0])
        turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
        turned |= {"wins": row["losses"], "losses": row["wins"], "mean": row["mean_other"], "mean_other": row["mean"]}
        percent = 100 * turned["difference"] / row["mean"] if row["mean"] else math.nan
        ends = {"percent_low": math.nan, "percent_high": math.nan}
        return row | turned | {"system": system, "other": other, "percent": percent} | ends

    def _ahead(self, row: Mapping[str, float]) -> bool:
        return row["difference"] >= self.margin and row["low"] > 0 and row["p_holm"] < 0.05

    def _by_cost(self, tuned: str, prompted: str, row: Mapping[str, float]) -> Decision:
        same = f"{tuned} and {prompted} are as good as each other (difference {_range(row)}, less than {self.margin:g})"
        costs = None if self.assumptions is None else request_costs(self.scores, self.assumptions)[[tuned, prompted]]
        if self.assumptions is None or costs is None or costs.isna().all().any():
            unpriced = [] if costs is None else [str(name) for name in costs if costs[name].isna().all()]
            whom = ", ".join(unpriced) or "either"
            return self._cannot(f"{same}, and what {whom} costs is not known.")
        volume = self.assumptions.requests_per_month * _MONTHS
        year = costs.mean() * volume
        year[tuned] += self.assumptions.fixed_usd
        cheaper: Answer = "fine-tune" if year[tuned] < year[prompted] else "prompt"
        bill = f"{year[tuned]:,.0f} against {year[prompted]:,.0f} US dollars for a year of {volume:,} requests"
        return self._say(cheaper, f"{same}; {bill}, labels and training included.")

    def _too_close(self, tuned: str, prompted: str, row: Mapping[str, float]) -> Decision:
        pair = self.table[[tuned, prompted]].dropna()
        differences = (pair[tuned] - pair[prompted]).to_numpy()
        clusters = clusters_of(pair.index, self.sources)
        needed = examples_needed(differences, max(abs(row["difference"]), self.margin), clusters=clusters)
        more = None if needed is None else max(0, needed - len(pair))
        tail = "" if more is None else f" About {more:,} more examples would tell."
        decision = self._cannot(f"{tuned} minus {prompted} is {_range(row)}: either may be better.{tail}")
        return decision.model_copy(update={"more_examples": more})

    def _absence(self, tuned: str | None, prompted: str | None) -> str:
        lacks = [words for name, words in ((tuned, "no fine-tuned small model"), (prompted, "no prompted large model"))
                 if name is None]  # fmt: skip
        return f"{' and '.join(lacks).capitalize()} answered in this run, so the two cannot be compared."

    def _cannot(self, why: str) -> Decision:
        return self._say("cannot tell yet", why)

    def _say(self, answer: Answer, headline: str) -> Decision:
        return Decision(answer=answer, headline=headline, reasons=self._reasons(answer)[:3],
                        doubts=self._doubts()[:3], not_run=self.not_run)  # fmt: skip

    def _reasons(self, answer: Answer) -> list[str]:
        """What was found, the comparison behind the answer first."""
        tuned, prompted, untuned = self.best["tuned"], self.best["prompted"], self.best["untuned"]
        hybrid, baseline = self.best["hybrid"], self.best["baseline"]
        wanted = [(tuned, prompted), (tuned, untuned), (hybrid, tuned), (prompted, untuned)]
        wanted += [(tuned, baseline), (untuned, baseline)]
        if answer == "hybrid":
            wanted = [(hybrid, tuned), (hybrid, prompted), *wanted]
        pairs = dict.fromkeys((a, b) for a, b in wanted if a and b)
        rows = [self._versus(a, b) for a, b in pairs]
        words = {name: f"{name} (the same base model before fine-tuning)" for name in (untuned,) if tuned}
        return [_finding(row, title(self.measure), words) for row in rows if row["n"]]

    def _doubts(self) -> list[str]:
        """What could overturn the answer, the largest first."""
        doubts = []
        if self.best["prompted"] is None:
            doubts.append("No large model answered: its quality on these examples is unknown.")
        if self.best["tuned"] is None:
            doubts.append("No fine-tuned small model answered: its quality on these examples is unknown.")
        lost = status_table(self.scores, self.scores["example"].unique())
        gone = lost[lost["status"].isin(["missing", "provider_error", "budget_stop"])]
        shares = gone.groupby("system")["share"].sum()
        worst = shares[shares > 0.05].sort_values(ascending=False, kind="stable")
        doubts += [f"{system} has no answer to {share:.0%} of the requests." for system, share in worst.items()]
        doubts += self._corpus_doubts()
        return doubts

    def _corpus_doubts(self) -> list[str]:
        doubts, n = [], len(self.table)
        detectable = self.pairs["detectable"].max()
        if n and detectable > self.margin:
            doubts.append(f"With {n} examples only differences above {detectable:.3f} are found reliably.")
        if UNSEEN.isdisjoint(self.scores["split"].unique()):
            doubts.append("No domain outside training was tried: how the answer carries over is unknown.")
        domains = self.scores["domain"].nunique()
        if domains < 3:
            doubts.append(f"The examples come from {domains} domain{'s' if domains != 1 else ''} only.")
        return doubts


def _finding(row: Mapping[str, float], name: str, words: Mapping[Any, str]) -> str:
    verdict = "ahead of" if row["low"] > 0 else "behind" if row["high"] < 0 else "not clearly apart from"
    counts = f"{row['wins']:.0f} won, {row['losses']:.0f} lost of {row['n']:.0f}"
    means = f"{row['mean']:.3f} against {row['mean_other']:.3f} in {name}"
    other = words.get(row["other"], row["other"])
    return f"{row['system']} is {verdict} {other}: {means}, difference {_range(row)}; {counts}."


def _gap(row: Mapping[str, float]) -> str:
    percent = "" if row["percent"] != row["percent"] else f" ({row['percent']:.0f} % relative)"
    return f"{row['difference']:.3f}{percent}, {_interval(row)}"


def _range(row: Mapping[str, float]) -> str:
    return f"{_signed(row['difference'])}, {_interval(row)}"


def _interval(row: Mapping[str, float]) -> str:
    if row["low"] != row["low"]:
        return "the same on every example" if row["ties"] == row["n"] else "without an interval"
    return f"95 % interval {_signed(row['low'])} to {_signed(row['high'])}"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")
