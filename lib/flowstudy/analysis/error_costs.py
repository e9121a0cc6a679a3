"""What each kind of error costs in FlowSim: undone one at a time, and by Shapley shares that add up.

Both work on the edit script of strict FlowSim with inputs: undoing an edit takes its cost off the distance and
moves the candidate's size towards the reference's, so every score that is asked for is exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pandas as pd

from flowstudy.analysis.comparison import Sources, clusters_of
from flowstudy.analysis.errors import ProposedTag
from flowstudy.analysis.explained import PLACE, Explained
from flowstudy.analysis.statistics import mean_interval, seeded
from flowstudy.analysis.verdicts import judged
from flowstudy.metrics import Edit, Explanation

OTHER: Final = "other"
_EXACT_UP_TO: Final = 10
_NOT_CAUSES: Final = ("source_", "implicit_", "enterprise_", "reference_")


class Burden(NamedTuple):
    """What the edits of one category weigh in one answer: their cost, and how undoing them changes its size."""

    cost: float
    growth: int


def error_costs(
    answers: Sequence[Explained], verdicts: pd.DataFrame | None = None, *, sources: Sources | None = None,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """FlowSim points per system and category of error: system, category, answers, undone, low, high, share.

    `answers` counts those with the error; `undone` is what the system's mean FlowSim would gain were these errors
    undone and all others kept, with its interval (answers to requests of one source, or to one request, are resampled
    together); the `share`s of a system add up to 1 - its mean FlowSim. An answer
    without a flow loses everything to its status, one too large to explain takes no part; edits that no tag explains
    are `other`. `verdicts` (if given) takes out what people did not confirm where they looked: `other` then.
    """
    said = {} if verdicts is None else judged(verdicts)
    scored = [one for one in answers if one.is_scored]
    losses = [(*one.place, *loss) for one in scored for loss in _losses(one, said.get(one.place), seed)]
    table = pd.DataFrame(losses, columns=[*PLACE, "category", "undone", "share"])
    rows = []
    for system in sorted({one.prediction.system for one in scored}):
        places = [one.place for one in scored if one.prediction.system == system]
        clusters = clusters_of((example for _, example, _ in places), sources)
        for category, group in table[table["system"] == system].groupby("category", sort=True):
            gains = dict(zip(zip(*(group[name] for name in PLACE), strict=True), group["undone"], strict=True))
            spread = [gains.get(place, 0.0) for place in places]
            interval = mean_interval(spread, clusters=clusters, seed=seed)
            rows.append((system, category, len(group), *interval[:3], group["share"].sum() / len(places)))
    return pd.DataFrame(rows, columns=["system", "category", "answers", "undone", "low", "high", "share"])


def _losses(one: Explained, confirmed: frozenset[str] | None, seed: int) -> list[tuple[str, float, float]]:
    """Category, what undoing it would gain, and its Shapley share, for one answer."""
    script = one.script
    if script is None:
        return [(one.prediction.status, 1.0, 1.0)]
    burdens = category_burdens(script, [t for t in one.tags if confirmed is None or t.category in confirmed])
    shares = shapley(burdens, script.distance, script.sizes, seed=seed)
    return [(n, undo([b], script.distance, script.sizes) - script.similarity, shares[n]) for n, b in burdens.items()]


def category_burdens(script: Explanation, tags: Sequence[ProposedTag]) -> dict[str, Burden]:
    """Every edit that costs something, given to the tag that explains it (same input first, then same step)."""
    found: dict[str, Burden] = {}
    for edit in script.changes:
        category = explained_by(edit, tags)
        growth = {"inserted": 1, "deleted": -1}.get(edit.kind, 0)
        old = found.get(category, Burden(0.0, 0))
        found[category] = Burden(old.cost + edit.cost, old.growth + growth)
    return found


def explained_by(edit: Edit, tags: Sequence[ProposedTag]) -> str:
    """The category of the tag that explains an edit: same input first, then same step; `other` when there is none.

    What only moved along, such as the number in a reference to a later step, has no tag of its own.
    """
    causes = [tag for tag in tags if not tag.category.startswith(_NOT_CAUSES)]
    places = (("reference", edit.reference), ("candidate", edit.candidate))
    sides = [(side, place) for side, place in places if place is not None]
    near = [(tag, place) for side, place in sides for tag in causes if getattr(tag, side) == place.component]
    exact = [tag for tag, place in near if tag.input == place.input]
    whole = [tag for tag, _ in near if tag.input is None]
    return next((tag.category for tag in [*exact, *whole, *(tag for tag, _ in near)]), OTHER)


def undo(burdens: Sequence[Burden], distance: float, sizes: tuple[int, int]) -> float:
    """FlowSim of an answer whose distance and sizes are given, with these burdens undone."""
    total = sizes[0] + sizes[1] + sum(burden.growth for burden in burdens)
    left = distance - sum(burden.cost for burden in burdens)
    return 1 - left / total if total else 1.0


def shapley(
    burdens: Mapping[str, Burden], distance: float, sizes: tuple[int, int], *, seed: int = 0
) -> dict[str, float]:
    """Each category's share of what is missing to 1: its mean gain over all orders of undoing the categories.

    Exact up to 10 categories, else over 200 seeded orders. The shares add up to 1 - FlowSim.
    """
    names = list(burdens)
    if len(names) > _EXACT_UP_TO:
        rng = seeded(seed, "shapley", *names)
        orders = [list(rng.permutation(names)) for _ in range(200)]
        return _mean_gains(names, orders, burdens, distance, sizes)
    value = {
        frozenset(chosen): undo([burdens[name] for name in chosen], distance, sizes)
        for size in range(len(names) + 1)
        for chosen in itertools.combinations(names, size)
    }
    count = math.factorial(len(names))
    shares = dict.fromkeys(names, 0.0)
    for chosen, score in value.items():
        for name in set(names) - chosen:
            weight = math.factorial(len(chosen)) * math.factorial(len(names) - len(chosen) - 1)
            shares[name] += weight / count * (value[chosen | {name}] - score)
    return shares


def _mean_gains(
    names: Sequence[str], orders: Sequence[Sequence[str]], burdens: Mapping[str, Burden], distance: float,
    sizes: tuple[int, int],
) -> dict[str, float]:  # fmt: skip
    gains = dict.fromkeys(names, 0.0)
    for order in orders:
        before = undo([], distance, sizes)
        for place, name in enumerate(order, start=1):
            after = undo([burdens[n] for n in order[:place]], distance, sizes)
            gains[name] += (after - before) / len(orders)
            before = after
    return gains
