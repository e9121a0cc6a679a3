"""How far annotators agree: Krippendorff's alpha (nominal and for sets of categories) and Cohen's kappa.

Alpha is 1 - observed / expected disagreement over all pairs of ratings of the same item; ratings may be missing.
Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011); the distance between sets is Passonneau's
MASI (LREC 2006), or Jaccard's.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

Distance = Callable[[Any, Any], float]


class Agreement(NamedTuple):
    """A coefficient (1 perfect, 0 chance; NaN with a reason when undefined) over `items` rated at least twice."""

    value: float
    items: int
    ratings: int
    reason: str = ""


def krippendorff_alpha(
    ratings: Iterable[Sequence[Hashable | None]],
    distance: Distance | Literal["nominal", "masi", "jaccard"] = "nominal",
    *,
    weights: Sequence[int] | None = None,
) -> Agreement:
    """Alpha of `ratings`: one sequence per item, one rating per annotator, None where there is none.

    For `masi` and `jaccard` a rating is a frozenset of categories. `weights` says how many items each sequence stands
    for (1 by default). Undefined (NaN) when no item has two ratings, or when every rating is the same: then there is
    nothing to agree about.
    """
    measure = _DISTANCES[distance] if isinstance(distance, str) else distance
    rows = [Counter(rating for rating in item if rating is not None) for item in ratings]
    given = zip(rows, weights or [1] * len(rows), strict=True)
    units = [(unit, n) for unit, n in given if unit.total() > 1]
    pool: Counter[Hashable] = Counter()
    for unit, n in units:
        pool.update({rating: n * count for rating, count in unit.items()})
    total, items = pool.total(), sum(n for _, n in units)
    if not units:
        return Agreement(math.nan, 0, 0, "no item has two ratings")
    if len(pool) == 1:
        return Agreement(math.nan, items, total, "all ratings are the same: nothing to agree about")
    observed = sum(n * _within(unit, measure) / (unit.total() - 1) for unit, n in units) / total
    expected = _within(pool, measure) / (total * (total - 1))
    return Agreement(1 - observed / expected, items, total)


def _within(counts: Counter, measure: Distance) -> float:
    """Sum of the distances over all ordered pairs of ratings."""
    return sum(2 * n * m * measure(a, b) for (a, n), (b, m) in itertools.combinations(counts.items(), 2))


def nominal(a: Hashable, b: Hashable) -> float:
    """0 for equal ratings, else 1."""
    return float(a != b)


def jaccard(a: frozenset, b: frozenset) -> float:
    """1 - shared / all categories; 0 for two empty sets."""
    return 1 - len(a & b) / len(a | b) if a | b else 0.0


def masi(a: frozenset, b: frozenset) -> float:
    """Passonneau's distance: 1 - Jaccard * monotonicity (1 equal, 2/3 one within the other, 1/3 overlap, 0 none)."""
    if a == b:
        return 0.0
    monotone = 2 / 3 if a <= b or b <= a else 1 / 3 if a & b else 0.0
    return 1 - (1 - jaccard(a, b)) * monotone if a & b else 1.0


_DISTANCES: dict[str, Distance] = {"nominal": nominal, "jaccard": jaccard, "masi": masi}


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable], *, weights: Sequence[int] | None = None) -> Agreement:
    """Cohen's kappa of two annotators over the items both rated, by scikit-learn; NaN when undefined.

    `weights` says how many items each position stands for (1 by default).
    """
    from sklearn.metrics import cohen_kappa_score

    every = zip(a, b, weights or [1] * len(a), strict=True)
    pairs = [(str(x), str(y), n) for x, y, n in every if x is not None and y is not None]
    if not pairs:
        return Agreement(math.nan, 0, 0, "no item rated by both")
    left, right, counts = zip(*pairs, strict=True)
    items = sum(counts)
    if len({*left, *right}) == 1:
        return Agreement(math.nan, items, 2 * items, "all ratings are the same: nothing to agree about")
    return Agreement(float(cohen_kappa_score(left, right, sample_weight=counts)), items, 2 * items)


def rating_table(tags: pd.DataFrame) -> pd.DataFrame:
    """What annotators confirmed, as items x annotators: cells are frozensets of categories, NaN where there is none.

    An adjudicator's last word is no rating. Of tags that went through `verdicts.match_tags`, those count that were
    given to the answer that is there now.
    """
    done = tags[(tags["state"] == "done") & (tags["role"] == "annotator")]
    done = done[done["match"] == "same"] if "match" in done else done
    cells = done.assign(categories=done["categories"].map(frozenset))
    return cells.set_index(["system", "example", "repeat", "annotator"])["categories"].unstack("annotator")


def agreement_table(tags: pd.DataFrame, categories: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Agreement on whole answers and on each category: what, measure, value, items, ratings, reason.

    The first rows are alpha over whole answers (sets as names, MASI, Jaccard); then alpha per category (does the
    answer have it or not), then Cohen's kappa of every two annotators on the whole answer. `categories` maps names to
    what people read.
    """
    table = rating_table(tags)
    cells = table.astype(object).where(table.notna(), None)
    alike = Counter(map(tuple, cells.to_numpy()))  # many answers were rated alike: each pattern is counted once
    items, weights = list(alike), list(alike.values())
    rows = [("all categories", f"alpha ({d})", *krippendorff_alpha(items, f, weights=weights))
            for d, f in _DISTANCES.items()]  # fmt: skip
    for name in sorted({name for row in items for cell in row if cell for name in cell}):
        marks = [[None if cell is None else name in cell for cell in row] for row in items]
        what = (categories or {}).get(name, name)
        rows.append((what, "alpha (nominal)", *krippendorff_alpha(marks, weights=weights)))
    for first, second in itertools.combinations(range(len(table.columns)), 2):
        one, two = ([_sorted(row[place]) for row in items] for place in (first, second))
        pair = f"{table.columns[first]} and {table.columns[second]}"
        rows.append((pair, "kappa", *cohen_kappa(one, two, weights=weights)))
    return pd.DataFrame(rows, columns=["what", "measure", "value", "items", "ratings", "reason"])


def disagreements(tags: pd.DataFrame) -> pd.DataFrame:
    """Items on which annotators differ, widest first: the adjudication list (system, example, repeat, distance)."""
    rows = []
    for row in rating_table(tags).reset_index().itertuples(index=False):
        place, cells = row[:3], [cell for cell in row[3:] if isinstance(cell, frozenset)]
        gaps = [masi(a, b) for a, b in itertools.combinations(cells, 2)]
        if gaps and max(gaps) > 0:
            rows.append((*place, sum(gaps) / len(gaps)))
    table = pd.DataFrame(rows, columns=["system", "example", "repeat", "distance"])
    return table.sort_values("distance", ascending=False, kind="stable", ignore_index=True)


def _sorted(cell: object) -> str | None:
    return " ".join(sorted(cell)) if isinstance(cell, frozenset) else None
