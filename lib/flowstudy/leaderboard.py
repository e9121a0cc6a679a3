"""Leaderboards over a sweep: one per corpus and judged split, configurations ranked by what their cells scored."""

from __future__ import annotations

from typing import Any, NamedTuple

from flowstudy.analysis.measures import MEASURES, PRIMARY
from flowstudy.corpus.example import JUDGED
from flowstudy.run_folder import Run


class Board(NamedTuple):
    """A ranked table: columns and rows of plain values, best first."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def leaderboards(home: Run) -> list[Board]:
    """The boards of a sweep, or of a plain run; none before anything was scored.

    Cells that differ in their seed only are one configuration: its mean over seeds, with the lowest and highest.
    """
    import pandas as pd

    tables = []
    for place, member in (home.read("members.json") or {}).items():
        path = home.path / place / "summary.csv"
        if path.is_file():
            values = {"corpora": "", **member.get("values", {})}
            name = ", ".join(f"{axis} {value}" for axis, value in values.items() if axis not in ("corpora", "seeds"))
            tables.append(pd.read_csv(path).assign(configuration=name, corpus=values["corpora"]))
    if not tables:
        return []
    found = pd.concat(tables, ignore_index=True)
    found = found[found["split"].isin(JUDGED)].sort_values("split", key=lambda s: s.map(JUDGED.index), kind="stable")
    return [_board(group, *map(str, key)) for key, group in found.groupby(["corpus", "split"], sort=False)]


def _board(group: Any, corpus: str, split: str) -> Board:
    keys = ["configuration", "system"]
    scores = group[group["measure"] == PRIMARY].groupby(keys)["mean"].agg(["mean", "min", "max", "count"])
    examples = group[group["measure"] == PRIMARY].groupby(keys)["n"].sum()
    usage = {name: group[group["measure"] == name].groupby(keys)["mean"].mean() for name in ("cost_usd", "latency_s")}
    ranked = scores.sort_values(["mean"], ascending=False, kind="stable")
    rows = [
        [
            str(place), *map(str, key), f"{row['mean']:.3f}", f"{row['min']:.3f} to {row['max']:.3f}",
            f"{row['count']:.0f}", str(examples[key]), *(_figure(usage[name].get(key)) for name in usage),
        ]
        for place, (key, row) in enumerate(ranked.iterrows(), start=1)
    ]  # fmt: skip
    columns = ["rank", "configuration", "system", MEASURES[PRIMARY].title, "over seeds", "cells", "examples",
               "US dollars per request", "seconds per request"]  # fmt: skip
    return Board(f"{split}{f' of {corpus}' if corpus else ''}", columns, rows)


def _figure(value: Any) -> str:
    return "not known" if value is None or value != value else f"{value:.4g}"
