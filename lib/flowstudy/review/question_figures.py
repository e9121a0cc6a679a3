"""The pictures behind the published study's questions: arms of a system, the lead by slice, published beside ours.

Like `review.figures`: each takes a table of `analysis.questions`; nothing to draw raises NothingToDraw.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import PRIMARY, title
from flowstudy.analysis.statistics import FEW
from flowstudy.review.figures import NothingToDraw, _axis, _finish, _text, _unit_range, _whisker
from flowstudy.review.theme import GREY, INK, PALETTE, system_colours

#: Words for the arms of each setting.
ARM_WORDS: Final = {
    "none": "no retriever", "lexical": "lexical retriever", "trained": "trained retriever",
    "oracle": "perfect retriever", "whole": "whole flow at once", "decomposed": "outline, then inputs",
    "0": "no example shown", "1": "1 example shown", "3": "3 examples shown", "free": "written freely",
    "grammar": "held to a grammar", "schema": "held to a JSON Schema",
    "": "all labels", "implicit_step": "no labels of implicit steps",
    "implicit_condition": "no labels of implicit conditions", "enterprise_step": "no enterprise steps labelled",
}  # fmt: skip


def arms(table: pd.DataFrame, heading: str, measure: str = PRIMARY, *, lacking: str = "") -> Any:
    """Mean of every arm with its interval, group by group; the difference from the group's base beside the name.

    `lacking` says what was not run, for the place of a figure that cannot be drawn (`questions.arms_not_run`).
    """
    import plotly.graph_objects as go

    rows = table[table["mean"].notna()]
    if rows.empty:
        why = lacking or "no two systems of this study differ in this setting alone"
        raise NothingToDraw(f"no figure of “{heading}”: {why}")
    colours, figure, names = system_colours(rows["group"]), go.Figure(), []
    for _, row in rows.iterrows():
        base = row["system"] == row["group"]
        gap = "the base" if base else f"{_signed(row['difference'])} ({_span(row, 'difference')})"
        names.append(_label(f"{row['group']}: {ARM_WORDS.get(row['arm'], row['arm'])}", gap))
        ink = colours[row["group"]]
        hollow = "circle-open" if row["few"] or row["arm"] == "oracle" else "circle"
        figure.add_trace(go.Scatter(
            x=[row["mean"]], y=[names[-1]], mode="markers+text", text=[f"{row['mean']:.3f}"], showlegend=False,
            error_x={**_whisker(row, "mean"), "color": ink}, textposition="top center", textfont={"size": 12},
            marker={"size": 12, "color": ink, "symbol": hollow}, cliponaxis=False,
            hovertemplate=f"{row['mean']:.3f} ({_span(row, '')})<extra></extra>",
        ))  # fmt: skip
    figure.update_xaxes(title_text=_axis(measure), range=[min(-0.03, _unit_range(rows)[0]), 1.04])
    subtitle = "mean, 95 % interval; below each name the paired difference from the base; hollow: a bound"
    return _finish(figure, heading, subtitle, names, markup=True, row=50)


def slices(table: pd.DataFrame) -> Any:
    """Paired difference of two systems in every slice, with interval; `table` is `questions.lead_by_slice`."""
    import plotly.graph_objects as go

    rows = table[table["difference"].notna()]
    if rows.empty:
        raise NothingToDraw("no figure of slices: it needs two systems that answered the same examples")
    system, other = str(rows["system"].iloc[0]), str(rows["other"].iloc[0])
    colours, figure, names = system_colours([system, other]), go.Figure(), []
    figure.add_vline(x=0, line={"color": INK, "width": 1.2})
    for _, row in rows.iterrows():
        names.append(_label(str(row["slice"]), f"n = {int(row['n'])}"))
        ink = colours[system] if row["difference"] >= 0 else colours[other]
        sure = (row["low"] > 0 or row["high"] < 0) and not row["few"]
        figure.add_trace(go.Scatter(
            x=[row["difference"]], y=[names[-1]], mode="markers+text", text=[_signed(row["difference"])],
            error_x={**_whisker(row, "difference"), "color": ink}, textposition="top center", textfont={"size": 11},
            marker={"size": 10, "color": ink, "symbol": "circle" if sure else "circle-open"}, showlegend=False,
            cliponaxis=False, hovertemplate=f"{_signed(row['difference'])} ({_span(row, '')})<extra></extra>",
        ))  # fmt: skip
    figure.update_xaxes(title_text=f"{title(str(rows['measure'].iloc[0]))}: {_text(system)} minus {_text(other)}")
    subtitle = f"{_text(system)} minus {_text(other)}, 95 % interval; hollow: may be zero, or below 10 examples"
    return _finish(figure, "Where the lead comes from", subtitle, names, markup=True, row=40)


def published(table: pd.DataFrame) -> Any:
    """Relative differences in percent: the published study's as grey diamonds, ours with intervals; another data set.

    `table` is `questions.beside_published`; findings without a figure on either side are left out.
    """
    import plotly.graph_objects as go

    rows = table[table["percent"].notna()]
    if rows.empty:
        raise NothingToDraw("no figure beside the published one: this run measured none of its findings")
    figure, names = go.Figure(), []
    figure.add_vline(x=0, line={"color": INK, "width": 1.2})
    for _, row in rows.iterrows():
        names.append(_label(str(row["finding"]), f"published: {row['published']}; here n = {int(row['n'])}"))
        symbol = "circle-open" if row["n"] < FEW else "circle"
        ours = row.rename({"percent_low": "low", "percent_high": "high"})
        figure.add_trace(go.Scatter(
            x=[row["percent"]], y=[names[-1]], mode="markers+text", text=[_signed(row["percent"], 1) + " %"],
            error_x={**_whisker(ours, "percent"), "color": PALETTE[0]}, textfont={"size": 12}, showlegend=False,
            marker={"size": 11, "color": PALETTE[0], "symbol": symbol}, textposition="top center", cliponaxis=False,
            hoverinfo="skip",
        ))  # fmt: skip
        figure.add_trace(go.Scatter(
            x=[row["published_percent"]], y=[names[-1]], mode="markers", showlegend=False, hoverinfo="skip",
            marker={"size": 11, "color": GREY, "symbol": "diamond"},
        ))  # fmt: skip
    figure.update_xaxes(title_text="relative difference in FlowSim (%)")
    subtitle = "blue: this run, 95 % interval, hollow below 10 examples; grey diamonds: published, ANOTHER data set"
    return _finish(figure, "Published and ours", subtitle, names, markup=True, row=50)


def _label(name: str, below: str) -> str:
    return f"<b>{_text(name)}</b><br><span style='color:{GREY};font-size:11px'>{_text(below)}</span>"


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _span(row: pd.Series, what: str) -> str:
    low, high = (row[f"{what}_{end}" if what else end] for end in ("low", "high"))
    return "no interval" if low != low else f"{_signed(low)} to {_signed(high)}" if what else f"{low:.3f} to {high:.3f}"
