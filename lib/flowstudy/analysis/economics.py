"""What answers cost and how long they take; from which volume on fine-tuning pays for itself.

Calls to a provider cost what the journal says. Calls to a model of one's own (`slm/...`) cost measured seconds times
the hourly price of its machine, divided by the share of the hour in which it answers. What is not known is NaN and
named; it is never zero.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from flowstudy.analysis.comparison import Sources, summarise, wide
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.statistics import RESAMPLES, mean_interval, seeded

UTILISATIONS: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
_HOUR: Final = 3600
_MONTH: Final = 730
#: Where each assumption comes from; whoever changes one in `study.yaml` has a better source.
_SOURCES: Final = {
    "host_usd_per_hour": "assumption: on demand, 2 vCPU / 8 GB 0.08 to 0.11, one 80 GB GPU 2 to 4; see study.yaml",
    "utilisation": "assumption; the break-even figure shows 5 to 100 %",
    "requests_per_month": "assumption: a platform with some hundred builders",
    "label_usd_per_example": "assumption: five minutes of an analyst at 36 US dollars an hour",
    "labelled_examples": "counted in this run: hand-made training examples",
    "training_hours": "measured in this run",
}
_FIGURES: Final = (
    "cost_per_1000", "cost_per_1000_low", "cost_per_1000_high", "latency_p50", "latency_p50_low", "latency_p50_high",
    "latency_p95", "prompt_tokens", "completion_tokens", "missing",
)  # fmt: skip
_FAR: Final = 1e9


class Economics(BaseModel):
    """What is assumed and not measured, as `study.yaml` says it.

    `host_usd_per_hour` is the price of the machine on which the small model's seconds were measured.
    """

    model_config = ConfigDict(extra="forbid")

    host_usd_per_hour: float = Field(default=0.1, gt=0)
    utilisation: float = Field(default=0.25, gt=0, le=1)
    requests_per_month: int = Field(default=20_000, gt=0)
    label_usd_per_example: float = Field(default=3.0, ge=0)


class Assumptions(Economics):
    """The same with what this run counted, each with where it comes from."""

    labelled_examples: int = Field(default=0, ge=0)
    training_hours: float = Field(default=0.0, ge=0)
    date: str = "2026-11"

    @property
    def fixed_usd(self) -> float:
        """What fine-tuning costs once: labelling and training."""
        return self.label_usd_per_example * self.labelled_examples + self.host_usd_per_hour * self.training_hours

    def table(self) -> pd.DataFrame:
        """All of them for people: parameter, value, unit, source, date."""
        units = {"host_usd_per_hour": "US dollars per hour", "utilisation": "share of the hour",
                 "requests_per_month": "requests", "label_usd_per_example": "US dollars",
                 "labelled_examples": "examples", "training_hours": "hours"}  # fmt: skip
        rows = [(n, getattr(self, n), unit, _SOURCES[n], self.date) for n, unit in units.items()]
        return pd.DataFrame(rows, columns=["parameter", "value", "unit", "source", "date"])


def economics_table(
    scores: pd.DataFrame, assumptions: Assumptions, measure: str = PRIMARY, *, sources: Sources | None = None,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """One row per system: system, n, mean, low, high (quality), cost_per_1000 with low and high (US dollars per 1,000
    requests), latency_p50 with low and high, latency_p95 (seconds), prompt_tokens, completion_tokens (means), missing.

    `missing` names what is not known: such a figure is NaN, and the system takes no part in what needs it.
    """
    quality = summarise(scores, [measure], sources=sources, seed=seed).drop(columns=["measure", "few", "reason"])
    costs = request_costs(scores, assumptions)
    rows = []
    for system in quality["system"]:
        own = scores[(scores["system"] == system) & scores["value"].notna()]
        times = own[own["measure"] == "latency_s"]["value"].to_numpy()
        row: dict[str, object] = {"system": system, **_cost_figures(costs[system], seed)}
        row |= _time_figures(times, seed)
        for name in ("prompt_tokens", "completion_tokens"):
            row[name] = own[own["measure"] == name]["value"].mean()
        lacks = {"price": row["cost_per_1000"], "latency": row["latency_p50"]}
        rows.append(row | {"missing": ", ".join(name for name, v in lacks.items() if v != v)})
    return quality.merge(pd.DataFrame(rows, columns=["system", *_FIGURES]), on="system")


def hosting_table(scores: pd.DataFrame, system: str, assumptions: Assumptions) -> pd.DataFrame:
    """What it costs to host a model of one's own, one row per share of the hour in which it answers.

    Columns: utilisation, seconds_per_request (mean), requests_per_hour (of one host), usd_per_1000, hosts (whole ones
    for the assumed volume), usd_per_month (of these hosts, 730 hours). Empty when no answer of `system` was timed.
    """
    seconds = float(wide(scores, "local_s").get(system, pd.Series(dtype=float)).mean())
    rows = []
    for share in UTILISATIONS if seconds > 0 else ():
        per_hour = _HOUR * share / seconds
        hosts = math.ceil(assumptions.requests_per_month / (per_hour * _MONTH))
        rate = assumptions.host_usd_per_hour
        rows.append((share, seconds, per_hour, 1000 * rate / per_hour, hosts, hosts * rate * _MONTH))
    columns = ["utilisation", "seconds_per_request", "requests_per_hour", "usd_per_1000", "hosts", "usd_per_month"]
    return pd.DataFrame(rows, columns=columns)


def tuning_bill(assumptions: Assumptions) -> pd.DataFrame:
    """What fine-tuning costs once: item, quantity, unit, usd_each, usd; the last row is the sum."""
    a = assumptions
    rows = [
        ("labelling", a.labelled_examples, "hand-made training examples", a.label_usd_per_example),
        ("training", a.training_hours, "hours of the host", a.host_usd_per_hour),
    ]
    bill = [(*row, row[1] * row[3]) for row in rows] + [("sum", math.nan, "", math.nan, a.fixed_usd)]
    return pd.DataFrame(bill, columns=["item", "quantity", "unit", "usd_each", "usd"])


def request_costs(scores: pd.DataFrame, assumptions: Assumptions, utilisation: float | None = None) -> pd.DataFrame:
    """Examples x systems: US dollars per request (mean over repeats); a column of NaN where any part is unknown."""
    rate = assumptions.host_usd_per_hour / _HOUR / (utilisation or assumptions.utilisation)
    measured = scores[scores["measure"].isin(["api_usd", "local_s"])]
    paid, seconds = wide(measured, "api_usd"), wide(measured, "local_s")
    total = pd.DataFrame(
        index=sorted(scores["example"].unique()), columns=sorted(scores["system"].unique()), dtype=float
    )
    for system, values in measured.groupby("system", observed=True)["value"]:
        if values.notna().all():
            total[system] = paid[system] + seconds[system] * rate
    return total


def break_even(
    scores: pd.DataFrame, tuned: str, prompted: str, assumptions: Assumptions, *, seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:  # fmt: skip
    """Requests after which the tuned system is cheaper, what it cost once included, for each utilisation of its host.

    Columns: utilisation, saving_per_1000 (US dollars), requests with low and high (95 % bootstrap over examples; inf:
    never), months (at the assumed volume), never (share of bootstrap samples without a saving), reason.
    """
    rows = []
    for share in UTILISATIONS:
        costs = request_costs(scores, assumptions, share)
        absent = [s for s in (tuned, prompted) if s not in costs or costs[s].isna().all()]
        if absent:
            reason = f"unpriced: {', '.join(absent)}"
            rows.append({"utilisation": share, "reason": reason})
            continue
        pair = costs[[prompted, tuned]].dropna()
        saving = (pair[prompted] - pair[tuned]).to_numpy()
        rows.append({"utilisation": share} | _volume(saving, assumptions, seed, resamples))
    columns = ["utilisation", "saving_per_1000", "requests", "low", "high", "months", "never", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _volume(saving: npt.NDArray, assumptions: Assumptions, seed: int, resamples: int) -> dict[str, object]:
    if saving.size == 0:
        return {"reason": "no example was answered by both"}
    means = _weights(saving.size, seed, resamples) @ saving / saving.size
    volumes = _divide(assumptions.fixed_usd, means)
    low, high = np.percentile(np.minimum(volumes, _FAR), [2.5, 97.5])
    middle = float(_divide(assumptions.fixed_usd, np.array([saving.mean()]))[0])
    return {
        "saving_per_1000": 1000 * float(saving.mean()),
        "requests": middle,
        "low": low if low < _FAR else math.inf,
        "high": high if high < _FAR else math.inf,
        "months": middle / assumptions.requests_per_month,
        "never": float((means <= 0).mean()),
        "reason": "" if saving.mean() > 0 else "the tuned system costs more per request: it never pays for itself",
    }


@functools.lru_cache(maxsize=2)
def _weights(size: int, seed: int, resamples: int) -> npt.NDArray:
    """How often each example is in each bootstrap sample: the same for every utilisation."""
    return seeded(seed, "break-even").multinomial(size, np.full(size, 1 / size), size=resamples)


def _divide(fixed: float, savings: npt.NDArray) -> npt.NDArray:
    volumes = np.full(savings.shape, math.inf)
    np.divide(fixed, savings, out=volumes, where=savings > 0)
    return volumes


def _cost_figures(costs: pd.Series, seed: int) -> dict[str, float]:
    interval = mean_interval(costs.to_numpy(dtype=float), seed=seed)
    names = ("cost_per_1000", "cost_per_1000_low", "cost_per_1000_high")
    return dict(zip(names, (1000 * value for value in interval[:3]), strict=True))


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
