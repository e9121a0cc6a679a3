"""Costs from the volume: known values by hand, and properties that hold for every price, time and volume."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flowstudy.analysis.decision import decide
from flowstudy.analysis.economics import (
    Assumptions,
    Economics,
    break_even,
    break_even_text,
    economics_table,
    hosting_table,
    monthly_usd,
    pays_from,
    per_1000_usd,
    standing_costs,
    usage_table,
    yearly_bill,
)
from flowstudy.systems.records import SystemSpec

TUNED = SystemSpec(name="tuned", model="slm/tuned", retriever="none", shots=0)
LLM = SystemSpec(name="llm", model="openai/x", retriever="none", shots=0)
SPECS = [TUNED, LLM]
CHEAP = Assumptions(host_usd_per_hour=1, labelled_examples=100, peak_factor=2, upkeep_usd=0, training_hours=10)
MEANS = {"tuned": 0.7, "llm": 0.6}
POSITIVE = st.floats(1e-4, 1e3)
TERMS = st.builds(
    Assumptions, host_usd_per_hour=POSITIVE, host_billing=st.sampled_from(["always_on", "per_second"]),
    peak_factor=st.floats(1, 20), requests_per_month=st.integers(1, 10**8), label_usd_per_example=st.floats(0, 50),
    labelled_examples=st.integers(1, 5000), upkeep_usd=st.just(300.0),
)  # fmt: skip


def test_one_machine_stands_ready_and_more_come_with_the_load(scores_of):
    # 2 s a request: 730 * 3600 / 2 = 1,314,000 a month and machine, half of them at a peak factor of 2. 730 $ a month.
    scores = scores_of(MEANS, costs={"llm": 0.01}, seconds={"tuned": 2.0})
    table = hosting_table(scores, "tuned", CHEAP).set_index("requests_per_month")
    assert table.loc[20_000, ["machines", "usd_per_month", "usd_per_1000"]].tolist() == pytest.approx([1, 730, 36.5])
    assert table.loc[20_000, "utilisation"] == pytest.approx(20_000 / 1_314_000)
    assert table.loc[2_000_000, "machines"] == pytest.approx(2_000_000 / 657_000)
    assert table.loc[2_000_000, "utilisation"] == pytest.approx(0.5)
    by_second = hosting_table(scores, "tuned", CHEAP.model_copy(update={"host_billing": "per_second"}))
    assert by_second["usd_per_1000"].tolist() == pytest.approx([2000 / 3600] * 6)
    assert by_second["utilisation"].tolist() == pytest.approx([1] * 6)
    assert hosting_table(scores, "llm", CHEAP).empty, "no machine of one's own"


def test_every_table_has_the_same_price_and_the_decision_the_same_year(scores_of):
    scores = scores_of({"tuned": 0.7, "llm": 0.7}, n=300, noise=0.01, costs={"llm": 0.1}, seconds={"tuned": 2.0})
    table = economics_table(scores, CHEAP).set_index("system")
    assert table.loc["tuned", "cost_per_1000"] == pytest.approx(36.5)
    assert table.loc["llm", "cost_per_1000"] == pytest.approx(100)
    assert 1.4 < table.loc["llm", "latency_p50"] < 1.6 < table.loc["llm", "latency_p95"] < 2
    bill = yearly_bill(scores, SPECS, CHEAP)
    # 12 * 730 for the machine, 300 for labels, two trainings of ten hours at 1 $; 12 * 20,000 * 0.1.
    assert bill["usd_per_year"].to_dict() == pytest.approx({"tuned": 8760 + 300 + 20, "llm": 24_000})
    curve = break_even(scores, SPECS, "tuned", "llm", CHEAP, resamples=199)
    at = curve.iloc[(curve["requests_per_month"] - 20_000).abs().argmin()]
    assert at[["tuned_usd", "prompted_usd"]].tolist() == pytest.approx([9080, 24_000])
    words = decide(scores, {"tuned": "tuned", "llm": "prompted"}, year_usd=dict(bill["usd_per_year"])).headline
    assert "9,080 against 24,000 US dollars" in words


def test_break_even_known_value(scores_of):
    # A year of the machine, labels and training is 9,080 $; a request saves 0.01 $: 9,080 / 12 / 0.01 a month.
    scores = scores_of(MEANS, costs={"llm": 0.01}, seconds={"tuned": 2.0})
    curve = break_even(scores, SPECS, "tuned", "llm", CHEAP, resamples=199)
    assert pays_from(curve) == pytest.approx(9080 / 0.12)
    assert f"from about {9080 / 0.12:,.0f} requests a month on" in break_even_text(curve)
    dear = CHEAP.model_copy(update={"host_usd_per_hour": 100})
    never = break_even(scores, SPECS, "tuned", "llm", dear, resamples=199)
    assert math.isinf(pays_from(never)) and "never costs less" in break_even_text(never)


def test_labels_are_charged_to_whoever_uses_them_and_shared_ones_cancel_out():
    systems = [
        *SPECS, LLM.model_copy(update={"name": "shots", "shots": 3}), SystemSpec(name="copy", model="nearest", shots=0),
        LLM.model_copy(update={"name": "ranked", "retriever": "trained"}),
        TUNED.model_copy(update={"name": "base", "model": "slm/base"}),
        SystemSpec(name="mix", model="hybrid/cascade/tuned+llm"),
    ]  # fmt: skip
    costs = standing_costs(systems, CHEAP.model_copy(update={"upkeep_usd": 50.0, "prompt_checks_per_year": 2.0}))
    assert costs["labels"].to_dict() == {"tuned": 300, "llm": 0, "shots": 300, "copy": 300, "ranked": 300, "base": 0,
                                         "mix": 300}  # fmt: skip
    assert costs["upkeep"].to_dict() == {"tuned": 50, "llm": 100, "shots": 100, "copy": 0, "ranked": 100, "base": 0,
                                         "mix": 150}  # fmt: skip
    assert costs["training"].to_dict() == {**dict.fromkeys(costs.index, 0), "tuned": 20, "mix": 20}


@given(terms=TERMS, api=st.floats(0, 1), seconds=st.floats(0, 600), volumes=st.lists(st.floats(1, 1e9), min_size=2))
@settings(max_examples=60, deadline=None)
def test_a_request_never_costs_more_at_a_larger_volume(terms, api, seconds, volumes):
    volumes = np.sort(volumes)
    each = monthly_usd(api, seconds, volumes, terms) / volumes
    assert (np.diff(each) <= 1e-9 * each[:-1]).all()


@given(terms=TERMS, api=st.floats(1e-6, 1), seconds=st.floats(1e-3, 600))
@settings(max_examples=60, deadline=None)
def test_with_hardly_any_request_the_api_is_cheaper(terms, api, seconds):
    terms = terms.model_copy(update={"label_usd_per_example": terms.label_usd_per_example + 0.01})
    standing = standing_costs(SPECS, terms)["standing"]
    tuned = 12 * monthly_usd(0.0, seconds, 1e-6, terms) + standing["tuned"]
    assert 12 * monthly_usd(api, 0.0, 1e-6, terms) + standing["llm"] < tuned


@given(terms=TERMS, api=st.floats(1e-6, 1), seconds=st.floats(1e-3, 600))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_decision_bill_and_hosting_table_agree(scores_of, terms, api, seconds):
    scores = scores_of({"tuned": 0.6, "llm": 0.6}, n=12, noise=0, costs={"llm": api}, seconds={"tuned": seconds})
    bill = yearly_bill(scores, SPECS, terms)
    hosting = hosting_table(scores, "tuned", terms)
    month = hosting.loc[hosting["requests_per_month"] == terms.requests_per_month, "usd_per_month"].item()
    assert bill.loc["tuned", "running"] == pytest.approx(12 * month)
    year = dict(bill["usd_per_year"])
    answer = decide(scores, {"tuned": "tuned", "llm": "prompted"}, year_usd=year, resamples=99).answer
    assert answer == ("fine-tune" if year["tuned"] < year["llm"] else "prompt")


def test_one_untimed_call_is_counted_and_does_not_unprice_a_system(scores_of):
    scores = scores_of(MEANS, costs={"llm": 0.01}, seconds={"tuned": 2.0})
    untimed = (scores["measure"] == "local_s") & (scores["system"] == "tuned")
    scores.loc[untimed & (scores["example"] == "e3"), "value"] = math.nan
    table = economics_table(scores, CHEAP).set_index("system")
    assert table.loc["tuned", "cost_per_1000"] == pytest.approx(36.5)
    assert table.loc["tuned", "missing"] == "cost of 1 of 60 answers"
    scores.loc[untimed & scores["example"].isin([f"e{n}" for n in range(7)]), "value"] = math.nan
    assert math.isnan(usage_table(scores).loc["tuned", "local_s"]), "more than a tenth is not known"


def test_unpriced_is_named_and_never_zero(scores_of):
    scores = scores_of(MEANS, costs={"llm": math.nan}, seconds={"tuned": 2.0})
    table = economics_table(scores, CHEAP).set_index("system")
    assert math.isnan(table.loc["llm", "cost_per_1000"]) and table.loc["llm", "missing"] == "price"
    curve = break_even(scores, SPECS, "tuned", "llm", CHEAP)
    assert curve["reason"].tolist() == ["unpriced: llm"] and "unpriced: llm" in break_even_text(curve)
    assert math.isnan(per_1000_usd(usage_table(scores), CHEAP)["llm"])
    assert math.isnan(yearly_bill(scores, SPECS, CHEAP).loc["llm", "usd_per_year"])


@pytest.mark.parametrize(
    "wrong", [{"requests_per_month": 0}, {"host_usd_per_hour": -1}, {"host_usd_per_hour": float("inf")},
              {"label_usd_per_example": -1}, {"peak_factor": 0.5},
              {"host_billing": "monthly"}, {"upkeep_usd": -1}]
)  # fmt: skip
def test_bad_assumptions_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Economics(**wrong)


def test_utilisation_is_a_result_and_no_key_any_more():
    with pytest.raises(ValidationError, match="requests_per_month, peak_factor and host_billing"):
        Economics(utilisation=0.25)


def test_an_edited_assumption_has_no_source_of_ours():
    table = Assumptions(label_usd_per_example=12).table().set_index("parameter")
    assert table.loc["label_usd_per_example", "source"] == "study.yaml"
    assert table.loc["peak_factor", "source"].startswith("assumption: ")
    assert isinstance(table, pd.DataFrame) and "utilisation" not in table.index
