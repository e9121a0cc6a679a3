"""What answers cost at a stated volume, how long they take, and from which volume on fine-tuning pays.

One model for every table and the decision. Calls to a provider cost what the journal says. A model of one's own
(`slm/...`) needs machines: requests a month times measured seconds a request is the load, the load times the peak
factor is the capacity that must stand ready, at least one machine. Further machines come and go by the hour, so
fractions count. Billed by the second, a machine costs only while it answers. How busy machines are is a result.
What is not known is NaN and named; it is never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowstudy.analysis.comparison import Sources, summarise, wide
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.scores import LOCAL
from flowstudy.analysis.statistics import RESAMPLES, resampled, seeded
from flowstudy.systems.capabilities import UNTUNED, family_of
from flowstudy.systems.mixed import parts_of
from flowstudy.systems.records import SystemSpec

_MONTH_S: Final = 730 * 3600
_MONTHS: Final = 12
#: Of a system's answers, the share whose cost must be known; the mean of these then stands for all.
_LEAST_KNOWN: Final = 0.9
_LEARN: Final = frozenset({"nearest", "constant"})
#: Unit of each assumption, and where its default comes from.
_ABOUT: Final = {
    "host_usd_per_hour": ("US dollars per hour", "on demand, 2 vCPU / 8 GB 0.08 to 0.11, one 80 GB GPU 2 to 4"),
    "host_billing": ("", "a machine that is always on answers at once"),
    "requests_per_month": ("requests", "a platform with some hundred builders"),
    "peak_factor": ("times the mean load", "office hours only, and busy mornings"),
    "label_usd_per_example": ("US dollars", "five minutes of an analyst at 36 US dollars an hour"),
    "retrainings_per_year": ("trainings", "catalogues change"),
    "prompt_checks_per_year": ("checks", "a hosted model retires about once a year"),
    "upkeep_usd": ("US dollars", "work of one retraining or prompt check: half a day of an engineer"),
}
_FIGURES: Final = (
    "cost_per_1000", "cost_per_1000_low", "cost_per_1000_high", "machines", "utilisation", "latency_p50",
    "latency_p50_low", "latency_p50_high", "latency_p95", "prompt_tokens", "completion_tokens", "missing",
)  # fmt: skip
Numbers = float | npt.NDArray[np.float64]


class Economics(BaseModel):
    """What is assumed and not measured, as `study.yaml` says it.

    `host_usd_per_hour` is the price of the machine on which the small model's seconds were measured, `peak_factor` the
    busiest load over the mean one. `upkeep_usd` is the work of one retraining or of one check of the prompts against
    a new hosted model.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    host_usd_per_hour: float = Field(default=0.1, gt=0)
    host_billing: Literal["always_on", "per_second"] = "always_on"
    requests_per_month: int = Field(default=20_000, gt=0)
    peak_factor: float = Field(default=4.0, ge=1)
    label_usd_per_example: float = Field(default=3.0, ge=0)
    retrainings_per_year: float = Field(default=1.0, ge=0)
    prompt_checks_per_year: float = Field(default=1.0, ge=0)
    upkeep_usd: float = Field(default=300.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "utilisation" in raw:
            raise ValueError("economics.utilisation: expected no such key, got one; delete it: how busy a host is "
                             "follows from requests_per_month, peak_factor and host_billing")  # fmt: skip
        return raw


class Assumptions(Economics):
    """The same with what this run counted."""

    labelled_examples: int = Field(default=0, ge=0)
    training_hours: float = Field(default=0.0, ge=0)
    date: str = "2026-11"

    def table(self) -> pd.DataFrame:
        """All of them for people: parameter, value, unit, source, date; of an edited one the source is `study.yaml`."""
        usual = Economics()
        rows = []
        for name, (unit, source) in _ABOUT.items():
            value = getattr(self, name)
            same = value == getattr(usual, name)
            rows.append(
                (name, value, unit, f"assumption: {source}" if same else "study.yaml", self.date if same else "")
            )
        rows.append(("labelled_examples", self.labelled_examples, "examples", "counted in this run", ""))
        rows.append(("training_hours", self.training_hours, "hours", "measured in this run", ""))
        return pd.DataFrame(rows, columns=["parameter", "value", "unit", "source", "date"])


def machines_needed(local_s: Numbers, requests_per_month: Numbers, assumptions: Economics) -> tuple[Any, Any]:
    """Machines to pay for (mean over the month) and how busy they are (0 to 1, 0 without any), from the seconds of a
    machine that a request takes."""
    load = np.asarray(requests_per_month * local_s / _MONTH_S, dtype=float)
    machines = load
    if assumptions.host_billing == "always_on":
        machines = np.where(load > 0, np.maximum(1.0, load * assumptions.peak_factor), load)
    busy = np.divide(load, machines, out=np.zeros_like(load), where=machines > 0)
    return machines, np.where(np.isnan(load), math.nan, busy)


def monthly_usd(api_usd: Numbers, local_s: Numbers, requests_per_month: Numbers, assumptions: Economics) -> Any:
    """US dollars a month for providers and machines, from the mean dollars and seconds of a request."""
    machines, _ = machines_needed(local_s, requests_per_month, assumptions)
    return requests_per_month * api_usd + machines * assumptions.host_usd_per_hour * _MONTH_S / 3600


def usage_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Per system (index): api_usd and local_s (means of a request over the answers where both are known), answers and
    unknown (counts). NaN where more than a tenth is not known."""
    place = ["system", "example", "repeat"]
    names = ("api_usd", "local_s")
    each = pd.DataFrame({name: scores[scores["measure"] == name].set_index(place)["value"] for name in names})
    counts = each.groupby(level="system", observed=True).size()
    known = each.dropna().groupby(level="system", observed=True)
    table = known.mean().reindex(counts.index).assign(answers=counts)
    table["unknown"] = counts - known.size().reindex(counts.index, fill_value=0)
    table.loc[table["unknown"] > (1 - _LEAST_KNOWN) * table["answers"], ["api_usd", "local_s"]] = math.nan
    return table


def per_1000_usd(usage: pd.DataFrame, assumptions: Economics) -> pd.Series:
    """US dollars per 1,000 requests at the assumed volume, machines included, for each row of `usage_table`."""
    volume = assumptions.requests_per_month
    usd, seconds = (usage[name].to_numpy(dtype=float) for name in ("api_usd", "local_s"))
    return pd.Series(1000 / volume * monthly_usd(usd, seconds, volume, assumptions), index=usage.index)


def economics_table(
    scores: pd.DataFrame, assumptions: Assumptions, measure: str = PRIMARY, *, sources: Sources | None = None,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """One row per system: system, n, mean, low, high (quality), cost_per_1000 with low and high (US dollars per 1,000
    requests at the assumed volume, machines included), machines and utilisation at that volume, latency_p50 with low
    and high, latency_p95 (seconds), prompt_tokens, completion_tokens (means), missing.

    `missing` names what is not known: such a figure is NaN, and the system takes no part in what needs it.
    """
    quality = summarise(scores, [measure], sources=sources, seed=seed).drop(columns=["measure", "few", "reason"])
    usage = usage_table(scores).reindex(quality["system"])
    price = per_1000_usd(usage, assumptions)
    machines, busy = machines_needed(usage["local_s"].to_numpy(), assumptions.requests_per_month, assumptions)
    rows = []
    for place, system in enumerate(quality["system"]):
        own = scores[(scores["system"] == system) & scores["value"].notna()]
        times = own[own["measure"] == "latency_s"]["value"].to_numpy()
        row: dict[str, object] = {"system": system, "cost_per_1000": price[system]}
        row |= {"machines": machines[place], "utilisation": busy[place]} | _time_figures(times, seed)
        if price[system] == price[system]:
            drawn = 1000 / assumptions.requests_per_month * _drawn_usd(
                scores, system, assumptions, np.array([assumptions.requests_per_month]), seed, RESAMPLES)  # fmt: skip
            low, high = np.percentile(drawn, [2.5, 97.5])
            row |= {"cost_per_1000_low": low, "cost_per_1000_high": high}
        for name in ("prompt_tokens", "completion_tokens"):
            row[name] = own[own["measure"] == name]["value"].mean()
        lacks = [name for name, key in (("price", "cost_per_1000"), ("latency", "latency_p50")) if row[key] != row[key]]
        unknown, answers = usage.loc[system, ["unknown", "answers"]]
        if unknown > 0 and "price" not in lacks:
            lacks.append(f"cost of {unknown:.0f} of {answers:.0f} answers")
        rows.append(row | {"missing": ", ".join(lacks)})
    return quality.merge(pd.DataFrame(rows, columns=["system", *_FIGURES]), on="system")


def hosting_table(scores: pd.DataFrame, system: str, assumptions: Assumptions) -> pd.DataFrame:
    """What it costs to host a model of one's own, one row per volume around the assumed one.

    Columns: requests_per_month, seconds_per_request (of a machine, at the load of the run), machines, utilisation,
    usd_per_month, usd_per_1000. Empty when no answer of `system` was timed.
    """
    usage = usage_table(scores)
    seconds = float(usage["local_s"].get(system, math.nan))
    factors = np.array([0.01, 0.1, 1.0, 10.0, 100.0, 1000.0] if seconds > 0 else [], dtype=float)
    table = pd.DataFrame(
        {"requests_per_month": assumptions.requests_per_month * factors, "seconds_per_request": seconds}
    )
    machines, busy = machines_needed(seconds, table["requests_per_month"].to_numpy(), assumptions)
    table = table.assign(machines=machines, utilisation=busy)
    table["usd_per_month"] = monthly_usd(0.0, seconds, table["requests_per_month"].to_numpy(), assumptions)
    return table.assign(usd_per_1000=1000 * table["usd_per_month"] / table["requests_per_month"])


def standing_costs(specs: Iterable[SystemSpec], assumptions: Assumptions) -> pd.DataFrame:
    """What each system costs a year whatever the volume: index system, labels, training, upkeep, standing (their sum,
    US dollars).

    Labels are charged to whoever uses them: trained models, shots, the trained retriever, baselines that copy. Two
    systems that both do share them: each is charged, and between the two they cancel out.
    """
    specs = list(specs)
    known = {spec.name: spec for spec in specs}
    rows = []
    for spec in specs:
        parts = _parts(spec, known)
        tuned = any(part.model.startswith(LOCAL) and part.model != UNTUNED for part in parts)
        learns = tuned or any(p.model in _LEARN or p.shots > 0 or p.retriever == "trained" for p in parts)
        hosted = any("/" in part.model and not _is_local(part.model) for part in parts)
        a = assumptions
        labels = a.label_usd_per_example * a.labelled_examples * learns
        training = a.host_usd_per_hour * a.training_hours * (1 + a.retrainings_per_year) * tuned
        upkeep = a.upkeep_usd * (a.retrainings_per_year * tuned + a.prompt_checks_per_year * hosted)
        rows.append((spec.name, labels, training, upkeep, labels + training + upkeep))
    return pd.DataFrame(rows, columns=["system", "labels", "training", "upkeep", "standing"]).set_index("system")


def _parts(spec: SystemSpec, known: dict[str, SystemSpec]) -> list[SystemSpec]:
    """The systems that do the work: the spec itself, or what a hybrid is made from."""
    parts = [known[name] for name in parts_of(spec) if name in known]
    return [one for part in parts for one in _parts(part, known)] if parts else [spec]


def _is_local(model: str) -> bool:
    family = family_of(model)
    return family is not None and family.local


def yearly_bill(scores: pd.DataFrame, specs: Iterable[SystemSpec], assumptions: Assumptions) -> pd.DataFrame:
    """The first year at the assumed volume, one row per system that answered (index): labels, training, upkeep,
    running (providers and machines) and usd_per_year, their sum; NaN where the price is not known."""
    usage = usage_table(scores)
    standing = standing_costs(specs, assumptions).reindex(usage.index)
    running = _MONTHS * assumptions.requests_per_month / 1000 * per_1000_usd(usage, assumptions)
    bill = standing.drop(columns="standing").assign(running=running)
    return bill.assign(usd_per_year=standing["standing"] + running)


def break_even(
    scores: pd.DataFrame, specs: Sequence[SystemSpec], tuned: str, prompted: str, assumptions: Assumptions, *,
    seed: int = 0, resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """What the first year costs with either system, over the volume, standing costs included.

    Columns: requests_per_month (a thousandth to a thousand times the assumed one), tuned_usd and prompted_usd (a
    year), saving_usd (prompted minus tuned) with low and high (95 % bootstrap over examples), reason (and no other
    value, where a price is not known).
    """
    columns = ["requests_per_month", "tuned_usd", "prompted_usd", "saving_usd", "low", "high", "reason"]
    usage, standing = usage_table(scores), standing_costs(specs, assumptions)["standing"]
    absent = [s for s in (tuned, prompted) if usage["api_usd"].get(s, math.nan) != usage["api_usd"].get(s, math.nan)]
    if absent:
        return pd.DataFrame([{"reason": f"unpriced: {', '.join(absent)}"}], columns=columns)
    volumes = assumptions.requests_per_month * np.geomspace(1e-3, 1e3, 73)
    year: dict[str, Any] = {}
    for system in (tuned, prompted):
        usd, seconds = (float(usage[name][system]) for name in ("api_usd", "local_s"))
        spent = monthly_usd(usd, seconds, volumes, assumptions)
        drawn = _drawn_usd(scores, system, assumptions, volumes, seed, resamples)
        year[system] = [standing[system] + _MONTHS * values for values in (spent, drawn)]
    low, high = np.percentile(year[prompted][1] - year[tuned][1], [2.5, 97.5], axis=0)
    table = pd.DataFrame(
        {"requests_per_month": volumes, "tuned_usd": year[tuned][0], "prompted_usd": year[prompted][0]}
    )
    return table.assign(saving_usd=table["prompted_usd"] - table["tuned_usd"], low=low, high=high, reason="")[columns]


def pays_from(table: pd.DataFrame, column: str = "saving_usd") -> float:
    """Requests a month from which on the tuned system of a `break_even` table is cheaper; inf where it never is.

    With `low` or `high` the end of the 95 % interval of that volume: the most or the fewest requests it may take.
    """
    saving, volumes = table[column].to_numpy(dtype=float), table["requests_per_month"].to_numpy(dtype=float)
    above = np.flatnonzero(saving > 0)
    if not above.size:
        return math.inf
    first = int(above[0])
    if first == 0:
        return float(volumes[0])
    before, after = saving[first - 1], saving[first]
    return float(volumes[first - 1] + (volumes[first] - volumes[first - 1]) * -before / (after - before))


def break_even_text(table: pd.DataFrame) -> str:
    """A `break_even` table in one sentence."""
    if table["requests_per_month"].isna().all():
        return f"No break-even volume: {'; '.join(table['reason'])}."
    middle, early, late = (pays_from(table, column) for column in ("saving_usd", "high", "low"))
    largest = table["requests_per_month"].max()
    if math.isinf(middle):
        return f"Fine-tuning never costs less, up to {largest:,.0f} requests a month."
    span = f"{early:,.0f} to {'never' if math.isinf(late) else format(late, ',.0f')}"
    if middle <= table["requests_per_month"].min():
        return f"Fine-tuning costs less at every volume from {middle:,.0f} requests a month on."
    return f"Fine-tuning costs less from about {middle:,.0f} requests a month on (95 % interval {span})."


def _drawn_usd(
    scores: pd.DataFrame, system: str, assumptions: Assumptions, volumes: npt.NDArray, seed: int, resamples: int
) -> npt.NDArray:  # fmt: skip
    """Bootstrap draws over examples (rows) of what a month costs at each volume (columns); the same examples are drawn
    for all systems that answered as many."""
    own = scores[scores["system"] == system]
    used = pd.concat([wide(own, name) for name in ("api_usd", "local_s")], axis=1, keys=["api", "own"]).dropna()
    means = resampled(len(used), seed, resamples) @ used.to_numpy() / len(used)
    return np.asarray(monthly_usd(means[:, :1], means[:, 1:], volumes[None, :], assumptions))


def _time_figures(times: npt.NDArray, seed: int) -> dict[str, float]:
    names = ("latency_p50", "latency_p50_low", "latency_p50_high", "latency_p95")
    if times.size == 0:
        return dict.fromkeys(names, math.nan)
    median, tail = np.percentile(times, [50, 95])
    low = high = math.nan
    if times.size > 1:
        picks = seeded(seed, "latency").integers(0, times.size, size=(500, times.size))
        low, high = np.percentile(np.median(times[picks], axis=1), [2.5, 97.5])
    return dict(zip(names, map(float, (median, low, high, tail)), strict=True))
