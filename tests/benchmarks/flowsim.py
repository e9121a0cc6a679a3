"""Time FlowSim against zss, apted and the published pipeline on the same trees, in one run.

    python -m tests.benchmarks.flowsim            # about three minutes; writes flowsim.{csv,png,md} beside this file
    python -m tests.benchmarks.flowsim --quick    # sizes up to 50, about half a minute
    python -m tests.benchmarks.flowsim --out DIR  # writes there instead

Kernel rows take ready trees; text rows take JSON text and give both FlowSim modes. `related` candidates are references
with a few mistakes, `unrelated` ones other flows. Both are processor time of one thread, the best of several rounds, of
the text rows each over texts that have not been read before. Every distance is checked against zss, every text score
against a literal reading of the published code, which is the published pipeline here. Single figures are wall-clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import apted
import numpy as np
import pandas as pd

from flowstudy.metrics import kernel, published_scores, score_pairs
from flowstudy.metrics._kernels import code_distance
from flowstudy.metrics.published_tree import published_book, published_trees
from flowstudy.review.pictures import png_bytes
from tests.benchmarks.flow_maker import make_candidate, make_flow, size
from tests.metrics import oracle

Pair = tuple[dict[str, Any], dict[str, Any]]
#: Nodes per tree -> (pairs for us in one round of texts, pairs for zss, apted and the published pipeline).
SIZES = {10: (200, 60), 20: (200, 60), 50: (60, 12), 100: (30, 6), 200: (10, 1)}
ROUNDS = 5


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


def seconds(
    work: Callable[[Any], object], items: Sequence[Any], rounds: int, clock: Callable[[], float] = time.process_time
) -> float:
    """Best mean time per item over the rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = clock()
        for item in items:
            work(item)
        best = min(best, (clock() - started) / len(items))
    return best


def kernel_rows(nodes: int, kind: str, pairs: list[Pair]) -> list[dict[str, Any]]:
    coded = [[published_book().encode(published_trees(flow)[1]) for flow in pair] for pair in pairs]
    ours = [[np.array(part) for one in pair for part in (one.codes, one.parents)] for pair in coded]
    theirs = [tuple(oracle.tree(flow, True) for flow in pair) for pair in pairs]
    wanted: list[int] = []
    mean = sum(size(flow) for pair in pairs for flow in pair) / (2 * len(pairs))
    rounds = 1 if nodes >= 100 else 3
    found = {
        "flowstudy kernel": seconds(lambda p: code_distance(*p), ours, 50),
        "zss": seconds(lambda p: wanted.append(oracle.distance(*p)), theirs, rounds),
        "apted": seconds(lambda p: apted.APTED(*p, AptedCosts()).compute_edit_distance(), theirs, rounds),
    }
    if [code_distance(*mine) for mine in ours] != wanted[: len(ours)]:
        sys.exit(f"distances differ from zss at {nodes} nodes: do not trust these times")
    return [row(nodes, mean, kind, "kernel", name, spent, found["zss"]) for name, spent in found.items()]


def published(pair: tuple[str, str]) -> tuple[float, float]:
    """The published pipeline: both FlowSim modes of two texts."""
    candidate, reference = oracle.read(pair[0]), oracle.read(pair[1])
    return oracle.similarity(candidate, reference, False), oracle.similarity(candidate, reference, True)


def ours(pair: tuple[str, str]) -> tuple[float, float]:
    """Both FlowSim modes of two texts, with the smaller measures beside them."""
    scores = published_scores(*pair)
    return scores["flow_sim_no_inputs"], scores["flow_sim_with_inputs"]


def text_rows(nodes: int, kind: str, pairs: list[Pair], slow: int) -> list[dict[str, Any]]:
    texts = [(json.dumps(candidate), json.dumps(reference)) for candidate, reference in pairs]
    mean = sum(size(flow) for pair in pairs for flow in pair) / (2 * len(pairs))
    new = [seconds(ours, texts[k::ROUNDS], 1) for k in range(ROUNDS)]
    wanted: list[tuple[float, float]] = []
    base = seconds(lambda p: wanted.append(published(p)), texts[:slow], 1 if nodes >= 100 else 3)
    if [ours(pair) for pair in texts[:slow]] != wanted[:slow]:
        sys.exit(f"scores differ from the published ones at {nodes} nodes: do not trust these times")
    found = {"flowstudy": min(new), "published pipeline": base}
    return [row(nodes, mean, kind, "text, both modes", name, spent, base) for name, spent in found.items()]


def row(nodes: int, mean: float, kind: str, what: str, name: str, spent: float, base: float) -> dict[str, Any]:
    return {
        "nodes": nodes, "mean_nodes": round(mean, 1), "pairs": kind, "measured": what, "implementation": name,
        "time_us": spent * 1e6, "pairs_per_s": 1 / spent, "times_faster": base / spent,
    }  # fmt: skip


def single_rows() -> list[dict[str, Any]]:
    """A large pair, large batches, and the time to the first score in a new process."""
    large = subprocess.run([sys.executable, "-c", LARGE], check=True, capture_output=True, text=True).stdout.split()
    rows = [
        ("1,000-node pair, unrelated, from text", float(large[0]), "s"),
        ("its peak memory", float(large[1]), "MiB"),
    ]
    batches = {
        "all texts different": make_pairs(20, "related", 10_000),
        "1,000 references": make_pairs(20, "related", 1_000) * 10,
    }
    for name, pairs in batches.items():
        sides = [[json.dumps(side) for side in part] for part in zip(*pairs, strict=True)]
        spent = seconds(lambda s: score_pairs(*s), [sides], 3, time.perf_counter)
        rows.append((f"score_pairs, 10,000 pairs of 20 nodes, {name}, both conventions and all scores", spent, "s"))
        taken = seconds(lambda s: score_pairs(*s), [sides], 3, lambda: sum(os.times()[:4]))
        rows.append(("its processor time, all processes together", taken, "s"))
    first = seconds(lambda _: subprocess.run([sys.executable, "-c", FIRST], check=True), [0], 3, time.perf_counter)
    rows.append(("new process, import and first score", first, "s"))
    return [dict(zip(("measure", "value", "unit"), row, strict=True)) for row in rows]


FIRST = """
from flowstudy.metrics import flow_similarity
flow = {"trigger": {"type": "daily"}, "components": [{"definition": "log", "order": 1}]}
flow_similarity(flow, {**flow, "trigger": None})
"""
#: Prints the seconds of a pair and how far memory rose above what the process held before, with everything imported.
LARGE = """
import json, random, time
from pathlib import Path
from flowstudy.metrics import flow_similarity, kernel
from tests.benchmarks.flow_maker import make_flow
def mib(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(name + ":")[1].split()[0]) / 1024
def score(nodes, seed):
    rng = random.Random(seed)
    texts = [json.dumps(make_flow(nodes, rng)) for _ in range(2)]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    held, started = mib("VmRSS"), time.perf_counter()
    flow_similarity(*texts)
    return time.perf_counter() - started, mib("VmHWM") - held
kernel.FEW_CELLS = -1
score(20, 0)
print(*score(1_000, 1))
"""


COLOURS = {
    "flowstudy kernel": "#0072B2", "flowstudy": "#0072B2", "zss": "#D55E00", "published pipeline": "#D55E00",
    "apted": "#009E73",
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


def write(table: pd.DataFrame, single: pd.DataFrame, command: str, busy: float, folder: Path) -> None:
    """The table, the figure, and a page that says when and with what they were made."""
    table.to_csv(folder / "flowsim.csv", index=False)
    picture = png_bytes(draw(table))
    if picture is not None:
        (folder / "flowsim.png").write_bytes(picture)
    machine = f"{processor()}, {os.cpu_count()} cores, {busy:.1f} other jobs running on average"
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "msgspec", "zss", "apted"))
    faster = table.assign(who=table["measured"] + ": " + table["implementation"])
    wide = faster.pivot_table(index=["who", "pairs"], columns="nodes", values="times_faster", sort=False)
    text = (
        f"# FlowSim against zss, apted and the published pipeline\n\n`{command}`, {date.today()}, "
        f"{machine}, Python {platform.python_version()}, {versions}. All times are in "
        "[flowsim.csv](flowsim.csv).\n\n![Time per pair by size](flowsim.png)\n\nTimes faster than zss (kernel) and "
        "than the published pipeline (text), by nodes per tree:\n\n"
    )
    page = text + markdown(wide.round(1).reset_index()) + "\n" + markdown(single)
    (folder / "flowsim.md").write_text(page, encoding="utf-8")


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(object).values.tolist()]
    return "".join(
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, float) else str(cell) for cell in row) + " |\n"
        for row in rows
    )


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="sizes up to 50 only")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for table, figure and page")
    given = parser.parse_args()
    kernel.FEW_CELLS, busy = -1, os.getloadavg()[1]  # type: ignore[misc]
    rows: list[dict[str, Any]] = []
    for nodes, (many, slow) in SIZES.items():
        for kind in ("related", "unrelated") if not (given.quick and nodes > 50) else ():
            pairs = make_pairs(nodes, kind, many * ROUNDS)
            rows += kernel_rows(nodes, kind, pairs[:slow]) + text_rows(nodes, kind, pairs, slow)
            print(f"{nodes} nodes, {kind}: done", file=sys.stderr)
    table, single = pd.DataFrame(rows).round(3), pd.DataFrame(single_rows()).round(3)
    given.out.mkdir(parents=True, exist_ok=True)
    write(table, single, "python -m tests.benchmarks.flowsim" + " --quick" * given.quick, busy, given.out)
    print(table.drop(columns="pairs_per_s").round(1).to_string(index=False))
    print(single.to_string(index=False))


if __name__ == "__main__":
    main()
