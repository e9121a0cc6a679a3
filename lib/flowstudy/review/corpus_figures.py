"""Pictures of a corpus: how large the flows are, what they are built of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pandas as pd

from flowstudy.corpus.example import JUDGED, Example, Split
from flowstudy.corpus.features import SIZES, slices
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.theme import PALETTE, template

SPLITS = get_args(Split)
_BUCKETS = [*SIZES.values(), "31+"]


def counts_table(examples: Sequence[Example]) -> pd.DataFrame:
    """Examples per domain (rows) and split (columns), with their licences."""
    if not examples:
        return pd.DataFrame(columns=["domain", *SPLITS, "licence"])
    rows = pd.DataFrame([(e.domain, e.split, e.licence) for e in examples], columns=["domain", "split", "licence"])
    table = rows.pivot_table(index="domain", columns="split", values="licence", aggfunc="count", fill_value=0)
    table = table.reindex(columns=[s for s in SPLITS if s in table.columns])
    table["licence"] = rows.groupby("domain")["licence"].agg(lambda found: ", ".join(sorted(set(found) - {""})))
    return table.reset_index()


def slices_table(examples: Sequence[Example]) -> pd.DataFrame:
    """Examples per slice (size, flow logic, labels) and split; `few` marks slices under 10 outside training."""
    pairs = [(name, e.split) for e in examples for name in slices(e.features)]
    rows = pd.DataFrame(pairs, columns=["slice", "split"])
    table = pd.crosstab(rows["slice"], rows["split"]).reindex(columns=[s for s in SPLITS if s in set(rows["split"])])
    judged = [s for s in JUDGED if s in table.columns]
    table["few"] = table[judged].sum(axis=1) < 10 if judged else True
    return table.reset_index()


def sizes(examples: Sequence[Example]) -> Any:
    """Share of examples per size bucket, one line per split."""
    import plotly.graph_objects as go

    if not examples:
        raise NothingToDraw("no figure of sizes: the corpus is empty")
    rows = pd.DataFrame([(e.split, e.features["size"]) for e in examples], columns=["split", "size"])
    figure = go.Figure()
    for number, split in enumerate(s for s in SPLITS if s in set(rows["split"])):
        share = rows[rows["split"] == split]["size"].value_counts(normalize=True).reindex(_BUCKETS, fill_value=0)
        figure.add_bar(x=_BUCKETS, y=share * 100, name=split, marker_color=PALETTE[number])
    figure.update_layout(template=template(), title="How large the flows are", barmode="group", height=380,
                         xaxis_title="steps in the reference flow", yaxis_title="share of the split (%)")  # fmt: skip
    return figure


def constructs(table: pd.DataFrame) -> Any:
    """How often each slice of `slices_table` occurs in the judged splits; slices under 10 are hollow."""
    import plotly.graph_objects as go

    judged = [s for s in ("validation", *JUDGED) if s in table.columns]
    rows = table[table[judged].sum(axis=1) > 0] if judged else table.head(0)
    if rows.empty:
        raise NothingToDraw("no figure of constructs: no example outside the training split")
    figure = go.Figure()
    for split in judged:
        figure.add_bar(y=rows["slice"], x=rows[split], name=split, orientation="h",
                       marker_color=PALETTE[SPLITS.index(split)])  # fmt: skip
    figure.update_layout(
        template=template(),
        title="What the judged examples contain",
        barmode="stack",
        height=160 + 20 * len(rows),
        xaxis_title="examples",
        yaxis={"autorange": "reversed"},
    )
    return figure
