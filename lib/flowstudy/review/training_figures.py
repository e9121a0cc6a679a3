"""The picture of a training: loss and validation FlowSim over the steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from flowstudy.review.figures import NothingToDraw
from flowstudy.review.theme import PALETTE, template


def read_curve(path: Path) -> pd.DataFrame:
    """`curve.jsonl` of a training: step, loss, flowsim (NaN where a line has none); empty without a file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return pd.DataFrame([json.loads(line) for line in lines]).reindex(columns=["step", "loss", "flowsim"])


def training(curve: pd.DataFrame) -> Any:
    """Loss above, validation FlowSim below, one shared axis of steps. Raises NothingToDraw for an empty curve."""
    from plotly.subplots import make_subplots

    if curve.empty:
        raise NothingToDraw("no figure of training: nothing was trained")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    for row, name, mode, title in ((1, "loss", "lines", "loss per token (nats)"),
                                   (2, "flowsim", "lines+markers", "validation FlowSim (0 to 1)")):  # fmt: skip
        part = curve[curve[name].notna()]
        figure.add_scatter(x=part["step"], y=part[name], mode=mode, row=row, col=1, line={"color": PALETTE[row - 1]})
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_xaxes(title_text="updates", row=2, col=1)
    figure.update_layout(template=template(), title="Fine-tuning the small model", showlegend=False, height=520)
    return figure
