"""Time FlowSim against zss, apted and the published pipeline on the same trees, in one run.

    python -m tests.benchmarks.flowsim            # a few minutes; writes figures/bench_flowsim.{csv,html,png}
    python -m tests.benchmarks.flowsim --quick    # sizes up to 50, about twenty seconds
    python -m tests.benchmarks.flowsim --out DIR  # writes there instead of figures/

Kernel rows take ready trees; text rows take JSON text and give both FlowSim modes. `related` candidates are references
with a few mistakes, `unrelated` ones other flows. Every time is the best of several rounds over the same pairs, on one
thread; every distance is checked against zss.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
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

from flowstudy.metrics import kernel, score_pairs
from flowstudy.metrics.limits import MAX_CELLS
from flowstudy.metrics.published import current_book, current_reader, published_similarities
from flowstudy.metrics.published_tree import published_tree
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
    book, fast = current_book(), kernel.fast_kernels()
    if fast is None:
        sys.exit("numba is not installed: nothing to compare; run `pip install numba`")
    trees = [[published_tree(flow, inputs=True) for flow in pair] for pair in pairs]
    ours = [tuple(np.frombuffer(book.encode(tree), np.int64) for tree in pair if tree) for pair in trees]
    theirs = [tuple(oracle.tree(flow, True) for flow in pair) for pair in pairs[:slow]]
    for mine, other in zip(ours[:slow], theirs, strict=True):
        if fast.pair_distance(*mine, MAX_CELLS) != oracle.distance(*other):
            sys.exit(f"distances differ from zss at {nodes} nodes: do not trust these times")
    mean = sum(size(flow) for pair in pairs for flow in pair) / (2 * len(pairs))
    rounds = 1 if nodes >= 100 else 3
    found = {
        "flowstudy kernel": seconds(lambda p: fast.pair_distance(p[0], p[1], MAX_CELLS), ours, 9),
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
        current_reader().kept.clear()
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
    """A large pair, a large batch, and the time to the first score in a new process."""
    rng = random.Random(1)
    reference = make_flow(1_000, rng)
    trees = [published_tree(flow, inputs=True) for flow in (make_flow(1_000, rng), reference)]
    book, fast = current_book(), kernel.fast_kernels()
    pair = [np.frombuffer(book.encode(tree), np.int64) for tree in trees if tree]
    large = seconds(lambda p: fast and fast.pair_distance(p[0], p[1], MAX_CELLS), [pair], 3)
    kept = [int((codes[: len(codes) // 2] >= 0).sum()) + 1 for codes in pair]
    memory = kept[0] * kept[1] * 4 * 2 / 2**20
    pairs = [pair for _ in range(10) for pair in make_pairs(20, "related", 1_000)]
    texts = [(json.dumps(c) + " " * (k % 10), json.dumps(r)) for k, (c, r) in enumerate(pairs)]
    batch = seconds(lambda t: score_pairs([c for c, _ in t], [r for _, r in t]), [texts], 2)
    first = seconds(lambda _: subprocess.run([sys.executable, "-c", FIRST], check=True), [0], 3)
    return [
        {"measure": "1,000-node pair, unrelated", "value": large, "unit": "s"},
        {"measure": "1,000-node pair, tables", "value": memory, "unit": "MiB"},
        {"measure": "score_pairs, 10,000 pairs of 20 nodes, strict and published", "value": batch, "unit": "s"},
        {"measure": "new process, import and first score", "value": first, "unit": "s"},
    ]


FIRST = """
from flowstudy.metrics import flow_similarity
flow = {"trigger": {"type": "daily"}, "components": [{"definition": "log", "order": 1}]}
flow_similarity(flow, {**flow, "trigger": None})
"""


def draw(table: pd.DataFrame, out: Path) -> None:
    import plotly.graph_objects as go

    colours = {
        "flowstudy kernel": "#0072B2", "flowstudy, both texts new": "#0072B2", "flowstudy, reference known": "#56B4E9",
        "zss": "#D55E00", "published pipeline": "#D55E00", "apted": "#009E73",
    }  # fmt: skip
    figure = go.Figure()
    shown = table[table["pairs"] == "unrelated"]
    for (what, name), part in shown.groupby(["measured", "implementation"], sort=False):
        line = {"color": colours[name], "dash": "solid" if what == "kernel" else "dash"}
        figure.add_scatter(x=part["nodes"], y=part["time_us"], name=f"{name} ({what})", line=line, mode="lines+markers")
    figure.update_xaxes(title="nodes per tree", type="log")
    figure.update_yaxes(title="time per pair (µs)", type="log")
    figure.update_layout(title="FlowSim: time per pair of unrelated flows, one thread", width=900, height=560)
    figure.write_html(out / "bench_flowsim.html", include_plotlyjs=True)
    if shutil.which("chromium") or shutil.which("google-chrome"):
        figure.write_image(out / "bench_flowsim.png")


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
    table, single = pd.DataFrame(rows), pd.DataFrame(single_rows())
    given.out.mkdir(parents=True, exist_ok=True)
    table.round(3).to_csv(given.out / "bench_flowsim.csv", index=False)
    draw(table, given.out)
    print(table.drop(columns="pairs_per_s").round(1).to_string(index=False))
    print(single.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
