"""What changed between two runs: parameters, quality, cost and single answers, on one page of text.

Reads `manifest.json`, `corpus.jsonl` and `scores.parquet`; only the last one must be there. Systems with the same
name are compared on the judged examples that are the same in both runs; B minus A throughout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from flowstudy.analysis.comparison import clusters_of, flips, wide
from flowstudy.analysis.economics import Economics, per_1000_usd, usage_table
from flowstudy.analysis.measures import ANSWERED, PRIMARY, RIGHT, title
from flowstudy.analysis.scores import load_scores
from flowstudy.analysis.statistics import RESAMPLES, paired_difference
from flowstudy.corpus import load_corpus
from flowstudy.corpus.example import JUDGED
from flowstudy.corpus.splits import source_workflows

_SHOWN: Final = 5
_LONG: Final = 60


class _Side(NamedTuple):
    """One of the two runs, as far as its files tell; `texts` says what makes an example the same example."""

    name: str
    manifest: dict[str, Any]
    parameters: dict[str, Any]
    scores: pd.DataFrame
    texts: dict[str, str]
    sources: dict[str, str]


def compare_runs(a: Path, b: Path, *, seed: int = 0, resamples: int = RESAMPLES, least: float = 0.1) -> str:
    """One page about runs `a` and `b`: what changed in parameters, quality, cost, and which answers flipped.

    Quality is FlowSim, and the share of right answers where both runs have it. A flip is an example whose score moved
    by `least` or more. Raises FileNotFoundError for a folder that is no run,
    TableError for one without readable scores. Runs without a common system or example are said to have none.
    """
    left, right = _side(Path(a)), _side(Path(b))
    same, moved = _common_examples(left, right)
    lines = [f"A: {left.name}   B: {right.name}   (differences are B minus A)", ""]
    lines += _changes(left, right)
    one, two = (side.scores[side.scores["example"].isin(same)] for side in (left, right))
    left_out = f", {moved} with another text left out" if moved else ""
    lines += ["", f"Examples: {len(same)} the same in both{left_out}"]
    systems = [sorted(side.scores["system"].unique()) for side in (left, right)]
    both = [name for name in systems[0] if name in systems[1]]
    for label, own, other in (("A", *systems), ("B", *systems[::-1])):
        only = [name for name in own if name not in other]
        lines += [f"Only in {label}: {', '.join(only)}"] if only else []
    if not both or not same:
        return "\n".join([*lines, "", f"Nothing to compare: no common {'example' if both else 'system'}."]) + "\n"
    verdicts = [RIGHT] if all((table["measure"] == RIGHT).any() for table in (one, two)) else []
    for measure in (PRIMARY, *verdicts):
        gaps = _quality(one, two, both, measure, left.sources or right.sources, seed, resamples)
        lines += ["", f"Quality ({title(measure)})", *gaps]
    lines += ["", "Cost and time per request", *_money(left, right, one, two, both)]
    for measure in (PRIMARY, *verdicts):
        lines += ["", f"Flips ({title(measure)}, moved by {least:g} or more)", *_flips(one, two, both, measure, least)]
    return "\n".join(lines) + "\n"


def _side(path: Path) -> _Side:
    if not path.is_dir():
        raise FileNotFoundError(f"run {path}: expected the folder of a run, got none; `ls runs` names them")
    manifest = _json(path / "manifest.json")
    parameters = manifest.get("parameters", {}).get("resolved", {})
    scores = load_scores(path / "scores.parquet")
    judged, corpus = scores[scores["split"].isin(JUDGED)], path / "corpus.jsonl"
    examples = [e for e in load_corpus(corpus) if e.split in JUDGED] if corpus.is_file() else []
    texts = {e.id: e.model_dump_json(include={"requirement", "references"}) for e in examples}
    return _Side(path.name, manifest, parameters, judged, texts, source_workflows(examples))


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _common_examples(left: _Side, right: _Side) -> tuple[set[str], int]:
    """Ids that both runs judged with the same text, and how many had another one."""
    ids = set(left.scores["example"]) & set(right.scores["example"])
    same = {i for i in ids if left.texts.get(i) == right.texts.get(i) or not (left.texts and right.texts)}
    return same, len(ids) - len(same)


def _changes(left: _Side, right: _Side) -> list[str]:
    """Answer, corpus, code, parameters, packages and machine where they differ."""
    bare = [side.name for side in (left, right) if not side.manifest]
    if bare:
        return [f"What changed: not known, {' and '.join(bare)} has no manifest.json (the end of a study writes it)"]
    facts = [("answer", ("facts", "06_decide", "answer")), ("corpus", ("facts", "01_explore_data", "corpus_sha256")),
             ("code", ("code",)), ("", ("parameters", "resolved")), ("packages", ("packages",)),
             ("hardware", ("hardware",))]  # fmt: skip
    lines: list[str] = []
    for name, path in facts:
        lines += _differences(_at(left.manifest, path), _at(right.manifest, path), name)
    return ["What changed", *(lines or ["  nothing that the runs wrote down"])]


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _differences(one: Any, two: Any, name: str) -> list[str]:
    """A line for each value that differs, by dotted name; what is only on one side is one line, however large."""
    if one == two:
        return []
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        keys = dict.fromkeys([*one, *two])
        inner = ((one.get(key), two.get(key), f"{name}.{key}" if name else str(key)) for key in keys)
        return [line for parts in inner for line in _differences(*parts)]
    return [f"  {name}: {_value(one)} -> {_value(two)}"]


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return str(value.get("model") or "{...}")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _quality(
    one: pd.DataFrame, two: pd.DataFrame, systems: list[str], measure: str, sources: Mapping[str, str], seed: int,
    resamples: int,
) -> list[str]:  # fmt: skip
    a, b = wide(one, measure), wide(two, measure)
    lines = [f"  {'system':24} {'n':>5} {'A':>7} {'B':>7} {'B - A':>8}  95 % interval"]
    for system in systems:
        pair = pd.DataFrame({"a": a.get(system, pd.Series(dtype=float)), "b": b.get(system, pd.Series(dtype=float))})
        pair = pair.dropna()
        b_scores, a_scores = (pair[side].to_numpy() for side in ("b", "a"))
        clusters = clusters_of(pair.index, sources)
        gap = paired_difference(b_scores, a_scores, clusters=clusters, seed=seed, resamples=resamples)
        span = f"{gap.low:+.3f} to {gap.high:+.3f}" if gap.low == gap.low else gap.reason
        span = "no score differs" if gap.n and not (pair["a"] != pair["b"]).any() else span
        verdict = "  better" if gap.low > 0 else "  worse" if gap.high < 0 else ""
        means = " ".join(f"{_number(pair[side].mean()):>7}" for side in ("a", "b"))
        lines.append(f"  {system:24} {gap.n:>5} {means} {_number(gap.value, '+.3f'):>8}  {span}{verdict}")
    return lines


def _money(left: _Side, right: _Side, one: pd.DataFrame, two: pd.DataFrame, systems: list[str]) -> list[str]:
    """Each run priced by its own assumptions: they are among the parameters that may have changed."""
    costs = [per_1000_usd(usage_table(table), _economics(side)) for side, table in ((left, one), (right, two))]
    times = [table[table["measure"] == "latency_s"].groupby("system")["value"].median() for table in (one, two)]
    lines = [f"  {'system':24} {'$ per 1,000':>22} {'median seconds':>20}"]
    for system in systems:
        price = " -> ".join(_number(float(table.get(system, np.nan)), ".2f") for table in costs)
        delay = " -> ".join(_number(float(table.get(system, np.nan)), ".2f") for table in times)
        lines.append(f"  {system:24} {price:>22} {delay:>20}")
    return lines


def _economics(side: _Side) -> Economics:
    """The run's own assumptions; the defaults where it has written down none."""
    found = side.parameters.get("economics", {})
    return Economics(**{name: found[name] for name in Economics.model_fields if name in found})


def _flips(one: pd.DataFrame, two: pd.DataFrame, systems: list[str], measure: str, least: float) -> list[str]:
    lines = []
    for system in systems:
        runs = [table[table["system"] == system].assign(system=label) for label, table in (("A", one), ("B", two))]
        both = pd.concat(runs)
        if not {"A", "B"} <= set(wide(both, measure).columns):
            lines.append(f"  {system}: no score in common")
            continue
        moved, states = flips(both, "B", "A", measure, least=least), _states(runs)
        up = int((moved["difference"] > 0).sum())
        lines.append(f"  {system}: {up} up, {len(moved) - up} down" + (f"; {states}" if states else ""))
        for row in moved.head(_SHOWN).itertuples():
            lines.append(f"    {row.example}: {row.A:.3f} -> {row.B:.3f}")
    return lines


def _states(runs: list[pd.DataFrame]) -> str:
    """How many answers changed their status, by from and to."""
    places = ["example", "repeat"]
    one, two = (t[t["measure"] == ANSWERED].set_index(places)["status"] for t in runs)
    both = pd.DataFrame({"one": one, "two": two}).dropna()
    changed = both[both["one"] != both["two"]]
    counts = (changed["one"].astype(str) + " -> " + changed["two"].astype(str)).value_counts().sort_index()
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def _number(value: float, form: str = ".3f") -> str:
    return "unknown" if value != value else format(value, form)
