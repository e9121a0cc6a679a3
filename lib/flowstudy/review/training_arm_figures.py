"""The pictures of what fine-tuning depends on: the learning curve, and every variant against `slm/tuned`.

Tables come from `analysis.training_arms`; nothing to draw raises NothingToDraw.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import OUTLINE, PRIMARY, title
from flowstudy.analysis.training_arms import NOT_RUN
from flowstudy.corpus.example import SPLIT_TITLES
from flowstudy.review.figures import (
    NothingToDraw,
    _count,
    _finish,
    _heading,
    _hollow,
    _legend_entry,
    _panel_title,
    _text,
    _whisker,
)  # fmt: skip
from flowstudy.review.question_figures import _label, _signed, _span
from flowstudy.review.theme import INK, PALE, PALETTE, template

#: Measures of the curve: what each is called, its colour, and how far it is moved aside so that whiskers do not meet.
_LINES: Final = {OUTLINE: ("without inputs", PALETTE[4], 0.98), PRIMARY: ("with inputs", PALETTE[0], 1.02)}


def learning_curve(table: pd.DataFrame) -> Any:
    """Strict FlowSim over the number of training examples, a panel per split; short strokes are the best and the worst
    of several trainings."""
    from plotly.subplots import make_subplots

    if table.empty:
        raise NothingToDraw(f"no learning curve: models trained on two numbers of examples are needed; {NOT_RUN}")
    splits = [split for split in SPLIT_TITLES if split in set(table["split"])]
    sizes = sorted(set(table["training_examples"]))
    places = {size: size or next(filter(None, sizes)) / 3 for size in sizes}
    figure = make_subplots(len(splits), 1, shared_xaxes=True, vertical_spacing=0.09)
    for row, split in enumerate(splits, start=1):
        panel = table[table["split"] == split].sort_values("training_examples")
        for measure, (_, ink, aside) in _LINES.items():
            part = panel[panel["measure"] == measure]
            figure.add_traces(_line(part, part["training_examples"].map(places) * aside, ink), row, 1)
        figure.add_annotation(_panel_title(f"<b>{SPLIT_TITLES[split]}</b> · {_count(panel)}", row))
    for name, ink, _ in _LINES.values():
        figure.add_trace(_legend_entry(name, ink))
    most = float(table[["mean", "high"]].max().max())
    figure.update_yaxes(range=[0, min(1.04, 1.3 * most)], title_text="FlowSim (0 to 1)")
    figure.update_xaxes(type="log", tickvals=list(places.values()), ticktext=[f"{size:,}" for size in sizes])
    axis = f"training examples ({'logarithmic; 0: untrained, prompted' if 0 in sizes else 'count, logarithmic'})"
    figure.update_xaxes(title_text=axis, row=len(splits))
    figure.update_layout(template=template(), height=180 + 220 * len(splits), margin={"t": 110})
    subtitle = "strict FlowSim, mean, 95 % interval; strokes: best and worst of several trainings"
    return _heading(figure, "What more training examples give", subtitle)


def _line(rows: pd.DataFrame, x: pd.Series, ink: str) -> list[Any]:
    """Points with whiskers, joined; dotted to the untrained model, which is asked in another way."""
    import plotly.graph_objects as go

    trained, shared = rows["training_examples"] > 0, {"hoverinfo": "skip", "showlegend": False}
    parts = {"solid": trained, "dot": trained.cumsum() <= 1}
    joined = [
        go.Scatter(
            x=x[part], y=rows.loc[part, "mean"], mode="lines", line={"color": ink, "width": 2, "dash": dash}, **shared
        )
        for dash, part in parts.items()
    ]  # fmt: skip
    several = rows[rows["trainings"] > 1]
    strokes = go.Scatter(
        x=[*x[several.index], *x[several.index]], y=[*several["lowest"], *several["highest"]], mode="markers",
        marker={"symbol": "line-ew-open", "size": 16, "color": ink, "line": {"width": 1.5}}, **shared,
    )  # fmt: skip
    points = go.Scatter(
        x=x, y=rows["mean"], mode="markers", error_y={**_whisker(rows, "mean"), "color": ink}, showlegend=False,
        marker={"size": 9, "color": ink, "symbol": _hollow(rows["few"])}, cliponaxis=False,
        customdata=rows[["training_examples", "n", "low", "high"]],
        hovertemplate="%{customdata[0]:,} training examples: %{y:.3f} (%{customdata[2]:.3f} to %{customdata[3]:.3f}), "
                      "n = %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    return [*joined, strokes, points]


def effects(table: pd.DataFrame, chance: pd.DataFrame) -> Any:
    """Forest of every variant minus `slm/tuned`; a grey band where `chance_in_training` says how far trainings lie
    apart by chance."""
    import plotly.graph_objects as go

    if table.empty or table["difference"].isna().all():
        raise NothingToDraw(f"no figure of ways to train: {NOT_RUN}")
    rows, names, figure = table[table["difference"].notna()], [], go.Figure()
    apart = 0.0 if chance.empty else float(chance["apart"].iloc[-1])
    if apart:
        figure.add_vrect(x0=-apart, x1=apart, fillcolor=PALE, opacity=0.8, line_width=0, layer="below")
    figure.add_vline(x=0, line={"color": INK, "width": 1.2})
    for _, row in rows.iterrows():
        names.append(_label(row["differs"], f"{row['system']}, trained on {row['training_examples']:,}"))
        sure = (row["low"] > 0 or row["high"] < 0) and not row["few"]
        figure.add_trace(go.Scatter(
            x=[row["difference"]], y=[names[-1]], mode="markers+text", text=[_signed(row["difference"])],
            error_x={**_whisker(row, "difference"), "color": PALETTE[0]}, textposition="top center", showlegend=False,
            marker={"size": 11, "color": PALETTE[0], "symbol": "circle" if sure else "circle-open"}, cliponaxis=False,
            textfont={"size": 12}, hovertemplate=f"{_signed(row['difference'])} ({_span(row, '')})<extra></extra>",
        ))  # fmt: skip
    base = _text(rows["other"].iloc[0])
    figure.update_xaxes(title_text=f"{title(str(rows['measure'].iloc[0]))}: difference from {base}", nticks=7)
    band = "; grey: between trainings with other seeds" if apart else ""
    subtitle = f"minus {base}, paired, {_count(rows)}, 95 % interval; hollow: may be zero{band}"
    return _finish(figure, "What fine-tuning depends on", subtitle, names, markup=True, row=48)
