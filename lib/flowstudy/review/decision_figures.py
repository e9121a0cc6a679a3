"""The pictures behind a decision: when fine-tuning pays, what routing gains, whether the measure changes the order.

Like `review.figures`: each takes a table of `flowstudy.analysis`; nothing to draw raises NothingToDraw with a sentence.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import PRIMARY
from flowstudy.review.figures import NothingToDraw, _axis, _band, _finish, _heading, _text, _unit_range, _whisker
from flowstudy.review.theme import GREY, PALETTE, system_colours, template

_SHARES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
_COLOURS: Final = {"cascade": 0, "best-of-two": 2, "oracle": 4}


def break_even(table: pd.DataFrame, requests_per_month: float | None = None) -> Any:
    """Requests until the tuned system has paid for itself, against how busy its host is, with the 95 % band.

    `table` comes from `economics.break_even`. Where the band has no upper end (it may never pay) it reaches the top;
    utilisations at which it never pays are marked on the top edge. `requests_per_month` adds a line for one year.
    """
    import plotly.graph_objects as go

    known = table[table["requests"].notna()]
    if known.empty:
        why = "; ".join(dict.fromkeys(table["reason"].dropna())) or "no table"
        raise NothingToDraw(f"no figure of the break-even volume: {why}")
    paid = known[known["requests"].map(math.isfinite)]
    finite = [v for name in ("requests", "low", "high") for v in known[name] if math.isfinite(v) and v > 0]
    year = 12 * requests_per_month if requests_per_month else None
    top = 3 * max([*finite, year or 1])
    floor = min([*finite, year or top]) / 3
    figure = go.Figure()
    if len(paid):
        band = paid.assign(
            steps=100 * paid["utilisation"],
            mean=paid["requests"].clip(lower=floor),
            high=paid["high"].clip(upper=top, lower=floor),
            low=paid["low"].clip(lower=floor),
        )
        figure.add_traces(_band(band, PALETTE[0]))
        figure.add_trace(
            go.Scatter(
                x=band["steps"],
                y=band["mean"],
                mode="markers+text",
                marker={"size": 10, "color": PALETTE[0]},
                text=[_short(v) for v in paid["requests"]],
                textposition="bottom center",
                showlegend=False,
                cliponaxis=False,
                hovertemplate="%{x} % busy: %{y:,.0f} requests<extra></extra>",
            )
        )
    never = known[~known["requests"].map(math.isfinite)]
    figure.add_trace(
        go.Scatter(
            x=100 * never["utilisation"],
            y=[top / 1.35] * len(never),
            mode="markers+text",
            showlegend=False,
            marker={"size": 11, "color": PALETTE[1], "symbol": "x"},
            text=["never"] * len(never),
            textposition="bottom center",
            textfont={"color": PALETTE[1]},
            hoverinfo="skip",
        )
    )
    if year:
        figure.add_hline(y=year, line={"color": GREY, "width": 1.2, "dash": "dash"})
        figure.add_annotation(
            text=f"a year: {year:,.0f} requests",
            x=0.01,
            xref="x domain",
            y=math.log10(year),
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": GREY},
        )
    figure.update_xaxes(
        title_text="share of the hour in which the host answers (%, logarithmic)",
        type="log",
        tickvals=[100 * s for s in _SHARES],
        range=[math.log10(4), math.log10(130)],
    )
    figure.update_yaxes(
        title_text="requests (count, logarithmic)", type="log", dtick=1, range=[math.log10(floor), math.log10(top)]
    )
    figure.update_layout(height=430, template=template())
    return _heading(
        figure,
        "When fine-tuning has paid for itself",
        "requests until labels and training are earned back, 95 % band; a band to the top may never pay",
    )


def policies(table: pd.DataFrame, measure: str = PRIMARY) -> Any:
    """Quality of each policy, with how often it asks the second system and what it costs; `policies.policy_table`.

    The dotted lines stand at always the first and always the second system; hollow: no system, a bound or a control.
    """
    import plotly.graph_objects as go

    rows = table[table["mean"].notna()]
    if rows.empty:
        raise NothingToDraw("no figure of routing: the two systems have no scored example in common")
    first, second = (str(rows[name].iloc[0]) for name in ("first", "second"))
    ends = {"always-first": first, "always-second": second}
    figure, names = go.Figure(), []
    for policy, row in rows.set_index("policy").iterrows():
        words = [f"asks {_text(second)} for {row['escalated']:.0%}"]
        words += [f"{row['cost_per_1000']:,.2f} $ per 1,000"] if row["cost_per_1000"] == row["cost_per_1000"] else []
        name = f"always {ends[policy]}" if policy in ends else str(policy).replace("-", " ")
        names.append(f"<b>{_text(name)}</b><br><span style='color:{GREY};font-size:11px'>{', '.join(words)}</span>")
        ink = PALETTE[_COLOURS[policy]] if policy in _COLOURS else GREY
        figure.add_trace(go.Scatter(
            x=[row["mean"]], y=[names[-1]], mode="markers+text", text=[f"{row['mean']:.3f}"], showlegend=False,
            error_x={**_whisker(row, "mean"), "color": ink}, textposition="top center", textfont={"size": 12},
            marker={"size": 12, "color": ink, "symbol": "circle-open" if policy in ("oracle", "random") else "circle"},
            cliponaxis=False, hovertemplate=f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})<extra></extra>",
        ))  # fmt: skip
        if policy in ends:
            figure.add_vline(x=row["mean"], layer="below", line={"color": "#C3CAD4", "width": 1.5, "dash": "dot"})
    figure.update_xaxes(title_text=_axis(measure), range=[min(-0.03, _unit_range(rows)[0]), 1.04])
    subtitle = f"{_text(first)} backed by {_text(second)}, 95 % interval; hollow: a control and a bound, no systems"
    return _finish(figure, "What routing gains", subtitle, names, markup=True, row=50)


def ranking(table: pd.DataFrame) -> Any:
    """Rank of every system under every way of measuring, a line each; `table` is `sensitivity.ranking_table`."""
    import plotly.graph_objects as go

    rows = table[table["rank"].notna()]
    if rows["system"].nunique() < 2 or rows["choice"].nunique() < 2:
        raise NothingToDraw("no figure of rankings: it needs two systems and two measures on the same examples")
    choices, colours = list(dict.fromkeys(rows["choice"])), system_colours(rows["system"])
    labels = ["<br>".join(textwrap.wrap(_text(choice), 16)) for choice in choices]
    figure = go.Figure()
    for system in dict.fromkeys(rows["system"]):
        own = rows[rows["system"] == system].set_index("choice").reindex(choices)
        figure.add_trace(
            go.Scatter(
                x=labels,
                y=own["rank"],
                mode="lines+markers+text",
                name=_text(system),
                showlegend=False,
                line={"color": colours[system], "width": 2.5},
                marker={"size": 13, "color": colours[system]},
                text=[f"{mean:.2f}" if mean == mean else "" for mean in own["mean"]],
                textposition="top center",
                textfont={"size": 11},
                cliponaxis=False,
                customdata=own[["low", "high"]],
                hovertemplate="%{text} (%{customdata[0]:.3f} to %{customdata[1]:.3f}), rank %{y}",
            )
        )
    last = rows[rows["choice"] == choices[-1]]
    for rank, group in last.groupby("rank"):
        figure.add_annotation(
            x=len(choices) - 1,
            y=rank,
            text="<br>".join(f"<span style='color:{colours[s]}'>{_text(s)}</span>" for s in group["system"]),
            xanchor="left",
            xshift=14,
            showarrow=False,
            align="left",
            font={"size": 12.5},
        )
    count = rows["system"].nunique()
    figure.update_yaxes(title_text="rank (1 is best)", range=[count + 0.5, 0.4], tickvals=list(range(1, count + 1)))
    figure.update_xaxes(range=[-0.4, len(choices) - 1 + 0.25], tickangle=0)
    figure.update_layout(height=170 + 62 * count, margin={"r": 150}, template=template())
    return _heading(
        figure,
        "Does the measure change the order?",
        "systems by mean under each way of measuring; the figures are the means",
    )


def _short(count: float) -> str:
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:.0f}"
