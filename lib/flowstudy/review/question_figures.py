"""The pictures behind the published study's questions: arms of a system, the lead by slice, published beside ours, and
what fine-tuning depends on.

Like `review.figures`: each takes a table of `analysis.questions` or `analysis.training_arms`; nothing to draw raises
NothingToDraw.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import OUTLINE, PRIMARY, title
from flowstudy.analysis.statistics import FEW
from flowstudy.analysis.training_arms import NOT_RUN
from flowstudy.corpus.example import SPLIT_TITLES
from flowstudy.review import drawing
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.theme import GREY, INK, PALE, PALETTE, system_colours

#: Words for the arms of each setting.
ARM_WORDS: Final = {
    "none": "no retriever", "lexical": "lexical retriever", "trained": "trained retriever",
    "oracle": "perfect retriever", "whole": "whole flow at once", "decomposed": "outline, then inputs",
    "0": "no example shown", "1": "1 example shown", "3": "3 examples shown", "free": "written freely",
    "grammar": "held to a grammar", "schema": "held to a JSON Schema",
    "": "all labels", "implicit_step": "no labels of implicit steps",
    "implicit_condition": "no labels of implicit conditions", "enterprise_step": "no enterprise steps labelled",
}  # fmt: skip
#: Measures of the curve: what each is called, its colour, and how far it is moved aside so that whiskers do not meet.
_LINES: Final = {OUTLINE: ("without inputs", PALETTE[4], 0.98), PRIMARY: ("with inputs", PALETTE[0], 1.02)}


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
        ends = drawing.span(row, "difference_low", "difference_high", sign=True)
        below = "the base" if row["system"] == row["group"] else f"{drawing.signed(row['difference'])} ({ends})"
        names.append(drawing.label(f"{row['group']}: {ARM_WORDS.get(row['arm'], row['arm'])}", below))
        words, hollow = f"{row['mean']:.3f}", row["few"] or row["arm"] == "oracle"
        hover = f"{words} ({drawing.span(row)})"
        drawing.dot(figure, names[-1], row, "mean", colours[row["group"]], words, hollow=hollow, hover=hover)
    figure.update_xaxes(title_text=drawing.axis_title(measure), range=[min(-0.03, drawing.unit_range(rows)[0]), 1.04])
    subtitle = "mean, 95 % interval; below each name the paired difference from the base; hollow: a bound"
    return drawing.finish(figure, heading, subtitle, names, row=50)


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
        names.append(drawing.label(str(row["slice"]), f"n = {int(row['n'])}"))
        ink, gap = colours[system if row["difference"] >= 0 else other], drawing.signed(row["difference"])
        hover = f"{gap} ({drawing.span(row)})"
        drawing.dot(figure, names[-1], row, "difference", ink, gap, hollow=not drawing.is_sure(row), hover=hover)
    duel = f"{drawing.text(system)} minus {drawing.text(other)}"
    figure.update_xaxes(title_text=f"{title(str(rows['measure'].iloc[0]))}: {duel}")
    subtitle = f"{duel}, 95 % interval; hollow: may be zero, or below 10 examples"
    return drawing.finish(figure, "Where the lead comes from", subtitle, names, row=40)


def published(table: pd.DataFrame) -> Any:
    """Relative differences in percent: the published study's as grey diamonds, ours with intervals; another data set.

    `table` is `questions.beside_published`; findings without a figure on either side are left out.
    """
    import plotly.graph_objects as go

    rows = table[table["percent"].notna()].rename(columns={"percent_low": "low", "percent_high": "high"})
    if rows.empty:
        raise NothingToDraw("no figure beside the published one: this run measured none of its findings")
    figure, names = go.Figure(), []
    figure.add_vline(x=0, line={"color": INK, "width": 1.2})
    for _, row in rows.iterrows():
        names.append(drawing.label(str(row["finding"]), f"published: {row['published']}; here n = {int(row['n'])}"))
        words = f"{drawing.signed(row['percent'], 1)} %"
        drawing.dot(figure, names[-1], row, "percent", PALETTE[0], words, hollow=row["n"] < FEW)
    marker = {"size": 11, "color": GREY, "symbol": "diamond"}
    figure.add_scatter(x=rows["published_percent"], y=names, mode="markers", showlegend=False, hoverinfo="skip",
                       marker=marker)  # fmt: skip
    figure.update_xaxes(title_text="relative difference in FlowSim (%)")
    subtitle = "blue: this run, 95 % interval, hollow below 10 examples; grey diamonds: published, ANOTHER data set"
    return drawing.finish(figure, "Published and ours", subtitle, names, row=50)


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
        figure.add_annotation(drawing.panel_title(f"<b>{SPLIT_TITLES[split]}</b> · {drawing.count(panel)}", row))
    for name, ink, _ in _LINES.values():
        drawing.legend_entry(figure, name, ink)
    most = float(table[["mean", "high"]].max().max())
    figure.update_yaxes(range=[0, min(1.04, 1.3 * most)], title_text="FlowSim (0 to 1)")
    figure.update_xaxes(type="log", tickvals=list(places.values()), ticktext=[f"{size:,}" for size in sizes])
    axis = f"training examples ({'logarithmic; 0: untrained, prompted' if 0 in sizes else 'count, logarithmic'})"
    figure.update_xaxes(title_text=axis, row=len(splits))
    figure.update_layout(height=180 + 220 * len(splits), margin={"t": 110})
    subtitle = "strict FlowSim, mean, 95 % interval; strokes: best and worst of several trainings"
    return drawing.titled(figure, "What more training examples give", subtitle)


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
        x=x, y=rows["mean"], mode="markers", error_y={**drawing.whisker(rows, "mean"), "color": ink}, showlegend=False,
        marker={"size": 9, "color": ink, "symbol": drawing.symbols(rows["few"])}, cliponaxis=False,
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
        names.append(drawing.label(row["differs"], f"{row['system']}, trained on {row['training_examples']:,}"))
        gap = drawing.signed(row["difference"])
        hover = f"{gap} ({drawing.span(row)})"
        drawing.dot(figure, names[-1], row, "difference", PALETTE[0], gap, hollow=not drawing.is_sure(row), hover=hover)
    base = drawing.text(rows["other"].iloc[0])
    figure.update_xaxes(title_text=f"{title(str(rows['measure'].iloc[0]))}: difference from {base}", nticks=7)
    band = "; grey: between trainings with other seeds" if apart else ""
    subtitle = f"minus {base}, paired, {drawing.count(rows)}, 95 % interval; hollow: may be zero{band}"
    return drawing.finish(figure, "What fine-tuning depends on", subtitle, names, row=48)
