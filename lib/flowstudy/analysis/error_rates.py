"""How often each kind of error occurs: per system, per slice of the requirements, and together with others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from flowstudy.analysis.statistics import share_interval
from flowstudy.analysis.taxonomy import Taxonomy


def error_rates(
    answers: pd.DataFrame,
    taxonomy: Taxonomy,
    *,
    by: Sequence[str] = (),
    depth: Literal["category", "group"] = "category",
) -> pd.DataFrame:
    """Share of a system's answers with each kind of error: system, category, title, answers, errors, rate, low, high.

    `answers` comes from `verdicts`; `by` names further columns of it to slice by (first columns of the result),
    `depth` counts single categories or their groups. The interval is Wilson's. Every kind seen anywhere has a row per
    system and slice.
    """
    names = answers["categories"].map(lambda categories: _named(categories, taxonomy, depth))
    seen = sorted({name for some in names for name in some})
    rows: list[tuple[object, ...]] = []
    for key, group in answers.assign(names=names).groupby([*by, "system"], sort=True):
        for name in seen:
            marks = [name in some for some in group["names"]]
            rows.append((*key, name, _title(name, taxonomy, depth), len(marks), sum(marks), *share_interval(marks)[:3]))
    columns = [*by, "system", "category", "title", "answers", "errors", "rate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _named(categories: frozenset[str], taxonomy: Taxonomy, depth: str) -> frozenset[str]:
    known = taxonomy.categories
    return categories if depth == "category" else frozenset(known[n].group if n in known else n for n in categories)


def _title(name: str, taxonomy: Taxonomy, depth: str) -> str:
    groups = taxonomy.groups
    return groups[name].title if depth == "group" and name in groups else taxonomy.title(name)


def rates_by_feature(
    answers: pd.DataFrame, examples: pd.DataFrame, features: Sequence[str], taxonomy: Taxonomy
) -> pd.DataFrame:
    """`error_rates` for every value of every feature of the requirements: feature, slice, then its columns.

    `examples` is `scores.examples_table`: one row per example, a column per feature. Examples without a value of a
    feature take no part in its slices.
    """
    tables = []
    for feature in features:
        labelled = answers.merge(examples[["example", feature]], on="example").dropna(subset=[feature])
        labelled = labelled.rename(columns={feature: "slice"}).assign(feature=feature)
        tables.append(error_rates(labelled, taxonomy, by=("feature", "slice")))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def co_occurrence(answers: pd.DataFrame) -> pd.DataFrame:
    """How many answers (of `verdicts`) have both of two categories (the diagonal: one), as a square table."""
    counts = Counter(pair for some in answers["categories"] for pair in itertools.product(some, repeat=2))
    names = sorted({name for name, _ in counts})
    return pd.DataFrame([[counts[a, b] for b in names] for a in names], index=names, columns=names)
