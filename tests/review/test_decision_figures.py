"""Figures of the decision: what they show is what the table says; nothing to draw is a sentence, never a chart."""

import math

import pandas as pd
import pytest

from flowstudy.review import decision_figures as figures
from flowstudy.review.drawing import NothingToDraw


def volumes(*requests):
    shares = (0.05, 0.25, 1.0)
    return pd.DataFrame({"utilisation": shares, "requests": requests, "low": [r * 0.8 for r in requests],
                         "high": [math.inf, *(r * 1.5 for r in requests[1:])], "reason": ""})  # fmt: skip


def routed(**means):
    return pd.DataFrame([
        {"policy": policy, "first": "<small>", "second": "large", "escalated": 0.3, "mean": mean, "low": mean - 0.1,
         "high": mean + 0.1, "cost_per_1000": 2.5 if policy == "cascade" else math.nan}
        for policy, mean in means.items()
    ])  # fmt: skip


def ranked(ranks):
    rows = [(choice, system, rank, 0.5) for choice, order in ranks.items() for system, rank in order.items()]
    return pd.DataFrame(rows, columns=["choice", "system", "rank", "mean"]).assign(low=0.4, high=0.6)


def test_break_even_marks_never_and_keeps_infinity_out():
    figure = figures.break_even(volumes(math.inf, 9e5, 4e5), requests_per_month=20_000)
    drawn = [v for trace in figure.data for v in (trace.y if trace.y is not None else ())]
    assert all(math.isfinite(v) and v > 0 for v in drawn)
    assert any("never" in (trace.text or ()) for trace in figure.data)
    assert "240,000" in figure.layout.annotations[0].text


@pytest.mark.parametrize("requests", [(math.inf,) * 3, (0.0, 0.0, 0.0)])
def test_break_even_at_its_ends(requests):
    figure = figures.break_even(volumes(*requests))
    low, high = figure.layout.yaxis.range
    assert math.isfinite(low) and low < high


def test_policies_escape_names_and_leave_out_unknown_prices():
    figure = figures.policies(routed(**{"always-first": 0.5, "always-second": 0.7, "cascade": 0.75, "oracle": 0.8}))
    names = [trace.y[0] for trace in figure.data]
    assert "&lt;small&gt;" in names[0] and "$" not in names[0] and "2.50 $" in names[2]
    assert [trace.marker.symbol for trace in figure.data][-1] == "circle-open"


def test_ranking_draws_one_line_per_system():
    figure = figures.ranking(ranked({"strict": {"a": 1, "b": 2}, "published": {"a": 2, "b": 1}}))
    assert {trace.name: list(trace.y) for trace in figure.data} == {"a": [1, 2], "b": [2, 1]}


def test_nothing_to_draw_says_why():
    unpriced = pd.DataFrame({"utilisation": [0.5], "requests": [math.nan], "low": [math.nan], "high": [math.nan],
                             "reason": ["unpriced: llm"]})  # fmt: skip
    with pytest.raises(NothingToDraw, match="unpriced: llm"):
        figures.break_even(unpriced)
    with pytest.raises(NothingToDraw, match="no scored example in common"):
        figures.policies(routed(cascade=math.nan))
    with pytest.raises(NothingToDraw, match="two systems and two measures"):
        figures.ranking(ranked({"strict": {"a": 1}}))
    with pytest.raises(NothingToDraw, match="two systems"):
        figures.ranking(ranked({}))
