"""The pictures of a study, each drawn from a saved table: dots and whiskers, no bar hides an interval.

Every function takes a table of `flowstudy.analysis` and gives a Plotly figure in the study's template. Nothing to
draw raises NothingToDraw with the sentence to print instead of an empty chart.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import MEASURES, PRIMARY, title
from flowstudy.corpus.example import SPLIT_TITLES
from flowstudy.review.pictures import save_figure, show
from flowstudy.review.theme import GREY, INK, PALETTE, STATUS_COLOURS, system_colours, template

__all__ = [
    "NothingToDraw",
    "differences",
    "errors",
    "grid",
    "save_figure",
    "scores",
    "show",
    "sizes",
    "statuses",
]

_ROW: Final = 34
_TICKS: Final = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300)


class NothingToDraw(ValueError):
    """There is no figure; the message says what is missing and can be printed in its place."""


def scores(summary: pd.DataFrame, measure: str = PRIMARY, *, order: Sequence[str] | None = None) -> Any:
    """Mean and interval per system, one panel per split. `summary` comes from `comparison.summarise(by=("split",))`."""
    from plotly.subplots import make_subplots

    rows = _of_measure(summary, measure)
    splits = [s for s in SPLIT_TITLES if s in set(rows["split"])] or sorted(set(rows["split"]))
    systems = _ranked(rows, order)
    gap = 0.5 / (len(splits) * (len(systems) + 1.5))
    figure = make_subplots(len(splits), 1, shared_xaxes=True, vertical_spacing=gap)
    colours = system_colours(systems)
    for place, split in enumerate(splits, start=1):
        part = rows[rows["split"] == split]
        for system in systems:
            figure.add_trace(_dot(part[part["system"] == system], "mean", system, colours[system]), place, 1)
        figure.add_annotation(_panel_title(f"<b>{SPLIT_TITLES.get(split, split)}</b> · {_count(part)}", place))
    figure.update_xaxes(range=_unit_range(rows))
    figure.update_xaxes(title_text=_axis(measure), row=len(splits))
    heading = f"{_sentence(title(measure))} by system"
    _finish(figure, heading, "mean over examples, 95 % interval", systems)
    figure.update_yaxes(range=[-0.6, len(systems) + 0.3])
    return figure.update_layout(height=round(138 + len(splits) * _ROW * (len(systems) + 1.2)))


def _panel_title(text: str, place: int) -> dict[str, Any]:
    axis = "" if place == 1 else str(place)
    return {
        "text": text, "x": 0, "xref": "x domain", "xanchor": "left", "y": 1, "yref": f"y{axis} domain",
        "yanchor": "top", "showarrow": False, "font": {"size": 13}, "bgcolor": "rgba(255,255,255,0.85)",
    }  # fmt: skip


def differences(comparison: pd.DataFrame, *, order: Sequence[str] | None = None) -> Any:
    """Forest plot of paired differences with intervals; `comparison` comes from `comparison.compare`."""
    import plotly.graph_objects as go

    rows = comparison[comparison["difference"].notna()]
    if rows.empty:
        raise NothingToDraw("no figure of differences: fewer than two systems have scores for the same examples")
    names = [_duel(row) for _, row in rows.iterrows()]
    colours = system_colours([*rows["system"], *rows["other"]])
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": INK, "width": 1.2})
    for name, (_, row) in zip(names, rows.iterrows(), strict=True):
        sure = row["low"] > 0 or row["high"] < 0
        figure.add_trace(
            go.Scatter(
                x=[row["difference"]], y=[name], showlegend=False, mode="markers+text",
                error_x={**_whisker(row, "difference"), "color": colours[row["system"]]}, textfont={"size": 12},
                marker={"size": 11, "color": colours[row["system"]], "symbol": "circle" if sure else "circle-open"},
                hovertemplate=_forest_hover(row), text=[_signed(row["difference"])], textposition="top center",
            )
        )  # fmt: skip
    figure.update_xaxes(title_text="difference (on a scale of 0 to 1)", nticks=7)
    figure.update_traces(cliponaxis=False)
    subtitle = f"{title(str(rows['measure'].iloc[0]))}, paired, 95 % interval; hollow: may be zero"
    return _finish(figure, "Who is better, and by how much", subtitle, list(dict.fromkeys(names)), markup=True, row=48)


def statuses(table: pd.DataFrame) -> Any:
    """What became of every request, as shares; `table` comes from `comparison.status_table`."""
    import plotly.graph_objects as go

    if table.empty:
        raise NothingToDraw("no figure of statuses: there is no prediction yet")
    systems = sorted(set(table["system"]))
    figure = go.Figure()
    for status in [s for s in STATUS_COLOURS if s in set(table["status"])]:
        rows = table[table["status"] == status]
        figure.add_trace(
            go.Bar(
                x=100 * rows["share"], y=rows["system"], name=status.replace("_", " "), orientation="h",
                marker={"color": STATUS_COLOURS[status]}, customdata=rows["count"],
                text=[f"{share:.0%}" if share >= 0.06 else "" for share in rows["share"]], textposition="inside",
                insidetextanchor="middle", hovertemplate="%{y}: %{customdata} requests, %{x:.1f} %<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="stack", legend={"traceorder": "normal"})
    figure.update_xaxes(title_text="requests (%)", range=[0, 100])
    return _finish(figure, "What became of the requests", "an answer without a flow scores 0", systems, top=110)


def sizes(table: pd.DataFrame, fits: pd.DataFrame | None = None, measure: str = PRIMARY) -> Any:
    """Quality against the size of the reference flow; tables come from `sizes.by_size` and `sizes.fit`."""
    import plotly.graph_objects as go

    rows = table[table["mean"].notna()]
    if rows.empty:
        raise NothingToDraw(f"no figure of sizes: no example has a score for {title(measure)}")
    colours = system_colours(rows["system"])
    figure = go.Figure()
    for number, (system, group) in enumerate(rows.groupby("system", sort=True)):
        curve = pd.DataFrame() if fits is None else fits[fits["system"] == system]
        if not curve.empty:
            figure.add_traces(_band(curve, colours[system]))
        figure.add_trace(_legend_entry(str(system), colours[system]))
        shift = 1 + 0.02 * (number - (len(colours) - 1) / 2)
        figure.add_trace(
            go.Scatter(
                x=group["steps"] * shift, y=group["mean"], mode="markers", legendgroup=system, showlegend=False,
                error_y={**_whisker(group, "mean"), "color": colours[system]},
                marker={"size": 9, "color": colours[system], "symbol": _hollow(group["few"])},
                customdata=group[["n", "low", "high"]],
                hovertemplate="%{customdata[0]} examples: %{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})",
            )
        )  # fmt: skip
    figure.update_xaxes(title_text="components of the reference flow (count, logarithmic)", type="log", tickvals=_TICKS)
    figure.update_yaxes(title_text=_axis(measure), range=_unit_range(rows))
    figure.update_layout(height=480, margin={"t": 110})
    subtitle = "mean by size, 95 % interval; hollow: below 10 examples"
    return _heading(figure.update_layout(template=template()), "Quality as workflows grow", subtitle)


def errors(table: pd.DataFrame, *, top: int = 14) -> Any:
    """Share of answers with each kind of error, by system; columns system, category, title, rate, low, high."""
    import plotly.graph_objects as go

    rows = table if table.empty else table[table["rate"] > 0]
    if rows.empty:
        raise NothingToDraw("no figure of errors: no answer has a tag yet")
    common = rows.groupby("title")["rate"].max().sort_values(ascending=False).index[:top]
    colours = system_colours(rows["system"])
    figure = go.Figure()
    for system, group in rows[rows["title"].isin(common)].groupby("system", sort=True):
        figure.add_trace(
            go.Scatter(
                x=100 * group["rate"], y=group["title"], name=_text(system), mode="markers", orientation="h",
                offsetgroup=str(system),
                marker={"size": 10, "color": colours[system]},
                error_x={
                    "type": "data", "symmetric": False, "array": 100 * (group["high"] - group["rate"]),
                    "arrayminus": 100 * (group["rate"] - group["low"]), "thickness": 1.4, "width": 0,
                },
                hovertemplate="%{y}: %{x:.1f} %",
            )
        )  # fmt: skip
    figure.update_layout(scattermode="group", scattergap=0.45, legend={"traceorder": "reversed"})
    figure.update_xaxes(title_text="answers with this error (%)", rangemode="tozero")
    names = list(common)
    scale = max(1.0, 0.45 * len(colours))
    return _finish(figure, "What goes wrong", "share of answers, 95 % interval", names, row=_ROW * scale, top=110)


def grid(table: pd.DataFrame, heading: str, subtitle: str, *, across: str, down: str, unit: str = "") -> Any:
    """A square of numbers as shades, for confusion and co-occurrence; rows and columns are named by `table`."""
    import plotly.graph_objects as go

    if table.empty:
        raise NothingToDraw(f"no figure: nothing to show for {heading.lower()}")
    columns, rows = [_text(name) for name in table.columns], [_text(name) for name in table.index]
    cells = table.to_numpy(dtype=float)
    words = [[f"{value:.0f}{unit}" if value >= 0.5 else "" for value in row] for row in cells]
    figure = go.Figure(
        go.Heatmap(
            z=cells, x=columns, y=rows, text=words, texttemplate="%{text}", textfont={"size": 10}, xgap=1, ygap=1,
            colorscale=[[0, "#F4F7FA"], [1, PALETTE[0]]], showscale=False,
            hovertemplate=f"{down}: %{{y}}<br>{across}: %{{x}}<br>%{{z:.1f}}{unit}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(template=template(), height=210 + 21 * len(rows))
    figure.update_xaxes(title_text=across, tickangle=-50, side="bottom", showgrid=False)
    figure.update_yaxes(title_text=down, autorange="reversed", showgrid=False)
    return _heading(figure, heading, subtitle)


def _of_measure(summary: pd.DataFrame, measure: str) -> pd.DataFrame:
    rows = summary[(summary["measure"] == measure) & summary["mean"].notna()]
    if rows.empty:
        raise NothingToDraw(f"no figure of {title(measure)}: no answer has this score")
    return rows


def _ranked(rows: pd.DataFrame, order: Sequence[str] | None) -> list[str]:
    systems = list(rows.groupby("system")["mean"].mean().sort_values(ascending=False, kind="stable").index)
    return [s for s in order if s in systems] if order is not None else systems


def _dot(row: pd.DataFrame, value: str, system: str, colour: str) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        x=row[value], y=[_text(system)] * len(row), mode="markers+text", showlegend=False, name=_text(system),
        error_x={**_whisker(row, value), "color": colour},
        marker={"size": 12, "color": colour, "symbol": _hollow(row["few"])},
        text=[f"{v:.2f}" for v in row[value]], textposition="top center", textfont={"size": 12, "color": INK},
        customdata=row[["n", "low", "high"]],
        hovertemplate="%{x:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})<extra>n = %{customdata[0]}</extra>",
    )  # fmt: skip


def _legend_entry(system: str, colour: str) -> Any:
    import plotly.graph_objects as go

    marker = {"size": 9, "color": colour}
    return go.Scatter(x=[None], y=[None], name=_text(system), mode="markers", marker=marker, legendgroup=system)


def _band(curve: pd.DataFrame, colour: str) -> list[Any]:
    import plotly.graph_objects as go

    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    there, back = curve["steps"].tolist(), curve["steps"].tolist()[::-1]
    area = go.Scatter(
        x=there + back, y=curve["high"].tolist() + curve["low"].tolist()[::-1], fill="toself", mode="none",
        fillcolor=f"rgba({red},{green},{blue},0.12)", hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    line = go.Scatter(
        x=curve["steps"], y=curve["mean"], mode="lines", line={"color": colour, "width": 2}, hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip
    return [area, line]


def _whisker(row: pd.Series | pd.DataFrame, value: str) -> dict[str, Any]:
    """Error bars from low and high; an undefined interval draws none."""
    centre, low, high = (pd.Series(row[name]).fillna(0).tolist() for name in (value, "low", "high"))
    known = pd.Series(row["low"]).notna().tolist()
    up = [h - c if k else 0 for c, h, k in zip(centre, high, known, strict=True)]
    down = [c - w if k else 0 for c, w, k in zip(centre, low, known, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.8, "width": 0}


def _hollow(few: pd.Series) -> list[str]:
    return ["circle-open" if mark else "circle" for mark in few]


def _unit_range(rows: pd.DataFrame) -> list[float]:
    low = rows["low"].fillna(rows["mean"]).min()
    return [0 if low >= 0 else float(low) - 0.05, 1.04]


def _axis(measure: str) -> str:
    return _sentence(MEASURES[measure].axis if measure in MEASURES else title(measure))


def _count(rows: pd.DataFrame) -> str:
    low, high = int(rows["n"].min()), int(rows["n"].max())
    return f"{high} examples" if low == high else f"{low}–{high} examples"


def _forest_hover(row: pd.Series) -> str:
    numbers = f"{_signed(row['difference'])} ({_signed(row['low'])} to {_signed(row['high'])}), {row['n']} examples"
    return f"{_text(row['system'])} minus {_text(row['other'])}: {numbers}, p (Holm) {row['p_holm']:.3g}<extra></extra>"


def _signed(value: float) -> str:
    return "no interval" if value != value else f"{value:+.3f}".replace("-", "−")


def _duel(row: pd.Series) -> str:
    counts = f"{row['wins']} won, {row['ties']} tied, {row['losses']} lost"
    names = f"<b>{_text(row['system'])}</b> minus {_text(row['other'])}"
    return f"{names}<br><span style='color:{GREY};font-size:11px'>{counts}</span>"


def _text(value: object) -> str:
    """Plotly reads a small HTML in labels: names are escaped."""
    return html.escape(str(value), quote=False)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _finish(
    figure: Any, heading: str, subtitle: str, names: Sequence[str], *,
    row: float = _ROW, markup: bool = False, top: int = 72,
) -> Any:  # fmt: skip
    """Names down the side in the given order, a height that fits them, title and template."""
    labels = [name if markup else _text(name) for name in names]
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], range=[-0.7, len(labels) - 0.3])
    figure.update_layout(template=template(), height=round(top + 66 + row * max(2, len(labels))), margin={"t": top})
    return _heading(figure, heading, subtitle)


def _heading(figure: Any, heading: str, subtitle: str) -> Any:
    words = f"<b>{heading}</b><br><span style='font-size:12.5px;color:#5A6472'>{subtitle}</span>"
    return figure.update_layout(title={"text": words})
