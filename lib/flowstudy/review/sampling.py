"""Which answers to look at: the queue of the tagger, drawn by a plan that is written down and seeded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Final, Literal, NamedTuple, get_args

import pandas as pd

from flowstudy.analysis.agreement import disagreements
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.rightness import verdict_table
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.records import Prediction

Sampling = Literal["worst", "random", "stratified", "disagreements", "adjudicate"]
PLANS: Final[tuple[str, ...]] = get_args(Sampling)


class Item(NamedTuple):
    """One answer to look at, with what is needed to judge it; `score` is None when it was not scored.

    `verdict` is a key of `rightness.VERDICTS` ("" when it was not scored), `difference` the first situation in which
    the answer does something else than a reference, or why that cannot be told.
    """

    example: Example
    prediction: Prediction
    catalogue: Catalogue | None = None
    score: float | None = None
    verdict: str = ""
    difference: str = ""

    @property
    def place(self) -> tuple[str, str, int]:
        """System, example, repeat."""
        return self.prediction.system, self.prediction.example, self.prediction.repeat


def sample_items(
    predictions: Sequence[Prediction],
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue] | None = None,
    *,
    scores: pd.DataFrame | None = None,
    sampling: str = "worst",
    items: int = 20,
    seed: int = 0,
    tags: pd.DataFrame | None = None,
    measure: str = PRIMARY,
    aside: Collection[str] = (),
) -> list[Item]:
    """The queue: `items` answers (all, if there are fewer), the same for the same arguments.

    `worst`: lowest score first (needs `scores`; perfect answers come last). `random`: a seeded draw. `stratified`:
    in turn from every domain, and within from every system. In these three, answers of the systems `aside` come
    after all others, and those without a flow last: a machine tells what is wrong with them. `disagreements`: answers
    on which annotators differ, widest first, then random ones. `adjudicate`: only the former. Both need `tags`, a table
    of `verdicts.match_tags`. Only answers are queued. Raises ValueError for an unknown plan, or one that lacks what it
    needs.
    """
    if sampling not in PLANS:
        raise ValueError(f"sampling: expected one of {', '.join(PLANS)}, got {sampling!r}; choose one")
    corpus = {example.id: example for example in examples}
    known, said = _scores(scores, measure), _verdicts(scores)
    pool = [
        Item(
            corpus[p.example], p, (catalogues or {}).get(corpus[p.example].domain), known.get(_place(p)),
            *said.get(_place(p), ()),
        )
        for p in sorted(predictions, key=_place)
        if p.is_answer and p.example in corpus
    ]  # fmt: skip
    random.Random(seed).shuffle(pool)
    if sampling in ("disagreements", "adjudicate"):
        return _disputed(pool, sampling, tags)[:items]
    turn = [2 if item.prediction.flow is None else int(item.prediction.system in aside) for item in pool]
    parts = ([item for item, own in zip(pool, turn, strict=True) if own == part] for part in range(3))
    return [item for part in parts for item in _ordered(part, sampling, scores)][:items]


def _ordered(pool: list[Item], sampling: str, scores: pd.DataFrame | None) -> list[Item]:
    if sampling == "worst":
        if scores is None:
            raise ValueError("sampling worst: expected a score table, got none; pass `scores`")
        return sorted(pool, key=lambda item: 2.0 if item.score is None else item.score)
    return _in_turn(pool) if sampling == "stratified" else pool


def _disputed(pool: list[Item], sampling: str, tags: pd.DataFrame | None) -> list[Item]:
    if tags is None:
        raise ValueError(f"sampling {sampling}: expected a tag table, got none; pass `tags`")
    table = disagreements(tags)
    rank = {tuple(place): n for n, place in enumerate(table[["system", "example", "repeat"]].to_numpy().tolist())}
    asked = pool if sampling == "disagreements" else [item for item in pool if item.place in rank]
    return sorted(asked, key=lambda item: rank.get(item.place, len(rank)))


def _in_turn(pool: list[Item]) -> list[Item]:
    """One of each domain, then a second of each, and so on; the first of the next domain is of the next system."""
    domains = sorted({item.example.domain for item in pool})
    systems = sorted({item.prediction.system for item in pool})
    seen: Counter[tuple[str, str]] = Counter()
    turns: dict[str, list[tuple[int, int, Item]]] = {domain: [] for domain in domains}
    for item in pool:
        domain, system = item.example.domain, item.prediction.system
        turn = (systems.index(system) + domains.index(domain)) % len(systems)
        turns[domain].append((seen[domain, system], turn, item))
        seen[domain, system] += 1
    rows = zip_longest(*(sorted(turns[domain], key=lambda entry: entry[:2]) for domain in domains))
    return [entry[2] for row in rows for entry in row if entry]


def _scores(scores: pd.DataFrame | None, measure: str) -> dict[tuple[str, str, int], float]:
    if scores is None:
        return {}
    rows = scores[(scores["measure"] == measure) & scores["value"].notna()]
    places = zip(rows["system"], rows["example"], rows["repeat"], strict=True)
    return {(s, e, int(r)): float(v) for (s, e, r), v in zip(places, rows["value"], strict=True)}


def _verdicts(scores: pd.DataFrame | None) -> dict[tuple[str, str, int], tuple[str, str]]:
    if scores is None:
        return {}
    columns = ["system", "example", "repeat", "verdict", "difference"]
    rows = verdict_table(scores)[columns].itertuples(index=False, name=None)
    return {(system, example, int(repeat)): (verdict, words) for system, example, repeat, verdict, words in rows}


def _place(prediction: Prediction) -> tuple[str, str, int]:
    return prediction.system, prediction.example, prediction.repeat
