"""Time FlowSim against zss, apted and the published pipeline on the same trees, in one run.

    python -m tests.benchmarks.flowsim            # a few minutes; writes figures/bench_flowsim.{csv,json,png} and more
    python -m tests.benchmarks.flowsim --quick    # sizes up to 50, about twenty seconds
    python -m tests.benchmarks.flowsim --out DIR  # writes there instead of figures/

Kernel rows take ready trees; text rows take JSON text and give both FlowSim modes. `related` candidates are references
with a few mistakes, `unrelated` ones other flows. Every time is the best of several rounds over the same pairs, on one
thread; every distance is checked against zss. The single figures go to figures/bench_flowsim_single.csv.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import apted
import numpy as np
import pandas as pd

from flowstudy.metrics import flow_similarity, kernel, published_similarities, score_pairs
from flowstudy.metrics.desks import published_desk
from flowstudy.metrics.limits import MAX_CELLS
from flowstudy.metrics.published_tree import published_tree
from flowstudy.review.pictures import save_figure
from tests.benchmarks.flow_maker import make_candidate, make_flow, size
from tests.metrics import oracle

Pair = tuple[dict[str, Any], dict[str, Any]]
#: Nodes per tree -> (pairs for us, pairs for the slow ones).
SIZES = {10: (400, 60), 20: (400, 60), 50: (200, 8), 100: (100, 3), 200: (40, 1)}


class AptedCosts(apted.Config):
    """The published costs, for apted."""

    def rename(self, first: Any, second: Any) -> int:
        return oracle.relabel(first, second)

    def delete(self, node: Any) -> int:
        return oracle.single(node)

    insert = delete

    def children(self, node: Any) -> list[Any]:
        return node.children


def make_pairs(nodes: int, kind: str, count: int) -> list[Pair]:
    rng = random.Random(nodes)
    references = [make_flow(nodes, rng) for _ in range(count)]
    if kind == "unrelated":
        return [(make_flow(nodes, rng), reference) for reference in references]
    return [(make_candidate(reference, rng, max(2, nodes // 10)), reference) for reference in references]


def seconds(work: Callable[[Any], object], items: Sequence[Any], rounds: int) -> float:
    """Best mean time per item over the rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for item in items:
            work(item)
        best = min(best, (time.perf_counter() - started) / len(items))
    return best


def kernel_rows(nodes: int, kind: str, pairs: list[Pair], slow: int) -> list[dict[str, Any]]:
    book, fast = published_desk().reader.book, kernel.fast_kernels()
    if fast is None:
        sys.exit("numba is not installed: nothing to compare; run `pip install numba`")
    trees = [[published_tree(flow, inputs=True) for flow in pair] for pair in pairs]
    ours = [tuple(np.frombuffer(book.encode(tree), np.int64) for tree in pair if tree) for pair in trees]
    theirs = [tuple(oracle.tree(flow, True) for flow in pair) for pair in pairs[:slow]]
    for mine, other in zip(ours[:slow], theirs, strict=True):
        if fast.pair_distance(*mine, True, MAX_CELLS) != oracle.distance(*other):
            sys.exit(f"distances differ from zss at {nodes} nodes: do not trust these times")
    mean = sum(size(flow) for pair in pairs for flow in pair) / (2 * len(pairs))
    rounds = 1 if nodes >= 100 else 3
    found = {
        "flowstudy kernel": seconds(lambda p: fast.pair_distance(p[0], p[1], True, MAX_CELLS), ours, 9),
        "zss": seconds(lambda p: oracle.distance(*p), theirs, rounds),
        "apted": seconds(lambda p: apted.APTED(*p, AptedCosts()).compute_edit_distance(), theirs, rounds),
    }
    return [row(nodes, mean, kind, "kernel", name, spent, found["zss"]) for name, spent in found.items()]


def text_rows(nodes: int, kind: str, pairs: list[Pair], slow: int) -> list[dict[str, Any]]:
    texts = [(json.dumps(candidate), json.dumps(reference)) for candidate, reference in pairs]
    mean = sum(size(flow) for pair in pairs for flow in pair) / (2 * len(pairs))

    def published(pair: tuple[str, str]) -> None:
        candidate, reference = oracle.read(pair[0]), oracle.read(pair[1])
        for inputs in (False, True):
            oracle.similarity(candidate, reference, inputs)

    def cold(pair: tuple[str, str]) -> None:
        published_desk().forget()
        published_similarities(*pair)

    found = {
        "flowstudy, both texts new": seconds(cold, texts, 9),
        "flowstudy, reference known": seconds(lambda p: published_similarities(*p), texts, 9),
        "published pipeline": seconds(published, texts[:slow], 1 if nodes >= 100 else 3),
    }
    base = found["published pipeline"]
    return [row(nodes, mean, kind, "text, both modes", name, spent, base) for name, spent in found.items()]


def row(nodes: int, mean: float, kind: str, what: str, name: str, spent: float, base: float) -> dict[str, Any]:
    return {
        "nodes": nodes, "mean_nodes": round(mean, 1), "pairs": kind, "measured": what, "implementation": name,
        "time_us": spent * 1e6, "pairs_per_s": 1 / spent, "times_faster": base / spent,
    }  # fmt: skip


def single_rows() -> list[dict[str, Any]]:
    """A large pair, large batches, and the time to the first score in a new process."""
    rng = random.Random(1)
    large = [make_flow(1_000, rng) for _ in range(2)]
    texts = [json.dumps(flow) for flow in large]
    flow_similarity(*texts)  # numba is imported and the machine code loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = seconds(lambda t: flow_similarity(*t), [texts], 3)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    trees = [published_desk().code(flow, True, "r") for flow in large]
    tables = 4 * 2 * np.prod([len(tree.codes) // 2 for tree in trees if tree]) / 2**20
    batches = {
        "10,000 pairs of 20 nodes, all texts different": make_pairs(20, "related", 10_000),
        "10,000 pairs of 20 nodes, 1,000 references": make_pairs(20, "related", 1_000) * 10,
    }
    rows = [
        ("1,000-node pair from text, unrelated", spent, "s"),
        ("the same, growth of memory", memory, "MiB"),
        ("the same, tables of the kernel", float(tables), "MiB"),
    ]
    for name, pairs in batches.items():
        sides = [[json.dumps(side) for side in part] for part in zip(*pairs, strict=True)]
        rows.append((f"score_pairs, {name}, strict and published", seconds(lambda s: score_pairs(*s), [sides], 3), "s"))
    first = seconds(lambda _: subprocess.run([sys.executable, "-c", FIRST], check=True), [0], 3)
    rows.append(("new process, import and first score", first, "s"))
    return [dict(zip(("measure", "value", "unit"), row, strict=True)) for row in rows]


FIRST = """
from flowstudy.metrics import flow_similarity
flow = {"trigger": {"type": "daily"}, "components": [{"definition": "log", "order": 1}]}
flow_similarity(flow, {**flow, "trigger": None})
"""


COLOURS = {
    "flowstudy kernel": "#0072B2", "flowstudy, both texts new": "#0072B2", "flowstudy, reference known": "#56B4E9",
    "zss": "#D55E00", "published pipeline": "#D55E00", "apted": "#009E73",
}  # fmt: skip


def draw(table: pd.DataFrame) -> Any:
    """Time per pair by size, both axes logarithmic; dashed lines start from text."""
    import plotly.graph_objects as go

    figure = go.Figure()
    shown = table[table["pairs"] == "unrelated"]
    for (what, name), part in shown.groupby(["measured", "implementation"], sort=False):
        line = {"color": COLOURS[name], "dash": "solid" if what == "kernel" else "dash"}
        figure.add_scatter(x=part["nodes"], y=part["time_us"], name=f"{name} ({what})", line=line, mode="lines+markers")
    figure.update_xaxes(title="nodes per tree", type="log", tickvals=list(SIZES), ticktext=list(map(str, SIZES)))
    figure.update_yaxes(title="time per pair (µs)", type="log", exponentformat="none", dtick=1)
    title = "FlowSim: time per pair of unrelated flows, one thread"
    return figure.update_layout(title=title, width=900, height=520, template="plotly_white")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="sizes up to 50 only")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for the table and the figure")
    given = parser.parse_args()
    kernel.FEW_CELLS = 0  # type: ignore[misc]
    rows: list[dict[str, Any]] = []
    for nodes, (many, slow) in SIZES.items():
        for kind in ("related", "unrelated") if not (given.quick and nodes > 50) else ():
            pairs = make_pairs(nodes, kind, many)
            rows += kernel_rows(nodes, kind, pairs, slow) + text_rows(nodes, kind, pairs, slow)
            print(f"{nodes} nodes, {kind}: done", file=sys.stderr)
    table, single = pd.DataFrame(rows).round(3), pd.DataFrame(single_rows()).round(3)
    save_figure(draw(table), table, given.out, "bench_flowsim")
    single.to_csv(given.out / "bench_flowsim_single.csv", index=False)
    print(table.drop(columns="pairs_per_s").round(1).to_string(index=False))
    print(single.to_string(index=False))


if __name__ == "__main__":
    main()
