"""What the figures of a study are drawn with: dots with whiskers, bands, labels, titles; names are escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import MEASURES, title
from flowstudy.review.theme import GREY, INK, template

ROW: Final = 34


class NothingToDraw(ValueError):
    """There is no figure; the message says what is missing and can be printed in its place."""


def dot(
    figure: Any, label: str, point: pd.Series, value: str, ink: str, words: str, *,
    hollow: bool = False, hover: str = "", **panel: int,
) -> None:  # fmt: skip
    """One row of a plot of dots: `point[value]` with its interval (low, high) beside `label`, `words` above it.

    `hover` is what the mouse shows ("": nothing); `panel` is `row` and `col` of a figure with several.
    """
    figure.add_scatter(
        x=[point[value]], y=[label], mode="markers+text", showlegend=False, cliponaxis=False,
        marker={"size": 11, "color": ink, "symbol": symbols([hollow])[0]},
        error_x={**whisker(point, value), "color": ink},
        text=[words], textposition="top center", textfont={"size": 12, "color": INK},
        hovertemplate=f"{hover}<extra></extra>" if hover else None, hoverinfo=None if hover else "skip", **panel,
    )  # fmt: skip


def whisker(row: pd.Series | pd.DataFrame, value: str) -> dict[str, Any]:
    """Error bars from low and high; an undefined interval draws none."""
    centre, low, high = (pd.Series(row[name]).fillna(0).tolist() for name in (value, "low", "high"))
    known = pd.Series(row["low"]).notna().tolist()
    up = [h - c if k else 0 for c, h, k in zip(centre, high, known, strict=True)]
    down = [c - w if k else 0 for c, w, k in zip(centre, low, known, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.8, "width": 0}


def symbols(hollow: Sequence[bool] | pd.Series) -> list[str]:
    """A hollow circle for each mark, else a full one."""
    return ["circle-open" if mark else "circle" for mark in hollow]


def is_sure(row: pd.Series) -> bool:
    """Whether the interval of a difference lies on one side of zero, on 10 examples or more."""
    return bool(row["low"] > 0 or row["high"] < 0) and not row.get("few", False)


def band(curve: pd.DataFrame, colour: str) -> list[Any]:
    """The line `mean` over `steps` with the area from low to high."""
    import plotly.graph_objects as go

    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    there, back = curve["steps"].tolist(), curve["steps"].tolist()[::-1]
    shared = {"hoverinfo": "skip", "showlegend": False}
    area = go.Scatter(
        x=there + back, y=curve["high"].tolist() + curve["low"].tolist()[::-1], fill="toself", mode="none",
        fillcolor=f"rgba({red},{green},{blue},0.12)", **shared,
    )  # fmt: skip
    line = go.Scatter(x=there, y=curve["mean"], mode="lines", line={"color": colour, "width": 2}, **shared)
    return [area, line]


def legend_entry(figure: Any, name: str, colour: str) -> None:
    """An entry of the legend without a point of its own."""
    marker = {"size": 9, "color": colour}
    figure.add_scatter(x=[None], y=[None], name=text(name), mode="markers", marker=marker, legendgroup=name)


def panel_title(words: str, place: int) -> dict[str, Any]:
    """The annotation that names a panel, in its upper left corner."""
    axis = "" if place == 1 else str(place)
    return {
        "text": words, "x": 0, "xref": "x domain", "xanchor": "left", "y": 1, "yref": f"y{axis} domain",
        "yanchor": "top", "showarrow": False, "font": {"size": 13}, "bgcolor": "rgba(255,255,255,0.85)",
    }  # fmt: skip


def label(name: str, below: str) -> str:
    """A name down the side with small words below it."""
    return f"<b>{text(name)}</b><br><span style='color:{GREY};font-size:11px'>{text(below)}</span>"


def text(value: object) -> str:
    """Plotly reads a small HTML in labels: names are escaped."""
    return html.escape(str(value), quote=False)


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def span(row: pd.Series, low: str = "low", high: str = "high", *, sign: bool = False) -> str:
    """An interval in words."""
    if row[low] != row[low]:
        return "no interval"
    return " to ".join(signed(row[end]) if sign else f"{row[end]:.3f}" for end in (low, high))


def count(rows: pd.DataFrame) -> str:
    """How many examples the rows stand on."""
    low, high = int(rows["n"].min()), int(rows["n"].max())
    return f"{high} examples" if low == high else f"{low}–{high} examples"


def sentence(words: str) -> str:
    """The words with a capital letter."""
    return words[:1].upper() + words[1:]


def axis_title(measure: str) -> str:
    """What an axis says of a measure."""
    return sentence(MEASURES[measure].axis if measure in MEASURES else title(measure))


def unit_range(rows: pd.DataFrame) -> list[float]:
    """The range of an axis from 0 to 1, or from the lowest interval."""
    low = rows["low"].fillna(rows["mean"]).min()
    return [0 if low >= 0 else float(low) - 0.05, 1.04]


def finish(figure: Any, heading: str, subtitle: str, labels: Sequence[str], *, row: float = ROW, top: int = 72) -> Any:
    """Labels down the side in the given order, a height that fits them, title and template."""
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], range=[-0.7, len(labels) - 0.3])
    figure.update_layout(height=round(top + 66 + row * max(2, len(labels))), margin={"t": top})
    return titled(figure, heading, subtitle)


def titled(figure: Any, heading: str, subtitle: str) -> Any:
    """The figure with its title, a line below it, and the template of the study."""
    words = f"<b>{heading}</b><br><span style='font-size:12.5px;color:#5A6472'>{subtitle}</span>"
    return figure.update_layout(title={"text": words}, template=template())
