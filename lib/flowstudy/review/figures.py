"""The pictures of a study, each drawn from a saved table: dots and whiskers, no bar hides an interval.

Every function takes a table of `flowstudy.analysis` and gives a Plotly figure in the study's template. Nothing to
draw raises NothingToDraw with the sentence to print instead of an empty chart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import PRIMARY, title
from flowstudy.corpus.example import SPLIT_TITLES
from flowstudy.review import drawing
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.theme import INK, PALETTE, STATUS_COLOURS, VERDICT_COLOURS, system_colours

_TICKS: Final = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300)
#: The figure of errors shows so many kinds, the most frequent.
_KINDS: Final = 14
_PUBLISHED: Final = "flow_sim_with_inputs"


def scores(summary: pd.DataFrame, measure: str = PRIMARY) -> Any:
    """Mean and interval per system, one panel per split. `summary` comes from `comparison.summarise(by=("split",))`."""
    from plotly.subplots import make_subplots

    rows = summary[(summary["measure"] == measure) & summary["mean"].notna()]
    if rows.empty:
        raise NothingToDraw(f"no figure of {title(measure)}: no answer has this score")
    splits = [s for s in SPLIT_TITLES if s in set(rows["split"])] or sorted(set(rows["split"]))
    systems = list(rows.groupby("system")["mean"].mean().sort_values(ascending=False, kind="stable").index)
    gap = 0.5 / (len(splits) * (len(systems) + 1.5))
    figure = make_subplots(len(splits), 1, shared_xaxes=True, vertical_spacing=gap)
    colours = system_colours(systems)
    for place, split in enumerate(splits, start=1):
        part = rows[rows["split"] == split]
        for _, row in part.iterrows():
            shown = {"hollow": row["few"], "hover": f"{row['mean']:.3f} ({drawing.span(row)}), n = {row['n']}"}
            words, ink = f"{row['mean']:.2f}", colours[row["system"]]
            drawing.dot(figure, drawing.text(row["system"]), row, "mean", ink, words, **shown, row=place, col=1)
        figure.add_annotation(
            drawing.panel_title(f"<b>{SPLIT_TITLES.get(split, split)}</b> · {drawing.count(part)}", place)
        )
    figure.update_xaxes(range=drawing.unit_range(rows))
    figure.update_xaxes(title_text=drawing.axis_title(measure), row=len(splits))
    heading = f"{drawing.sentence(title(measure))} by system"
    drawing.finish(figure, heading, "mean over examples, 95 % interval", [drawing.text(system) for system in systems])
    figure.update_yaxes(range=[-0.6, len(systems) + 0.3])
    return figure.update_layout(height=round(138 + len(splits) * drawing.ROW * (len(systems) + 1.2)))


def differences(comparison: pd.DataFrame) -> Any:
    """Forest plot of paired differences with intervals; `comparison` comes from `comparison.compare`."""
    import plotly.graph_objects as go

    rows = comparison[comparison["difference"].notna()]
    if rows.empty:
        raise NothingToDraw("no figure of differences: fewer than two systems have scores for the same examples")
    colours, figure, names = system_colours([*rows["system"], *rows["other"]]), go.Figure(), []
    figure.add_vline(x=0, line={"color": INK, "width": 1.2})
    for _, row in rows.iterrows():
        won = f"{row['wins']} won, {row['ties']} tied, {row['losses']} lost"
        names.append(drawing.label(f"{row['system']} minus {row['other']}", won))
        gap, ink = drawing.signed(row["difference"]), colours[row["system"]]
        hover = f"{gap} ({drawing.span(row, sign=True)}), {row['n']} examples, p (Holm) {row['p_holm']:.3g}"
        drawing.dot(
            figure, names[-1], row, "difference", ink, gap, hollow=not drawing.is_sure(row.drop("few")), hover=hover
        )
    figure.update_xaxes(title_text="difference (on a scale of 0 to 1)", nticks=7)
    subtitle = f"{title(str(rows['measure'].iloc[0]))}, paired, 95 % interval; hollow: may be zero"
    return drawing.finish(figure, "Who is better, and by how much", subtitle, names, row=48)


def statuses(table: pd.DataFrame) -> Any:
    """What became of every request, as shares; `table` comes from `comparison.status_table`."""
    import plotly.graph_objects as go

    if table.empty:
        raise NothingToDraw("no figure of statuses: there is no prediction yet")
    figure = go.Figure()
    for status in [s for s in STATUS_COLOURS if s in set(table["status"])]:
        rows = table[table["status"] == status]
        figure.add_bar(
            x=100 * rows["share"], y=rows["system"].map(drawing.text), name=status.replace("_", " "), orientation="h",
            marker={"color": STATUS_COLOURS[status]}, customdata=rows["count"],
            text=[f"{share:.0%}" if share >= 0.06 else "" for share in rows["share"]], textposition="inside",
            insidetextanchor="middle", hovertemplate="%{y}: %{customdata} requests, %{x:.1f} %<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", legend={"traceorder": "normal"})
    figure.update_xaxes(title_text="requests (%)", range=[0, 100])
    systems = sorted(map(drawing.text, set(table["system"])))
    return drawing.finish(figure, "What became of the requests", "an answer without a flow scores 0", systems, top=110)


def sizes(table: pd.DataFrame, fits: pd.DataFrame, measure: str = PRIMARY) -> Any:
    """Quality against the size of the reference flow; tables come from `sizes.by_size` and `sizes.fit`."""
    import plotly.graph_objects as go

    rows = table[table["mean"].notna()]
    if rows.empty:
        raise NothingToDraw(f"no figure of sizes: no example has a score for {title(measure)}")
    colours, figure = system_colours(rows["system"]), go.Figure()
    for number, (system, group) in enumerate(rows.groupby("system", sort=True)):
        curve = fits[fits["system"] == system]
        if not curve.empty:
            figure.add_traces(drawing.band(curve, colours[system]))
        drawing.legend_entry(figure, str(system), colours[system])
        shift = 1 + 0.02 * (number - (len(colours) - 1) / 2)
        figure.add_scatter(
            x=group["steps"] * shift, y=group["mean"], mode="markers", legendgroup=system, showlegend=False,
            error_y={**drawing.whisker(group, "mean"), "color": colours[system]},
            marker={"size": 9, "color": colours[system], "symbol": drawing.symbols(group["few"])},
            customdata=group[["n", "low", "high"]],
            hovertemplate="%{customdata[0]} examples: %{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})",
        )  # fmt: skip
    figure.update_xaxes(title_text="components of the reference flow (count, logarithmic)", type="log", tickvals=_TICKS)
    figure.update_yaxes(title_text=drawing.axis_title(measure), range=drawing.unit_range(rows))
    figure.update_layout(height=480, margin={"t": 110})
    return drawing.titled(figure, "Quality as workflows grow", "mean by size, 95 % interval; hollow: below 10 examples")


def errors(table: pd.DataFrame) -> Any:
    """Share of answers with each kind of error, by system; columns system, category, title, rate, low, high."""
    rows = table if table.empty else table[table["rate"] > 0]
    if rows.empty:
        raise NothingToDraw("no figure of errors: no answer has a tag yet")
    common = rows.groupby("title")["rate"].max().sort_values(ascending=False).index[:_KINDS]
    shown = rows[rows["title"].isin(common)].sort_values("system", kind="stable").rename(columns={"rate": "share"})
    shown = shown.assign(down=shown["title"].map(drawing.text), apart=shown["system"])
    colours = system_colours(rows["system"])
    return _shares(shown, colours, list(map(drawing.text, common)), "What goes wrong", "answers with this error (%)")


def verdicts(shares: pd.DataFrame) -> Any:
    """How many answers are right, nearly right, to be reworked or no flow; `shares` comes from
    `rightness.verdict_shares(by=("split",))`. Verdicts that nobody got are left out."""
    rows = shares[shares["verdict"].isin(shares.loc[shares["share"] > 0, "verdict"])]
    if rows.empty:
        raise NothingToDraw("no figure of verdicts: there is no answer yet")
    names = [drawing.label(s, SPLIT_TITLES.get(p, p)) for s, p in zip(rows["system"], rows["split"], strict=True)]
    shown = rows.assign(down=names, apart=rows["title"])
    colours = {row.title: VERDICT_COLOURS[str(row.verdict)] for row in rows.itertuples()}
    return _shares(shown, colours, list(dict.fromkeys(names)), "How many answers are right?", "answers (%)")


def _shares(rows: pd.DataFrame, colours: Mapping[Any, str], names: Sequence[str], heading: str, axis: str) -> Any:
    """Shares with whiskers, `down` the side by `names`, one dot for each of what is told `apart` by colour."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for key, group in rows.assign(**100 * rows[["share", "low", "high"]]).groupby("apart", sort=False):
        figure.add_scatter(
            x=group["share"], y=group["down"], name=drawing.text(key), mode="markers", orientation="h",
            offsetgroup=str(key), marker={"size": 10, "color": colours[key]},
            error_x=drawing.whisker(group, "share"), hovertemplate="%{y}: %{x:.1f} %",
        )  # fmt: skip
    figure.update_layout(scattermode="group", scattergap=0.45, legend={"traceorder": "reversed"})
    figure.update_xaxes(title_text=axis, rangemode="tozero")
    height = drawing.ROW * max(1.0, 0.45 * len(colours))
    return drawing.finish(figure, heading, "share of answers, 95 % interval", names, row=height, top=110)


def grid(table: pd.DataFrame, heading: str, subtitle: str, *, across: str, down: str) -> Any:
    """A square of numbers as shades, for confusion and co-occurrence; rows and columns are named by `table`."""
    import plotly.graph_objects as go

    if table.empty:
        raise NothingToDraw(f"no figure: nothing to show for {heading.lower()}")
    cells = table.to_numpy(dtype=float)
    figure = go.Figure()
    figure.add_heatmap(
        z=cells, x=list(map(drawing.text, table.columns)), y=list(map(drawing.text, table.index)), xgap=1, ygap=1,
        text=[[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in cells], texttemplate="%{text}",
        textfont={"size": 10}, colorscale=[[0, "#F4F7FA"], [1, PALETTE[0]]], showscale=False,
        hovertemplate=f"{down}: %{{y}}<br>{across}: %{{x}}<br>%{{z:.1f}}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(height=210 + 21 * len(table))
    figure.update_xaxes(title_text=across, tickangle=-50, side="bottom", showgrid=False)
    figure.update_yaxes(title_text=down, autorange="reversed", showgrid=False)
    return drawing.titled(figure, heading, subtitle)


def convention_gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per scored answer: `published` and `strict` FlowSim with inputs, and `gap` = published - strict.

    `scores` is the table of `analysis.scores`. The strict score is against the first reference, as the published one
    always is, so that the gap comes from the convention alone. Sorted by gap, the largest first; empty without scores.
    """
    wanted = {_PUBLISHED: "published", "strict_first_reference": "strict"}
    rows = scores[scores["measure"].isin(list(wanted))].assign(measure=lambda t: t["measure"].map(wanted))
    keys = ["system", "split", "example", "repeat", "status"]
    table = rows.pivot_table(index=keys, columns="measure", values="value").reindex(columns=list(wanted.values()))
    table = table.dropna().assign(gap=lambda t: t["published"] - t["strict"]).reset_index()
    table.columns.name = None
    return table.sort_values(["gap", *keys], ascending=[False, *(True for _ in keys)], ignore_index=True)


def conventions(gaps: pd.DataFrame) -> Any:
    """The distribution of both conventions' scores per system; `gaps` comes from `convention_gaps`.

    Boxes hold the middle half, the line the median; every answer is a dot.
    """
    import plotly.graph_objects as go

    if gaps.empty:
        raise NothingToDraw("no figure of the conventions: no answer has been scored yet")
    figure = go.Figure()
    for column, ink in zip(("published", "strict"), PALETTE, strict=False):
        figure.add_box(
            x=gaps[column], y=gaps["system"].map(drawing.text), name=f"{column} convention", orientation="h",
            marker={"color": ink, "size": 4, "opacity": 0.5}, boxpoints="all", jitter=0.6, pointpos=0,
            line={"width": 1.5},
        )  # fmt: skip
    figure.update_xaxes(title_text=f"FlowSim with inputs, first reference (0 to 1; decisions use {PRIMARY})")
    figure.update_layout(boxmode="group", height=170 + 70 * gaps["system"].nunique(), margin={"t": 110})
    return drawing.titled(figure, "How the scores spread", "one dot per answer, both conventions")


def read_curve(path: Path) -> pd.DataFrame:
    """`curve.jsonl` of a training: step, loss, flowsim (NaN where a line has none); empty without a file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return pd.DataFrame([json.loads(line) for line in lines]).reindex(columns=["step", "loss", "flowsim"])


def training(curve: pd.DataFrame) -> Any:
    """Loss above, validation FlowSim below, one shared axis of steps; `curve` comes from `read_curve`."""
    from plotly.subplots import make_subplots

    if curve.empty:
        raise NothingToDraw("no figure of training: nothing was trained")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    panels = (("loss", "lines", "loss per token (nats)"), ("flowsim", "lines+markers", "validation FlowSim (0 to 1)"))
    for row, (name, mode, axis) in enumerate(panels, start=1):
        part = curve[curve[name].notna()]
        figure.add_scatter(x=part["step"], y=part[name], mode=mode, row=row, col=1, line={"color": PALETTE[row - 1]})
        figure.update_yaxes(title_text=axis, row=row, col=1)
    figure.update_xaxes(title_text="updates", row=2, col=1)
    figure.update_layout(showlegend=False, height=520)
    return drawing.titled(figure, "Fine-tuning the small model", "loss of the training, and validation as it went on")
