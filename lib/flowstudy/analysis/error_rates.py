"""Tags to numbers: how often each kind of error occurs, how good the proposals are, what occurs together."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from flowstudy.analysis.errors import propose_tags
from flowstudy.analysis.statistics import mean_interval
from flowstudy.analysis.taxonomy import Taxonomy, load_taxonomy
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.metrics import FlowTooLarge
from flowstudy.progress import progress
from flowstudy.systems.records import Prediction

ERROR_COLUMNS: Final = ("system", "example", "repeat", "category", "evidence")


def proposed_table(
    predictions: Sequence[Prediction],
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue] | None = None,
) -> pd.DataFrame:
    """The proposals for every answer: one row per category (`ERROR_COLUMNS`), evidence joined; none for a right one."""
    corpus = {example.id: example for example in examples}
    rows: list[tuple[object, ...]] = []
    with progress("proposing tags", len(predictions)) as tick:
        for prediction in predictions:
            rows += _proposed_rows(prediction, corpus[prediction.example], catalogues or {})
            tick(note=prediction.system)
    return pd.DataFrame(rows, columns=list(ERROR_COLUMNS))


def _proposed_rows(
    prediction: Prediction, example: Example, catalogues: Mapping[str, Catalogue]
) -> list[tuple[object, ...]]:
    evidence: dict[str, list[str]] = {}
    try:
        tags = propose_tags(example, prediction, catalogues.get(example.domain))
    except FlowTooLarge:
        return []
    for tag in tags:
        evidence.setdefault(tag.category, []).append(tag.evidence)
    head = (prediction.system, prediction.example, prediction.repeat)
    return [(*head, category, "; ".join(texts)) for category, texts in evidence.items()]


def confirmed_table(tags: pd.DataFrame, taxonomy: Taxonomy | None = None) -> pd.DataFrame:
    """Confirmed tags (a `TagStore.table()`) in the same columns: a category counts when most annotators chose it.

    Renamed categories count under today's name; unknown ones keep theirs. `evidence` holds the annotators' notes.
    """
    known = taxonomy or load_taxonomy()
    rows = []
    done = tags[tags["state"] == "done"]
    for place, group in done.groupby(["system", "example", "repeat"], sort=True):
        votes = Counter(known.resolve(name) or name for names in group["categories"] for name in set(names))
        notes = "; ".join(note for note in group["note"] if note)
        rows += [(*place, name, notes) for name, count in votes.items() if 2 * count > len(group)]
    return pd.DataFrame(rows, columns=list(ERROR_COLUMNS))


def error_rates(
    errors: pd.DataFrame, answers: pd.DataFrame, taxonomy: Taxonomy | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Share of answers with each kind of error: system, category, title, group, answers, count, rate, low, high.

    `errors` has `ERROR_COLUMNS`; `answers` says what was looked at (system, example, repeat: one row per answer).
    Intervals are bootstrapped over examples. Categories that nobody has are left out.
    """
    known = taxonomy or load_taxonomy()
    rows = []
    for system, looked in answers.groupby("system", sort=True):
        own = errors[errors["system"] == system]
        present = set(own["category"])
        unknown = sorted(present - set(known.categories))
        for category in [*(name for name in known.categories if name in present), *unknown]:
            having = set(own[own["category"] == category][["example", "repeat"]].itertuples(index=False, name=None))
            marks = [place in having for place in looked[["example", "repeat"]].itertuples(index=False, name=None)]
            interval = mean_interval(np.array(marks, dtype=float), clusters=list(looked["example"]), seed=seed)
            entry = known.categories.get(category)
            group = entry.group if entry else ""
            rows.append((system, category, known.title(category), group, len(marks), sum(marks), *interval[:3]))
    columns = ["system", "category", "title", "group", "answers", "count", "rate", "low", "high"]
    table = pd.DataFrame(rows, columns=columns).drop_duplicates(["system", "category"], ignore_index=True)
    return table.assign(low=table["low"].fillna(table["rate"]), high=table["high"].fillna(table["rate"]))


def proposal_quality(tags: pd.DataFrame) -> pd.DataFrame:
    """Proposals against what people confirmed: category, proposed, confirmed, both, precision, recall (NaN: none)."""
    done = tags[tags["state"] == "done"]
    proposed = Counter(name for names in done["proposed"] for name in set(names))
    confirmed = Counter(name for names in done["categories"] for name in set(names))
    both: Counter[str] = Counter()
    for ours, theirs in zip(done["proposed"], done["categories"], strict=True):
        both.update(set(ours) & set(theirs))
    names = sorted({*proposed, *confirmed})
    rows = [(name, proposed[name], confirmed[name], both[name]) for name in names]
    total = ("all", proposed.total(), confirmed.total(), both.total())
    table = pd.DataFrame([*rows, total], columns=["category", "proposed", "confirmed", "both"])
    return table.assign(
        precision=table["both"] / table["proposed"].where(table["proposed"] > 0),
        recall=table["both"] / table["confirmed"].where(table["confirmed"] > 0),
    )


def co_occurrence(errors: pd.DataFrame) -> pd.DataFrame:
    """How many answers have both of two categories (the diagonal: one), as a square table."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, group in errors.groupby(["system", "example", "repeat"]):
        counts.update(itertools.product(sorted(set(group["category"])), repeat=2))
    names = sorted({name for name, _ in counts})
    return pd.DataFrame([[counts[a, b] for b in names] for a in names], index=names, columns=names)
