"""The answer: fine-tune, prompt, hybrid, or cannot tell yet; by stated rules, so the same inputs give the same words.

First, who takes part. Out is a system that was hardly trained or hardly asked (`unfit`), one that is behind a
baseline, and one below the stated level. Of each kind (fine-tuned, prompted, hybrid) that leaves several, the one with
the best mean on the validation split stands for it. Where validation was not answered by all of them (10 examples at
least) all take part, and every interval is widened for the choice among them (`statistics.joint`).

Then the rules, in order (`margin` is the smallest difference in FlowSim that would matter to anyone):

1. Without a fine-tuned small model and a prompted large one that answered the same examples (10 at least), the
   question cannot be answered.
2. A hybrid that beats all of both kinds by at least the margin, the intervals above zero, is the answer.
3. Of the two kinds, the one whose system beats all of the other by at least the margin, the intervals above zero.
4. Good enough and cheaper: of the two, the one that costs less in a year, standing costs included, if it is not worse
   than the other kind by more than the margin (one-sided 95 % bound). With a price missing it cannot be told.
5. Otherwise it cannot be told yet; how many more examples would tell is computed from the spread seen.

How often the rules are wrong about equal systems was simulated: `tests/benchmarks/verdicts.md`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from flowstudy.analysis.comparison import Sources, clusters_of, compare, status_table, wide
from flowstudy.analysis.measures import PRIMARY, title
from flowstudy.analysis.statistics import FEW, LEVEL, RESAMPLES, detectable_difference, examples_needed, joint
from flowstudy.corpus.example import UNSEEN
from flowstudy.systems.capabilities import UNTUNED
from flowstudy.systems.mixed import parts_of
from flowstudy.systems.records import SystemSpec

Kind = Literal["tuned", "prompted", "untuned", "hybrid", "baseline"]
Answer = Literal["fine-tune", "prompt", "hybrid", "cannot tell yet"]
Pair = tuple[str, str]
MARGIN: Final = 0.02
#: A mean below this is no basis to work from, whoever is ahead.
LEAST_SCORE: Final = 0.25
_BASELINES: Final = frozenset({"nearest", "constant"})
_CONTENDERS: Final = ("tuned", "prompted", "hybrid")
#: Shares from which on a system was hardly asked, or trained on cut examples; and of its steps that training needs.
_LOST, _CUT, _STEPS = 0.2, 0.1, 0.5
_EQUAL: Final = 1e-9


class Decision(BaseModel):
    """The recommendation in words: who is out of the comparison and three reasons, five doubts, strongest first, and
    what was not run. `leaders` says who stands for each kind."""

    model_config = ConfigDict(extra="forbid")

    answer: Answer
    headline: str
    reasons: list[str]
    doubts: list[str]
    not_run: list[str]
    more_examples: int | None = None
    leaders: dict[str, str] = {}

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


def unfit(
    scores: pd.DataFrame, specs: Iterable[SystemSpec], trained: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, str]:
    """Systems that were hardly asked or hardly trained, with the reason: they say nothing about their kind.

    Hardly asked: a fifth of the requests or more was refused, did not fit, or was cut at the limit of tokens (not
    counted of the untuned model, which seldom ends by itself: that is what tuning changes). Hardly trained: the clock
    ended training before half of its steps, or a tenth of its examples or more was cut; `trained` is what notebook 02
    tells of each model. A hybrid is as fit as its parts.
    """
    specs, found = list(specs), {}
    rows = scores[scores["measure"] == "completion_tokens"]
    untuned = rows["system"].isin([spec.name for spec in specs if spec.model == UNTUNED])
    cut = (rows["status"] == "truncated") & (rows["value"].isna() | ~untuned)
    for system, lost in (cut | (rows["status"] == "refused")).groupby(rows["system"], observed=True):
        if lost.mean() >= _LOST:
            what = "were refused, did not fit or were cut at the limit of tokens"
            found[str(system)] = f"hardly asked: {lost.sum()} requests ({lost.mean():.0%}) {what}"
    for spec in specs:
        facts = (trained or {}).get(spec.model.removeprefix("slm/"), {}) if spec.model.startswith("slm/") else {}
        steps = re.match(r"time limit after (\d+) of (\d+)", str(facts.get("stopped", "")))
        if steps and int(steps[1]) < _STEPS * int(steps[2]):
            found[spec.name] = f"hardly trained: {facts['stopped']}"
        elif facts.get("truncated", 0) >= _CUT:
            found[spec.name] = f"hardly trained: {facts['truncated']:.0%} of its training examples were cut"
    for spec in specs:
        bad = [part for part in parts_of(spec) if part in found]
        if bad:
            found.setdefault(spec.name, f"its part {bad[0]} was {found[bad[0]]}")
    return found


def decide(
    scores: pd.DataFrame,
    kinds: Mapping[str, Kind],
    *,
    year_usd: Mapping[str, float] | None = None,
    out: Mapping[str, str] | None = None,
    specs: Iterable[SystemSpec] = (),
    not_run: Mapping[str, str] | None = None,
    doubts: Sequence[str] = (),
    margin: float = MARGIN,
    least: float = LEAST_SCORE,
    measure: str = PRIMARY,
    sources: Sources | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Decision:
    """Apply the rules of this module to a score table; rows of the split `validation` choose, the others judge.

    `year_usd` is what a year costs with each system (`economics.yearly_bill`), `out` who takes no part and why
    (`unfit`), `specs` the settings that are printed beside a comparison, `not_run` maps systems that did not run to
    the reason, `doubts` come before those found here.
    """
    judges = scores["split"] != "validation"
    found = contest(
        wide(scores[judges], measure), wide(scores[~judges], measure), kinds, year_usd=year_usd, out=out,
        margin=margin, least=least, sources=sources, seed=seed, resamples=resamples,
    )  # fmt: skip
    words = _Words(scores[judges], found, list(specs), margin, measure, sources, seed, resamples)
    return words.decision(dict(year_usd or {}), list(doubts), not_run or {})


class Gap(NamedTuple):
    """Mean difference of two systems, its two-sided bounds, and its one-sided ones (`least`, `most`)."""

    mean: float
    low: float
    high: float
    least: float
    most: float


class Found(NamedTuple):
    """What the rules found: the answer, by which rule (`absent`, `few`, `better`, `cheaper`, `unpriced`, `close`), who
    stands for each kind, who is out and why, the two systems that it is about, the gaps of every pair in both
    directions, and whether the best of each kind was `chosen` on validation."""

    answer: Answer
    rule: str
    leaders: dict[str, str]
    out: dict[str, str]
    winner: str = ""
    other: str = ""
    gaps: Mapping[Pair, Gap] = {}
    chosen: bool = True


def contest(
    judged: pd.DataFrame, validation: pd.DataFrame, kinds: Mapping[str, Kind], *,
    year_usd: Mapping[str, float] | None = None, out: Mapping[str, str] | None = None, margin: float = MARGIN,
    least: float = LEAST_SCORE, sources: Sources | None = None, seed: int = 0, resamples: int = RESAMPLES,
) -> Found:  # fmt: skip
    """The rules on two tables of scores, examples x systems (`comparison.wide`)."""
    gone = dict(out or {}) | _too_weak(judged, kinds, least, out or {})
    means = judged.mean().dropna().sort_values(ascending=False, kind="stable")
    ranks: dict[str, list[str]] = {}
    for system in means.index:
        if str(system) not in gone:
            ranks.setdefault(kinds.get(str(system), ""), []).append(str(system))
    finalists, chosen = _finalists(validation, {kind: ranks[kind] for kind in _CONTENDERS if kind in ranks})
    leaders = {kind: names[0] for kind, names in {**ranks, **finalists}.items() if kind}
    tuned, prompted, hybrids = (finalists.get(kind, []) for kind in _CONTENDERS)

    def found(answer: Answer, rule: str, winner: str = "", other: str = "") -> Found:
        return Found(answer, rule, leaders, gone, winner, other, gaps, chosen)

    gaps: dict[Pair, Gap] = {}
    if not tuned or not prompted:
        return found("cannot tell yet", "absent")
    t, p = tuned[0], prompted[0]
    if int(judged[[t, p]].notna().all(axis=1).sum()) < FEW:
        return found("cannot tell yet", "few", t, p)
    pairs = [*itertools.product(tuned, prompted), *itertools.product(hybrids, tuned + prompted)]
    gaps = _gaps(judged, pairs, sources, seed, resamples)

    def beats(one: str, others: Iterable[str]) -> bool:
        return all(gaps[one, other].mean >= margin and gaps[one, other].low > 0 for other in others)

    for hybrid in hybrids:
        if beats(hybrid, tuned + prompted):
            return found("hybrid", "better", hybrid, max((t, p), key=lambda name: means[name]))
    if beats(t, prompted):
        return found("fine-tune", "better", t, p)
    if beats(p, tuned):
        return found("prompt", "better", p, t)
    usd = {name: (year_usd or {}).get(name, math.nan) for name in (t, p)}
    enough = {t: all(gaps[t, other].least > -margin for other in prompted),
              p: all(gaps[p, other].least > -margin for other in tuned)}  # fmt: skip
    if any(value != value for value in usd.values()):
        return found("cannot tell yet", "unpriced" if any(enough.values()) else "close", t, p)
    cheaper, dearer = (t, p) if usd[t] < usd[p] else (p, t)
    if enough[cheaper]:
        return found("fine-tune" if cheaper == t else "prompt", "cheaper", cheaper, dearer)
    return found("cannot tell yet", "close", t, p)


def _too_weak(judged: pd.DataFrame, kinds: Mapping[str, Kind], least: float, out: Mapping[str, str]) -> dict[str, str]:
    """Contenders that are behind a baseline on the examples that both answered, or below the least score."""
    found = {}
    baselines = [str(name) for name in judged if kinds.get(str(name)) == "baseline"]
    for system in (str(name) for name in judged if kinds.get(str(name)) in _CONTENDERS and str(name) not in out):
        for baseline in baselines:
            own, theirs = judged[[system, baseline]].dropna().mean()
            if own < theirs:
                found[system] = f"behind {baseline}, which takes no model: {own:.3f} against {theirs:.3f}"
        mean = judged[system].mean()
        if mean < least:
            found.setdefault(system, f"{mean:.3f} is below {least:g}, the least that is of use")
    return found


def _finalists(validation: pd.DataFrame, groups: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], bool]:
    """Of each kind the best on validation, where those to choose from answered enough of it; else all of them."""
    choice = [name for names in groups.values() if len(names) > 1 for name in names]
    known = validation.reindex(columns=choice).dropna()
    if choice and len(known) < FEW:
        return dict(groups), False
    best = known.mean()
    return {kind: [max(names, key=lambda n: best.get(n, 0.0))] for kind, names in groups.items()}, True


def _gaps(
    judged: pd.DataFrame, pairs: Sequence[Pair], sources: Sources | None, seed: int, resamples: int
) -> dict[Pair, Gap]:
    """Joint bounds of each difference, in both directions. Equal on every example: 0."""
    values, at = judged.to_numpy(dtype=float), {str(name): n for n, name in enumerate(judged.columns)}
    apart = values[:, [at[one] for one, _ in pairs]] - values[:, [at[other] for _, other in pairs]]
    known = np.isfinite(apart).any(axis=1)
    drawn = joint(apart[known], clusters=clusters_of(judged.index[known], sources), seed=seed, resamples=resamples)
    ends = np.stack([drawn.mean, *drawn.bounds(), *drawn.bounds(2 * LEVEL - 1)])
    ends[:, (np.abs(np.nan_to_num(apart)) < _EQUAL).all(axis=0)] = 0.0
    found = {}
    for (one, other), gap in zip(pairs, (Gap(*map(float, column)) for column in ends.T), strict=True):
        found[one, other] = gap
        found[other, one] = Gap(-gap.mean, -gap.high, -gap.low, -gap.most, -gap.least)
    return found


class _Words:
    """What was found, in words."""

    def __init__(
        self, scores: pd.DataFrame, found: Found, specs: list[SystemSpec], margin: float, measure: str,
        sources: Sources | None, seed: int, resamples: int,
    ) -> None:  # fmt: skip
        self.scores, self.found, self.margin, self.measure, self.sources = scores, found, margin, measure, sources
        self.specs = {spec.name: spec for spec in specs}
        self.table = wide(scores, measure)
        leaders = scores[scores["system"].isin([*found.leaders.values(), found.winner, found.other])]
        self.pairs = compare(leaders, measure, sources=sources, seed=seed, resamples=resamples)

    def decision(self, year_usd: dict[str, float], doubts: list[str], not_run: Mapping[str, str]) -> Decision:
        more, headline = None, self._headline(year_usd)
        if self.found.rule == "close":
            row = self._versus(self.found.winner, self.found.other)
            needed = examples_needed(self._gaps(), max(abs(row["difference"]), self.margin), clusters=self._clusters())
            more = None if needed is None else max(0, needed - int(row["n"]))
            headline += "" if not more else f" About {more:,} more examples would tell."
        return Decision(
            answer=self.found.answer, headline=headline, reasons=self._reasons(), doubts=[*doubts, *self._doubts()][:5],
            not_run=[f"{system}: {reason}" for system, reason in sorted(not_run.items())], more_examples=more,
            leaders=self.found.leaders,
        )  # fmt: skip

    def _headline(self, year_usd: Mapping[str, float]) -> str:
        one, other, rule = self.found.winner, self.found.other, self.found.rule
        if rule == "absent":
            return self._absence()
        row = self._versus(one, other)
        if rule == "few":
            return f"Examples that both {one} and {other} answered: {row['n']}; {FEW} are the least."
        usd = [year_usd.get(name, math.nan) for name in (one, other)]
        known = all(value == value for value in usd)
        year = f"{usd[0]:,.0f} against {usd[1]:,.0f} US dollars for a first year at the assumed volume" if known else ""
        if rule == "better":
            return f"{one} beats {other} by {_gap(row)}." + (f" It costs {year}." if known else "")
        if rule == "cheaper":
            return (f"{one} is good enough and cheaper: not worse than {other} by more than {self.margin:g} "
                    f"(difference {_range(row)}), and {year}.")  # fmt: skip
        if rule == "unpriced":
            lacks = ", ".join(name for name in (one, other) if year_usd.get(name, math.nan) != year_usd.get(name))
            return (f"Neither {one} nor {other} is shown to be better by {self.margin:g} (difference {_range(row)}), "
                    f"and what {lacks} costs is not known.")  # fmt: skip
        return f"{one} minus {other} is {_range(row)}: either may be better."

    def _absence(self) -> str:
        names = {"tuned": "no fine-tuned small model", "prompted": "no prompted large model"}
        lacks = [words for kind, words in names.items() if kind not in self.found.leaders]
        what = "took part in the comparison" if self.found.out else "answered in this run"
        return f"{' and '.join(lacks).capitalize()} {what}, so the two cannot be compared."

    def _gaps(self) -> Any:
        return (self.table[self.found.winner] - self.table[self.found.other]).dropna()

    def _clusters(self) -> list[Any]:
        return clusters_of(self._gaps().index, self.sources)

    def _versus(self, system: str, other: str) -> dict[str, Any]:
        """The comparison in the wanted direction, with the bounds that the rules used."""
        pairs = self.pairs
        kept = pairs[(pairs["system"] == system) & (pairs["other"] == other)]
        if len(kept):
            row = dict(kept.iloc[0])
        else:
            row = dict(pairs[(pairs["system"] == other) & (pairs["other"] == system)].iloc[0])
            percent = 100 * -row["difference"] / row["mean"] if row["mean"] else math.nan
            row |= {"difference": -row["difference"], "low": -row["high"], "high": -row["low"], "percent": percent,
                    "wins": row["losses"], "losses": row["wins"], "mean": row["mean_other"], "mean_other": row["mean"],
                    "system": system, "other": other}  # fmt: skip
        if gap := self.found.gaps.get((system, other)):
            row |= {"low": gap.low, "high": gap.high, "enough": gap.least > -self.margin}
        return row

    def _reasons(self) -> list[str]:
        """Who is out, then what was found, the comparison behind the answer first."""
        leaders = self.found.leaders
        best = {kind: leaders.get(kind) for kind in (*_CONTENDERS, "untuned", "baseline")}
        tuned, prompted, hybrid, untuned, baseline = best.values()
        wanted = [(tuned, prompted), (tuned, baseline), (prompted, baseline), (tuned, untuned), (prompted, untuned)]
        if self.found.answer == "hybrid":
            wanted = [(hybrid, tuned), (hybrid, prompted), (hybrid, baseline), *wanted]
        rows = [self._versus(a, b) for a, b in dict.fromkeys((a, b) for a, b in wanted if a and b)]
        lines = [f"Out of the comparison: {system}, {why}." for system, why in sorted(self.found.out.items())]
        return lines + [self._finding(row, untuned if tuned else None) for row in rows if row["n"]][:3]

    def _finding(self, row: Mapping[str, Any], untuned: str | None) -> str:
        verdict = "better than" if row["low"] > 0 else "worse than" if row["high"] < 0 else ""
        if not verdict:
            enough = row.get("enough", False)
            verdict = f"not worse by more than {self.margin:g} than" if enough else "not told apart from"
        other = f"{row['other']} (the same base model before fine-tuning)" if row["other"] == untuned else row["other"]
        means = f"{row['mean']:.3f} against {row['mean_other']:.3f} in {title(self.measure)}"
        counts = f"{row['wins']:.0f} won, {row['losses']:.0f} lost of {row['n']:.0f}"
        line = f"{row['system']} is {verdict} {other}: {means}, difference {_range(row)}; {counts}."
        one, two = self.specs.get(row["system"]), self.specs.get(row["other"])
        return f"{line} {apart(one, two)}" if one and two else line

    def _doubts(self) -> list[str]:
        """What could overturn the answer, the largest first."""
        found, doubts = self.found, []
        for kind, words in (("prompted", "large model"), ("tuned", "fine-tuned small model")):
            if kind not in found.leaders:
                doubts.append(f"No {words} takes part: its quality on these examples is unknown.")
        if not found.chosen:
            doubts.append(
                f"The best of each kind was chosen on the examples that judge it, for fewer than {FEW} validation "
                "examples were answered by all: the intervals are widened for that choice."
            )
        lost = status_table(self.scores, self.scores["example"].unique())
        gone = lost[lost["status"].isin(["missing", "provider_error", "budget_stop"])]
        shares = gone.groupby("system")["share"].sum()
        worst = shares[shares > 0.05].sort_values(ascending=False, kind="stable")
        doubts += [f"{system} has no answer to {share:.0%} of the requests." for system, share in worst.items()]
        if found.winner:
            least = detectable_difference(self._gaps(), clusters=self._clusters())
            if least > self.margin:
                pair = f"{found.winner} and {found.other}"
                doubts.append(f"Between {pair} only differences above {least:.3f} are found reliably.")
        return doubts + self._corpus_doubts()

    def _corpus_doubts(self) -> list[str]:
        doubts = []
        if UNSEEN.isdisjoint(self.scores["split"].unique()):
            doubts.append("No domain outside training was tried: how the answer carries over is unknown.")
        domains = self.scores["domain"].nunique()
        if domains < 3:
            doubts.append(f"The examples come from {domains} domain{'s' if domains != 1 else ''} only.")
        return doubts


def apart(one: SystemSpec, other: SystemSpec) -> str:
    """How the settings of two systems differ, in a sentence; more than one difference is marked."""
    differs = one.differs_from(other)
    words = ", ".join(f"{name} {mine} against {theirs}" for name, (mine, theirs) in differs.items())
    if len(differs) < 2:
        return f"They differ in one thing: {words}." if differs else "Their settings are the same."
    return f"They differ in {len(differs)} things, so none alone explains it: {words}."


def _gap(row: Mapping[str, float]) -> str:
    percent = "" if row["percent"] != row["percent"] else f" ({row['percent']:.0f} % relative)"
    return f"{row['difference']:.3f}{percent}, {_interval(row)}"


def _range(row: Mapping[str, float]) -> str:
    return f"{_signed(row['difference'])}, {_interval(row)}"


def _interval(row: Mapping[str, float]) -> str:
    if row["ties"] == row["n"]:
        return "the same on every example"
    if row["low"] != row["low"]:
        return "without an interval"
    return f"95 % interval {_signed(row['low'])} to {_signed(row['high'])}"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")
