"""Quality against cost or time: what nothing beats on both is joined by a line, what is beaten is grey.

Like `review.figures`: a table of `flowstudy.analysis` in, a figure out; nothing to draw raises NothingToDraw.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from flowstudy.analysis.measures import PRIMARY
from flowstudy.review.figures import NothingToDraw, _axis, _heading, _text, _unit_range, _whisker
from flowstudy.review.theme import GREY, system_colours, template


def frontier(table: pd.DataFrame, against: str = "cost_per_1000", measure: str = PRIMARY) -> Any:
    """Quality against cost or time; dominated systems grey. `table` comes from `economics.economics_table`.

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
    colours = system_colours(table["system"])
    figure = go.Figure()
    best = rows.sort_values([against, "mean"], ascending=[True, False])
    best = best[best["mean"] > best["mean"].cummax().shift(fill_value=-1)]
    figure.add_trace(
        go.Scatter(
            x=best[against], y=best["mean"], mode="lines", line={"color": "#C3CAD4", "width": 2, "shape": "hv"},
            hoverinfo="skip", showlegend=False,
        )
    )  # fmt: skip
    most = max(rows[name].max() for name in (against, f"{against}_high") if name in rows) or 1
    leaders = set(best["system"])
    sides = _label_sides(rows.assign(leads=rows["system"].isin(leaders)), rows[against] / most, rows["mean"])
    for (_, row), side in zip(rows.iterrows(), sides, strict=True):
        figure.add_trace(_place(row, against, colours[row["system"]] if row["system"] in leaders else GREY, side))
    figure.update_xaxes(title_text=axis, range=[-0.06 * most, 1.12 * most])
    figure.update_yaxes(title_text=_axis(measure), range=_unit_range(rows))
    figure.update_layout(height=440, showlegend=False, template=template())
    note = f"; not drawn, no {thing}: {_text(', '.join(absent))}" if absent else ""
    return _heading(figure, heading, f"the line joins what nothing beats on both; others are grey{note}")


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


def _place(row: pd.Series, against: str, ink: str, side: str) -> Any:
    import plotly.graph_objects as go

    spread = None
    if f"{against}_low" in row and pd.notna(row[f"{against}_low"]):
        spread = {
            "type": "data",
            "symmetric": False,
            "array": [row[f"{against}_high"] - row[against]],
            "arrayminus": [row[against] - row[f"{against}_low"]],
            "color": ink,
            "thickness": 1.4,
            "width": 0,
        }
    return go.Scatter(
        x=[row[against]], y=[row["mean"]], mode="markers+text", text=[_text(row["system"])],
        textposition=side, textfont={"color": ink}, cliponaxis=False,
        marker={"size": 12, "color": ink},
        error_y={**_whisker(row, "mean"), "color": ink}, error_x=spread,
        hovertemplate=f"{_text(row['system'])}: %{{y:.3f}} at %{{x:.4g}}<extra></extra>",
    )  # fmt: skip
