"""How scores spread, and how far the published and the strict convention lie apart, answer by answer."""

from __future__ import annotations

import html
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.measures import PRIMARY
from flowstudy.review.figures import NothingToDraw
from flowstudy.review.theme import PALETTE, template

PUBLISHED: Final = "flow_sim_with_inputs"
_NAMES: Final = {"published": "published convention", "strict": "strict convention"}


def convention_gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per scored answer: `published` and `strict` FlowSim with inputs, and `gap` = published - strict.

    `scores` is the table of `analysis.scores`. The strict score is against the first reference, as the published one
    always is, so that the gap comes from the convention alone. Sorted by gap, the largest first; empty without scores.
    """
    wanted = {PUBLISHED: "published", "strict_first_reference": "strict"}
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
    for (column, name), colour in zip(_NAMES.items(), PALETTE[:2], strict=True):
        figure.add_trace(
            go.Box(
                x=gaps[column], y=[html.escape(str(system), quote=False) for system in gaps["system"]], name=name,
                orientation="h", marker={"color": colour, "size": 4, "opacity": 0.5}, boxpoints="all", jitter=0.6,
                pointpos=0, line={"width": 1.5},
            )
        )  # fmt: skip
    figure.update_xaxes(title_text=f"FlowSim with inputs, first reference (0 to 1; decisions use {PRIMARY})")
    systems = gaps["system"].nunique()
    heading = (
        "<b>How the scores spread</b><br><span style='font-size:12.5px'>one dot per answer, both conventions</span>"
    )
    return figure.update_layout(
        template=template(), boxmode="group", height=170 + 70 * systems, margin={"t": 110}, title={"text": heading}
    )
