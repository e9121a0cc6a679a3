"""Figures show what their tables say: every point with its interval, names escaped; nothing to draw is a sentence."""

import math

import numpy as np
import pandas as pd
import pytest

from flowstudy.analysis.measures import OUTLINE, PRIMARY
from flowstudy.analysis.rightness import VERDICTS
from flowstudy.review import decision_figures, figures, question_figures
from flowstudy.review.drawing import NothingToDraw


def volumes(saved):
    """A year of 1,000 $ for the prompted system at any volume, and what the tuned one saves of it."""
    table = pd.DataFrame({"requests_per_month": [1e2, 1e4, 1e6], "saving_usd": saved}).assign(prompted_usd=1e3)
    saving = table["saving_usd"]
    return table.assign(tuned_usd=1e3 - saving, low=saving - 50, high=saving + 50, reason="")


def routed(**means):
    return pd.DataFrame([
        {"policy": policy, "first": "<small>", "second": "large", "escalated": 0.3, "mean": mean, "low": mean - 0.1,
         "high": mean + 0.1, "cost_per_1000": 2.5 if policy == "cascade" else math.nan}
        for policy, mean in means.items()
    ])  # fmt: skip


def ranked(ranks):
    rows = [(choice, system, rank, 0.5) for choice, order in ranks.items() for system, rank in order.items()]
    return pd.DataFrame(rows, columns=["choice", "system", "rank", "mean"]).assign(low=0.4, high=0.6)


@pytest.mark.parametrize("saved", [[-5e6, 100.0, 990.0], [-10.0] * 3, [1000.0] * 3])
def test_break_even_draws_both_years_and_marks_the_assumed_volume(saved):
    """Also where a year costs nothing, or fine-tuning never pays."""
    figure = decision_figures.break_even(volumes(saved), requests_per_month=20_000)
    lines = {trace.name: list(trace.y) for trace in figure.data if trace.name}
    assert lines["prompted"] == [1e3] * 3 and lines["fine-tuned"] == [max(1e3 - s, 1.0) for s in saved]
    assert all(math.isfinite(v) and v > 0 for trace in figure.data for v in trace.y)
    assert "20,000" in figure.layout.annotations[0].text
    low, high = figure.layout.yaxis.range
    assert math.isfinite(low) and low < high


def test_policies_escape_names_and_leave_out_unknown_prices():
    figure = decision_figures.policies(
        routed(**{"always-first": 0.5, "always-second": 0.7, "cascade": 0.75, "oracle": 0.8})
    )
    names = [trace.y[0] for trace in figure.data]
    assert "&lt;small&gt;" in names[0] and "$" not in names[0] and "2.50 $" in names[2]
    assert [trace.marker.symbol for trace in figure.data][-1] == "circle-open"


def test_every_verdict_that_somebody_got_is_a_dot_with_its_interval():
    rows = [("<s>", "dev", verdict, title, 20, share, share / 2, 0.5, False)
            for (verdict, title), share in zip(VERDICTS.items(), (0.0, 0.25, 0.75, 0.0, 0.0), strict=True)]  # fmt: skip
    shares = pd.DataFrame(rows, columns=["system", "split", "verdict", "title", "n", "share", "low", "high", "few"])
    figure = figures.verdicts(shares)
    assert {trace.name: list(trace.x) for trace in figure.data} == {VERDICTS["nearly"]: [25], VERDICTS["rework"]: [75]}
    assert all(trace.error_x.array for trace in figure.data) and "&lt;s&gt;" in figure.data[0].y[0]
    with pytest.raises(NothingToDraw, match="no answer yet"):
        figures.verdicts(shares.iloc[:0])


def test_ranking_draws_one_line_per_system():
    figure = decision_figures.ranking(ranked({"strict": {"a": 1, "b": 2}, "published": {"a": 2, "b": 1}}))
    assert {trace.name: list(trace.y) for trace in figure.data} == {"a": [1, 2], "b": [2, 1]}


def test_a_decision_without_anything_to_draw_says_why():
    unpriced = pd.DataFrame({"saving_usd": [math.nan], "reason": ["unpriced: llm"]})
    with pytest.raises(NothingToDraw, match="unpriced: llm"):
        decision_figures.break_even(unpriced)
    with pytest.raises(NothingToDraw, match="no scored example in common"):
        decision_figures.policies(routed(cascade=math.nan))
    with pytest.raises(NothingToDraw, match="two systems and two measures"):
        decision_figures.ranking(ranked({"strict": {"a": 1}}))
    with pytest.raises(NothingToDraw, match="two systems"):
        decision_figures.ranking(ranked({}))


def scores(*rows):
    columns = ["system", "example", "repeat", "split", "status", "measure", "value"]
    return pd.DataFrame(rows, columns=columns)


TABLE = scores(
    ("<b>s</b>", "e1", 0, "test", "ok", "flow_sim_with_inputs", 0.75),
    ("<b>s</b>", "e1", 0, "test", "ok", "strict_first_reference", 0.5),
    ("<b>s</b>", "e2", 0, "test", "ok", "flow_sim_with_inputs", 1.0),
    ("<b>s</b>", "e2", 0, "test", "ok", "strict_first_reference", 0.5),
    ("t", "e1", 0, "test", "ok", "flow_sim_with_inputs", float("nan")),
    ("t", "e1", 0, "test", "ok", "strict_first_reference", 0.5),
)


def test_gap_of_each_answer_largest_first():
    gaps = figures.convention_gaps(TABLE)
    assert gaps[["example", "gap"]].to_records(index=False).tolist() == [("e2", 0.5), ("e1", 0.25)]


def test_every_answer_is_a_dot_in_both_conventions_and_names_are_escaped():
    figure = figures.conventions(figures.convention_gaps(TABLE))
    assert [list(trace.x) for trace in figure.data] == [[1.0, 0.75], [0.5, 0.5]]
    assert set(figure.data[0].y) == {"&lt;b&gt;s&lt;/b&gt;"}


def test_no_score_is_no_figure():
    assert figures.convention_gaps(TABLE.iloc[:0]).empty
    with pytest.raises(NothingToDraw):
        figures.conventions(figures.convention_gaps(TABLE.iloc[:0]))


def curve(splits=("test", "ood"), sizes=(0, 50, 200, 1200)):
    rows = [
        (size, split, measure, 24, 0.1 + n / 10, 0.05 + n / 10, 0.2 + n / 10, False, "", 2 if size == 50 else 1,
         0.08 + n / 10, 0.12 + n / 10, "slm-x")
        for split in splits for measure in (PRIMARY, OUTLINE) for n, size in enumerate(sizes)
    ]  # fmt: skip
    columns = ["training_examples", "split", "measure", "n", "mean", "low", "high", "few", "reason", "trainings",
               "lowest", "highest", "systems"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def forest():
    row = {"system": "slm-<i>few", "differs": "50 examples", "training_examples": 50, "other": "slm-tuned",
           "measure": PRIMARY, "n": 84, "difference": -0.1, "low": -0.15, "high": -0.05, "few": False}  # fmt: skip
    return pd.DataFrame([row, {**row, "differs": "seed 8", "difference": 0.01, "low": np.nan, "high": np.nan}])


def points(figure, bars):
    return [trace for trace in figure.data if trace[bars].array is not None]


def test_every_size_has_a_point_with_its_interval_and_only_single_trainings_have_no_strokes():
    figure = question_figures.learning_curve(curve())
    drawn = points(figure, "error_y")
    assert len(drawn) == 4 and all(len(trace.x) == 4 for trace in drawn), "two splits, two measures, four sizes"
    assert np.array(drawn[0].error_y.array) == pytest.approx([0.1] * 4)
    strokes = [trace for trace in figure.data if trace.marker.symbol == "line-ew-open"]
    assert [len(trace.y) for trace in strokes] == [2] * 4
    assert list(figure.layout.xaxis.ticktext) == ["0", "50", "200", "1,200"] and min(figure.layout.xaxis.tickvals) > 0
    assert "0: untrained" in figure.layout.xaxis2.title.text
    assert "0: untrained" not in question_figures.learning_curve(curve(("test",), (50, 200))).layout.xaxis.title.text


def test_a_variant_is_drawn_with_its_interval_and_chance_as_a_band():
    chance = pd.DataFrame({"training_examples": [50, 1200], "apart": [0.1, 0.02]})
    figure = question_figures.effects(forest(), chance)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(-0.02, 0.02), (0, 0)]
    assert len(question_figures.effects(forest(), chance[:0]).layout.shapes) == 1
    assert [trace.marker.symbol for trace in points(figure, "error_x")] == ["circle", "circle-open"]
    assert "&lt;i&gt;" in figure.data[0].y[0] and "<i>" not in figure.data[0].y[0], "names are escaped"


def test_nothing_was_run():
    nothing = pd.DataFrame()
    for draw in (question_figures.learning_curve, lambda table: question_figures.effects(table, nothing)):
        with pytest.raises(NothingToDraw, match=r"not run: .*PROFILE=experiments"):
            draw(nothing)
