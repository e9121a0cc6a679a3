"""How often each kind of error occurs: what people confirmed where they looked, what is proposed elsewhere."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from flowstudy.analysis.errors import propose_tags
from flowstudy.analysis.taxonomy import Taxonomy, load_taxonomy
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.metrics import FlowTooLarge
from flowstudy.progress import progress
from flowstudy.systems.records import Prediction

COLUMNS = ["system", "example", "repeat", "category", "evidence", "reference", "candidate", "input"]


def proposals_table(
    predictions: Sequence[Prediction], examples: Mapping[str, Example], catalogues: Mapping[str, Catalogue]
) -> pd.DataFrame:
    """One row per proposed tag of every answer, in the columns `COLUMNS`; answers too large to explain have none."""
    rows: list[tuple[object, ...]] = []
    with progress("proposing tags", len(predictions)) as tick:
        for prediction in predictions:
            example = examples[prediction.example]
            place = (prediction.system, prediction.example, prediction.repeat)
            try:
                found = propose_tags(example, prediction, catalogues.get(example.domain))
            except FlowTooLarge:
                found = []
            rows += [(*place, *tag) for tag in found]
            tick(note=prediction.system)
    return pd.DataFrame(rows, columns=COLUMNS)


def verdicts(predictions: Sequence[Prediction], proposals: pd.DataFrame, tags: pd.DataFrame) -> pd.DataFrame:
    """One row per answer: system, example, repeat, categories (a set) and `by`.

    `by` is `people` where at least one annotator confirmed the answer (a category counts when half of them or more
    gave it), else `proposed`. `tags` is a `TagStore.table()`; what is not confirmed does not count.
    """
    places = ["system", "example", "repeat"]
    proposed = proposals.groupby(places)["category"].agg(set).to_dict()
    people: dict[tuple[str, str, int], list[set[str]]] = {}
    for tag in _confirmed(tags):
        people.setdefault((tag["system"], tag["example"], tag["repeat"]), []).append(set(tag["categories"]))
    rows = []
    for p in predictions:
        place = (p.system, p.example, p.repeat)
        if p.is_answer:
            given = people.get(place)
            rows.append((*place, _shared(given) if given else proposed.get(place, set()), _source(given)))
    return pd.DataFrame(rows, columns=[*places, "categories", "by"])


def _confirmed(tags: pd.DataFrame) -> list[dict[Any, Any]]:
    """Confirmed tags, renamed categories under today's name; categories that no taxonomy knows stay as they are."""
    known = load_taxonomy()
    rows = [row for row in tags.to_dict("records") if row["state"] == "done"]
    return [row | {"categories": [known.resolve(name) or name for name in row["categories"]]} for row in rows]


def co_occurrence(answers: pd.DataFrame) -> pd.DataFrame:
    """How many answers (of `verdicts`) have both of two categories (the diagonal: one), as a square table."""
    counts = Counter(pair for some in answers["categories"] for pair in itertools.product(some, repeat=2))
    names = sorted({name for name, _ in counts})
    return pd.DataFrame([[counts[a, b] for b in names] for a in names], index=names, columns=names)


def _shared(given: Sequence[set[str]]) -> set[str]:
    return {name for some in given for name in some if 2 * sum(name in other for other in given) >= len(given)}


def _source(given: Sequence[set[str]] | None) -> str:
    return "people" if given else "proposed"


def error_rates(answers: pd.DataFrame, taxonomy: Taxonomy | None = None, level: float = 0.95) -> pd.DataFrame:
    """Share of a system's answers with each category: system, category, title, answers, errors, rate, low, high.

    `answers` comes from `verdicts`; the interval is Wilson's. Every category seen anywhere has a row per system.
    """
    from scipy.stats import binomtest

    known = (taxonomy or load_taxonomy()).categories
    seen = sorted({name for some in answers["categories"] for name in some})
    rows = []
    for system, group in answers.groupby("system", sort=True):
        for name in seen:
            errors = sum(name in some for some in group["categories"])
            interval = binomtest(errors, len(group)).proportion_ci(level, method="wilson")
            title = known[name].title if name in known else name
            rows.append((system, name, title, len(group), errors, errors / len(group), interval.low, interval.high))
    return pd.DataFrame(rows, columns=["system", "category", "title", "answers", "errors", "rate", "low", "high"])


def proposal_quality(proposals: pd.DataFrame, tags: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall of the proposals against people's confirmed tags, per category: category, proposed,
    confirmed, both, precision, recall (NaN where nothing was proposed or confirmed). Empty without tags."""
    places = ["system", "example", "repeat"]
    proposed = proposals.groupby(places)["category"].agg(set).to_dict()
    counts: dict[str, list[int]] = {}
    for tag in _confirmed(tags):
        mine = proposed.get((tag["system"], tag["example"], tag["repeat"]), set())
        theirs = set(tag["categories"])
        for name in mine | theirs:
            count = counts.setdefault(name, [0, 0, 0])
            count[0] += name in mine
            count[1] += name in theirs
            count[2] += name in mine & theirs
    table = pd.DataFrame([(name, *c) for name, c in sorted(counts.items())],
                         columns=["category", "proposed", "confirmed", "both"])  # fmt: skip
    table["precision"] = table["both"] / table["proposed"].where(table["proposed"] > 0)
    table["recall"] = table["both"] / table["confirmed"].where(table["confirmed"] > 0)
    return table
