"""The pictures behind a decision: when fine-tuning pays, what routing gains, whether the measure changes the order, and
quality against cost or time.

Like `review.figures`: each takes a table of `flowstudy.analysis`; nothing to draw raises NothingToDraw with a sentence.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import PRIMARY
from flowstudy.review import drawing
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.theme import GREY, PALETTE, system_colours

_COLOURS: Final = {"cascade": 0, "best-of-two": 2, "oracle": 4}


def break_even(table: pd.DataFrame, requests_per_month: float | None = None) -> Any:
    """What a year costs with the tuned and with the prompted system, over the volume, standing costs included.

    `table` comes from `economics.break_even`; the band is where the tuned system's year, with the 95 % interval of the
    saving, lies. `requests_per_month` marks the assumed volume.
    """
    import plotly.graph_objects as go

    rows = table[table["saving_usd"].notna()]
    if rows.empty:
        why = "; ".join(dict.fromkeys(table["reason"].dropna())) or "no table"
        raise NothingToDraw(f"no figure of the break-even volume: {why}")
    years = rows[["tuned_usd", "prompted_usd"]].to_numpy(dtype=float)
    floor, top = max(1.0, float(years.min()) / 3), 3 * float(years.max())
    figure, volumes = go.Figure(), rows["requests_per_month"]
    ends = {"low": rows["prompted_usd"] - rows["high"], "high": rows["prompted_usd"] - rows["low"]}
    ends = {name: end.clip(floor, top) for name, end in ends.items()}
    figure.add_traces(drawing.band(rows.assign(steps=volumes, mean=math.nan, **ends), PALETTE[0])[:1])
    for column, name, ink in (("tuned_usd", "fine-tuned", PALETTE[0]), ("prompted_usd", "prompted", PALETTE[1])):
        figure.add_scatter(
            x=volumes, y=rows[column].clip(floor), mode="lines", name=name, line={"color": ink, "width": 2.5},
            hovertemplate=f"{name}: %{{x:,.0f}} requests a month, %{{y:,.0f}} $ a year<extra></extra>",
        )  # fmt: skip
    if requests_per_month:
        figure.add_vline(x=requests_per_month, line={"color": GREY, "width": 1.2, "dash": "dash"})
        figure.add_annotation(
            text=f"assumed: {requests_per_month:,.0f} a month", x=math.log10(requests_per_month), y=0.02,
            yref="y domain", xanchor="left", yanchor="bottom", showarrow=False, font={"size": 12, "color": GREY},
        )  # fmt: skip
    figure.update_xaxes(title_text="requests a month (logarithmic)", type="log", dtick=1)
    figure.update_yaxes(title_text="US dollars in the first year (logarithmic)", type="log", dtick=1,
                        range=[math.log10(floor), math.log10(top)])  # fmt: skip
    figure.update_layout(height=430)
    subtitle = "labels, training, upkeep and a machine that stands ready included; 95 % band of the difference"
    return drawing.titled(figure, "From which volume on fine-tuning pays", subtitle)


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
    for _, row in rows.iterrows():
        policy, price = str(row["policy"]), row["cost_per_1000"]
        words = [f"asks {second} for {row['escalated']:.0%}"]
        words += [f"{price:,.2f} $ per 1,000"] if price == price else []
        name = f"always {ends[policy]}" if policy in ends else policy.replace("-", " ")
        names.append(drawing.label(name, ", ".join(words)))
        ink, mean = PALETTE[_COLOURS[policy]] if policy in _COLOURS else GREY, f"{row['mean']:.3f}"
        hollow, hover = policy in ("oracle", "random"), f"{mean} ({drawing.span(row)})"
        drawing.dot(figure, names[-1], row, "mean", ink, mean, hollow=hollow, hover=hover)
        if policy in ends:
            figure.add_vline(x=row["mean"], layer="below", line={"color": "#C3CAD4", "width": 1.5, "dash": "dot"})
    figure.update_xaxes(title_text=drawing.axis_title(measure), range=[min(-0.03, drawing.unit_range(rows)[0]), 1.04])
    backed = f"{drawing.text(first)} backed by {drawing.text(second)}"
    subtitle = f"{backed}, 95 % interval; hollow: a control and a bound, no systems"
    return drawing.finish(figure, "What routing gains", subtitle, names, row=50)


def ranking(table: pd.DataFrame) -> Any:
    """Rank of every system under every way of measuring, a line each; `table` is `sensitivity.ranking_table`."""
    import plotly.graph_objects as go

    rows = table[table["rank"].notna()]
    if rows["system"].nunique() < 2 or rows["choice"].nunique() < 2:
        raise NothingToDraw("no figure of rankings: it needs two systems and two measures on the same examples")
    choices, colours = list(dict.fromkeys(rows["choice"])), system_colours(rows["system"])
    labels = ["<br>".join(textwrap.wrap(drawing.text(choice), 16)) for choice in choices]
    figure = go.Figure()
    for system, group in rows.groupby("system", sort=False):
        own = group.set_index("choice").reindex(choices)
        figure.add_scatter(
            x=labels, y=own["rank"], mode="lines+markers+text", name=drawing.text(system), showlegend=False,
            cliponaxis=False,
            line={"color": colours[system], "width": 2.5}, marker={"size": 13, "color": colours[system]},
            text=[f"{mean:.2f}" if mean == mean else "" for mean in own["mean"]], textposition="top center",
            textfont={"size": 11}, customdata=own[["low", "high"]],
            hovertemplate="%{text} (%{customdata[0]:.3f} to %{customdata[1]:.3f}), rank %{y}",
        )  # fmt: skip
    for rank, group in rows[rows["choice"] == choices[-1]].groupby("rank"):
        names = "<br>".join(f"<span style='color:{colours[s]}'>{drawing.text(s)}</span>" for s in group["system"])
        figure.add_annotation(
            x=len(choices) - 1, y=rank, text=names, xanchor="left", xshift=14, showarrow=False, align="left",
            font={"size": 12.5},
        )  # fmt: skip
    count = len(colours)
    figure.update_yaxes(title_text="rank (1 is best)", range=[count + 0.5, 0.4], tickvals=list(range(1, count + 1)))
    figure.update_xaxes(range=[-0.4, len(choices) - 1 + 0.25], tickangle=0)
    figure.update_layout(height=170 + 62 * count, margin={"r": 150})
    subtitle = "systems by mean under each way of measuring; the figures are the means"
    return drawing.titled(figure, "Does the measure change the order?", subtitle)


def frontier(table: pd.DataFrame, against: str = "cost_per_1000", measure: str = PRIMARY) -> Any:
    """Quality against cost or time; what nothing beats on both is joined by a line, what is beaten is grey. `table`
    comes from `economics.economics_table`.

    `against` is `cost_per_1000` or `latency_p50`. Systems without that figure are named under the title.
    """
    import plotly.graph_objects as go

    words = {"cost_per_1000": ("Quality for money", "US dollars per 1,000 requests", "price"),
             "latency_p50": ("Quality for time", "median latency per request (seconds)", "timing")}  # fmt: skip
    heading, axis, thing = words[against]
    rows = table[table[against].notna() & table["mean"].notna()]
    absent = sorted(set(table["system"]) - set(rows["system"]))
    if rows.empty:
        whom = ", ".join(absent) or "any system"
        raise NothingToDraw(f"no figure of {heading.lower()}: no {thing} is known for {whom}")
    colours, figure = system_colours(table["system"]), go.Figure()
    best = rows.sort_values([against, "mean"], ascending=[True, False])
    best = best[best["mean"] > best["mean"].cummax().shift(fill_value=-1)]
    figure.add_scatter(x=best[against], y=best["mean"], mode="lines", hoverinfo="skip", showlegend=False,
                       line={"color": "#C3CAD4", "width": 2, "shape": "hv"})  # fmt: skip
    most = max(rows[name].max() for name in (against, f"{against}_high") if name in rows) or 1
    rows = rows.assign(leads=rows["system"].isin(best["system"]))
    for (_, row), side in zip(rows.iterrows(), _label_sides(rows, rows[against] / most, rows["mean"]), strict=True):
        ink, name = colours[row["system"]] if row["leads"] else GREY, drawing.text(row["system"])
        ends = row.reindex([against, f"{against}_low", f"{against}_high"]).set_axis(["x", "low", "high"])
        figure.add_scatter(
            x=[row[against]], y=[row["mean"]], mode="markers+text", text=[name], textposition=side, cliponaxis=False,
            textfont={"color": ink}, marker={"size": 12, "color": ink},
            error_y={**drawing.whisker(row, "mean"), "color": ink},
            error_x={**drawing.whisker(ends, "x"), "color": ink},
            hovertemplate=f"{name}: %{{y:.3f}} at %{{x:.4g}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=axis, range=[-0.06 * most, 1.12 * most])
    figure.update_yaxes(title_text=drawing.axis_title(measure), range=drawing.unit_range(rows))
    figure.update_layout(height=440, showlegend=False)
    note = f"; not drawn, no {thing}: {drawing.text(', '.join(absent))}" if absent else ""
    return drawing.titled(figure, heading, f"the line joins what nothing beats on both; others are grey{note}")


def _label_sides(rows: pd.DataFrame, x: pd.Series, y: pd.Series) -> list[str]:
    """Where each point's name stands: the first side on which it covers neither a point nor another name."""
    taken = [(right, up, 0.02, 0.03) for right, up in zip(x, y, strict=True)]
    sides = []
    for name, leads, right, up in zip(rows["system"], rows["leads"], x, y, strict=True):
        half = 0.006 * len(str(name))
        vertical = ["top center", "bottom center"] if leads else ["bottom center", "top center"]
        places = {side: (right, up + (0.07 if side[0] == "t" else -0.07), half, 0.03) for side in vertical}
        places |= {
            "middle right": (right + half + 0.03, up, half, 0.03),
            "middle left": (right - half - 0.03, up, half, 0.03),
        }
        free = (side for side, box in places.items() if not any(_overlap(box, other) for other in taken))
        sides.append(next(free, vertical[0]))
        taken.append(places[sides[-1]])
    return sides


def _overlap(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    """True when two boxes (centre and half sizes) cover each other."""
    return abs(one[0] - two[0]) < one[2] + two[2] and abs(one[1] - two[1]) < one[3] + two[3]
